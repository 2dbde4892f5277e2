//! Plays the shell for a [`SenderCore`]: executes its actions and moves the clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::wire::{self, Batch, Head, Reply, Request};
use super::world::{TOPIC, World};
use crate::accumulator::{self, Append, EnqueueWaits, RecordAccumulator, SealJob, TryAppend};
use crate::backoff::Backoff;
use crate::buffer_memory::BufferMemory;
use crate::clock;
use crate::config::{Compression, HostPort};
use crate::delivery::Delivery;
use crate::error::DeliveryError;
use crate::metadata::{Cluster, Metadata, MetadataConfig};
use crate::metrics::Counters;
use crate::network::{ConnectionId, Frame, NetworkClient, NetworkConfig};
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;
use crate::sender::{Address, HandedOver, Moment, Outside, Rest, drive};
use crate::sender::{Parts, Purpose, SenderCore, SenderSettings};
use crate::topic_partition::Topic;

/// The node id of a controller, which speaks nothing but ApiVersions.
const CONTROLLER: i32 = 100;

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What differs from test to test.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) acks: i16,
    pub(super) linger: Duration,
    pub(super) spares_awaited: bool,
    pub(super) delivery_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) retries: u32,
    pub(super) retry_backoff: Duration,
    /// Up to which the backoff doubles; `None` for one that stays the same.
    pub(super) retry_backoff_max: Option<Duration>,
    pub(super) is_idempotent: bool,
    pub(super) is_fail_stop: bool,
    pub(super) max_idle: Duration,
    /// Entries of `bootstrap.servers` in front of the one of brokers.
    pub(super) controllers: u16,
    pub(super) max_outstanding: usize,
    pub(super) max_in_flight: usize,
    pub(super) max_request_size: usize,
    pub(super) batch_size: usize,
    pub(super) buffer_memory: usize,
    pub(super) compression: Compression,
    pub(super) produce_versions: (i16, i16),
    /// Whether brokers speak InitProducerId.
    pub(super) has_producer_ids: bool,
    /// Hosts of `bootstrap.servers`: `bootstrap` is node 1, and `controller` a controller that is no broker.
    pub(super) bootstrap: &'static [&'static str],
    pub(super) producer_id_lifetime: Duration,
    /// The epoch that producer ids come with.
    pub(super) producer_epoch: i16,
    /// Whether batches are compressed at once; otherwise the jobs wait in `seal_jobs`.
    pub(super) seals: bool,
    pub(super) seed: u64,
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
            bootstrap: &["bootstrap"],
            producer_id_lifetime: Duration::from_secs(3600),
            producer_epoch: 0,
            seals: true,
            seed: 7,
        }
    }
}

/// A produce request that a broker has received and not answered.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) connection: ConnectionId,
    pub(super) node: i32,
    pub(super) head: Head,
    pub(super) acks: i16,
    pub(super) batches: Vec<Batch>,
}

impl Received {
    pub(super) fn records(&self) -> Vec<&str> {
        self.batches.iter().flat_map(|batch| &batch.records).map(String::as_str).collect()
    }
}

/// When tests begin, in milliseconds since 1970.
const BEGIN: i64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Bench {
    pub(super) core: SenderCore,
    pub(super) accumulator: Arc<RecordAccumulator>,
    pub(super) counters: Arc<Counters>,
    pub(super) now: Instant,
    began: Instant,
    /// By how much the timestamps of records lie in the past, in milliseconds.
    pub(super) age: i64,
    pub(super) world: World,
    pub(super) config: Config,
    /// The node at the other end of each connection.
    pub(super) connections: BTreeMap<ConnectionId, i32>,
    /// Per connection the requests that await an answer, oldest first, and answers that must wait for those before.
    unanswered: BTreeMap<ConnectionId, VecDeque<(i32, Option<Bytes>)>>,
    /// Nodes that refuse connections.
    pub(super) down: BTreeSet<i32>,
    /// Nodes that connections are never made to, and never refused by.
    pub(super) silent: BTreeSet<i32>,
    /// Hosts that refuse connections, whichever node is behind them.
    pub(super) unreachable: BTreeSet<String>,
    /// The host of every attempt to connect so far.
    pub(super) connects: Vec<String>,
    /// Attempts to connect to those that are silent.
    attempts: BTreeMap<ConnectionId, String>,
    /// Produce requests, to be answered by the test.
    pub(super) received: VecDeque<Received>,
    /// Producer ids given out.
    pub(super) producer_ids: i64,
    /// With which they are refused, if it is not 0.
    pub(super) producer_id_error: i16,
    /// Topics of every metadata request so far.
    pub(super) metadata_requests: Vec<Vec<String>>,
    /// Whether they are answered.
    pub(super) answers_metadata: bool,
    /// What becomes of an answer on its way.
    pub(super) alter: fn(Head, Bytes) -> Bytes,
    /// The highest version of Metadata that brokers speak.
    pub(super) metadata_version: i16,
    /// Whether sockets take produce requests at once; otherwise they wait in `unwritten`.
    pub(super) writes: bool,
    pub(super) unwritten: VecDeque<(ConnectionId, Frame)>,
    pub(super) seals: bool,
    pub(super) seal_jobs: Vec<SealJob>,
    /// Times that the core wanted compressions taken back.
    pub(super) late_seals: usize,
    /// Rounds that the sender has made.
    pub(super) polls: usize,
    timer: Option<Instant>,
}

impl Bench {
    /// A sender that knows the cluster.
    pub(super) fn new(config: Config) -> Self {
        let mut bench = Self::unconnected(config);
        bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
        bench.settle();
        assert!(bench.core.poll_timeout(bench.now).is_some_and(|at| at > bench.now));
        bench
    }

    /// A sender that has done nothing yet.
    pub(super) fn unconnected(config: Config) -> Self {
        let accumulator = accumulator(&config);
        let counters = Arc::new(Counters::default());
        let now = clock::now();
        let core = core(&config, &accumulator, &counters, now);
        Self {
            core,
            accumulator,
            counters,
            now,
            began: now,
            age: 0,
            world: World::new(),
            connections: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            down: BTreeSet::new(),
            silent: BTreeSet::new(),
            unreachable: BTreeSet::new(),
            connects: Vec::new(),
            attempts: BTreeMap::new(),
            received: VecDeque::new(),
            producer_ids: 0,
            producer_id_error: 0,
            metadata_requests: Vec::new(),
            answers_metadata: true,
            alter: |_, answer| answer,
            metadata_version: 13,
            writes: true,
            unwritten: VecDeque::new(),
            seals: config.seals,
            seal_jobs: Vec::new(),
            late_seals: 0,
            polls: 0,
            timer: None,
            config,
        }
    }

    /// Appends a record, without running the sender.
    pub(super) fn append(&self, partition: i32, value: &str) -> Delivery {
        self.try_append(TOPIC, partition, value).expect("there is memory left")
    }

    /// `None` if memory is short.
    pub(super) fn try_append(&self, topic: &str, partition: i32, value: &str) -> Option<Delivery> {
        let headers = Headers::new();
        let timestamp = BEGIN - self.age;
        let record = RecordRef { timestamp, key: None, value: Some(value.as_bytes()), headers: &headers };
        let append = Append {
            record,
            payload_len: record.payload_len(),
            waits: EnqueueWaits::default(),
            now: self.now,
            stop_at_boundary: false,
        };
        let partition = usize::try_from(partition).unwrap();
        let topic = self.accumulator.topic(&Topic::from(topic.to_owned()), partition + 1);
        topic.touch(0);
        let queue = self.accumulator.ensure_queue(&topic, partition, || true).unwrap();
        match self.accumulator.try_append(queue, &append, &mut None) {
            TryAppend::Done(done) => Some(done.delivery),
            TryAppend::NoMemory { .. } | TryAppend::Stopped => None,
            other => panic!("{other:?}"),
        }
    }

    /// Returns what clocks on walls show, in milliseconds since 1970. Records bear the time at which a test begins.
    pub(super) fn wall_clock(&self) -> i64 {
        BEGIN + i64::try_from((self.now - self.began).as_millis()).unwrap()
    }

    /// Appends a record and runs the sender.
    pub(super) fn send(&mut self, partition: i32, value: &str) -> Delivery {
        let delivery = self.append(partition, value);
        self.settle();
        delivery
    }

    /// Sends a record whose outcome does not matter.
    pub(super) fn put(&mut self, partition: i32, value: &str) {
        drop(self.send(partition, value));
    }

    /// Runs the sender until it has nothing to do at this time.
    pub(super) fn settle(&mut self) {
        assert_eq!(drive(self), Rest::Asleep, "the sender never comes to rest");
    }

    /// Lets time pass; the sender runs whenever it wants to.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        self.settle();
        while let Some(at) = self.timer.filter(|at| *at <= end) {
            self.now = at;
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    fn connect(&mut self, connection: ConnectionId, host: &str) {
        self.connects.push(host.to_owned());
        let found = self.world.nodes.iter().find(|(_, known)| *known == host).map(|(id, _)| *id);
        let node = match host {
            "bootstrap" => Some(1),
            "controller" => Some(CONTROLLER),
            _ => found,
        };
        match node.filter(|_| !self.unreachable.contains(host)) {
            Some(node) if self.silent.contains(&node) => {
                self.attempts.insert(connection, host.to_owned());
            }
            Some(node) if !self.down.contains(&node) => {
                self.connections.insert(connection, node);
                self.core.network().handle_connected(connection, self.now);
            }
            _ => self.core.network().handle_connect_failed(connection, "refused".into(), self.now),
        }
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.attempts.remove(&connection);
        self.connections.remove(&connection);
        self.unanswered.remove(&connection);
        self.received.retain(|received| received.connection != connection);
        self.unwritten.retain(|(unwritten, _)| *unwritten != connection);
    }

    /// Hands a frame to the broker at the other end.
    pub(super) fn write(&mut self, connection: ConnectionId, frame: Frame) {
        let Some(node) = self.connections.get(&connection).copied() else { return };
        let correlation_id = frame.correlation_id;
        let bytes: BytesMut = frame.segments.into_iter().flatten().collect();
        self.core.network().handle_written(connection, correlation_id, self.now);
        let (head, request) = wire::read_request(bytes.freeze(), &self.world);
        if !matches!(request, Request::Produce { acks: 0, .. }) {
            self.unanswered.entry(connection).or_default().push_back((head.correlation_id, None));
        }
        match request {
            Request::ApiVersions => {
                let (min, max) = self.config.produce_versions;
                let mut ranges = vec![(18, 0, 4)];
                if node != CONTROLLER {
                    ranges.extend([(0, min, max), (3, 0, self.metadata_version)]);
                    ranges.extend(Some((22, 0, 4)).filter(|_| self.config.has_producer_ids));
                }
                self.answer(connection, head, wire::api_versions(head, &ranges));
            }
            // As Kafka does with a request that the listener does not allow.
            _ if node == CONTROLLER => {
                self.forget(connection);
                self.core.network().handle_closed(connection, "reset".into(), None, self.now);
            }
            Request::InitProducerId => {
                self.producer_ids += 1;
                let epoch = self.config.producer_epoch;
                let answer = wire::producer_id(head, self.producer_ids, epoch, self.producer_id_error);
                self.answer(connection, head, answer);
            }
            Request::Metadata { topics } => {
                let answer = wire::metadata(head, &self.world, &topics);
                self.metadata_requests.push(topics);
                if self.answers_metadata {
                    self.answer(connection, head, answer);
                }
            }
            Request::Produce { acks, batches } => {
                self.received.push_back(Received { connection, node, head, acks, batches });
            }
        }
    }

    /// Sends an answer as soon as all requests before have theirs, as brokers do.
    pub(super) fn answer(&mut self, connection: ConnectionId, head: Head, answer: Bytes) {
        let answer = (self.alter)(head, answer);
        let Some(unanswered) = self.unanswered.get_mut(&connection) else { return };
        if let Some((_, slot)) = unanswered.iter_mut().find(|(id, _)| *id == head.correlation_id) {
            *slot = Some(answer);
        }
        while let Some(unanswered) = self.unanswered.get_mut(&connection)
            && let Some((_, Some(_))) = unanswered.front()
            && let Some((_, Some(answer))) = unanswered.pop_front()
        {
            self.frame(connection, answer);
        }
    }

    /// Has a frame arrive, whatever was asked for.
    pub(super) fn frame(&mut self, connection: ConnectionId, frame: Bytes) {
        if self.connections.contains_key(&connection) {
            self.core.network().handle_frame(connection, frame, self.now);
        }
    }

    /// Returns the only produce request that awaits an answer.
    pub(super) fn request(&mut self) -> Received {
        assert_eq!(self.received.len(), 1, "{:?}", self.received);
        self.received.pop_front().unwrap()
    }

    /// Answers every batch of a request with the same.
    pub(super) fn reply(&mut self, request: &Received, reply: &Reply) {
        let replies: Vec<_> = request
            .batches
            .iter()
            .map(|batch| (batch.topic.clone(), batch.partition, reply.clone()))
            .collect();
        self.reply_with(request, &replies, 0);
    }

    pub(super) fn reply_with(&mut self, request: &Received, replies: &[(String, i32, Reply)], throttle: i32) {
        let answer = wire::produce(request.head, &self.world, replies, throttle);
        self.answer(request.connection, request.head, answer);
        self.settle();
    }

    /// Has the broker append the batches of a request and answer.
    pub(super) fn acknowledge(&mut self, request: &Received) {
        let replies: Vec<_> = request
            .batches
            .iter()
            .map(|batch| {
                let reply = self.world.append(request.node, batch);
                (batch.topic.clone(), batch.partition, reply)
            })
            .collect();
        self.reply_with(request, &replies, 0);
    }

    /// Has brokers append and answer whatever comes until nothing comes any more.
    pub(super) fn acknowledge_all(&mut self) {
        self.settle();
        while let Some(request) = self.received.pop_front() {
            self.acknowledge(&request);
        }
    }

    /// Breaks a connection. `first_unsent` is the first request of which the socket took nothing.
    pub(super) fn close(&mut self, connection: ConnectionId, first_unsent: Option<i32>) {
        self.forget(connection);
        self.core.network().handle_closed(connection, "reset".into(), first_unsent, self.now);
        self.settle();
    }

    /// Returns the connection to a node.
    pub(super) fn connection_to(&self, node: i32) -> ConnectionId {
        *self.connections.iter().find(|(_, other)| **other == node).expect("connected").0
    }

    /// Whether all is settled and all memory is back.
    pub(super) fn is_clean(&self) -> bool {
        let memory = self.accumulator.memory();
        self.core.is_idle() && memory.available() == memory.total()
    }
}

impl Outside for Bench {
    fn core(&mut self) -> &mut SenderCore {
        &mut self.core
    }

    fn begin_round(&mut self) -> Moment {
        self.polls += 1;
        Moment { now: self.now, wall_clock: self.wall_clock() }
    }

    /// Tests say when the sender runs.
    fn take_wake_up(&mut self) -> bool {
        false
    }

    /// What happens is handed over when it happens.
    fn hand_over(&mut self, now: Instant) -> Option<HandedOver> {
        Some(HandedOver { read_until: now, is_busy: false })
    }

    fn open(&mut self, connection: ConnectionId, address: Address) {
        self.connect(connection, &address.host);
    }

    fn close(&mut self, connection: ConnectionId) {
        self.forget(connection);
    }

    fn transmit(&mut self, connection: ConnectionId, frame: Frame) -> Result<(), Frame> {
        if self.writes || !is_produce(&frame) {
            self.write(connection, frame);
        } else {
            self.unwritten.push_back((connection, frame));
        }
        Ok(())
    }

    fn publish(&mut self, _: Arc<Cluster>) {}

    fn seal(&mut self, job: SealJob) {
        if self.seals {
            self.accumulator.seal(job);
        } else {
            self.seal_jobs.push(job);
        }
    }

    fn take_back_seals(&mut self) {
        self.late_seals += 1;
    }

    fn has_ended(&mut self, _: Instant) -> bool {
        false
    }

    fn set_timer(&mut self, deadline: Option<Instant>, _: Instant) -> bool {
        self.timer = deadline;
        false
    }
}

pub(super) fn accumulator(config: &Config) -> Arc<RecordAccumulator> {
    let memory = BufferMemory::new(config.buffer_memory, config.batch_size);
    let settings = accumulator::Settings {
        batch_size: config.batch_size,
        compression: config.compression,
        compression_level: 3,
        max_plain: 1_000_000,
        append_window: config.linger + config.delivery_timeout / 100,
        spares_awaited: config.spares_awaited,
        keep_notes: false,
    };
    Arc::new(RecordAccumulator::new(settings, memory))
}

pub(super) fn core(
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
        observer: None,
        counters: Arc::clone(counters),
        seed: config.seed,
        epoch: now,
    })
}

fn is_produce(frame: &Frame) -> bool {
    frame.segments.segments[0][4..6] == [0, 0]
}

fn sender_settings(config: &Config) -> SenderSettings {
    SenderSettings {
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
    };
    NetworkClient::new(network, config.seed)
}

/// What became of a delivery.
pub(super) fn offset(delivery: &Delivery) -> Option<i64> {
    match delivery.try_result() {
        Some(Ok(metadata)) => metadata.offset(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn failure(delivery: &Delivery) -> DeliveryError {
    match delivery.try_result() {
        Some(Err(error)) => error,
        other => panic!("{other:?}"),
    }
}

pub(super) fn is_pending(delivery: &Delivery) -> bool {
    delivery.try_result().is_none()
}
