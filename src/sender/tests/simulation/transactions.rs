//! Runs in which the producer is transactional: its callers' side, driven as the task and handles drive it, and the coordinators.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_mock::Api;
use kafka_mock::sans_io::Brokers;
use kafka_mock::{Fault, TransactionState};
use kafka_protocol::messages::EndTxnResponse;
use kafka_protocol::protocol::Decodable;
use tokio::sync::watch;

use super::super::rig::{self, Config, millis};
use super::client::{self, Command, Desk, FOR_EVER, Record, Taken};
use super::rival::Rival;
use super::run::{EVENTS, Event, Flag, Simulation, port};
use super::schedule::{NODES, Noise, Op, Setup, Transacting};
use crate::accumulator::RecordAccumulator;
use crate::clock;
use crate::error::{DeliveryErrorKind, TransactionErrorKind};
use crate::metadata::Cluster;
use crate::metrics::Counters;
use crate::network::ConnectionId;
use crate::producer::simulated::{Limits, Shared, Topics};
use crate::sender::control::{Control, Order};

/// The transactional id.
pub(super) const ID: &str = "payments";
pub(super) const GROUPS: [&str; 2] = ["readers", "writers"];

/// What a run has in addition if its producer is transactional.
pub(super) struct Transactional {
    pub(super) control: Arc<Control>,
    /// `None` once the sender has ended.
    clusters: Option<watch::Sender<Arc<Cluster>>>,
    tasks: Vec<Task>,
    pub(super) desk: Desk,
    /// For what is drawn here.
    noise: Noise,
    config: Config,
    /// Clusters that were left, with all transactions ended.
    pub(super) former: Vec<Brokers>,
    /// What readers of committed records saw of partitions that are gone.
    pub(super) buried: Vec<(i32, Vec<Option<usize>>)>,
    pub(super) rival: Rival,
    /// Until then coordinators write no markers.
    held_until: Duration,
    is_marking: bool,
    /// Nothing goes wrong any more.
    is_calm: bool,
    /// A question of the producer for its id has come late.
    has_fenced_itself: bool,
    /// Something of a transaction has come late, in an epoch that goes on.
    pub(super) is_meddled_with: bool,
    /// The coordinator has given up a transaction that took too long.
    pub(super) has_timed_out: bool,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
}

impl Task {
    fn new(future: Pin<Box<dyn Future<Output = ()>>>) -> Self {
        Self { future, woken: Flag::raised() }
    }
}

/// Prepares the callers' side of a run, if it is transactional.
pub(super) struct Preparation {
    topics: Topics,
}

impl Preparation {
    pub(super) fn new(accumulator: RecordAccumulator) -> (Self, RecordAccumulator) {
        let topics = Topics::default();
        let accumulator = topics.watch(accumulator);
        (Self { topics }, accumulator)
    }

    pub(super) fn finish(
        self,
        setup: &Setup,
        config: &Config,
        accumulator: &Arc<RecordAccumulator>,
        counters: &Arc<Counters>,
    ) -> Option<Transactional> {
        let transacting = setup.transacting?;
        let control = Arc::new(Control::simulated());
        let (published, clusters) = watch::channel(Arc::new(Cluster::default()));
        let shared = Shared {
            accumulator: Arc::clone(accumulator),
            topics: self.topics,
            clusters,
            control: Arc::clone(&control),
            counters: Arc::clone(counters),
        };
        let limits = Limits {
            max_block: millis(transacting.max_block),
            max_request_size: setup.max_request_size,
            buffer_memory: setup.buffer_memory,
            batch_size: setup.batch_size,
        };
        let desk = Desk::default();
        let client = client::run(shared.producer(ID, limits), desk.clone());
        Some(Transactional {
            control,
            clusters: Some(published),
            tasks: vec![Task::new(Box::pin(client))],
            desk,
            noise: Noise(setup.noise.wrapping_add(11)),
            config: config.clone(),
            former: Vec::new(),
            buried: Vec::new(),
            rival: Rival::default(),
            held_until: Duration::ZERO,
            is_marking: false,
            is_calm: false,
            has_fenced_itself: false,
            is_meddled_with: false,
            has_timed_out: false,
        })
    }
}

/// The callers' side.
impl Simulation {
    /// Lets tasks of callers do what they can do now.
    pub(super) fn poll_tasks(&mut self) {
        let Some(mut side) = self.transactional.take() else { return };
        loop {
            if self.is_over {
                side.control.take_orders().into_iter().for_each(Order::refuse);
            }
            let mut is_any_woken = false;
            let mut at = 0;
            while at < side.tasks.len() {
                let task = &mut side.tasks[at];
                if !task.woken.take() {
                    at += 1;
                    continue;
                }
                is_any_woken = true;
                let waker = Waker::from(Arc::clone(&task.woken));
                let is_done = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
                for Taken { id, place, is_bad, delivery } in side.desk.take_taken() {
                    self.accept(id, place, is_bad, delivery);
                }
                side.tasks.extend(side.desk.take_spawned().into_iter().map(Task::new));
                if is_done {
                    drop(side.tasks.remove(at));
                } else {
                    at += 1;
                }
            }
            if !is_any_woken {
                break;
            }
        }
        for (at, waker) in clock::simulated::take_alarms() {
            self.at(at - self.base, Event::Alarm(waker));
        }
        self.transactional = Some(side);
    }

    /// Carries out what handles have ordered, as the shell does. Returns whether the sender has ended by that.
    pub(super) fn handle_orders(&mut self, now: Instant) -> bool {
        let Some(control) = self.transactional.as_ref().map(|side| Arc::clone(&side.control)) else {
            return false;
        };
        for interest in control.take_topic_interests() {
            self.core.handle_topic_interest(&interest, now);
        }
        for order in control.take_orders() {
            match order {
                Order::Abort if !self.is_over => self.abort(),
                Order::EndIfIdle if !self.is_over => drop(self.end_if_idle()),
                Order::Transact(call) if !self.is_over => self.core.handle_transaction_call(call, now),
                order => order.refuse(),
            }
        }
        self.is_over
    }

    /// Ends the sender if nothing is left to do, as the shell does.
    pub(super) fn end_if_idle(&mut self) -> bool {
        let now = self.instant();
        // One without transactions pushes metrics for the last time.
        let is_done = self.accumulator.is_closed() && self.core.is_done(now);
        let is_idle = is_done && self.transactional.is_some();
        if is_idle {
            self.abort();
        }
        is_idle
    }

    /// The sender has ended, and with it what it knew.
    pub(super) fn drop_core(&mut self) {
        let Some(side) = &mut self.transactional else { return };
        let (config, counters) = (side.config.clone(), Arc::clone(&self.counters));
        side.control.note_end(&DeliveryErrorKind::Closed);
        self.core = rig::core(&config, &rig::accumulator(&config), &counters, self.base);
        side.control.take_orders().into_iter().for_each(Order::refuse);
        side.clusters = None;
    }

    pub(super) fn publish_cluster(&mut self, cluster: Arc<Cluster>) {
        if let Some(side) = &self.transactional
            && let Some(clusters) = &side.clusters
        {
            side.control.publish(clusters, cluster);
        }
    }

    /// Whether callers have done everything, and know what came of it.
    pub(super) fn have_tasks_ended(&self) -> bool {
        self.transactional.as_ref().is_none_or(|side| side.tasks.is_empty())
    }

    /// Has the caller of a transactional producer do something.
    pub(super) fn order(&mut self, command: Command) {
        if let Some(side) = &self.transactional {
            side.desk.order(command);
        }
    }

    /// Has the caller send a record, in the open transaction or in a new one.
    pub(super) fn order_record(&mut self, place: i32, value: String, timestamp: i64, is_bad: bool) {
        let id = self.next_record - 1;
        let (topic, partition) = self.place(place);
        let Some(side) = &mut self.transactional else { return };
        // One that still waits when the caller commits has the commit fail.
        let is_by_handle = side.noise.is(30) && !side.is_calm;
        self.order(Command::Send(Record {
            id,
            place,
            topic,
            partition,
            value,
            timestamp,
            is_bad,
            is_by_handle,
        }));
    }

    /// Whether a transactional producer has nothing of the kind.
    pub(super) fn is_left_out(&self, op: Op) -> bool {
        self.transactional.is_some()
            && matches!(op, Op::Flush { .. } | Op::Purge { .. } | Op::Resume | Op::Withdraw { .. })
    }

    /// Sees to what happens in transactional runs only. Returns whether it is of these.
    pub(super) fn operate_transactions(&mut self, op: Op) -> bool {
        match op {
            Op::Abort { patience } => self.order(Command::Abort { patience }),
            Op::Begin { patience } => self.order(Command::Begin { patience }),
            Op::Commit { patience } => self.order(Command::Commit { patience }),
            Op::DropGuard => self.order(Command::Drop),
            Op::Finish { patience } => self.order(Command::Finish { patience }),
            Op::LeakGuard => self.order(Command::Leak),
            Op::Offsets { group, patience } => {
                let group = GROUPS[group % GROUPS.len()];
                self.order(Command::SendOffsets { group, topic: EVENTS, patience });
            }
            Op::Coordinate { group, node } => match group {
                Some(group) => {
                    let _ = self.brokers.move_group_coordinator(GROUPS[group % GROUPS.len()], node);
                }
                None => drop(self.brokers.move_transaction_coordinator(ID, node)),
            },
            Op::HoldMarkers { lasts } => {
                let until = self.now + millis(lasts);
                if let Some(side) = &mut self.transactional {
                    side.held_until = side.held_until.max(until);
                }
            }
            Op::LoadSlowly { time } => self.brokers.set_coordinator_loading_time(millis(time)),
            Op::Finalize { level } => {
                self.brokers.set_transaction_version(level);
                self.controllers.set_transaction_version(level);
            }
            Op::TimeOut => {
                let is_open = self.brokers.time_out_transaction(ID);
                if let Some(side) = &mut self.transactional {
                    side.has_timed_out |= is_open;
                }
            }
            Op::Rival { then } => {
                if let Some(side) = &mut self.transactional {
                    side.rival.begin(then);
                    self.after(Duration::ZERO, Event::Rival);
                }
            }
            Op::Object { api, code, times } => {
                let api = Api::from_key(api).unwrap();
                self.brokers.inject(Fault::error_code(code).api(api).times(times));
            }
            _ => return false,
        }
        self.tend();
        true
    }
}

/// The coordinators.
impl Simulation {
    /// Transactions that have ended are told to partitions and groups in their time.
    pub(super) fn tend_transactions(&mut self) {
        if self.transactional.is_none() {
            return;
        }
        let given_up = self.brokers.time_out_transactions(self.now);
        let is_ending = self.brokers.is_any_transaction_ending();
        let Some(side) = &mut self.transactional else { return };
        side.has_timed_out |= given_up > 0;
        if is_ending && !std::mem::replace(&mut side.is_marking, true) {
            let delay = side.noise.micros(300, 6000);
            let at = (self.now + delay).max(side.held_until);
            self.at(at, Event::Mark);
        }
    }

    /// A coordinator answers the producer.
    pub(super) fn note_given_epoch(&mut self, frame: &Bytes, (api, version): (i16, i16)) {
        let Some(side) = self.transactional.as_mut().filter(|_| api == Api::EndTxn.key() && version >= 5)
        else {
            return;
        };
        let answer = EndTxnResponse::decode(&mut frame.slice(9..), version).unwrap();
        if answer.error_code == 0 {
            side.rival.note_given((answer.producer_id.0, answer.producer_epoch));
        }
    }

    /// A broker reads what the producer has sent on a connection that it has left. A coordinator that is asked for a producer id so
    /// late fences the producer that has asked once more meanwhile. Before Kafka 2.5, which gives no other epoch, a late record or
    /// end counts for the transaction that is open by then. No client can help either.
    pub(super) fn note_late_question(&mut self, id: ConnectionId) {
        let Some(line) = self.lines.get(&id).filter(|line| line.is_left) else { return };
        let api = Api::from_key(line.api.0);
        let is_old = self.setup.transacting.is_some_and(|set| set.is_old);
        if let Some(side) = &mut self.transactional {
            side.has_fenced_itself |= api == Some(Api::InitProducerId);
            side.is_meddled_with |= is_old
                && matches!(
                    api,
                    Some(
                        Api::AddOffsetsToTxn
                            | Api::AddPartitionsToTxn
                            | Api::EndTxn
                            | Api::Produce
                            | Api::TxnOffsetCommit
                    )
                );
        }
    }

    pub(super) fn mark(&mut self) {
        let Some(side) = &mut self.transactional else { return };
        side.is_marking = false;
        let markers = side.noise.between(1, 3) as usize;
        let (nodes, now) = (&self.nodes, self.now);
        let is_awake = |id: i32| {
            let node = &nodes[id as usize];
            !node.is_dead && node.frozen_until <= now
        };
        let can_reach = |coordinator: i32, leader: i32| is_awake(coordinator) && is_awake(leader);
        if side.held_until > now || !self.brokers.write_markers(markers, can_reach) {
            // Something is in the way for now.
            side.is_marking = self.brokers.is_any_transaction_ending();
            if side.is_marking {
                self.after(millis(20), Event::Mark);
            }
            return;
        }
        self.tend();
    }

    pub(super) fn rival_goes_on(&mut self) {
        let Some(mut side) = self.transactional.take() else { return };
        let is_up = |id: i32| {
            let node = &self.nodes[id as usize];
            !node.is_dead && node.frozen_until <= self.now
        };
        let begun = side.desk.papers(|papers| papers.ledger.len());
        let is_waiting = side.rival.go_on(&mut self.brokers, begun, is_up, self.now);
        self.transactional = Some(side);
        self.tend();
        if is_waiting {
            self.after(millis(15), Event::Rival);
        }
    }

    pub(super) fn heal_transactions(&mut self) {
        self.brokers.set_coordinator_loading_time(Duration::ZERO);
        if let Some(side) = &mut self.transactional {
            side.held_until = side.held_until.min(self.now);
        }
    }

    /// What readers have seen of the topic stays seen when it is deleted.
    pub(super) fn bury_committed(&mut self, places: impl Iterator<Item = i32>) {
        for place in places {
            let seen = self.committed_in(&self.brokers, place);
            if let Some(side) = &mut self.transactional {
                side.buried.push((place, seen));
            }
        }
    }

    /// A cluster is left: what it has of transactions ends as its coordinators have decided.
    pub(super) fn leave(&mut self, old: Brokers) {
        let mut old = old;
        let mut now = self.now;
        settle(&mut old, &mut now);
        if let Some(side) = &mut self.transactional {
            side.former.push(old);
            side.rival.leave(side.desk.papers(|papers| papers.ledger.len()));
        }
        if let Some(Transacting { version, .. }) = self.setup.transacting {
            self.brokers.set_transaction_version(version);
        }
    }
}

/// Has a cluster end all transactions, with nothing wrong any more.
pub(super) fn settle(brokers: &mut Brokers, now: &mut Duration) {
    for node in 0..NODES {
        if !brokers.is_up(node) {
            brokers.broker_up(node, port(node, 0)).unwrap();
        }
    }
    // Coordinators have loaded by then.
    *now += Duration::from_secs(1000);
    brokers.time_out_transactions(*now);
    for _ in 0..200 {
        brokers.time_out_transaction(ID);
        let mut is_busy = false;
        for topic in [super::run::ORDERS, EVENTS] {
            for partition in 0..brokers.partition_count(topic) as i32 {
                if brokers.leader(topic, partition).is_none() {
                    is_busy |=
                        (0..NODES).any(|node| brokers.elect(topic, partition, Some(node)).unwrap_or(false));
                }
            }
        }
        for node in 0..NODES {
            is_busy |= brokers.fetch(node, 100, |_| true);
        }
        is_busy |= brokers.write_markers(usize::MAX, |_, _| true);
        if !is_busy && !brokers.is_any_transaction_ending() {
            return;
        }
    }
}

/// Once all is well, every call ends, every transaction ends, and a new one is committed.
pub(super) fn recover(simulation: &mut Simulation) -> Result<(), String> {
    let Some(transacting) = simulation.setup.transacting else { return Ok(()) };
    let patience = 2 * simulation.setup.delivery_timeout + 4 * simulation.setup.request_timeout + 30_000;
    let patience = millis(patience) + client::longest(millis(transacting.max_block));
    let is_idle =
        |simulation: &Simulation| simulation.transactional.as_ref().is_some_and(|side| side.desk.is_idle());
    simulation.run_until(simulation.now + 2 * patience, is_idle)?;
    if !is_idle(simulation) {
        return Err("a call of a caller does not end".to_owned());
    }
    if let Some(side) = &mut simulation.transactional {
        side.is_calm = true;
    }
    let rounds = if simulation.setup.retries > 10 { 3 } else { 6 };
    let mut failed = String::new();
    let is_lost_to_rival = simulation.is_lost_to_rival();
    for round in 0..rounds {
        // What was open may end in either way. The second looks at what a call has left behind.
        let open = match simulation.setup.noise % 3 {
            0 => Command::Drop,
            1 => Command::Commit { patience: FOR_EVER },
            _ => Command::Abort { patience: FOR_EVER },
        };
        simulation.order(open);
        simulation.order(Command::Finish { patience: FOR_EVER });
        simulation.run_until(simulation.now + 2 * patience, is_idle)?;
        if !is_idle(simulation) {
            return Err("a transaction does not end".to_owned());
        }
        check_open(simulation)?;
        (0..=simulation.setup.partitions).for_each(|place| simulation.send(place, 1));
        simulation.order(Command::Commit { patience: FOR_EVER });
        simulation.run_until(simulation.now + 2 * patience, is_idle)?;
        if !is_idle(simulation) {
            return Err("a commit does not end".to_owned());
        }
        let Some(side) = &simulation.transactional else { return Ok(()) };
        let (last, end) = side.desk.papers(|papers| (papers.last.clone(), papers.end.clone()));
        match (last, end) {
            (Some(Ok(())), None) if is_lost_to_rival => {
                return Err("the producer goes on although another has its transactional id".to_owned());
            }
            (Some(Ok(())), None) => return check_open(simulation),
            (_, Some(end)) => {
                let kind = end.kind();
                let is_fenced = matches!(kind, TransactionErrorKind::Fenced { .. });
                // Old brokers do not tell it, but it ends.
                let is_ended = is_fenced || matches!(kind, TransactionErrorKind::EpochNotGiven);
                if is_lost_to_rival && !is_ended {
                    return Err(format!("the producer is fenced, and says {end}"));
                }
                if !simulation.is_explained(kind) {
                    return Err(format!("the producer cannot go on for no reason: {end}"));
                }
                return Ok(());
            }
            (last, None) => failed = format!("round {round}: the producer does not recover: {last:?}"),
        }
        simulation.run_until(simulation.now + millis(300 + simulation.setup.request_timeout), |_| false)?;
    }
    Err(failed)
}

/// No transaction is open once all of them have ended.
fn check_open(simulation: &mut Simulation) -> Result<(), String> {
    let is_open = |simulation: &Simulation| {
        let transactions = simulation.brokers.transactions();
        transactions.get(ID).is_some_and(|found| found.state == TransactionState::Ongoing)
    };
    simulation.run_until(simulation.now + Duration::from_secs(20), |simulation| !is_open(simulation))?;
    let Some(side) = &simulation.transactional else { return Ok(()) };
    let is_excused = side.rival.is_holding()
        || side.desk.papers(|papers| papers.is_leaked || papers.is_over || papers.end.is_some());
    match is_open(simulation) && !is_excused {
        true => Err("a transaction is open although its end was asked for".to_owned()),
        false => Ok(()),
    }
}

impl Simulation {
    /// Whether another producer took the transactional id after this one had it.
    fn is_lost_to_rival(&self) -> bool {
        let Some(side) = &self.transactional else { return false };
        let current = self.brokers.transactions();
        let current = current.get(ID).map(|found| (found.producer_id, found.producer_epoch));
        side.rival.has_fenced(current)
    }

    fn is_explained(&self, kind: &TransactionErrorKind) -> bool {
        let Some(side) = &self.transactional else { return false };
        let objects = |codes: &[i16]| {
            self.ops.iter().any(|(_, op)| matches!(op, Op::Object { code, .. } if codes.contains(code)))
        };
        match kind {
            TransactionErrorKind::Fenced { .. } => {
                side.has_timed_out
                    || side.has_fenced_itself
                    || side.rival.has_ever_asked
                    || objects(&[47, 90])
            }
            TransactionErrorKind::EpochNotGiven => self.setup.transacting.is_some_and(|set| set.is_old),
            TransactionErrorKind::CommitInDoubt { cause } => self.is_explained(cause.kind()),
            TransactionErrorKind::Broker { .. } => {
                self.ops.iter().any(|(_, op)| matches!(op, Op::Object { .. } | Op::IdError { .. }))
                    || side.rival.has_ever_asked
                    || side.has_timed_out
            }
            TransactionErrorKind::Closed => self.is_closing,
            _ => false,
        }
    }
}
