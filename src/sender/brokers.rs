//! `Brokers`: how each broker has fared. It is told which connections come and go, and decides nothing about them.
//!
//! Brokers are known by their addresses here, not by their ids: an entry of `bootstrap.servers`, the broker that turns out to be
//! there, and the same broker after all has started over are one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::HostPort;
use crate::error::{BrokerReport, BrokerState, ConnectionStep, Spent, Why};
use crate::metadata::Node;
use crate::network::{Awaited, DisconnectReason};
use crate::sender::line::{Level, Line};
use crate::topic_partition::NodeId;

mod account;
mod attempts;
mod board;
mod said;

use self::account::{Account, Place};
use self::attempts::Attempts;
pub(crate) use self::board::Board;
use self::said::{Said, Subject};

/// How brokers have fared.
#[derive(Debug)]
pub(super) struct Brokers {
    accounts: BTreeMap<Place, Account>,
    attempts: Attempts,
    /// Brokers that failed before, are connected again, and have answered no request since.
    unproven: BTreeMap<NodeId, Place>,
    /// What the log was told of each lately.
    said: BTreeMap<Place, Said>,
    /// What it was told of the cluster as a whole.
    said_of_all: Said,
    /// How all brokers had fared when that was asked last, unless an account has changed since.
    reported: Option<(Instant, Arc<[BrokerReport]>)>,
    /// What the log is still to be told.
    lines: VecDeque<Line>,
    /// Has the same accounts, for callers.
    board: Arc<Board>,
}

impl Brokers {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self {
            accounts: BTreeMap::new(),
            attempts: Attempts::default(),
            unproven: BTreeMap::new(),
            said: BTreeMap::new(),
            said_of_all: Said::default(),
            reported: None,
            lines: VecDeque::new(),
            board,
        }
    }

    /// Takes in which brokers there are. Those that are gone are forgotten, unless they fail: their failures may be the reason.
    pub(super) fn handle_view(&mut self, nodes: &[Node]) {
        let places: BTreeMap<_, _> = nodes.iter().map(|node| (Place::of(node.address()), node)).collect();
        let gone: Vec<_> = self
            .accounts
            .iter()
            .filter(|(place, account)| !places.contains_key(place) && account.is_idle())
            .map(|(place, _)| place.clone())
            .collect();
        self.reported = None;
        for place in gone {
            self.accounts.remove(&place);
            self.said.remove(&place);
            self.board.remove(&place);
        }
        for (place, node) in places {
            self.attempts.rename(&place, node.id());
            let known = self.accounts.get(&place);
            if known.is_none_or(|known| known.is_to_be_named(node.id())) {
                self.change(node.id(), node.address(), |_| {});
            }
        }
    }

    /// Takes in that an attempt to connect begins.
    pub(super) fn handle_attempt(&mut self, node: NodeId, address: &HostPort, now: Instant) {
        let place = self.change(node, address, |account| {
            account.state = BrokerState::Connecting(ConnectionStep::Connect);
        });
        self.attempts.begin(place, node, now);
    }

    /// Takes in how far an attempt to connect has come.
    pub(super) fn handle_step(
        &mut self,
        node: NodeId,
        address: &HostPort,
        step: ConnectionStep,
        now: Instant,
    ) {
        let place = self.change(node, address, |account| {
            if matches!(account.state, BrokerState::Connecting(_)) {
                account.state = BrokerState::Connecting(step);
            }
        });
        self.attempts.advance(&place, now);
    }

    /// Looks at attempts that have taken long. `awaited` says what the client waits for from a node that it is connecting to.
    pub(super) fn handle_due(&mut self, awaited: impl Fn(NodeId) -> Option<Awaited>, now: Instant) {
        while let Some((place, node)) = self.attempts.next_due(now) {
            let Some(Awaited { step, since }) = awaited(node) else { continue };
            let silent = since.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
            if silent < PATIENCE {
                self.attempts.look_again(&place, now + PATIENCE - silent);
            } else {
                self.attempts.tell(&place);
                self.say_silence(&place, step, silent, now);
            }
        }
    }

    /// Returns when to look at attempts, if some are under way.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.attempts.next_look()
    }

    /// Takes in that a broker takes requests. What it failed with before is over once it has answered one.
    pub(super) fn handle_ready(&mut self, node: NodeId, address: &HostPort, now: Instant) {
        let place = self.change(node, address, |account| account.state = BrokerState::Connected);
        let told_since = self.attempts.end(&place);
        if self.accounts.get(&place).is_some_and(Account::is_failing) {
            self.unproven.insert(node, place);
        } else if let Some(began) = told_since
            && let Some(account) = self.accounts.get_mut(&place)
            && let Some(folded) = self.said.entry(place).or_default().note(Subject::Recovery, now)
        {
            let text = account.come_late(now.saturating_duration_since(began));
            self.lines.push_back(Line { level: Level::Info, text, folded });
        }
    }

    /// Takes in that a broker has answered a request.
    pub(super) fn handle_answer(&mut self, node: NodeId, now: Instant) {
        if self.unproven.is_empty() {
            return;
        }
        self.reported = None;
        if let Some(place) = self.unproven.remove(&node)
            && let Some(account) = self.accounts.get_mut(&place)
        {
            let text = account.recover(now);
            self.board.set(&place, account);
            if let Some(text) = text
                && let Some(folded) = self.said.entry(place).or_default().note(Subject::Recovery, now)
            {
                self.lines.push_back(Line { level: Level::Info, text, folded });
            }
        }
    }

    /// Takes in that a connection has ended, or an attempt at one, how far it had come, and how many requests were `unanswered`.
    pub(super) fn handle_end(
        &mut self,
        node: NodeId,
        address: &HostPort,
        step: ConnectionStep,
        unanswered: usize,
        reason: &DisconnectReason,
        now: Instant,
    ) {
        self.unproven.remove(&node);
        self.attempts.end(&Place::of(address));
        let place = self.change(node, address, |account| {
            account.state = BrokerState::Disconnected;
            if !reason.is_release() {
                account.fail(step, reason, now);
            }
        });
        if !reason.is_release() {
            self.say_failure(&place, step, unanswered, reason, now);
        }
    }

    /// Takes in that a broker wants to be left alone.
    pub(super) fn handle_throttle(&mut self, node: NodeId, address: &HostPort, until: Instant, now: Instant) {
        let place = self.change(node, address, |account| account.throttle(until));
        let pause = until.saturating_duration_since(now);
        if pause < WORTH_A_LINE {
            return;
        }
        if let Some(folded) = self.said.entry(place.clone()).or_default().note(Subject::Throttling, now)
            && let Some(account) = self.accounts.get(&place)
        {
            let broker = account.describe();
            let text = format!("broker {broker} throttles this producer by its quota for {}", Spent(pause));
            self.lines.push_back(Line { level: Level::Warn, text, folded });
        }
    }

    /// Takes in what another machine has to say of a broker, or of the cluster.
    pub(super) fn tell(&mut self, broker: Option<&HostPort>, about: &'static str, line: Line, now: Instant) {
        let said = match broker.map(Place::of).filter(|place| self.accounts.contains_key(place)) {
            Some(place) => self.said.entry(place).or_default(),
            None => &mut self.said_of_all,
        };
        if let Some(folded) = said.note(Subject::Other(about), now) {
            self.lines.push_back(Line { folded, ..line });
        }
    }

    /// Returns what stands in the way of a batch for a leader, or for one that is not known.
    pub(super) fn why(&mut self, leader: Option<&HostPort>, now: Instant) -> Why {
        let leader = leader.and_then(|leader| self.accounts.get(&Place::of(leader)));
        match leader {
            Some(leader) => Why::Leader(leader.report(now)),
            None => Why::Brokers(self.reports_of_all(now)),
        }
    }

    /// Returns how all brokers have fared. Many partitions may ask for it at one moment.
    fn reports_of_all(&mut self, now: Instant) -> Arc<[BrokerReport]> {
        if let Some((_, reports)) = self.reported.as_ref().filter(|(at, _)| *at == now) {
            return Arc::clone(reports);
        }
        let reports = Arc::from(account::reports(&self.accounts, None, now));
        self.reported = Some((now, Arc::clone(&reports)));
        reports
    }

    /// Returns how a broker has fared.
    pub(super) fn report(&self, address: &HostPort, now: Instant) -> Option<BrokerReport> {
        self.accounts.get(&Place::of(address)).map(|account| account.report(now))
    }

    /// Returns how all brokers have fared, those first that tell most.
    pub(super) fn reports(&self, now: Instant) -> Vec<BrokerReport> {
        account::reports(&self.accounts, None, now)
    }

    /// Returns what the log is to be told next.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        self.lines.pop_front()
    }

    /// Says that a broker does not answer. What follows if it never does is the same cause.
    fn say_silence(&mut self, place: &Place, step: ConnectionStep, silent: Duration, now: Instant) {
        let Some(account) = self.accounts.get_mut(place) else { return };
        account.tell();
        let reason = match step {
            ConnectionStep::Connect => DisconnectReason::ConnectTimedOut,
            ConnectionStep::ApiVersions => DisconnectReason::HandshakeTimedOut,
            ConnectionStep::Authentication | ConnectionStep::Ready => {
                DisconnectReason::AuthenticationTimedOut
            }
        };
        let said = self.said.entry(place.clone()).or_default();
        let Some(folded) = said.note(Subject::of(step, &reason), now) else { return };
        let (broker, silent) = (account.describe(), Spent(silent));
        let text = match step {
            ConnectionStep::Connect => format!(
                "broker {broker} cannot be reached so far: no connection for {silent} (host, port or TLS); \
                 check bootstrap.servers, the network and security.protocol"
            ),
            ConnectionStep::ApiVersions => format!(
                "broker {broker} accepts connections but has not answered ApiVersions for {silent}; \
                 check that it is a Kafka broker, and security.protocol"
            ),
            ConnectionStep::Authentication | ConnectionStep::Ready => format!(
                "broker {broker} accepts connections but has not answered the authentication for {silent}; \
                 check sasl.mechanism, and the broker's log"
            ),
        };
        self.lines.push_back(Line { level: Level::Warn, text, folded });
    }

    fn say_failure(
        &mut self,
        place: &Place,
        step: ConnectionStep,
        unanswered: usize,
        reason: &DisconnectReason,
        now: Instant,
    ) {
        // The code that read the answer has logged what is wrong with it.
        let is_logged = matches!(reason, DisconnectReason::Malformed(_) | DisconnectReason::Senseless(_));
        let is_in_use = step == ConnectionStep::Ready;
        // Brokers close connections that nothing is asked on.
        let is_idle = is_in_use && unanswered == 0 && !reason.is_refusal();
        let Some(account) = self.accounts.get_mut(place).filter(|_| !is_logged && !is_idle) else { return };
        let (said, subject) = (self.said.entry(place.clone()).or_default(), Subject::of(step, reason));
        // A broker that restarts ends its connections once. If it does not come back, attempts fail.
        let is_restart = is_in_use
            && matches!(
                reason,
                DisconnectReason::Closed(_)
                    | DisconnectReason::ClosedUnanswered(_)
                    | DisconnectReason::ClosedUnspoken(..)
            );
        let folded = match is_restart {
            true => said.note_repeated(subject, now),
            false => said.note(subject, now),
        };
        if folded.is_some() || !is_restart {
            account.tell();
        }
        let Some(folded) = folded else { return };
        let (broker, words) = (account.describe(), reason.words());
        let text = match step {
            ConnectionStep::Connect => {
                format!("cannot connect to broker {broker}: {words}; the producer keeps trying")
            }
            ConnectionStep::ApiVersions | ConnectionStep::Authentication => {
                format!("cannot use broker {broker}: {words}; the producer keeps trying")
            }
            ConnectionStep::Ready => {
                format!("connection to broker {broker} lost with {unanswered} requests unanswered: {words}")
            }
        };
        self.lines.push_back(Line { level: Level::Warn, text, folded });
    }

    #[cfg(test)]
    pub(super) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    fn change(&mut self, node: NodeId, address: &HostPort, change: impl FnOnce(&mut Account)) -> Place {
        self.reported = None;
        let place = Place::of(address);
        let account = self.accounts.entry(place.clone()).or_insert_with(|| Account::new(address));
        account.name(node);
        change(account);
        self.board.set(&place, account);
        place
    }
}

/// An attempt that goes on for so long without a word is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// Quotas make brokers ask for some milliseconds all the time.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
