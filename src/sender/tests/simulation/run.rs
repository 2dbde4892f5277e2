//! One run: the producer, the network and the brokers, on one clock.
//!
//! The producer's side is driven as the task drives it (`sender/drive.rs`), with the transport's own `Connection` on simulated
//! sockets, and only when the task would run: something was written to or read from a socket, the task was woken, or its timer
//! has fired. So a wake-up that is lost is lost here, too.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_mock::sans_io::{Brokers, RecordJudge};
use kafka_mock::{Api, MockBatch};

use super::super::rig::{self, Config, millis};
use super::Figures;
use super::callers::{Accepted, Caller, is_bad};
use super::helpers::Helpers;
use super::line::Line;
use super::login::SimulatedLogin;
use super::sasl;
use super::schedule::{Damage, Distrust, NODES, Noise, Op, Schedule, Setup};
use super::topics::TopicNews;
use super::transacting;
use super::transactions::{Preparation, Transactional};
use crate::accumulator::{RecordAccumulator, Work, Workers};
use crate::clock;
use crate::metrics::Counters;
use crate::network::{ConnectionId, MAX_RESPONSE_LEN};
use crate::sender::{Rest, SenderCore, Sockets, drive};
use crate::topic_partition::Topic;

pub(super) const ORDERS: &str = "orders";
pub(super) const EVENTS: &str = "events";

pub(super) struct Simulation {
    pub(super) setup: Setup,
    pub(super) ops: Vec<(u64, Op)>,
    pub(super) noise: Noise,
    pub(super) now: Duration,
    pub(super) base: Instant,
    /// `now` in microseconds, for callers.
    pub(super) clock: Arc<AtomicU64>,
    events: BTreeMap<(Duration, u64), Event>,
    next_event: u64,

    pub(super) core: SenderCore,
    pub(super) accumulator: Arc<RecordAccumulator>,
    pub(super) counters: Arc<Counters>,
    pub(super) sockets: Sockets,
    pub(super) connecting: BTreeMap<ConnectionId, Attempt>,
    /// Fetches tokens, if the producer shows some.
    pub(super) login: Option<SimulatedLogin>,
    woken: Arc<Flag>,
    is_due: bool,
    pub(super) timer: Option<Duration>,
    pub(super) asleep_until: Duration,
    pub(super) workers: Arc<Helpers>,
    pub(super) callers: Vec<Caller>,
    pub(super) flushes: VecDeque<Pin<Box<dyn Future<Output = ()>>>>,
    /// In the order in which they were accepted.
    pub(super) accepted: Vec<Accepted>,
    pub(super) next_record: usize,

    pub(super) brokers: Brokers,
    pub(super) nodes: Vec<Node>,
    pub(super) lines: BTreeMap<ConnectionId, Line>,
    /// KRaft controllers, which do not serve producers.
    pub(super) controllers: Brokers,
    /// Logs of partitions that are gone, with the names of their topics.
    pub(super) buried: Vec<(&'static str, i32, Vec<MockBatch>)>,
    /// Partitions of the topic, also while it does not exist.
    pub(super) partitions: i32,
    /// Clusters that were put in the place of the one before.
    pub(super) replacements: usize,
    /// The producer is closed.
    pub(super) is_closing: bool,
    /// The sender has ended.
    pub(super) is_over: bool,
    /// Until then the helpers that compress are busy with something else.
    pub(super) busy_until: Duration,
    /// How often each partition was resumed.
    pub(super) sessions: BTreeMap<i32, usize>,
    /// If the producer is transactional.
    pub(super) transactional: Option<Transactional>,
    /// What the producer knows of the topic, and has heard of it.
    pub(super) topic_news: TopicNews,
    /// What metrics the producer has pushed.
    #[cfg(feature = "telemetry")]
    pub(super) told: super::telemetry::Told,
    /// The first thing that should not have happened.
    pub(super) violation: Option<String>,

    /// Times that the sender woke up by itself.
    pub(super) timeouts: usize,
    /// Attempts to connect.
    pub(super) connects: usize,
    /// Time during which something was to be done.
    pub(super) active: Duration,
    /// Changes that excuse an attempt before its time.
    pub(super) changes: usize,
}

/// An attempt to connect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// Where it goes; `None` if there is nothing at the address.
    pub(super) node: Option<i32>,
    /// It goes to the address in front of all brokers.
    pub(super) is_bootstrap: bool,
}

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Event {
    /// The producer gives up what is not settled.
    Abort,
    /// A task wants to be woken.
    Alarm(Waker),
    /// A broker ends a connection because it does not trust the producer.
    Alert(ConnectionId),
    /// A chunk comes to the broker.
    Arrive(ConnectionId),
    /// What was under way on a connection that broke.
    ArriveLate(ConnectionId, Vec<Bytes>),
    Connected(ConnectionId),
    Create,
    EndFlush,
    Fetch(i32),
    /// An attempt to fetch a token ends.
    Fetched(u64),
    /// The login has something to do.
    LogIn,
    /// Coordinators tell partitions and groups how transactions have ended.
    Mark,
    /// The cluster notices that a broker is dead.
    Noticed(i32),
    Op(usize),
    /// Brokers take the producer's password again.
    Password,
    Relead(i32),
    /// The other producer with the same transactional id goes on.
    Rival,
    Restart(i32),
    Resume(ConnectionId),
    /// A chunk comes to the producer.
    Return(ConnectionId),
    WorkersFree,
    /// A helper has compressed a batch on behalf of a caller.
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
    /// Cannot be reached at its own address.
    pub(super) hidden_until: Duration,
    /// Does not trust the producer, or the producer does not trust it.
    pub(super) distrusts_until: Duration,
    pub(super) distrust: Option<Distrust>,
    is_fetching: bool,
    pub(super) damages: VecDeque<Damage>,
}

#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    pub(super) fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Simulation {
    pub(super) fn new(schedule: &Schedule) -> Self {
        let Schedule { setup, ops } = schedule.clone();
        let base = clock::now();
        let (config, login) = SimulatedLogin::prepare(&setup, base);
        let workers = Arc::<Helpers>::default();
        let accumulator = Arc::into_inner(rig::accumulator(&config)).expect("it is new");
        let accumulator = accumulator.with_workers(Arc::clone(&workers) as Arc<dyn Workers>);
        let (preparation, accumulator) = Preparation::new(accumulator);
        let accumulator = Arc::new(accumulator);
        let counters = Arc::new(Counters::default());
        let core = core(&setup, &config, &accumulator, &counters, base);
        let transactional = preparation.finish(&setup, &config, &accumulator, &counters);
        let partitions = first_partitions(&setup, &ops);
        let machines = NODES + i32::from(setup.controllers);
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
            sockets: Sockets::new(MAX_RESPONSE_LEN),
            connecting: BTreeMap::new(),
            login,
            woken: Flag::raised(),
            is_due: true,
            timer: None,
            asleep_until: Duration::ZERO,
            workers,
            callers: Vec::new(),
            flushes: VecDeque::new(),
            accepted: Vec::new(),
            next_record: 0,
            brokers: brokers(&setup, partitions, &ops),
            controllers: controllers(&setup),
            nodes: (0..machines).map(|id| Node { port: port(id, 0), ..Node::default() }).collect(),
            lines: BTreeMap::new(),
            buried: Vec::new(),
            partitions,
            replacements: 0,
            is_closing: false,
            is_over: false,
            busy_until: Duration::ZERO,
            sessions: BTreeMap::new(),
            transactional,
            topic_news: TopicNews::default(),
            #[cfg(feature = "telemetry")]
            told: super::telemetry::Told::default(),
            violation: None,
            timeouts: 0,
            connects: 0,
            active: Duration::ZERO,
            changes: 0,
            setup,
            ops,
        };
        simulation.begin();
        simulation
    }

    fn begin(&mut self) {
        self.show_time();
        for topic in [ORDERS, EVENTS] {
            self.core.handle_topic_wanted(&Topic::from(topic), self.base);
        }
        for index in 0..self.ops.len() {
            self.at(millis(self.ops[index].0), Event::Op(index));
        }
    }

    pub(super) fn instant(&self) -> Instant {
        self.base + self.now
    }

    /// Wakes the sender.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.woken))
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
        self.show_time();
    }

    /// Has the clocks of a transactional producer show the time of the run.
    fn show_time(&self) {
        if self.transactional.is_some() {
            clock::simulated::set(self.instant(), self.wall_clock() * 1000);
        }
    }

    /// Lets callers and producer do what they can do now.
    fn settle(&mut self) -> Result<(), String> {
        loop {
            self.log_in();
            self.poll_callers();
            self.poll_tasks();
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
        if drive(self) == Rest::Restless {
            return Err("the sender never comes to rest".to_owned());
        }
        self.collect_written();
        self.check_waits();
        Ok(())
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
        let Some(Attempt { node, is_bootstrap }) = self.connecting.get(&id).copied() else { return };
        let later = node.map_or(Duration::ZERO, |node| self.node(node).stalled_until).max(self.asleep_until);
        if later > self.now {
            return self.at(later, Event::Connected(id));
        }
        self.connecting.remove(&id);
        self.is_due = true;
        let now = self.instant();
        let is_open = |node: &i32| {
            let state = self.node(*node);
            let is_hidden = !is_bootstrap && state.hidden_until > self.now;
            !state.is_dead && !is_hidden && state.refuses_until <= self.now
        };
        let Some(node) = node.filter(is_open) else {
            return self.core.network().handle_connect_failed(id, "refused".into(), now);
        };
        if let Some(failure) = self.handshake_failure(node) {
            return self.core.network().handle_insecure(id, &failure, None, now);
        }
        let window = if self.noise.is(80) { 65_536 } else { self.noise.between(50, 500) as usize };
        let is_encrypted = self.setup.is_encrypted;
        // What a stream has taken stays there while the network takes no more.
        let is_narrow = is_encrypted && self.noise.is(60);
        let window = if is_narrow { self.noise.between(200, 600) as usize } else { window };
        let mut others = self.lines.values();
        if !is_bootstrap && others.any(|line| line.is_at(node) && line.told_until > self.now) {
            self.violate(format!("another connection to node {node}, which wants to be left alone"));
        }
        let line = Line::new(node, is_bootstrap, window, is_encrypted);
        self.sockets.open(id, line.stream());
        self.lines.insert(id, line);
        self.begin_encrypted(id, node);
        self.core.network().handle_connected(id, now);
    }

    pub(super) fn hurry_attempts(&mut self) {
        let ids: Vec<_> = self.connecting.keys().copied().collect();
        ids.into_iter().for_each(|id| self.after(Duration::ZERO, Event::Connected(id)));
    }

    /// Nothing is any longer where connections are being made to, but for the address of bootstrap.
    pub(super) fn divert_attempts(&mut self) {
        let attempts = self.connecting.values_mut().filter(|attempt| !attempt.is_bootstrap);
        attempts.for_each(|attempt| attempt.node = None);
    }

    /// Notes something that must never happen.
    pub(super) fn violate(&mut self, what: String) {
        let now = self.now;
        self.violation.get_or_insert_with(|| format!("at {now:?}: {what}"));
    }

    pub(super) fn drop_work(&mut self) {
        self.workers.clear();
    }

    pub(super) fn busy_workers(&mut self, lasts: Duration) {
        self.busy_until = self.busy_until.max(self.now + lasts);
        self.workers.set_busy(true);
        self.at(self.busy_until, Event::WorkersFree);
    }

    pub(super) fn free_workers(&mut self) {
        if self.busy_until <= self.now {
            self.workers.set_busy(false);
        }
    }

    /// Ends all compressions that are left.
    pub(super) fn seal_all(&mut self) {
        while let Some(work) = self.workers.finish(0) {
            work.run();
        }
    }

    /// Ends one of the compressions that helpers have taken on, chosen at random.
    pub(super) fn sealed(&mut self) {
        let count = self.workers.count();
        let which = self.noise.between(0, count.saturating_sub(1) as u64) as usize;
        let work = self.workers.finish(which).filter(|_| self.busy_until <= self.now);
        work.into_iter().for_each(Work::run);
    }

    pub(super) fn wake(&mut self) {
        self.is_due = true;
    }

    /// The shell ends, and its sockets with it.
    pub(super) fn connections_end(&mut self) {
        self.sockets.close_all();
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
            runs: 1,
            connects: self.connects,
            accepted: self.accepted.len(),
            delivered: self.accepted.iter().filter(is_delivered).count(),
            requests: self.counters.produce_requests_sent.value() as usize,
            truncated: places.map(|(topic, partition)| self.brokers.truncated(topic, partition)).sum(),
            #[cfg(feature = "telemetry")]
            pushes: self.brokers.pushed_metrics().len(),
            #[cfg(feature = "telemetry")]
            goodbyes: self.brokers.pushed_metrics().iter().filter(|push| push.is_terminating).count(),
            virtual_time: self.now,
        }
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

    pub(super) fn node_at(&mut self, port: u16) -> Option<i32> {
        if port == BOOTSTRAP_PORT {
            // An address in front of all of them.
            let alive: Vec<_> = (0..NODES).filter(|id| !self.node(*id).is_dead).collect();
            return (!alive.is_empty()).then(|| self.noise.pick(&alive));
        }
        let controllers = BOOTSTRAP_PORT + 1..=BOOTSTRAP_PORT + self.setup.controllers;
        if controllers.contains(&port) {
            return Some(NODES + i32::from(port - BOOTSTRAP_PORT - 1));
        }
        (0..NODES).find(|id| self.node(*id).port == port)
    }

    pub(super) fn latency(&mut self, node: i32) -> Duration {
        let noise = self.noise.micros(200, 3000);
        let node = self.node(node);
        if self.now < node.slow_until { noise + node.latency } else { noise }
    }
}

fn core(
    setup: &Setup,
    config: &Config,
    accumulator: &Arc<RecordAccumulator>,
    counters: &Arc<Counters>,
    base: Instant,
) -> SenderCore {
    let core = rig::core(config, accumulator, counters, base);
    #[cfg(feature = "telemetry")]
    let core = super::telemetry::enable(core, setup.telemetry, setup.noise, base);
    #[cfg(not(feature = "telemetry"))]
    let _ = setup;
    core
}

/// Returns with how many partitions the topic begins: with one, if others are added.
fn first_partitions(setup: &Setup, ops: &[(u64, Op)]) -> i32 {
    let grows = ops.iter().any(|(_, op)| *op == Op::AddPartition);
    if grows { 1 } else { setup.partitions }
}

fn brokers(setup: &Setup, partitions: i32, ops: &[(u64, Op)]) -> Brokers {
    let mut brokers = Brokers::new(NODES);
    for id in 0..NODES {
        brokers.broker_up(id, port(id, 0)).unwrap();
    }
    brokers.create_topic(ORDERS, partitions, 3).unwrap();
    brokers.create_topic(EVENTS, 1, 3).unwrap();
    brokers.set_api_versions(Api::Produce, 3, setup.produce_version).unwrap();
    if let Some(set) = setup.transacting {
        brokers.set_transaction_version(set.version);
        if set.is_old {
            transacting::make_old(&mut brokers);
        }
    }
    brokers.set_max_message_bytes(setup.max_message_bytes);
    brokers.set_min_insync_replicas(setup.min_insync);
    brokers.set_knows_all_producers(setup.knows_all_producers);
    // Reading every record takes time.
    sasl::demand(&mut brokers, setup.sasl);
    let has_bad_records = ops.iter().any(|(_, op)| matches!(op, Op::BadRecord { .. }));
    let judge = RecordJudge { is_refused: is_bad, code: setup.refusal, names_records: setup.names_culprits };
    #[cfg(feature = "telemetry")]
    super::telemetry::subscribe(&mut brokers, setup.telemetry);
    brokers.set_record_judge(has_bad_records.then_some(judge));
    brokers
}

fn controllers(setup: &Setup) -> Brokers {
    let mut controllers = Brokers::new(setup.controllers.into());
    for id in 0..setup.controllers.into() {
        controllers.broker_up(id, 0).unwrap();
    }
    sasl::demand(&mut controllers, setup.sasl);
    if let Some(set) = setup.transacting {
        controllers.set_transaction_version(set.version);
    }
    for api in [Api::InitProducerId, Api::ListOffsets, Api::Metadata, Api::Produce] {
        controllers.remove_api(api);
    }
    controllers
}

/// Where a broker listens after it has moved so many times.
pub(super) fn port(id: i32, moves: u16) -> u16 {
    10_000 + 100 * moves + id as u16
}

/// As of `rig`.
pub(super) const BOOTSTRAP_PORT: u16 = 9092;
