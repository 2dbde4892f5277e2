//! What differs from test to test, and the parts of a sender that follow from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::millis;
use crate::accumulator::{self, RecordAccumulator};
use crate::backoff::Backoff;
use crate::buffer_memory::BufferMemory;
use crate::config::{Compression, HostPort};
use crate::metadata::{Metadata, MetadataConfig};
use crate::metrics::Counters;
use crate::network::sasl::SaslMechanism;
use crate::network::{NetworkClient, NetworkConfig};
use crate::sender::{Parts, Purpose, SenderCore, SenderSettings, TransactionalSettings};

/// What differs from test to test.
#[derive(Debug, Clone)]
pub(in super::super) struct Config {
    pub(in super::super) acks: i16,
    pub(in super::super) linger: Duration,
    pub(in super::super) spares_awaited: bool,
    pub(in super::super) delivery_timeout: Duration,
    pub(in super::super) request_timeout: Duration,
    pub(in super::super) retries: u32,
    pub(in super::super) retry_backoff: Duration,
    /// Up to which the backoff doubles; `None` for one that stays the same.
    pub(in super::super) retry_backoff_max: Option<Duration>,
    pub(in super::super) is_idempotent: bool,
    pub(in super::super) is_fail_stop: bool,
    pub(in super::super) transaction_timeout: Duration,
    pub(in super::super) max_idle: Duration,
    /// Entries of `bootstrap.servers` in front of the one of brokers.
    pub(in super::super) controllers: u16,
    pub(in super::super) max_outstanding: usize,
    pub(in super::super) max_in_flight: usize,
    pub(in super::super) max_request_size: usize,
    pub(in super::super) batch_size: usize,
    pub(in super::super) buffer_memory: usize,
    pub(in super::super) compression: Compression,
    pub(in super::super) produce_versions: (i16, i16),
    /// Whether brokers speak InitProducerId.
    pub(in super::super) has_producer_ids: bool,
    /// Of a transactional producer.
    pub(in super::super) transactional_id: Option<&'static str>,
    /// The requests of transactions that brokers speak, by their keys, each with its last version.
    pub(in super::super) coordinator_versions: Vec<(i16, i16)>,
    /// Hosts of `bootstrap.servers`: `bootstrap` is node 1, and `controller` a controller that is no broker.
    pub(in super::super) bootstrap: &'static [&'static str],
    pub(in super::super) producer_id_lifetime: Duration,
    /// The epoch that producer ids come with.
    pub(in super::super) producer_epoch: i16,
    /// Whether batches are compressed at once; otherwise the jobs wait in `seal_jobs`.
    pub(in super::super) seals: bool,
    pub(in super::super) sasl_mechanism: Option<Arc<dyn SaslMechanism>>,
    pub(in super::super) keeps_secrets: bool,
    pub(in super::super) head_start: Duration,
    pub(in super::super) seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            acks: -1,
            linger: Duration::ZERO,
            spares_awaited: false,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            retries: i32::MAX.unsigned_abs(),
            retry_backoff: millis(100),
            retry_backoff_max: None,
            is_idempotent: false,
            is_fail_stop: false,
            transaction_timeout: TRANSACTION_TIMEOUT,
            max_idle: Duration::from_secs(300),
            controllers: 0,
            max_outstanding: 1,
            max_in_flight: 5,
            max_request_size: 1024 * 1024,
            batch_size: 1000,
            buffer_memory: 100_000,
            compression: Compression::None,
            produce_versions: (3, 13),
            has_producer_ids: true,
            transactional_id: None,
            coordinator_versions: vec![(10, 6), (22, 5), (24, 3), (25, 4), (26, 5), (28, 5)],
            bootstrap: &["bootstrap"],
            producer_id_lifetime: Duration::from_secs(3600),
            producer_epoch: 0,
            seals: true,
            sasl_mechanism: None,
            keeps_secrets: false,
            head_start: millis(10),
            seed: 7,
        }
    }
}

pub(in super::super) fn accumulator(config: &Config) -> Arc<RecordAccumulator> {
    let memory = BufferMemory::new(config.buffer_memory, config.batch_size);
    let settings = accumulator::Settings {
        batch_size: config.batch_size,
        compression: config.compression,
        compression_level: 3,
        max_plain: 1_000_000,
        append_window: config.linger + config.delivery_timeout / 100,
        spares_awaited: config.spares_awaited,
    };
    Arc::new(RecordAccumulator::new(settings, memory))
}

pub(in super::super) fn core(
    config: &Config,
    accumulator: &Arc<RecordAccumulator>,
    counters: &Arc<Counters>,
    now: Instant,
) -> SenderCore {
    SenderCore::new(Parts {
        settings: sender_settings(config),
        accumulator: Arc::clone(accumulator),
        metadata: metadata(config),
        network: network(config),
        counters: Arc::clone(counters),
        board: Arc::default(),
        seed: config.seed,
        epoch: now,
    })
}

fn sender_settings(config: &Config) -> SenderSettings {
    SenderSettings {
        client_id: Arc::from("tests"),
        transactional: config
            .transactional_id
            .map(|id| TransactionalSettings { id: Arc::from(id), timeout: config.transaction_timeout }),
        bootstrap_resolve_timeout: None,
        acks: config.acks,
        is_idempotent: config.is_idempotent,
        is_fail_stop: config.is_fail_stop,
        linger: config.linger,
        spares_awaited: config.spares_awaited,
        delivery_timeout: config.delivery_timeout,
        request_timeout: config.request_timeout,
        producer_id_lifetime: config.producer_id_lifetime,
        metadata_max_idle: config.max_idle,
        retries: config.retries,
        // Without jitter if it is constant.
        retry_backoff: Backoff::new(
            config.retry_backoff,
            config.retry_backoff_max.unwrap_or(config.retry_backoff),
        ),
        max_request_size: config.max_request_size,
        max_outstanding_per_partition: config.max_outstanding,
        availability_timeout: None,
    }
}

fn metadata(config: &Config) -> Metadata {
    let metadata = MetadataConfig {
        max_age: Duration::from_secs(300),
        max_idle: config.max_idle,
        retry_backoff: Backoff::new(millis(100), millis(100)),
        rebootstrap_trigger: Some(Duration::from_secs(300)),
    };
    let controllers = (1..=config.controllers).map(|number| HostPort::new("controller", 9092 + number));
    let brokers = config.bootstrap.iter().map(|host| HostPort::new(*host, 9092));
    Metadata::new(&metadata, controllers.chain(brokers), config.seed)
}

fn network(config: &Config) -> NetworkClient<Purpose> {
    let network = NetworkConfig {
        client_id: Some(Arc::from("tests")),
        max_in_flight: config.max_in_flight,
        reconnect_backoff: Backoff::new(millis(50), millis(1000)),
        connection_setup_timeout: Backoff::new(millis(10_000), millis(10_000)),
        request_timeout: config.request_timeout,
        connections_max_idle: Some(Duration::from_secs(540)),
        checks_cluster: true,
        sasl_mechanism: config.sasl_mechanism.clone(),
        keeps_secrets: config.keeps_secrets,
        head_start: config.head_start,
    };
    NetworkClient::new(network, StdRng::seed_from_u64(config.seed))
}

/// `transaction.timeout.ms`.
pub(in super::super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
