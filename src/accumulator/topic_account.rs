//! `TopicAccount`: what the queues of a topic have in common besides memory.

use std::sync::OnceLock;

use crate::accumulator::compression_ratio::CompressionRatio;
use crate::metrics::TopicCounters;

/// How well the records of a topic compress, and what is counted of it.
#[derive(Debug, Default)]
pub(crate) struct TopicAccount {
    pub(super) ratio: CompressionRatio,
    /// Made when it is asked for: a topic may be known without ever being written to.
    counters: OnceLock<Box<TopicCounters>>,
}

impl TopicAccount {
    pub(super) fn counters(&self) -> &TopicCounters {
        self.counters.get_or_init(Box::default)
    }
}
