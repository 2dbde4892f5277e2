//! A transactional producer whose sender a simulation drives (`sender/tests/simulation/transactions.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::refusal_log::RefusalLog;
use super::topics::TopicDirectory;
use super::{KafkaProducer, ProducerCore, TransactionalProducer};
use crate::accumulator::RecordAccumulator;
use crate::clock::{self, WallClock};
use crate::config::ProducerConfig;
use crate::metadata::Cluster;
use crate::metrics::Counters;
use crate::pipeline::RoutingRules;
use crate::sender::Control;

/// What a producer shares with its sender.
pub(crate) struct Shared {
    pub(crate) accumulator: Arc<RecordAccumulator>,
    pub(crate) topics: Topics,
    pub(crate) clusters: watch::Receiver<Arc<Cluster>>,
    pub(crate) control: Arc<Control>,
    pub(crate) counters: Arc<Counters>,
}

/// The topics that callers have sent to.
#[derive(Debug, Default)]
pub(crate) struct Topics(Arc<TopicDirectory>);

/// The settings that count for callers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_block: Duration,
    pub(crate) max_request_size: usize,
    pub(crate) buffer_memory: usize,
    pub(crate) batch_size: usize,
}

impl Topics {
    /// Has the topics let go of queues that the accumulator gives up.
    pub(crate) fn watch(&self, accumulator: RecordAccumulator) -> RecordAccumulator {
        accumulator.with_topic_watcher(Arc::<TopicDirectory>::clone(&self.0))
    }
}

impl Shared {
    pub(crate) fn producer(self, transactional_id: &str, limits: Limits) -> TransactionalProducer {
        let config = ProducerConfig::default()
            .bootstrap_servers("bootstrap:9092")
            .transactional_id(transactional_id)
            .batch_size(limits.batch_size)
            .buffer_memory(limits.buffer_memory)
            .max_request_size(limits.max_request_size)
            .max_block(limits.max_block);
        let settings = config.settle().expect("the settings fit together");
        let core = ProducerCore {
            id: PRODUCERS.fetch_add(1, Ordering::Relaxed),
            largest_record: settings.max_request_size.min(settings.buffer_memory),
            routing: RoutingRules {
                partitioner: None,
                ignore_keys: settings.partitioner_ignore_keys,
                adaptive_partitioning: settings.partitioner_adaptive_partitioning,
                rack: None,
            },
            settings,
            topics: self.topics.0,
            accumulator: self.accumulator,
            clusters: self.clusters,
            connector: Arc::new(crate::network::resolver::TcpConnector::default()),
            control: self.control,
            counters: self.counters,
            board: Arc::default(),
            refusals: RefusalLog::new(clock::now()),
            wall_clock: WallClock::new(clock::now()),
            #[cfg(feature = "telemetry")]
            instance: None,
            pinned: Vec::new(),
        };
        TransactionalProducer::new(KafkaProducer { core: Arc::new(core), face: Arc::default() })
    }
}

/// Threads remember topics by the number of the producer: one that no other producer of the tests has.
static PRODUCERS: AtomicU64 = AtomicU64::new(u64::MAX / 2);
