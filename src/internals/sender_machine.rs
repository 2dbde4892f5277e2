//! A [`SenderCore`] with everything that it needs but sockets, clocks and brokers: these are the caller's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::accumulator::{self, Append, AtBatchEnd, EnqueueWaits, RecordAccumulator, SealJob, TryAppend};
use crate::backoff::Backoff;
use crate::buffer_memory::BufferMemory;
use crate::clock;
use crate::config::{Compression, HostPort};
use crate::delivery::Delivery;
use crate::error::DeliveryErrorKind;
use crate::metadata::{Cluster, Metadata, MetadataConfig};
use crate::metrics::Counters;
use crate::network::{ConnectionId, Frame, HEAD_START, NetworkClient, NetworkConfig, next_frame};
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;
use crate::sender::{Address, HandedOver, Moment, Outside, Rest, drive, next_deadline};
use crate::sender::{PRODUCER_ID_LIFETIME, Parts, SenderCore, SenderSettings, most_outstanding};
use crate::topic_partition::Topic;
use crate::wire::Segments;

/// What differs from run to run.
#[derive(Debug, Clone)]
pub struct SenderOptions {
    /// 0, 1 or -1.
    pub acks: i16,
    /// Needs `acks` of -1.
    pub is_idempotent: bool,
    /// `linger.ms`.
    pub linger: Duration,
    /// Whether batches do not linger while each of their records is awaited.
    pub spares_awaited: bool,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `retries`.
    pub retries: u32,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// `max.request.size`.
    pub max_request_size: usize,
    /// `batch.size`.
    pub batch_size: usize,
    /// `buffer.memory`.
    pub buffer_memory: usize,
    /// `compression.type`.
    pub is_compressed: bool,
    /// Decides what is random.
    pub seed: u64,
}

/// The sender's decisions, driven step by step on a clock of the caller's. It knows one address, `bootstrap:9092`.
#[derive(Debug)]
pub struct SenderMachine {
    core: SenderCore,
    accumulator: Arc<RecordAccumulator>,
    now: Instant,
    /// The host that each attempt to connect under way is for.
    attempts: BTreeMap<ConnectionId, Arc<str>>,
    sockets: BTreeMap<ConnectionId, Socket>,
    seal_jobs: Vec<SealJob>,
    is_flushing: bool,
}

/// A connection, as far as the producer's end of it goes.
#[derive(Debug, Default)]
struct Socket {
    incoming: BytesMut,
    outgoing: VecDeque<Frame>,
    /// Whether some of the first of `outgoing` was written.
    is_started: bool,
}

/// A frame that was written.
#[derive(Debug)]
pub struct WholeFrame(Segments);

impl WholeFrame {
    /// Puts it together.
    pub fn concat(&self) -> Vec<u8> {
        self.0.concat()
    }
}

impl SenderMachine {
    /// Makes one that has done nothing yet.
    pub fn new(options: &SenderOptions) -> Self {
        let settings = accumulator::Settings {
            batch_size: options.batch_size,
            compression: if options.is_compressed { Compression::Lz4 } else { Compression::None },
            compression_level: 0,
            max_plain: 1024 * 1024,
            append_window: options.linger + options.delivery_timeout / 100,
            spares_awaited: options.spares_awaited,
        };
        let memory = BufferMemory::new(options.buffer_memory, options.batch_size);
        let accumulator = Arc::new(RecordAccumulator::new(settings, memory));
        let now = clock::now();
        let core = SenderCore::new(Parts {
            settings: sender_settings(options),
            accumulator: Arc::clone(&accumulator),
            metadata: metadata(options),
            network: NetworkClient::new(network_config(options), StdRng::seed_from_u64(options.seed)),
            counters: Arc::new(Counters::default()),
            board: Arc::default(),
            seed: options.seed,
            epoch: now,
        });
        Self {
            core,
            accumulator,
            now,
            attempts: BTreeMap::new(),
            sockets: BTreeMap::new(),
            seal_jobs: Vec::new(),
            is_flushing: false,
        }
    }

    /// Appends a record; `None` if memory is short or the machine is closed.
    pub fn append(&self, topic: &str, partition: usize, value: &[u8]) -> Option<Delivery> {
        let headers = Headers::new();
        let record = RecordRef { timestamp: 1, key: None, value: Some(value), headers: &headers };
        let append = Append {
            transaction: accumulator::NO_TRANSACTION,
            observer: None,
            record,
            payload_len: record.payload_len(),
            waits: EnqueueWaits::default(),
            now: self.now,
        };
        let queues = self.accumulator.topic(&Topic::from(topic.to_owned()), partition + 1);
        let queue = self.accumulator.ensure_queue(&queues, partition, || true)?;
        match self.accumulator.try_append(queue, &append, AtBatchEnd::BeginNext, &mut None) {
            TryAppend::Done(done) => Some(done.place.into()),
            TryAppend::NoMemory { .. } => {
                self.accumulator.want_memory();
                None
            }
            TryAppend::BatchEnded
            | TryAppend::Closed
            | TryAppend::Retired
            | TryAppend::Stopped
            | TryAppend::TransactionOver => None,
        }
    }

    /// A caller waits for the metadata of a topic.
    pub fn want_topic(&mut self, topic: &str) {
        self.core.handle_topic_wanted(&Topic::from(topic.to_owned()), self.now);
    }

    /// Begins to flush, or gives it up.
    pub fn set_flushing(&mut self, is_flushing: bool) {
        self.is_flushing = is_flushing;
    }

    /// Accepts no more records.
    pub fn close(&mut self) {
        self.accumulator.close();
    }

    /// Fails whatever is not settled.
    pub fn abort(&mut self) -> u64 {
        let mut failed = Vec::new();
        self.core.abort(&DeliveryErrorKind::Closed, self.now, &mut failed);
        failed.len() as u64
    }

    /// Does everything that is to do at this time. False if there is no end to it.
    pub fn settle(&mut self) -> bool {
        let accumulator = Arc::clone(&self.accumulator);
        if self.is_flushing {
            drop(accumulator.begin_flush());
        }
        drive(self) == Rest::Asleep
    }

    /// Returns how long the machine would sleep now if nothing happened.
    pub fn sleep(&self) -> Option<Duration> {
        Some(next_deadline(&self.core, self.now)?.saturating_duration_since(self.now))
    }

    /// Lets time pass, however much is due in between.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Runs the compressions that were put off. Returns how many.
    pub fn seal(&mut self) -> usize {
        let jobs = std::mem::take(&mut self.seal_jobs);
        let count = jobs.len();
        jobs.into_iter().for_each(|job| self.accumulator.seal(job));
        count
    }

    /// Returns the attempts to connect, and to which host.
    pub fn attempts(&self) -> Vec<(u64, Arc<str>)> {
        self.attempts.iter().map(|(id, host)| (id.0, Arc::clone(host))).collect()
    }

    /// Ends an attempt to connect.
    pub fn finish_attempt(&mut self, id: u64, is_connected: bool) {
        let id = ConnectionId(id);
        if self.attempts.remove(&id).is_none() {
            return;
        }
        if is_connected {
            self.sockets.insert(id, Socket::default());
            self.core.network().handle_connected(id, self.now);
        } else {
            self.core.network().handle_connect_failed(id, "refused".into(), self.now);
        }
    }

    /// Returns the connections there are.
    pub fn connections(&self) -> Vec<u64> {
        self.sockets.keys().map(|id| id.0).collect()
    }

    /// Writes the rest of the next frame of a connection, and returns the whole frame.
    pub fn write(&mut self, id: u64) -> Option<Bytes> {
        self.write_whole(id).map(|frame| frame.concat().into())
    }

    /// The same, without putting the frame together.
    pub fn write_whole(&mut self, id: u64) -> Option<WholeFrame> {
        let id = ConnectionId(id);
        let socket = self.sockets.get_mut(&id)?;
        let frame = socket.outgoing.pop_front()?;
        socket.is_started = false;
        self.core.network().handle_written(id, frame.correlation_id, self.now);
        Some(WholeFrame(frame.segments))
    }

    /// Writes some of the next frame of a connection, which no broker will get to see.
    pub fn write_some(&mut self, id: u64) {
        if let Some(socket) = self.sockets.get_mut(&ConnectionId(id)) {
            socket.is_started = !socket.outgoing.is_empty();
        }
    }

    /// Has bytes arrive on a connection. It is lost if they are no frames.
    pub fn receive(&mut self, id: u64, bytes: &[u8]) {
        let id = ConnectionId(id);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.incoming.extend_from_slice(bytes);
        loop {
            match next_frame(&mut socket.incoming, MAX_FRAME_LEN) {
                Ok(None) => return,
                Ok(Some(frame)) => self.core.network().handle_frame(id, frame, self.now),
                Err(_) => return self.lose(id.0),
            }
        }
    }

    /// Breaks a connection.
    pub fn lose(&mut self, id: u64) {
        let id = ConnectionId(id);
        let Some(socket) = self.sockets.remove(&id) else { return };
        let first_unsent = socket.outgoing.get(usize::from(socket.is_started));
        let first_unsent = first_unsent.map(|frame| frame.correlation_id);
        self.core.network().handle_closed(id, "reset".into(), first_unsent, self.now);
    }

    /// Returns whether every record that was accepted is settled.
    pub fn is_idle(&self) -> bool {
        self.core.is_idle()
    }

    /// Returns the bytes of `buffer.memory` in use.
    pub fn memory_in_use(&self) -> usize {
        let memory = self.accumulator.memory();
        memory.total() - memory.available()
    }
}

impl Outside for SenderMachine {
    fn core(&mut self) -> &mut SenderCore {
        &mut self.core
    }

    fn begin_round(&mut self) -> Moment {
        Moment { now: self.now, wall_clock: 1 }
    }

    /// The input says when the machine is driven.
    fn take_wake_up(&mut self) -> bool {
        false
    }

    /// Each operation has handed over what it makes happen.
    fn hand_over(&mut self, now: Instant) -> Option<HandedOver> {
        Some(HandedOver { read_until: now, is_busy: false })
    }

    fn open(&mut self, connection: ConnectionId, address: Address) {
        self.attempts.insert(connection, address.host);
    }

    fn close(&mut self, connection: ConnectionId) {
        self.attempts.remove(&connection);
        self.sockets.remove(&connection);
    }

    fn transmit(&mut self, connection: ConnectionId, frame: Frame) -> Result<(), Frame> {
        match self.sockets.get_mut(&connection) {
            Some(socket) => {
                socket.outgoing.push_back(frame);
                Ok(())
            }
            None => Err(frame),
        }
    }

    fn publish(&mut self, _: Arc<Cluster>) {}

    fn seal(&mut self, job: SealJob) {
        self.seal_jobs.push(job);
    }

    /// The input says when compressions are run.
    fn take_back_seals(&mut self) {}

    /// A machine that is closed goes on: the input may have more happen to it.
    fn has_ended(&mut self, _: Instant) -> bool {
        false
    }

    /// The input asks how long the machine sleeps, if it wants to know.
    fn set_timer(&mut self, _: Instant) -> bool {
        false
    }
}

fn sender_settings(options: &SenderOptions) -> SenderSettings {
    SenderSettings {
        client_id: Arc::from("machine"),
        transactional: None,
        bootstrap_resolve_timeout: None,
        acks: options.acks,
        is_idempotent: options.is_idempotent,
        is_fail_stop: false,
        linger: options.linger,
        spares_awaited: options.spares_awaited,
        delivery_timeout: options.delivery_timeout,
        request_timeout: options.request_timeout,
        producer_id_lifetime: PRODUCER_ID_LIFETIME,
        metadata_max_idle: Duration::from_secs(300),
        retries: options.retries,
        retry_backoff: Backoff::new(options.retry_backoff, options.retry_backoff * 10),
        max_request_size: options.max_request_size,
        max_outstanding_per_partition: most_outstanding(
            options.acks,
            options.is_idempotent,
            options.max_in_flight,
        ),
        availability_timeout: None,
    }
}

fn metadata(options: &SenderOptions) -> Metadata {
    let config = MetadataConfig {
        max_age: Duration::from_secs(300),
        max_idle: Duration::from_secs(300),
        retry_backoff: Backoff::new(Duration::from_millis(50), Duration::from_millis(500)),
        rebootstrap_trigger: Some(Duration::from_secs(10)),
    };
    Metadata::new(&config, [HostPort::new("bootstrap", 9092)], options.seed)
}

fn network_config(options: &SenderOptions) -> NetworkConfig {
    NetworkConfig {
        client_id: Some(Arc::from("machine")),
        max_in_flight: options.max_in_flight,
        reconnect_backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(200)),
        connection_setup_timeout: Backoff::new(Duration::from_secs(1), Duration::from_secs(3)),
        request_timeout: options.request_timeout,
        connections_max_idle: Some(Duration::from_secs(540)),
        checks_cluster: true,
        sasl_mechanism: None,
        keeps_secrets: false,
        head_start: HEAD_START,
    }
}

const MAX_FRAME_LEN: usize = 1024 * 1024;
