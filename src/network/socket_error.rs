//! `SocketError`: why a socket came to nothing, in our words and in those of the system.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::error::SharedError;
use crate::network::resolver::Tried;
use crate::wire::Readable;

/// What went wrong with a socket.
#[derive(Debug, Clone)]
pub(crate) struct SocketError {
    text: Arc<str>,
    source: Option<Arc<io::Error>>,
    /// Words that the same cause has each time, if they are ours.
    known: Option<&'static str>,
    /// Whether the peer has ended the connection, and said nothing.
    is_end: bool,
}

impl SocketError {
    /// Returns the cause in a few words.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Returns the words if they are the same each time that this happens.
    pub(crate) fn known_words(&self) -> Option<Arc<str>> {
        self.known.map(Arc::from)
    }

    /// Whether the peer has ended the connection, without a word that tells why.
    pub(crate) fn is_end(&self) -> bool {
        self.is_end
    }

    /// Returns what the system said, or a dialer of the application.
    pub(crate) fn shared_source(&self) -> Option<SharedError> {
        self.source.clone().map(|source| -> SharedError { source })
    }
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        let error = match error.downcast::<Tried>() {
            Ok(tried) => {
                let place = tried.place();
                let this = Self::from(tried.error);
                return Self { text: format!("{} ({place})", this.text).into(), ..this };
            }
            Err(error) => error,
        };
        let known = words(&error);
        let text = match known {
            Some(words) => Arc::from(words),
            None => Readable::new(&error.to_string()).into_text(),
        };
        // Words of our own, and of streams that have made an error of text, are all that there is to say.
        let has_more = error.raw_os_error().is_some();
        let has_source = error.get_ref().is_some_and(|inner| inner.source().is_some());
        let is_end = matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::UnexpectedEof
        );
        Self { text, source: (has_more || has_source).then(|| Arc::new(error)), known, is_end }
    }
}

impl From<&str> for SocketError {
    fn from(text: &str) -> Self {
        Self { text: Arc::from(text), source: None, known: None, is_end: true }
    }
}

/// Two of the same words are the same, whatever the system said.
impl PartialEq for SocketError {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SocketError {}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for SocketError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| -> &(dyn StdError + 'static) { source })
    }
}

/// Returns our words for what the system says in words and numbers of its own. An error with a text of its own has that.
fn words(error: &io::Error) -> Option<&'static str> {
    if error.get_ref().is_some() {
        return None;
    }
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => Some("address not available"),
        io::ErrorKind::BrokenPipe => Some("connection broken"),
        io::ErrorKind::ConnectionAborted => Some("connection aborted"),
        io::ErrorKind::ConnectionRefused => Some("connection refused"),
        io::ErrorKind::ConnectionReset => Some("connection reset"),
        io::ErrorKind::HostUnreachable => Some("host unreachable"),
        io::ErrorKind::NetworkUnreachable => Some("network unreachable"),
        io::ErrorKind::PermissionDenied => Some("not permitted by the system"),
        io::ErrorKind::TimedOut => Some("timed out"),
        io::ErrorKind::UnexpectedEof => Some("closed by the broker"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_error_has_short_words_and_keeps_those_of_the_system() {
        let refused = io::Error::from_raw_os_error(111);
        let in_full = refused.to_string();

        let error = SocketError::from(refused);

        assert_eq!(error.to_string(), "connection refused");
        assert_eq!(error.source().unwrap().to_string(), in_full);
    }

    #[test]
    fn error_with_a_text_keeps_it_and_has_nothing_to_add() {
        let error = SocketError::from(io::Error::other("the proxy\nsays no"));

        assert!(error.to_string().starts_with("the proxy"));
        assert!(!error.to_string().contains('\n'));
        assert!(error.source().is_none());
        assert_eq!(SocketError::from("reset").to_string(), "reset");
    }

    #[test]
    fn causes_are_the_same_if_their_words_are() {
        let refused = || io::Error::from_raw_os_error(111);

        assert_eq!(SocketError::from(refused()), SocketError::from("connection refused"));
        assert_ne!(SocketError::from(refused()), SocketError::from("reset"));
    }
}
