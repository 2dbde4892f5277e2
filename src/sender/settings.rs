//! What the sender needs to know of the configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;

/// The sender's settings.
#[derive(Debug, Clone)]
pub(crate) struct SenderSettings {
    /// `client.id`, by which log lines tell producers apart.
    pub(crate) client_id: Arc<str>,
    /// 0, 1 or -1, as on the wire.
    pub(crate) acks: i16,
    /// `enable.idempotence`, and nothing against it.
    pub(crate) is_idempotent: bool,
    /// `None` unless `transactional.id` is set.
    pub(crate) transactional: Option<TransactionalSettings>,
    /// Whether the first failure in a partition stops it until a caller resumes it.
    pub(crate) is_fail_stop: bool,
    pub(crate) linger: Duration,
    /// A batch whose records are all awaited does not wait for `linger` while nothing is under way to its broker.
    pub(crate) spares_awaited: bool,
    pub(crate) delivery_timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// How old the timestamp of a producer's last batch may be while the sender still trusts brokers to remember the producer,
    /// see [`PRODUCER_ID_LIFETIME`](super::PRODUCER_ID_LIFETIME).
    pub(crate) producer_id_lifetime: Duration,
    /// For the first address of a name in `bootstrap.servers` (`bootstrap.resolve.timeout.ms`); `None` for no limit.
    pub(crate) bootstrap_resolve_timeout: Option<Duration>,
    pub(crate) metadata_max_idle: Duration,
    /// Times that a batch may be sent after the first.
    pub(crate) retries: u32,
    pub(crate) retry_backoff: Backoff,
    pub(crate) max_request_size: usize,
    /// Requests of one partition that may be under way at once, see [`most_outstanding`](super::most_outstanding).
    pub(crate) max_outstanding_per_partition: usize,
    /// A partition whose leader has taken nothing for longer is not chosen for records without a key
    /// (`partitioner.availability.timeout.ms`).
    pub(crate) availability_timeout: Option<Duration>,
}

/// The settings of a transactional producer.
#[derive(Debug, Clone)]
pub(crate) struct TransactionalSettings {
    /// `transactional.id`.
    pub(crate) id: Arc<str>,
    /// `transaction.timeout.ms`.
    pub(crate) timeout: Duration,
}
