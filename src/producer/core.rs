//! [`ProducerCore`]: what all handles of a producer share, whatever the types of their keys and values.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::enqueue::TimeLimit;
use super::refusal_log::RefusalLog;
use super::topic_wait::{self, TopicWait, TopicWaitError};
use super::topics::TopicDirectory;
use super::walk::Stop;
use crate::accumulator::{EnqueueWaits, RecordAccumulator};
use crate::clock::WallClock;
use crate::config::ProducerSettings;
use crate::error::{DeliveryErrorKind, SendErrorKind};
use crate::metadata::Cluster;
use crate::metrics::Counters;
use crate::network::transport::Connector;
use crate::pipeline::RoutingRules;
#[cfg(feature = "telemetry")]
use crate::sender::Known;
use crate::sender::{Board, Control};
use crate::topic_partition::Topic;

/// One id, one memory, one sender.
pub(crate) struct ProducerCore {
    /// Numbers the producers of a process.
    pub(super) id: u64,
    pub(super) settings: ProducerSettings,
    /// The smaller of `max.request.size` and `buffer.memory`.
    pub(super) largest_record: usize,
    pub(super) routing: RoutingRules,
    pub(super) topics: Arc<TopicDirectory>,
    pub(super) accumulator: Arc<RecordAccumulator>,
    pub(super) clusters: watch::Receiver<Arc<Cluster>>,
    pub(super) control: Arc<Control>,
    /// For what it tells; only the sender connects.
    pub(super) connector: Arc<dyn Connector>,
    pub(super) counters: Arc<Counters>,
    /// How brokers have fared.
    pub(super) board: Arc<Board>,
    pub(super) refusals: RefusalLog,
    pub(super) wall_clock: WallClock,
    /// What is known of the id for telemetry; `None` if metrics are not pushed.
    #[cfg(feature = "telemetry")]
    pub(super) instance: Option<watch::Receiver<Known>>,
    /// Topics that the application wants known.
    pub(super) pinned: Vec<Topic>,
}

impl ProducerCore {
    pub(super) async fn wait_for_topic(
        &self,
        topic: &Topic,
        partition: Option<i32>,
        deadline: Instant,
    ) -> Result<Arc<Cluster>, TopicWaitError> {
        let wait = TopicWait {
            topic,
            partition,
            control: &self.control,
            accumulator: &self.accumulator,
            board: &self.board,
        };
        wait.wait(&self.clusters, deadline).await
    }

    fn ask_for_topic(&self, topic: &Topic, partition: Option<i32>) -> SendErrorKind {
        self.control.want_topic(topic);
        self.accumulator.wake_sender();
        let cluster = Arc::clone(&self.clusters.borrow());
        if let Some(reason) = cluster.refusal() {
            let (topic, reason) = (topic.clone(), reason.to_owned());
            return SendErrorKind::AuthenticationFailed { topic, reason };
        }
        if let Some(reason) = cluster.unresolved() {
            let (topic, reason) = (topic.clone(), reason.to_owned());
            return SendErrorKind::BootstrapUnresolved { topic, reason };
        }
        match topic_wait::refusal(&cluster, topic) {
            Some(code) => SendErrorKind::TopicRefused { topic: topic.clone(), code },
            None => SendErrorKind::TopicUnknown {
                topic: topic.clone(),
                partition,
                partition_count: cluster.partition_count(topic),
            },
        }
    }

    /// Says why a record was not accepted at once, and asks for what it lacked.
    pub(super) fn not_at_once(&self, stop: Stop, topic: &Topic, partition: Option<i32>) -> SendErrorKind {
        match stop {
            Stop::Refused(kind) => *kind,
            Stop::Retired | Stop::TopicUnknown => self.ask_for_topic(topic, partition),
            Stop::NoMemory { queue, least, .. } => {
                // Lingering batches would keep it full.
                self.accumulator.want_memory();
                let available = queue.memory().available();
                SendErrorKind::Full { needed: least, available, limit: self.accumulator.memory().total() }
            }
        }
    }

    pub(super) fn topic_error(
        &self,
        topic: &Topic,
        partition: Option<i32>,
        error: TopicWaitError,
        spent: EnqueueWaits,
        limit: TimeLimit,
    ) -> SendErrorKind {
        let topic = topic.clone();
        match error {
            TopicWaitError::Closed => self.end(),
            TopicWaitError::Refused(code) => SendErrorKind::TopicRefused { topic, code },
            TopicWaitError::Unauthenticated(reason) => SendErrorKind::AuthenticationFailed { topic, reason },
            TopicWaitError::Unresolved(reason) => SendErrorKind::BootstrapUnresolved { topic, reason },
            TopicWaitError::TimedOut { partition_count, cause, obstacle, brokers } => {
                SendErrorKind::MetadataTimeout {
                    topic,
                    partition,
                    partition_count,
                    waited: limit.most(self.settings.max_block).saturating_sub(spent.memory),
                    cause,
                    obstacle,
                    brokers,
                    within: limit.name(),
                }
            }
        }
    }

    /// Says why records are refused by a producer that has ended or is about to.
    pub(super) fn end(&self) -> SendErrorKind {
        match self.control.end() {
            Some(DeliveryErrorKind::RuntimeShutdown) => SendErrorKind::RuntimeShutdown,
            Some(DeliveryErrorKind::SenderPanicked(message)) => {
                SendErrorKind::SenderPanicked(message.clone())
            }
            _ => SendErrorKind::Closed,
        }
    }

    pub(super) fn memory_timeout(
        &self,
        needed: usize,
        spent: EnqueueWaits,
        limit: TimeLimit,
    ) -> SendErrorKind {
        SendErrorKind::MemoryTimeout {
            needed,
            limit: self.accumulator.memory().total(),
            metadata_wait: spent.metadata,
            memory_wait: spent.memory,
            within: limit.name(),
        }
    }
}

impl Drop for ProducerCore {
    fn drop(&mut self) {
        // The sender delivers what was accepted and then ends.
        self.accumulator.close();
        self.refusals.tell_rest(&self.settings.client_id);
    }
}
