//! One run: the producer, the network and the brokers, on one clock.
//!
//! The producer's side does what the shell in `sender.rs` does, with the transport's own `Connection` on simulated
//! sockets, and looks at the core only when the shell would: something was written to or read from a socket, somebody woke
//! it, or its timer is over. So a wake-up that is lost is lost here too.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_mock::sans_io::Brokers;
use kafka_mock::{Api, MockBatch};

use super::super::bench::{self, millis};
use super::Figures;
use super::line::Line;
use super::schedule::{Damage, NODES, Noise, Op, Schedule, Setup};
use crate::accumulator::{Append, EnqueueWaits, RecordAccumulator, SealJob, TryAppend, Work, Workers};
use crate::clock;
use crate::delivery::Delivery;
use crate::error::DeliveryErrorKind;
use crate::metrics::Counters;
use crate::network::transport::{Connection, ConnectionEvent};
use crate::network::{ConnectionId, MAX_RESPONSE_LEN, NetworkAction};
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;
use crate::sender::{Action, SHORTEST_SLEEP, SenderCore};
use crate::topic_partition::Topic;

pub(super) const ORDERS: &str = "orders";
pub(super) const EVENTS: &str = "events";

pub(super) struct Simulation {
    pub(super) setup: Setup,
    pub(super) ops: Vec<(u64, Op)>,
    pub(super) noise: Noise,
    pub(super) now: Duration,
    base: Instant,
    /// `now` in microseconds, for callers.
    clock: Arc<AtomicU64>,
    events: BTreeMap<(Duration, u64), Event>,
    next_event: u64,

    pub(super) core: SenderCore,
    pub(super) accumulator: Arc<RecordAccumulator>,
    pub(super) counters: Arc<Counters>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Attempts, each with the node if there is one at the address.
    connecting: BTreeMap<ConnectionId, Option<i32>>,
    woken: Arc<Flag>,
    is_due: bool,
    timer: Option<Duration>,
    pub(super) asleep_until: Duration,
    pub(super) seal_jobs: Vec<SealJob>,
    pub(super) workers: Arc<Helpers>,
    pub(super) callers: Vec<Caller>,
    pub(super) flushes: VecDeque<Pin<Box<dyn Future<Output = ()>>>>,
    /// In the order in which they were accepted.
    pub(super) accepted: Vec<Accepted>,
    next_record: usize,

    pub(super) brokers: Brokers,
    pub(super) nodes: Vec<Node>,
    pub(super) lines: BTreeMap<ConnectionId, Line>,
    /// Logs of topics that were deleted.
    pub(super) buried: Vec<Vec<Vec<MockBatch>>>,
    /// Partitions of the topic, also while it does not exist.
    pub(super) partitions: i32,
    /// The sender has ended.
    is_over: bool,

    /// Times that the sender woke up by itself.
    pub(super) timeouts: usize,
    /// Time during which something was to be done.
    pub(super) active: Duration,
    /// Changes that excuse an attempt before its time.
    pub(super) changes: usize,
}

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A chunk comes to the broker.
    Arrive(ConnectionId),
    /// What was under way on a connection that broke.
    ArriveLate(ConnectionId, Vec<Bytes>),
    Connected(ConnectionId),
    Create,
    EndFlush,
    Fetch(i32),
    /// The cluster notices that a broker is dead.
    Noticed(i32),
    Op(usize),
    Relead(i32),
    Restart(i32),
    Resume(ConnectionId),
    /// A chunk comes to the producer.
    Return(ConnectionId),
    Seal,
    /// Somebody has compressed a batch in a caller's stead.
    Sealed,
    Serve(ConnectionId),
    /// The producer can write again.
    Writable,
}

/// A broker's machine.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) port: u16,
    pub(super) is_dead: bool,
    pub(super) frozen_until: Duration,
    pub(super) stalled_until: Duration,
    pub(super) refuses_until: Duration,
    pub(super) slow_until: Duration,
    pub(super) latency: Duration,
    pub(super) lags_until: Duration,
    is_fetching: bool,
    pub(super) damages: VecDeque<Damage>,
}

/// Somebody who hands over a record and may have to wait for memory.
pub(super) struct Caller {
    id: usize,
    place: i32,
    future: Pin<Box<dyn Future<Output = Option<Delivery>>>>,
    woken: Arc<Flag>,
}

/// A record that the producer has accepted.
pub(super) struct Accepted {
    pub(super) id: usize,
    pub(super) place: i32,
    /// `None` if nobody wants to know.
    pub(super) delivery: Option<Delivery>,
    /// Raised when the one who waits for the result is woken.
    pub(super) woken: Arc<Flag>,
}

/// Those who compress in the callers' stead, a few batches at a time.
#[derive(Default)]
pub(super) struct Helpers(Mutex<Desk>);

#[derive(Default)]
struct Desk {
    works: Vec<Work>,
    /// Of these, how many the simulation has yet to hear of.
    news: usize,
}

impl Helpers {
    fn take_news(&self) -> usize {
        std::mem::take(&mut self.0.lock().unwrap().news)
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().works.len()
    }

    fn finish(&self, which: usize) -> Option<Work> {
        let mut desk = self.0.lock().unwrap();
        (which < desk.works.len()).then(|| desk.works.swap_remove(which))
    }
}

impl Workers for Helpers {
    fn take(&self, work: Work) -> Result<(), Work> {
        let mut desk = self.0.lock().unwrap();
        desk.works.push(work);
        desk.news += 1;
        Ok(())
    }

    fn try_take(&self, work: Work) -> Result<(), Work> {
        if self.count() >= MOST_HELPERS {
            return Err(work);
        }
        self.take(work)
    }

    fn take_back(&self) -> Vec<Work> {
        Vec::new()
    }
}

impl std::fmt::Debug for Helpers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Helpers")
    }
}

#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const MOST_HELPERS: usize = 3;

/// Rounds that the sender may make at one moment, as of the shell.
const MAX_ROUNDS: usize = 64;

impl Simulation {
    pub(super) fn new(schedule: &Schedule) -> Self {
        let Schedule { setup, ops } = schedule.clone();
        let config = setup.config();
        let workers = Arc::<Helpers>::default();
        let accumulator = Arc::into_inner(bench::accumulator(&config)).expect("it is new");
        let accumulator = Arc::new(accumulator.with_workers(Arc::clone(&workers) as Arc<dyn Workers>));
        let counters = Arc::new(Counters::default());
        let base = clock::now();
        let core = bench::core(&config, &accumulator, &counters, base);
        // If partitions are added, it begins with one.
        let grows = ops.iter().any(|(_, op)| *op == Op::AddPartition);
        let partitions = if grows { 1 } else { setup.partitions };
        let mut simulation = Self {
            noise: Noise(setup.noise),
            now: Duration::ZERO,
            base,
            clock: Arc::default(),
            events: BTreeMap::new(),
            next_event: 0,
            core,
            accumulator,
            counters,
            connections: BTreeMap::new(),
            connecting: BTreeMap::new(),
            woken: Flag::raised(),
            is_due: true,
            timer: None,
            asleep_until: Duration::ZERO,
            seal_jobs: Vec::new(),
            workers,
            callers: Vec::new(),
            flushes: VecDeque::new(),
            accepted: Vec::new(),
            next_record: 0,
            brokers: brokers(&setup, partitions),
            nodes: (0..NODES).map(|id| Node { port: port(id, 0), ..Node::default() }).collect(),
            lines: BTreeMap::new(),
            buried: Vec::new(),
            partitions,
            is_over: false,
            timeouts: 0,
            active: Duration::ZERO,
            changes: 0,
            setup,
            ops,
        };
        for topic in [ORDERS, EVENTS] {
            simulation.core.handle_topic_wanted(&Topic::from(topic), base);
        }
        for index in 0..simulation.ops.len() {
            let at = millis(simulation.ops[index].0);
            simulation.at(at, Event::Op(index));
        }
        simulation
    }

    pub(super) fn instant(&self) -> Instant {
        self.base + self.now
    }

    pub(super) fn at(&mut self, at: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Goes on until a time, or until there is nothing left to wait for.
    pub(super) fn run_until(&mut self, end: Duration, is_done: impl Fn(&Self) -> bool) -> Result<(), String> {
        loop {
            self.settle()?;
            if is_done(self) {
                return Ok(());
            }
            let event = self.events.keys().next().map(|(at, _)| *at);
            let sleep = if self.is_over {
                None
            } else if self.is_due {
                Some(self.asleep_until)
            } else {
                self.timer
            };
            let sleep = sleep.map(|at| at.max(self.asleep_until));
            let Some(at) = [event, sleep].into_iter().flatten().min().filter(|at| *at <= end) else {
                self.advance(end);
                return Ok(());
            };
            self.advance(at);
            if event.is_some_and(|event| event <= self.now) {
                let Some((_, event)) = self.events.pop_first() else { continue };
                self.happen(event);
            } else {
                self.timeouts += 1;
                self.timer = None;
                self.is_due = true;
            }
        }
    }

    pub(super) fn advance(&mut self, to: Duration) {
        let to = to.max(self.now);
        if !self.accumulator.is_complete() {
            self.active += to - self.now;
        }
        self.now = to;
        self.clock.store(to.as_micros() as u64, Ordering::Relaxed);
    }

    /// Lets callers and producer do what they can do now.
    fn settle(&mut self) -> Result<(), String> {
        loop {
            self.poll_callers();
            for _ in 0..self.workers.take_news() {
                let delay = self.noise.micros(0, 8000);
                self.after(delay, Event::Sealed);
            }
            self.is_due |= self.woken.take();
            if !self.is_due || self.now < self.asleep_until || self.is_over {
                return Ok(());
            }
            self.is_due = false;
            self.drive()?;
        }
    }

    /// What the shell does when it is polled.
    fn drive(&mut self) -> Result<(), String> {
        let waker = Waker::from(Arc::clone(&self.woken));
        let cx = &mut Context::from_waker(&waker);
        for round in 0.. {
            if round == MAX_ROUNDS {
                return Err("the sender never comes to rest".to_owned());
            }
            let mut is_busy = self.accumulator.wake_flag().poll(cx);
            self.poll_connections(cx);
            self.core.poll(self.instant(), 1 + self.now.as_millis() as i64);
            while let Some(action) = self.core.poll_action() {
                is_busy = true;
                self.act(action);
            }
            if !is_busy {
                break;
            }
        }
        let deadline = self.core.poll_timeout(self.instant());
        self.timer = deadline.map(|at| at.max(self.instant() + SHORTEST_SLEEP) - self.base);
        self.collect_written();
        Ok(())
    }

    fn poll_connections(&mut self, cx: &mut Context<'_>) {
        let now = self.instant();
        let core = &mut self.core;
        self.connections.retain(|id, connection| {
            let result = connection.poll(cx, &mut |event| match event {
                ConnectionEvent::Frame(frame) => core.network().handle_frame(*id, frame, now),
                ConnectionEvent::Written { correlation_id } => {
                    core.network().handle_written(*id, correlation_id, now);
                }
            });
            if let Err(error) = &result {
                let reason = error.to_string().into();
                core.network().handle_closed(*id, reason, connection.first_unsent(), now);
            }
            result.is_ok()
        });
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Network(NetworkAction::Connect { connection, port, .. }) => {
                let node = self.node_at(port);
                self.connecting.insert(connection, node);
                let latency = self.latency(node.unwrap_or(0));
                self.after(latency, Event::Connected(connection));
            }
            Action::Network(NetworkAction::Close { connection }) => {
                self.connecting.remove(&connection);
                self.connections.remove(&connection);
                if let Some(line) = self.lines.get_mut(&connection) {
                    // What it has written is on its way all the same.
                    line.is_left = true;
                }
            }
            Action::Network(NetworkAction::Transmit { connection, frame }) => {
                let now = self.instant();
                match self.connections.get_mut(&connection) {
                    Some(connection) => connection.transmit(frame),
                    None => self.core.network().handle_closed(
                        connection,
                        "not connected".into(),
                        Some(frame.correlation_id),
                        now,
                    ),
                }
            }
            Action::Publish(_) => {}
            Action::Seal(job) => {
                self.seal_jobs.push(job);
                let delay = self.noise.micros(0, 8000);
                self.after(delay, Event::Seal);
            }
            Action::TakeBackSeals => {
                self.accumulator.take_back_work().into_iter().for_each(Work::run_if_quick);
            }
        }
    }

    /// Puts what the producer has written on its way.
    fn collect_written(&mut self) {
        let ids: Vec<_> = self.lines.keys().copied().collect();
        for id in ids {
            let mut written = self.lines[&id].take_written();
            while !written.is_empty() {
                let len = if self.noise.is(80) { written.len() } else { self.noise.between(1, 400) as usize };
                let chunk = written.split_to(len.min(written.len()));
                let latency = self.latency(self.lines[&id].node);
                let now = self.now;
                let Some(line) = self.lines.get_mut(&id) else { continue };
                line.up.clock = line.up.clock.max(now + latency);
                line.up.chunks.push_back(chunk);
                let at = line.up.clock;
                self.at(at, Event::Arrive(id));
            }
        }
    }

    pub(super) fn connected(&mut self, id: ConnectionId) {
        let Some(node) = self.connecting.get(&id).copied() else { return };
        let later = node.map_or(Duration::ZERO, |node| self.node(node).stalled_until).max(self.asleep_until);
        if later > self.now {
            return self.at(later, Event::Connected(id));
        }
        self.connecting.remove(&id);
        self.is_due = true;
        let now = self.instant();
        let is_open = |node: &i32| !self.node(*node).is_dead && self.node(*node).refuses_until <= self.now;
        let Some(node) = node.filter(is_open) else {
            return self.core.network().handle_connect_failed(id, "refused".into(), now);
        };
        let window = if self.noise.is(80) { 65_536 } else { self.noise.between(50, 500) as usize };
        let line = Line::new(node, window);
        self.connections.insert(id, Connection::new(line.stream(), MAX_RESPONSE_LEN));
        self.lines.insert(id, line);
        self.core.network().handle_connected(id, now);
    }

    pub(super) fn seal(&mut self) {
        for job in std::mem::take(&mut self.seal_jobs) {
            self.accumulator.seal(job);
        }
    }

    /// Ends one of the compressions that others have taken on, whichever.
    pub(super) fn sealed(&mut self) {
        let count = self.workers.count();
        let which = self.noise.between(0, count.saturating_sub(1) as u64) as usize;
        if let Some(work) = self.workers.finish(which) {
            work.run();
        }
    }

    pub(super) fn wake(&mut self) {
        self.is_due = true;
    }

    pub(super) fn abort(&mut self) {
        let now = self.instant();
        self.core.abort(&DeliveryErrorKind::Closed, now);
        self.connections_end();
    }

    /// The shell ends, and its sockets with it.
    pub(super) fn connections_end(&mut self) {
        self.connections.clear();
        self.connecting.clear();
        self.lines.values_mut().for_each(|line| line.is_left = true);
        self.is_over = true;
    }

    pub(super) fn figures(&self) -> Figures {
        let is_delivered = |record: &&Accepted| {
            record.delivery.as_ref().is_some_and(|delivery| matches!(delivery.try_result(), Some(Ok(_))))
        };
        let places = (0..=self.setup.partitions).map(|place| self.place(place));
        Figures {
            accepted: self.accepted.len(),
            delivered: self.accepted.iter().filter(is_delivered).count(),
            requests: self.counters.produce_requests_sent.value() as usize,
            truncated: places.map(|(topic, partition)| self.brokers.truncated(topic, partition)).sum(),
            virtual_time: self.now,
        }
    }

    fn poll_callers(&mut self) {
        let mut at = 0;
        while at < self.callers.len() {
            let caller = &mut self.callers[at];
            if !caller.woken.take() {
                at += 1;
                continue;
            }
            let waker = Waker::from(Arc::clone(&caller.woken));
            match caller.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => at += 1,
                Poll::Ready(delivery) => {
                    let Caller { id, place, .. } = self.callers.remove(at);
                    if let Some(delivery) = delivery {
                        self.accept(id, place, delivery);
                    }
                    // Others may have been let in front of those that were looked at already.
                    at = 0;
                }
            }
        }
    }

    fn accept(&mut self, id: usize, place: i32, mut delivery: Delivery) {
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&woken));
        if Pin::new(&mut delivery).poll(&mut Context::from_waker(&waker)).is_ready() {
            waker.wake();
        }
        self.accepted.push(Accepted { id, place, delivery: Some(delivery), woken });
    }

    /// A caller comes with a record.
    pub(super) fn send(&mut self, place: i32, len: usize) {
        let id = self.next_record;
        self.next_record += 1;
        let (topic, partition) = self.place(place);
        let topic = self.accumulator.topic(&Topic::from(topic), partition as usize + 1);
        topic.touch(self.now.as_secs());
        let accumulator = Arc::clone(&self.accumulator);
        let (clock, base) = (Arc::clone(&self.clock), self.base);
        let value = format!("{id}:{}", "x".repeat(len));
        let timestamp = 1 + self.now.as_millis() as i64;
        let future = Box::pin(async move {
            let headers = Headers::new();
            let mut spare = None;
            loop {
                let value = Some(value.as_bytes());
                let record = RecordRef { timestamp, key: None, value, headers: &headers };
                let append = Append {
                    record,
                    payload_len: record.payload_len(),
                    waits: EnqueueWaits::default(),
                    now: base + Duration::from_micros(clock.load(Ordering::Relaxed)),
                    stop_at_boundary: false,
                };
                let queue = topic.queue(partition as usize)?;
                match accumulator.try_append(queue, &append, &mut spare) {
                    TryAppend::Done(done) => return Some(done.delivery),
                    TryAppend::NoMemory { least } => {
                        spare = Some(accumulator.wait_for_memory(queue, least).await.ok()?);
                    }
                    TryAppend::BatchEnded | TryAppend::Closed | TryAppend::Stopped => return None,
                }
            }
        });
        self.callers.push(Caller { id, place, future, woken: Flag::raised() });
    }

    pub(super) fn flush(&mut self) {
        let accumulator = Arc::clone(&self.accumulator);
        let mut flush = Box::pin(async move {
            let _flush = accumulator.begin_flush();
            std::future::pending::<()>().await;
        });
        let _ = flush.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.flushes.push_back(flush);
    }

    /// The last place is the only partition of another topic.
    pub(super) fn place(&self, place: i32) -> (&'static str, i32) {
        if place >= self.setup.partitions { (EVENTS, 0) } else { (ORDERS, place) }
    }

    pub(super) fn node(&self, id: i32) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn node_mut(&mut self, id: i32) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    pub(super) fn set_fetching(&mut self, id: i32, is_fetching: bool) -> bool {
        std::mem::replace(&mut self.node_mut(id).is_fetching, is_fetching)
    }

    fn node_at(&mut self, port: u16) -> Option<i32> {
        if port == BOOTSTRAP_PORT {
            // An address in front of all of them.
            let alive: Vec<_> = (0..NODES).filter(|id| !self.node(*id).is_dead).collect();
            return (!alive.is_empty()).then(|| self.noise.pick(&alive));
        }
        (0..NODES).find(|id| self.node(*id).port == port)
    }

    pub(super) fn latency(&mut self, node: i32) -> Duration {
        let noise = self.noise.micros(200, 3000);
        let node = self.node(node);
        if self.now < node.slow_until { noise + node.latency } else { noise }
    }
}

fn brokers(setup: &Setup, partitions: i32) -> Brokers {
    let mut brokers = Brokers::new(NODES);
    for id in 0..NODES {
        brokers.broker_up(id, port(id, 0)).unwrap();
    }
    brokers.create_topic(ORDERS, partitions, 3).unwrap();
    brokers.create_topic(EVENTS, 1, 3).unwrap();
    brokers.set_api_versions(Api::Produce, 3, setup.produce_version).unwrap();
    brokers.set_max_message_bytes(setup.max_message_bytes);
    brokers.set_min_insync_replicas(setup.min_insync);
    brokers.set_knows_all_producers(setup.knows_all_producers);
    brokers
}

/// Where a broker listens after it has moved so many times.
pub(super) fn port(id: i32, moves: u16) -> u16 {
    10_000 + 100 * moves + id as u16
}

/// As of `bench`.
const BOOTSTRAP_PORT: u16 = 9092;
