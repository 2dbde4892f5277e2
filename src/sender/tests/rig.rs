//! `Rig`: a [`SenderCore`] on a clock of the test's, before brokers that answer what the test says. A rig is one of the outsides of
//! `sender/drive.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::wire::{self, Batch, Head, Reply, Request};
use super::world::{TOPIC, World};
use crate::accumulator::{Append, AtBatchEnd, EnqueueWaits, RecordAccumulator, SealJob, TryAppend};
use crate::clock;
use crate::delivery::Delivery;
use crate::error::DeliveryError;
use crate::metadata::Cluster;
use crate::metrics::Counters;
use crate::network::{ConnectionId, Frame};
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;
use crate::sender::{Address, HandedOver, Moment, Outside, Rest, SenderCore, drive, next_deadline};
use crate::topic_partition::Topic;

mod config;
mod coordination;

pub(super) use self::config::{Config, TRANSACTION_TIMEOUT, accumulator, core};
use self::coordination::Coordination;
pub(super) use self::coordination::{GROUP, ID, error, is_done, is_under_way, reason};

/// The node id of a controller, which speaks nothing but ApiVersions.
const CONTROLLER: i32 = 100;

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A produce request that a broker has received and not answered.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) connection: ConnectionId,
    pub(super) node: i32,
    pub(super) head: Head,
    pub(super) transactional_id: Option<String>,
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
pub(super) struct Rig {
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
    /// Hosts that refuse connections, to any node.
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
    /// What transactions need.
    pub(super) coordination: Coordination,
    /// Topics of every metadata request so far.
    pub(super) metadata_requests: Vec<Vec<String>>,
    /// Whether they are answered.
    pub(super) answers_metadata: bool,
    /// Whether brokers say what they speak.
    pub(super) answers_versions: bool,
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

impl Rig {
    /// A sender that knows the cluster.
    pub(super) fn new(config: Config) -> Self {
        let mut rig = Self::unconnected(config);
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.settle();
        assert!(rig.core.poll_timeout(rig.now).is_some_and(|at| at > rig.now));
        rig
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
            coordination: Coordination::default(),
            metadata_requests: Vec::new(),
            answers_metadata: true,
            answers_versions: true,
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

    /// `None` if memory is short, or the transaction is over.
    pub(super) fn try_append(&self, topic: &str, partition: i32, value: &str) -> Option<Delivery> {
        let headers = Headers::new();
        let timestamp = BEGIN - self.age;
        let record = RecordRef { timestamp, key: None, value: Some(value.as_bytes()), headers: &headers };
        let append = Append {
            transaction: self.coordination.transaction,
            observer: None,
            record,
            payload_len: record.payload_len(),
            waits: EnqueueWaits::default(),
            now: self.now,
        };
        let partition = usize::try_from(partition).unwrap();
        let topic = self.accumulator.topic(&Topic::from(topic.to_owned()), partition + 1);
        topic.touch(0);
        let queue = self.accumulator.ensure_queue(&topic, partition, || true).unwrap();
        match self.accumulator.try_append(queue, &append, AtBatchEnd::BeginNext, &mut None) {
            TryAppend::Done(done) => Some(done.delivery()),
            TryAppend::NoMemory { .. } | TryAppend::Stopped | TryAppend::TransactionOver => None,
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
        self.coordination.forget(connection);
        self.unwritten.retain(|(unwritten, _)| *unwritten != connection);
    }

    /// Hands a frame to the broker at the other end.
    pub(super) fn write(&mut self, connection: ConnectionId, frame: Frame) {
        let Some(node) = self.connections.get(&connection).copied() else { return };
        let correlation_id = frame.correlation_id;
        let bytes: BytesMut = frame.segments.pieces().flatten().collect();
        self.core.network().handle_written(connection, correlation_id, self.now);
        let (head, request) = wire::read_request(bytes.freeze(), &self.world);
        if !matches!(request, Request::Produce { acks: 0, .. }) {
            self.unanswered.entry(connection).or_default().push_back((head.correlation_id, None));
        }
        match request {
            Request::ApiVersions if !self.answers_versions => {}
            Request::ApiVersions => {
                let transaction_version = self.coordination.features();
                let answer = wire::api_versions(head, &self.versions_of(node), transaction_version);
                self.answer(connection, head, answer);
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
            Request::Coordination(question) => self.coordination.note(connection, node, head, question),
            Request::Produce { transactional_id, acks, batches } => {
                let received = Received { connection, node, head, transactional_id, acks, batches };
                self.received.push_back(received);
            }
        }
    }

    /// Returns which requests a node speaks.
    fn versions_of(&self, node: i32) -> Vec<(i16, i16, i16)> {
        let (min, max) = self.config.produce_versions;
        let mut ranges = vec![(18, 0, 4)];
        if node == CONTROLLER {
            return ranges;
        }
        ranges.extend([(0, min, max), (3, 0, self.metadata_version)]);
        if self.config.transactional_id.is_some() {
            ranges.extend(self.config.coordinator_versions.iter().map(|(key, max)| (*key, 0, *max)));
        } else {
            ranges.extend(Some((22, 0, 4)).filter(|_| self.config.has_producer_ids));
        }
        ranges
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

impl Outside for Rig {
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

    fn set_timer(&mut self, now: Instant) -> bool {
        self.timer = next_deadline(&self.core, now);
        false
    }
}

fn is_produce(frame: &Frame) -> bool {
    frame.segments.pieces().next().unwrap()[4..6] == [0, 0]
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
