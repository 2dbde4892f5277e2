//! `BuildError`: why there is no producer.

use std::io;
use std::sync::Arc;

use crate::config::ConfigError;

/// Why a producer could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The configuration has problems; all of them are listed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `fail_stop` is on, and `acks` is 0: brokers then never tell that a record has failed.
    #[error("fail_stop needs acks=all or acks=1: with acks=0 brokers do not tell what has failed")]
    FailStopWithoutAcks,
    /// `fail_stop` is on, and the producer is transactional: its transactions are aborted as a whole.
    #[error("fail_stop is not for transactional producers: a record that fails has its transaction aborted")]
    FailStopWithTransactions,
    /// Interceptors were added before the types of keys and values were changed. They are for the types of before.
    #[error("interceptors were added before the types of keys and values were changed: add them after that")]
    InterceptorsBeforeTypes,
    /// `transactional.id` is set, and [`build`](crate::KafkaProducerBuilder::build) was called.
    #[error("transactional.id is set: call `build_transactional`, or leave it unset")]
    IsTransactional,
    /// The tokio runtime has no I/O driver, which connections need (`enable_io` or `enable_all` of its builder).
    #[error("the tokio runtime has no I/O driver: call `enable_io` on its builder")]
    NoIo,
    /// [`build_transactional`](crate::KafkaProducerBuilder::build_transactional) was called, and `transactional.id` is not set.
    #[error("a transactional producer needs transactional.id")]
    NoTransactionalId,
    /// There is no tokio runtime for the background task.
    #[error("a producer must be built within a tokio runtime, or by `build_blocking`, which makes one")]
    NoRuntime,
    /// [`build_blocking`](crate::KafkaProducerBuilder::build_blocking) was called, and the system refuses the thread, or what a runtime needs.
    #[error("the producer's own runtime cannot be started")]
    OwnRuntime(#[source] Arc<io::Error>),
    /// A name given to [`pin_topics`](crate::KafkaProducerBuilder::pin_topics) is empty, or longer than 32767 bytes.
    #[error("pin_topics has a name that is empty or longer than 32767 bytes")]
    PinnedTopic,
    /// The tokio runtime has no timers, which the background task needs (`enable_time` or `enable_all` of its builder).
    #[error("the tokio runtime has no timers: call `enable_time` on its builder")]
    NoTimers,
}
