//! What a SASL mechanism has to provide: the bytes to say to a broker. [`authentication`](super::authentication) puts them into
//! Kafka's frames.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;

use crate::metadata::Node;

/// Who the producer is, and how it proves that to brokers.
pub(crate) trait SaslMechanism: fmt::Debug + Send + Sync {
    /// Returns the name of the mechanism, as in `sasl.mechanism`.
    fn name(&self) -> Arc<str>;

    /// Begins to authenticate, on a new connection or anew on one whose session ends. Credentials are those of this moment.
    fn begin(&self, broker: &Node, random: &mut StdRng) -> Box<dyn SaslExchange>;
}

/// One authentication: bytes in, bytes out.
pub(crate) trait SaslExchange: fmt::Debug + Send {
    /// Takes in what the broker has said, and returns what to say next. Both may be empty; at the first call `challenge` is.
    /// Returns `None` when the exchange is complete: the broker has accepted the producer, and has proved who it is if the
    /// mechanism demands it.
    ///
    /// # Errors
    ///
    /// Why the exchange cannot go on.
    fn respond(&mut self, challenge: &[u8]) -> Result<Option<Bytes>, Arc<str>>;
}
