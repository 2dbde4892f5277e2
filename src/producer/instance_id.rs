//! `ClientInstanceId`: by which name those who operate brokers know this producer.

use std::fmt;
use std::time::Duration;

use super::enqueue::far;
use super::{KafkaProducer, deadline};
use crate::base64;
use crate::clock;
use crate::error::{SendErrorKind, Spent};
use crate::sender::Known;

/// The id that brokers have given to a producer whose metrics they want (KIP-714).
///
/// `Display` writes it as Kafka does: 22 characters of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientInstanceId([u8; 16]);

/// Why there is no [`ClientInstanceId`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientInstanceIdError {
    /// The producer may not push metrics.
    #[error("no client instance id: metrics are not pushed; set enable.metrics.push=true")]
    Disabled,
    /// The producer has ended.
    #[error(transparent)]
    Ended(#[from] SendErrorKind),
    /// Brokers do not offer client telemetry, as those before Kafka 3.7 and those without a receiver of metrics, or one has refused it.
    #[error(
        "no client instance id: the brokers do not offer client telemetry (KIP-714), or one has refused it"
    )]
    NotOffered,
    /// No broker has given one in time.
    #[error("no broker has given a client instance id within {}", Spent(*waited))]
    #[non_exhaustive]
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
}

impl ClientInstanceId {
    /// Returns the bytes of the id, which is a UUID.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ClientInstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode_for_url(&self.0))
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Returns the id by which brokers know this producer in the metrics that it pushes to them, and waits for it for at most `timeout`
    /// if they have not given one yet. The id stays the same for as long as the producer lives. Log it, and what brokers measure can be
    /// told apart by producer (KIP-714).
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// # Errors
    ///
    /// [`ClientInstanceIdError`] says why there is none. If the producer does not push metrics, or brokers do not offer it, that comes
    /// before the timeout.
    pub async fn client_instance_id(
        &self,
        timeout: Duration,
    ) -> Result<ClientInstanceId, ClientInstanceIdError> {
        let deadline = far(clock::now(), timeout);
        let mut instance = self.core.instance.clone().ok_or(ClientInstanceIdError::Disabled)?;
        loop {
            match *instance.borrow_and_update() {
                Known::Awaited => {}
                Known::Id(id) => return Ok(ClientInstanceId(id.0)),
                Known::Never => return Err(ClientInstanceIdError::NotOffered),
            }
            match deadline::timeout_at(deadline, instance.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) => return Err(self.core.end().into()),
                None => return Err(ClientInstanceIdError::TimedOut { waited: timeout }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_written_as_kafka_writes_it() {
        let id = ClientInstanceId(u128::to_be_bytes(0x0123_4567_89ab_cdef_1122_3344_5566_7788));

        assert_eq!(id.to_string(), "ASNFZ4mrze8RIjNEVWZ3iA");
    }
}
