//! `Purge`: which records a purge gives up.

/// Which records [`KafkaProducer::purge`](crate::KafkaProducer::purge) gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// Those that wait in the producer, and those whose request is under way: whether a broker writes the latter
    /// is not known.
    All,
    /// Those that wait in the producer, for their first attempt or for another.
    Queued,
}
