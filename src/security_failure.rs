//! Why a connection is not secure, in words for the user. It travels inside an [`io::Error`], so that streams of all kinds can tell.

use std::io;
use std::sync::Arc;

use crate::wire::Readable;

/// What went wrong when a connection was to be encrypted, or was found to be no encrypted one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct SecurityFailure {
    pub(crate) reason: Arc<str>,
    /// Whether only a change helps, of the configuration or of the broker: the next attempt ends in the same way.
    pub(crate) is_lasting: bool,
}

impl SecurityFailure {
    /// Words of a peer's may stand in the reason.
    pub(crate) fn lasting(reason: impl AsRef<str>) -> Self {
        Self { reason: Readable::new(reason.as_ref()).into_text(), is_lasting: true }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn passing(reason: impl AsRef<str>) -> Self {
        Self { reason: Readable::new(reason.as_ref()).into_text(), is_lasting: false }
    }

    /// Returns what an error says about security, if it is about that.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<SecurityFailure> for io::Error {
    fn from(failure: SecurityFailure) -> Self {
        Self::other(failure)
    }
}
