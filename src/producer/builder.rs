//! Puts a producer together: checks the configuration, joins the rooms, and starts the sender.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
#[cfg(all(unix, not(kafka_producer_portable)))]
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::accumulator::{self, RecordAccumulator};
use crate::backoff::Backoff;
use crate::buffer_memory::BufferMemory;
use crate::clock::{self, WallClock};
use crate::config::{
    Acks, ConfigError, MetadataRecoveryStrategy, PartitionerClass, ProducerConfig, ProducerSettings,
    config_setters,
};
#[cfg(all(unix, not(kafka_producer_portable)))]
use crate::fence::fenced;
use crate::metadata::{Cluster, Metadata, MetadataConfig};
use crate::metrics::Counters;
use crate::network::canonical::{CanonicalNames, NameService, SystemNames};
use crate::network::dialer::{Dialer, FencedDialer};
use crate::network::lookup::Lookups;
use crate::network::resolver::TcpConnector;
use crate::network::sasl::SaslMechanism;
#[cfg(feature = "tls")]
use crate::network::tls_connector::TlsConnector;
use crate::network::transport::Connector;
use crate::network::{HEAD_START, MAX_RESPONSE_LEN, NetworkClient, NetworkConfig};
use crate::pipeline::{
    BoxError, InterceptorChain, Partitioner, PartitionerRecord, ProducerInterceptor, RoundRobinPartitioner,
    RoutingRules, Serializable, Serializer,
};
use crate::producer::authentication::{self, Prepared, RunningBeside};
use crate::producer::bootstrap_names::BootstrapNames;
use crate::producer::refusal_log::RefusalLog;
use crate::producer::topics::TopicDirectory;
use crate::producer::workers::BlockingWorkers;
use crate::producer::{BuildError, Face, KafkaProducer, ProducerCore, deadline};
use crate::record::LONGEST_TOPIC;
use crate::sender::{
    Board, Control, PRODUCER_ID_LIFETIME, Parts, Purpose, Sender, SenderCore, SenderSettings,
    TransactionalSettings, most_outstanding,
};
#[cfg(feature = "telemetry")]
use crate::sender::{Instance, Known, TelemetrySettings};
#[cfg(feature = "tls")]
use crate::tls::{CertificateProvider, Peer, RotatingTls};
use crate::topic_partition::Topic;

/// Configures and makes a [`KafkaProducer`], from [`KafkaProducer::builder`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use kafka_producer::{Acks, KafkaProducer};
///
/// # async fn example() -> Result<(), kafka_producer::BuildError> {
/// let producer = KafkaProducer::builder()
///     .bootstrap_servers("kafka-1:9092,kafka-2:9092")
///     .acks(Acks::All)
///     .batch_size(64 * 1024)
///     .linger(Duration::from_millis(10))
///     .property("compression.type", "lz4")
///     .build()?;
/// # drop(producer);
/// # Ok(())
/// # }
/// ```
pub struct KafkaProducerBuilder<K = Bytes, V = Bytes> {
    config: ProducerConfig,
    interceptors: InterceptorChain<K, V>,
    /// Interceptors were added before the types of keys and values were changed.
    has_lost_interceptors: bool,
    key_serializer: Box<dyn Serializer<K>>,
    value_serializer: Box<dyn Serializer<V>>,
    partitioner: Option<Box<dyn Partitioner>>,
    dialer: Option<Box<dyn Dialer>>,
    /// By which canonical names are found, if they count.
    names: Arc<dyn NameService>,
    #[cfg(feature = "tls")]
    certificates: Option<Box<dyn CertificateProvider>>,
    fail_stop: bool,
    pinned: Vec<Topic>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducerBuilder<K, V> {
    config_setters!(config);

    /// Replaces the whole configuration.
    #[must_use]
    pub fn config(mut self, config: ProducerConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds an interceptor after those added before (`interceptor.classes`).
    #[must_use]
    pub fn interceptor(mut self, interceptor: impl ProducerInterceptor<K, V>) -> Self {
        self.interceptors.push(interceptor);
        self
    }

    /// Sets who chooses the partition of a record that names none itself (`partitioner.class`).
    ///
    /// Without one, records with a key go where Java's producer sends them (murmur2), and records without a key stay
    /// with a partition for about `batch.size` bytes and then move on, preferring short queues (KIP-794).
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner) -> Self {
        self.partitioner = Some(Box::new(partitioner));
        self
    }

    /// Sets a closure that chooses the partition of a record that names none itself, as [`partitioner`](Self::partitioner) does. The
    /// compiler finds the types of its arguments.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), kafka_producer::BuildError> {
    /// let producer = kafka_producer::KafkaProducer::builder()
    ///     .bootstrap_servers("localhost:9092")
    ///     .partition_with(|record, _cluster| Ok(if record.key() == Some(b"vip") { 0 } else { 1 }))
    ///     .build()?;
    /// # drop(producer);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn partition_with(
        self,
        choose: impl Fn(&PartitionerRecord<'_>, &Cluster) -> Result<i32, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.partitioner(choose)
    }

    /// Sets who connects to brokers: by default the producer does, over TCP.
    ///
    /// For SOCKS proxies, Unix sockets and load balancers that want to be told who asks; see [`Dialer`]. This is not a property
    /// of Kafka.
    #[must_use]
    pub fn dialer(mut self, dialer: impl Dialer) -> Self {
        self.dialer = Some(Box::new(dialer));
        self
    }

    /// Sets who gives the certificates for TLS, and new ones whenever they change, in place of [`tls`](Self::tls) and of all properties
    /// that begin with `ssl.`; see [`CertificateProvider`]. It counts only if
    /// [`security_protocol`](Self::security_protocol) asks for TLS. This is not a property of Kafka.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn certificate_provider(mut self, provider: impl CertificateProvider) -> Self {
        self.certificates = Some(Box::new(provider));
        self
    }

    /// Sets the types of keys and values and the serializers for them (`key.serializer`, `value.serializer`).
    ///
    /// Call this, and all else that sets these types, before you add interceptors: [`build`](Self::build) refuses those that were added
    /// before, because they are for other types.
    #[must_use]
    pub fn serializers<K2, V2>(
        self,
        key: impl Serializer<K2>,
        value: impl Serializer<V2>,
    ) -> KafkaProducerBuilder<K2, V2>
    where
        K2: Send + Sync + 'static,
        V2: Send + Sync + 'static,
    {
        self.retyped(|_, _| (Box::new(key), Box::new(value)))
    }

    /// Sets the types of keys and values to types that have serializers of their own.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), kafka_producer::BuildError> {
    /// let producer = kafka_producer::KafkaProducer::builder()
    ///     .bootstrap_servers("localhost:9092")
    ///     .types::<String, i64>()
    ///     .build()?;
    /// # drop(producer);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn types<K2, V2>(self) -> KafkaProducerBuilder<K2, V2>
    where
        K2: Serializable + Send + Sync + 'static,
        V2: Serializable + Send + Sync + 'static,
    {
        self.serializers(K2::Serializer::default(), V2::Serializer::default())
    }

    /// Sets the type of keys and the serializer for them (`key.serializer`); see [`serializers`](Self::serializers).
    #[must_use]
    pub fn key_serializer<K2>(self, serializer: impl Serializer<K2>) -> KafkaProducerBuilder<K2, V>
    where
        K2: Send + Sync + 'static,
    {
        self.retyped(|_, value| (Box::new(serializer), value))
    }

    /// Sets the type of values and the serializer for them (`value.serializer`); see [`serializers`](Self::serializers).
    #[must_use]
    pub fn value_serializer<V2>(self, serializer: impl Serializer<V2>) -> KafkaProducerBuilder<K, V2>
    where
        V2: Send + Sync + 'static,
    {
        self.retyped(|key, _| (key, Box::new(serializer)))
    }

    fn retyped<K2, V2>(
        self,
        change: impl FnOnce(Box<dyn Serializer<K>>, Box<dyn Serializer<V>>) -> Serializers<K2, V2>,
    ) -> KafkaProducerBuilder<K2, V2>
    where
        K2: Send + Sync + 'static,
        V2: Send + Sync + 'static,
    {
        let (key_serializer, value_serializer) = change(self.key_serializer, self.value_serializer);
        KafkaProducerBuilder {
            config: self.config,
            interceptors: InterceptorChain::new(),
            has_lost_interceptors: self.has_lost_interceptors || !self.interceptors.is_empty(),
            key_serializer,
            value_serializer,
            partitioner: self.partitioner,
            dialer: self.dialer,
            names: self.names,
            #[cfg(feature = "tls")]
            certificates: self.certificates,
            fail_stop: self.fail_stop,
            pinned: self.pinned,
        }
    }

    /// Sets whether the first record that fails stops its partition (default false), for logs that must have no gap. This is
    /// not a property of Kafka.
    ///
    /// Without it, the producer still sends the records after a failed one, so the log of the partition has a gap. With it,
    /// all records after the failed one in the partition fail, too, with [`DeliveryErrorKind::Stopped`], and the producer
    /// refuses new records for the partition with [`SendErrorKind::Stopped`]. This lasts until the application has decided
    /// what to do with the records that came back, and calls [`KafkaProducer::resume`]. So of the records that the producer
    /// accepts between two calls of `resume`, the log holds all up to some record and none after it. Records whose error says
    /// [`Persisted::Maybe`] are an exception: each of them may be in the log or not. Other partitions are not affected; records
    /// that may go to any partition avoid stopped ones.
    ///
    /// There is an exception with brokers that know no topic ids (before Produce 13): if the topic is deleted and created
    /// again, a batch that is under way after the failed one may reach the new topic.
    ///
    /// If the broker names the records that it refuses, their batch fails as a whole. If it names none, the producer halves
    /// the batch, and the records before the refused one are written. `acks=0` is refused. Without idempotence the log may
    /// hold records twice.
    ///
    /// [`DeliveryErrorKind::Stopped`]: crate::DeliveryErrorKind::Stopped
    /// [`Persisted::Maybe`]: crate::Persisted::Maybe
    /// [`SendErrorKind::Stopped`]: crate::SendErrorKind::Stopped
    #[must_use]
    pub fn fail_stop(mut self, fail_stop: bool) -> Self {
        self.fail_stop = fail_stop;
        self
    }

    /// Adds topics that the producer asks for at once and never forgets: their first record need not wait for metadata, nor one that
    /// comes after `metadata.max.idle.ms`. After [`KafkaProducer::ready`] `try_enqueue` knows them. Brokers may create them. This is
    /// not a property of Kafka.
    #[must_use]
    pub fn pin_topics<T: Into<Topic>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.pinned.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Makes the producer and starts its background task on the current tokio runtime.
    ///
    /// No broker needs to be reachable yet: the producer connects in the background.
    ///
    /// If the runtime lacks I/O or timers, tokio panics when the producer asks for them. The producer catches that panic and
    /// returns [`BuildError::NoIo`] or [`BuildError::NoTimers`]. In a program that is built with `panic = "abort"` the panic
    /// ends the program.
    ///
    /// # Errors
    ///
    /// [`BuildError::Config`] lists everything that is wrong with the configuration.
    pub fn build(self) -> Result<KafkaProducer<K, V>, BuildError> {
        self.build_any(false)
    }

    pub(super) fn build_any(mut self, is_transactional: bool) -> Result<KafkaProducer<K, V>, BuildError> {
        let settings = self.settle()?;
        if self.fail_stop && is_transactional {
            return Err(BuildError::FailStopWithTransactions);
        }
        match (settings.transactional_id.is_empty(), is_transactional) {
            (true, true) => return Err(BuildError::NoTransactionalId),
            (false, false) => return Err(BuildError::IsTransactional),
            _ => {}
        }
        if self.fail_stop && settings.acks == Acks::None {
            return Err(BuildError::FailStopWithoutAcks);
        }
        if self.has_lost_interceptors {
            return Err(BuildError::InterceptorsBeforeTypes);
        }
        if self.pinned.iter().any(|topic| topic.is_empty() || topic.len() > LONGEST_TOPIC) {
            return Err(BuildError::PinnedTopic);
        }
        let tcp = TcpConnector {
            send_buffer: settings.send_buffer.and_then(|size| u32::try_from(size).ok()),
            receive_buffer: settings.receive_buffer.and_then(|size| u32::try_from(size).ok()),
            lookups: Lookups::new(),
        };
        let connector: Arc<dyn Connector> = match self.dialer.take() {
            // It may need no I/O driver: only the dialer knows what it connects to.
            Some(dialer) => Arc::new(FencedDialer::new(dialer, tcp)),
            None if has_io() => Arc::new(tcp),
            None => return Err(BuildError::NoIo),
        };
        let keeps_secrets = self.keeps_secrets(&settings);
        let connector = self.secured(connector, &settings)?;
        self.build_on(settings, connector, keeps_secrets)
    }

    fn settle(&mut self) -> Result<ProducerSettings, ConfigError> {
        if self.partitioner.is_some() {
            // It takes precedence, whatever class is named.
            self.config = std::mem::take(&mut self.config).remove("partitioner.class");
        }
        self.config.check_serializer("key", |class| self.key_serializer.stands_for(class));
        self.config.check_serializer("value", |class| self.value_serializer.stands_for(class));
        self.config.settle()
    }

    /// Makes the producer with connections of another kind.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn build_with(
        mut self,
        connector: Arc<dyn Connector>,
    ) -> Result<KafkaProducer<K, V>, BuildError> {
        let settings = self.settle()?;
        let keeps_secrets = self.keeps_secrets(&settings);
        let connector = self.secured(connector, &settings)?;
        self.build_on(settings, connector, keeps_secrets)
    }

    /// Whether what is sent can be read by no other than the broker that is meant, as far as is known here: the application's own
    /// configurations of rustls may check anything.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self, reason = "only TLS keeps secrets"))]
    fn keeps_secrets(&self, settings: &ProducerSettings) -> bool {
        #[cfg(feature = "tls")]
        let checks_names = self.certificates.is_none()
            && settings.tls.client_config.get().is_none()
            && settings.tls.endpoint_identification.checks_names();
        #[cfg(not(feature = "tls"))]
        let checks_names = false;
        checks_names && settings.security_protocol.uses_tls()
    }

    /// Puts TLS on top of what a connector makes, if connections are to be encrypted.
    fn secured(
        &mut self,
        connector: Arc<dyn Connector>,
        settings: &ProducerSettings,
    ) -> Result<Arc<dyn Connector>, ConfigError> {
        #[cfg(feature = "tls")]
        if settings.security_protocol.uses_tls() {
            let tls = match self.certificates.take() {
                Some(provider) => RotatingTls::provided_by(provider),
                None => RotatingTls::start(&settings.tls, Peer::Broker)?,
            };
            return Ok(Arc::new(TlsConnector::new(connector, tls)));
        }
        // Without the feature the configuration has been refused already.
        #[cfg(not(feature = "tls"))]
        if settings.security_protocol.uses_tls() {
            let reason = crate::config::ConfigReason::NotAvailable("needs the feature \"tls\"".to_owned());
            return Err(crate::config::ConfigProblem::new(
                "security.protocol",
                &settings.security_protocol.to_string(),
                reason,
            )
            .into());
        }
        Ok(connector)
    }

    fn build_on(
        self,
        settings: ProducerSettings,
        connector: Arc<dyn Connector>,
        keeps_secrets: bool,
    ) -> Result<KafkaProducer<K, V>, BuildError> {
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let epoch = clock::now();
        drop(deadline::new_sleep(epoch).ok_or(BuildError::NoTimers)?);
        let (counters, board) = (Arc::<Counters>::default(), Arc::<Board>::default());
        let (topics, control) = (Arc::<TopicDirectory>::default(), Arc::<Control>::default());
        let accumulator = Arc::new(new_accumulator(&settings, &runtime, &topics));
        let metadata = new_metadata(&settings, &self.pinned, epoch);
        let (published, clusters) = watch::channel(Arc::clone(metadata.cluster()));
        let Prepared { mechanism, login } = authentication::prepare(&settings, &control, &accumulator)?;
        let core = SenderCore::new(Parts {
            settings: SenderSettings { is_fail_stop: self.fail_stop, ..sender_settings(&settings) },
            accumulator: Arc::clone(&accumulator),
            metadata,
            network: new_network(&settings, mechanism, keeps_secrets),
            counters: Arc::clone(&counters),
            board: Arc::clone(&board),
            seed: rand::rng().random(),
            epoch,
        });
        #[cfg(feature = "telemetry")]
        let (core, instance) = with_telemetry(core, &settings, epoch);
        let sender = Sender::new(
            core,
            Arc::clone(&accumulator),
            Arc::clone(&control),
            published,
            Arc::clone(&connector),
            MAX_RESPONSE_LEN,
        );
        let names = || bootstrap_names(&settings, self.names, &clusters, &control, &accumulator);
        let names = settings.wants_canonical_names().then(names);
        let names = names.map(|names| -> RunningBeside { Box::pin(names.run()) });
        authentication::spawn(&runtime, sender, login.into_iter().chain(names).collect());
        let face = Face::new(self.interceptors, self.key_serializer, self.value_serializer);
        let core = ProducerCore {
            id: PRODUCERS.fetch_add(1, Ordering::Relaxed),
            largest_record: settings.max_request_size.min(settings.buffer_memory),
            routing: routing(self.partitioner, &settings),
            settings,
            topics,
            accumulator,
            clusters,
            connector,
            control,
            counters,
            board,
            pinned: self.pinned,
            refusals: RefusalLog::new(epoch),
            wall_clock: WallClock::new(epoch),
            #[cfg(feature = "telemetry")]
            instance,
        };
        Ok(KafkaProducer { core: Arc::new(core), face: Arc::new(face) })
    }
}

/// Of keys and of values.
type Serializers<K, V> = (Box<dyn Serializer<K>>, Box<dyn Serializer<V>>);

impl<K, V> Default for KafkaProducerBuilder<K, V>
where
    K: Serializable + Send + Sync + 'static,
    V: Serializable + Send + Sync + 'static,
{
    fn default() -> Self {
        Self {
            config: ProducerConfig::default(),
            interceptors: InterceptorChain::new(),
            has_lost_interceptors: false,
            key_serializer: Box::new(K::Serializer::default()),
            value_serializer: Box::new(V::Serializer::default()),
            partitioner: None,
            dialer: None,
            names: Arc::new(SystemNames),
            #[cfg(feature = "tls")]
            certificates: None,
            fail_stop: false,
            pinned: Vec::new(),
        }
    }
}

impl<K, V> fmt::Debug for KafkaProducerBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaProducerBuilder")
            .field("config", &self.config)
            .field("interceptors", &self.interceptors)
            .finish_non_exhaustive()
    }
}

/// Returns whether the current runtime has an I/O driver, or `true` if that cannot be found out.
fn has_io() -> bool {
    #[cfg(all(unix, not(kafka_producer_portable)))]
    if Handle::try_current().is_ok()
        && let Ok((one, _other)) = std::os::unix::net::UnixStream::pair()
        && one.set_nonblocking(true).is_ok()
    {
        // Tokio has no other way of telling.
        return fenced(|| drop(UnixStream::from_std(one))).is_ok();
    }
    true
}

fn new_accumulator(
    settings: &ProducerSettings,
    runtime: &Handle,
    topics: &Arc<TopicDirectory>,
) -> RecordAccumulator {
    let memory = BufferMemory::new(settings.buffer_memory, settings.batch_size);
    let accumulator = accumulator::Settings {
        batch_size: settings.batch_size,
        max_plain: settings.max_request_size,
        compression: settings.compression,
        compression_level: settings.compression_level(),
        append_window: settings.linger + settings.delivery_timeout / APPEND_WINDOW_SHARE,
        spares_awaited: settings.linger_spares_awaited,
    };
    RecordAccumulator::new(accumulator, memory)
        .with_workers(Arc::new(BlockingWorkers::new(runtime.clone())))
        .with_topic_watcher(Arc::<TopicDirectory>::clone(topics))
}

/// Producers that were made in this process.
static PRODUCERS: AtomicU64 = AtomicU64::new(0);

/// A batch takes records for `linger.ms` and this part of `delivery.timeout.ms`, which counts from the batch's first record: so a
/// record expires too early by no more than that.
const APPEND_WINDOW_SHARE: u32 = 100;

fn routing(partitioner: Option<Box<dyn Partitioner>>, settings: &ProducerSettings) -> RoutingRules {
    let named = || -> Option<Box<dyn Partitioner>> {
        match settings.partitioner_class {
            PartitionerClass::RoundRobin => Some(Box::new(RoundRobinPartitioner::new())),
            PartitionerClass::BuiltIn | PartitionerClass::Default | PartitionerClass::UniformSticky => None,
        }
    };
    RoutingRules {
        partitioner: partitioner.or_else(named),
        ignore_keys: settings.partitioner_ignore_keys
            || settings.partitioner_class == PartitionerClass::UniformSticky,
        adaptive_partitioning: settings.partitioner_adaptive_partitioning,
        rack: settings.partitioner_rack_aware.then(|| Arc::from(settings.client_rack.as_str())),
    }
}

fn new_metadata(settings: &ProducerSettings, pinned: &[Topic], now: Instant) -> Metadata {
    let rebootstrap_trigger = match settings.metadata_recovery_strategy {
        MetadataRecoveryStrategy::None => None,
        MetadataRecoveryStrategy::Rebootstrap => Some(settings.metadata_recovery_rebootstrap_trigger),
    };
    let config = MetadataConfig {
        max_age: settings.metadata_max_age,
        max_idle: settings.metadata_max_idle,
        retry_backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
        rebootstrap_trigger,
    };
    // Names are looked up first if others count than those that stand there.
    let bootstrap = settings.bootstrap.iter().filter(|_| !settings.wants_canonical_names()).cloned();
    let mut metadata = Metadata::new(&config, bootstrap, rand::rng().random());
    pinned.iter().for_each(|topic| metadata.pin_topic(topic, now));
    metadata
}

fn bootstrap_names(
    settings: &ProducerSettings,
    names: Arc<dyn NameService>,
    clusters: &watch::Receiver<Arc<Cluster>>,
    control: &Arc<Control>,
    accumulator: &Arc<RecordAccumulator>,
) -> BootstrapNames {
    let (control, accumulator) = (Arc::clone(control), Arc::clone(accumulator));
    BootstrapNames {
        canonical: CanonicalNames::new(settings.bootstrap.clone()),
        lookups: Lookups::new(),
        names,
        backoff: Backoff::new(settings.reconnect_backoff, settings.reconnect_backoff_max),
        clusters: clusters.clone(),
        tell: Box::new(move |news| {
            control.note_bootstrap(news);
            accumulator.wake_sender();
        }),
    }
}

fn new_network(
    settings: &ProducerSettings,
    sasl_mechanism: Option<Arc<dyn SaslMechanism>>,
    keeps_secrets: bool,
) -> NetworkClient<Purpose> {
    let config = NetworkConfig {
        client_id: Some(Arc::from(settings.client_id.as_str())),
        max_in_flight: settings.max_in_flight_requests_per_connection,
        reconnect_backoff: Backoff::new(settings.reconnect_backoff, settings.reconnect_backoff_max),
        connection_setup_timeout: Backoff::new(
            settings.socket_connection_setup_timeout,
            settings.socket_connection_setup_timeout_max,
        ),
        request_timeout: settings.request_timeout,
        connections_max_idle: settings.connections_max_idle,
        // What a broker says would change nothing.
        checks_cluster: settings.metadata_cluster_check
            && settings.metadata_recovery_strategy == MetadataRecoveryStrategy::Rebootstrap,
        sasl_mechanism,
        keeps_secrets,
        head_start: HEAD_START,
    };
    NetworkClient::new(config, StdRng::from_rng(&mut rand::rng()))
}

/// Has metrics pushed, unless `enable.metrics.push` is false.
#[cfg(feature = "telemetry")]
fn with_telemetry(
    core: SenderCore,
    settings: &ProducerSettings,
    epoch: Instant,
) -> (SenderCore, Option<watch::Receiver<Known>>) {
    if !settings.enable_metrics_push {
        return (core, None);
    }
    let (instance, known) = Instance::new();
    let named = [("client_rack", &settings.client_rack), ("transactional_id", &settings.transactional_id)];
    let attributes = named.into_iter().filter(|(_, value)| !value.is_empty());
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let telemetry = TelemetrySettings { attributes, seed: rand::rng().random() };
    (core.with_telemetry(telemetry, instance, epoch), Some(known))
}

fn sender_settings(settings: &ProducerSettings) -> SenderSettings {
    let is_idempotent = settings.enable_idempotence;
    let acks = match settings.acks {
        Acks::All => -1,
        Acks::Leader => 1,
        Acks::None => 0,
    };
    let max_in_flight = settings.max_in_flight_requests_per_connection;
    SenderSettings {
        client_id: Arc::from(settings.client_id.as_str()),
        bootstrap_resolve_timeout: Some(settings.bootstrap_resolve_timeout)
            .filter(|timeout| *timeout > Duration::ZERO),
        acks,
        linger: settings.linger,
        spares_awaited: settings.linger_spares_awaited,
        delivery_timeout: settings.delivery_timeout,
        request_timeout: settings.request_timeout,
        producer_id_lifetime: PRODUCER_ID_LIFETIME,
        metadata_max_idle: settings.metadata_max_idle,
        retries: settings.retries,
        retry_backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
        max_request_size: settings.max_request_size,
        is_idempotent,
        is_fail_stop: false,
        transactional: (!settings.transactional_id.is_empty()).then(|| TransactionalSettings {
            id: Arc::from(settings.transactional_id.as_str()),
            timeout: settings.transaction_timeout,
        }),
        max_outstanding_per_partition: most_outstanding(acks, is_idempotent, max_in_flight),
        availability_timeout: Some(settings.partitioner_availability_timeout)
            .filter(|timeout| *timeout > Duration::ZERO),
    }
}

#[cfg(test)]
mod tests;
