//! `SenderCore`: every decision of the sender, without sockets, clocks or tasks. A router over machines that own their state.
//!
//! It is driven by `handle_*` (what happened), `poll_as_of` (do what is due) and `poll_action` (what the shell must do);
//! `poll_timeout` says when to call again.
//!
//! ```text
//!  accumulator ──changed queues──►  look ──► linger / backoff / no leader   (timer, or the event that ends it)
//!                                    │
//!                                    └─ready──► ready list of the leader ──► one produce request per node
//!                                                                                      │
//!                                   deliver / retry / split / fail  ◄──────────── answer
//! ```
//!
//! | Machine | Decides |
//! |---|---|
//! | [`Schedule`] | which partition is looked at when, and which can be sent to which node |
//! | [`Settlement`] | what becomes of a batch |
//! | [`Numbering`] | which producer id and epochs are in use |
//! | [`Topology`] | when to ask which broker for metadata, and what follows from the answer |
//! | [`Brokers`] | how each broker has fared |
//! | `Telemetry` | which metrics are pushed to which broker, and when |
//! | [`Stall`] | when the log is told that nothing is delivered |
//! | [`Transactions`] | how far the transaction is, and what its coordinator is told |
//!
//! Here they are strung together: events go to machines (`events.rs`, `produce_outcomes.rs`), effects are carried out (`acting.rs`),
//! partitions are looked at (`looking.rs`), requests are put together (`sending.rs`) and counted (`counting.rs`), waits are listed (`current_waits.rs`), the log
//! is told what the machines say (`explaining.rs`), what the
//! shell must do is queued (`outbox.rs`), and a purge or the end of the producer takes its order (`purge_and_abort.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::RecordAccumulator;
#[cfg(test)]
use crate::metadata::Cluster;
use crate::metadata::Metadata;
use crate::metrics::Counters;
use crate::network::{NetworkAction, NetworkClient};
use crate::planted::planted;
use crate::sender::brokers::{Board, Brokers};
use crate::sender::effects::Effects;
use crate::sender::nodes::Nodes;
use crate::sender::numbering::Numbering;
use crate::sender::request::Purpose;
use crate::sender::schedule::Schedule;
use crate::sender::settings::SenderSettings;
use crate::sender::settlement::Settlement;
use crate::sender::stall::Stall;
#[cfg(feature = "telemetry")]
use crate::sender::telemetry::Telemetry;
use crate::sender::topic_interests::TopicInterest;
use crate::sender::topology::Topology;
use crate::sender::transactions::Transactions;
#[cfg(test)]
use crate::topic_partition::NodeId;
#[cfg(any(test, feature = "__internals"))]
use crate::topic_partition::Topic;

/// The deciding half of the sender.
#[derive(Debug)]
pub(crate) struct SenderCore {
    settings: SenderSettings,
    accumulator: Arc<RecordAccumulator>,
    network: NetworkClient<Purpose>,
    schedule: Schedule,
    settlement: Settlement,
    numbering: Numbering,
    topology: Topology,
    /// `None` unless the producer is transactional.
    transactions: Option<Transactions>,
    /// `None` unless metrics may be pushed.
    #[cfg(feature = "telemetry")]
    telemetry: Option<Telemetry>,
    /// What the machines have said and was not done so far: nothing between two calls.
    effects: Effects,
    /// What the shell must do and has not taken so far.
    outbox: PendingActions,
    spare: Spare,
    counters: Arc<Counters>,
    brokers: Brokers,
    stall: Stall,
    broker_counts: BrokerCounts,
    /// Deliveries before are as good as the last one that was noted.
    next_delivery_note: Instant,
    /// As of the last poll, in milliseconds since 1970.
    wall_clock: i64,
    /// What had come by then was handed over.
    read_until: Instant,
    /// What the log was told.
    #[cfg(test)]
    told: Vec<crate::sender::line::Line>,
}

mod acting;
mod counting;
mod current_waits;
mod events;
mod explaining;
mod looking;
mod pending_actions;
mod produce_outcomes;
mod purge_and_abort;
mod sending;
#[cfg(feature = "telemetry")]
mod telling;
mod transacting;

use self::counting::BrokerCounts;
pub(crate) use self::pending_actions::Action;
use self::pending_actions::PendingActions;
use self::sending::Spare;

/// The parts that a [`SenderCore`] is put together from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: SenderSettings,
    pub(crate) accumulator: Arc<RecordAccumulator>,
    pub(crate) metadata: Metadata,
    pub(crate) network: NetworkClient<Purpose>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) board: Arc<Board>,
    pub(crate) seed: u64,
    pub(crate) epoch: Instant,
}

impl SenderCore {
    pub(crate) fn new(parts: Parts) -> Self {
        let retry_backoff = parts.settings.retry_backoff;
        let transactions = parts.settings.transactional.as_ref().map(|transactional| {
            Transactions::new(transactional, parts.settings.delivery_timeout, retry_backoff)
        });
        let numbering = match &transactions {
            Some(_) => Numbering::transactional(retry_backoff),
            None => Numbering::new(parts.settings.is_idempotent, retry_backoff),
        };
        let settlement = Settlement::new(
            parts.settings.clone(),
            parts.accumulator.settings().batch_size,
            Arc::clone(&parts.counters),
            parts.seed,
        );
        let topology = Topology::new(
            parts.metadata,
            Arc::clone(&parts.accumulator),
            parts.epoch,
            parts.settings.metadata_max_idle,
            parts.settings.bootstrap_resolve_timeout,
            Arc::clone(&parts.counters),
        );
        let schedule = Schedule::new(parts.settings.clone(), Arc::clone(&parts.accumulator));
        let stall = Stall::new(parts.settings.linger, parts.epoch);
        let mut core = Self {
            settings: parts.settings,
            accumulator: parts.accumulator,
            network: parts.network,
            schedule,
            outbox: PendingActions::default(),
            spare: Spare::default(),
            settlement,
            counters: parts.counters,
            brokers: Brokers::new(parts.board),
            stall,
            broker_counts: BrokerCounts::default(),
            next_delivery_note: parts.epoch,
            numbering,
            effects: Effects::default(),
            topology,
            transactions,
            #[cfg(feature = "telemetry")]
            telemetry: None,
            wall_clock: 0,
            read_until: parts.epoch,
            #[cfg(test)]
            told: Vec::new(),
        };
        let nodes = core.topology.cluster().nodes();
        core.network.update_nodes(nodes, parts.epoch);
        core.brokers.handle_view(nodes);
        core
    }

    /// Gives the shell the network client, to report what has happened to connections.
    pub(crate) fn network(&mut self) -> &mut NetworkClient<Purpose> {
        &mut self.network
    }

    /// A caller asks for the metadata of a topic, or waits for it no longer.
    pub(crate) fn handle_topic_interest(&mut self, interest: &TopicInterest, now: Instant) {
        self.topology.handle_interest(interest, now);
    }

    /// A caller asks for the metadata of a topic.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn handle_topic_wanted(&mut self, topic: &Topic, now: Instant) {
        let interest = TopicInterest { topic: topic.clone(), is_wanted: true, is_awaited: false };
        self.topology.handle_interest(&interest, now);
    }

    /// Does everything that is due. The shell calls this after every `handle_*` and at `poll_timeout`.
    ///
    /// The shell has handed over everything that had come by `read_until`; what came later may still lie in a socket. So
    /// nothing is given up unless its time was over by `read_until`, however late it is. `wall_clock` is in milliseconds since
    /// 1970, as record timestamps are.
    pub(crate) fn poll_as_of(&mut self, now: Instant, wall_clock: i64, read_until: Instant) {
        self.wall_clock = wall_clock;
        self.read_until = if planted!(UnreadAnswersDoNotCount) { now } else { read_until.min(now) };
        self.schedule.begin_pass();
        let delivered = self.counters.records_delivered.value();
        // Answers first: what they settle is not given up.
        self.handle_network_events(now);
        if self.schedule.sample_urgency() {
            self.look_at_active(now);
        }
        self.network.handle_timeout(self.read_until);
        let network = &self.network;
        self.brokers.handle_due(|node| network.awaited(node, now), self.read_until);
        for _ in 0..MAX_PASSES {
            self.pass(now);
            if !self.network.has_events() {
                break;
            }
        }
        let in_flight = self.network.total_in_flight();
        self.schedule.plan_next_look(in_flight > 0, now);
        self.counters.requests_in_flight.set(in_flight);
        if self.counters.records_delivered.value() != delivered {
            self.stall.handle_delivery(now);
            if now >= self.next_delivery_note {
                self.counters.delivered_at.set(Some(now));
                self.next_delivery_note = now + DELIVERY_PRECISION;
            }
        }
        self.look_for_stall(now);
        self.tell_log(now);
    }

    /// Returns the next thing that the shell must do.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if self.settlement.take_seal_late() {
            self.outbox.take_back_seals();
        }
        if let Some(action) = self.outbox.pop() {
            return Some(action);
        }
        let action = self.network.poll_action()?;
        if matches!(action, NetworkAction::Transmit { .. }) {
            self.counters.requests_sent.add(1);
        }
        Some(Action::Network(action))
    }

    /// Returns whether everything accepted so far is settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.accumulator.is_complete()
    }

    /// Takes in what happened and then sends, so that nothing that became ready is left lying.
    fn pass(&mut self, now: Instant) {
        self.handle_network_events(now);
        let network = &self.network;
        let gathered = self.schedule.take_gathered(|node| network.in_flight_count(node) == 0);
        self.look_at(gathered, now);
        self.look_at_changed(now);
        self.look_at(self.schedule.due(now), now);
        self.ask_for_metadata(now);
        self.ask_for_producer_id(now);
        // Before the records: these may fill every place among the requests of the coordinator's broker.
        self.go_on_with_transactions(now);
        self.send_produce_requests(now);
        // A partition may have used up its epochs only now, and nothing else may happen for long.
        self.ask_for_producer_id(now);
        self.go_on_with_transactions(now);
        #[cfg(feature = "telemetry")]
        self.push_telemetry(now);
    }

    fn ask_for_metadata(&mut self, now: Instant) {
        let mut is_asking = true;
        while is_asking {
            is_asking =
                self.topology.next_request(&mut Nodes::new(&mut self.network), now, &mut self.effects);
            self.act(now);
        }
    }

    fn ask_for_producer_id(&mut self, now: Instant) {
        let mut nodes = Nodes::new(&mut self.network);
        let is_needed = || !self.accumulator.is_complete();
        self.numbering.next_request(&mut nodes, is_needed, now, &mut self.effects);
        self.act(now);
    }
}

/// What tests look at.
#[cfg(test)]
impl SenderCore {
    pub(crate) fn leader(&self, id: usize) -> Option<i32> {
        self.schedule.partition(id)?.leader().map(|node| node.0)
    }

    /// Lists the partition of a queue as ready for a node, as if it had been looked at.
    pub(crate) fn list(&mut self, node: NodeId, id: usize) {
        self.schedule.list(node, id);
    }

    pub(crate) fn board(&self) -> Arc<Board> {
        self.brokers.board()
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.topology.cluster()
    }

    /// Returns how many partitions are known, and how many of them are looked at when something concerns all.
    pub(crate) fn partitions(&self) -> (usize, usize) {
        let (known, active, _) = self.schedule.counts();
        (known, active)
    }

    pub(crate) fn partition_timers(&self) -> usize {
        self.schedule.counts().2
    }
}

/// How precisely the time of the last delivery is known. To note it takes a lock.
const DELIVERY_PRECISION: Duration = Duration::from_millis(10);

/// Sending may itself fail requests, whose batches are then looked at again; but not for ever at one moment.
const MAX_PASSES: usize = 16;
