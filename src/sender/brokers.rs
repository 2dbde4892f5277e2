//! `Brokers`: how each broker has fared. It is told which connections come and go, and decides nothing about them.
//!
//! Brokers are known by their addresses here, not by their ids: an entry of `bootstrap.servers`, the broker that turns out to be
//! there, and the same broker after all has started over are one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::HostPort;
use crate::error::{BrokerState, ConnectionStep, Spent, Why};
use crate::metadata::Node;
use crate::network::DisconnectReason;
use crate::sender::line::{Level, Line};
use crate::topic_partition::NodeId;

mod account;
mod board;
mod said;

use self::account::{Account, Place};
pub(crate) use self::board::Board;
use self::said::{Said, Subject};

/// How brokers have fared.
#[derive(Debug)]
pub(super) struct Brokers {
    accounts: BTreeMap<Place, Account>,
    /// Brokers that failed before, are connected again, and have answered no request since.
    unproven: BTreeMap<NodeId, Place>,
    /// What the log was told of each lately.
    said: BTreeMap<Place, Said>,
    /// What the log is still to be told.
    lines: VecDeque<Line>,
    /// Has the same accounts, for callers.
    board: Arc<Board>,
}

impl Brokers {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self {
            accounts: BTreeMap::new(),
            unproven: BTreeMap::new(),
            said: BTreeMap::new(),
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
        for place in gone {
            self.accounts.remove(&place);
            self.said.remove(&place);
            self.board.remove(&place);
        }
        for (place, node) in places {
            let known = self.accounts.get(&place);
            if known.is_none_or(|known| known.is_to_be_named(node.id())) {
                self.change(node.id(), node.address(), |_| {});
            }
        }
    }

    /// Takes in that an attempt to connect begins.
    pub(super) fn handle_attempt(&mut self, node: NodeId, address: &HostPort) {
        self.change(node, address, |account| {
            account.state = BrokerState::Connecting(ConnectionStep::Connect);
        });
    }

    /// Takes in that a broker takes requests. What it failed with before is over once it has answered one.
    pub(super) fn handle_ready(&mut self, node: NodeId, address: &HostPort) {
        let place = self.change(node, address, |account| account.state = BrokerState::Connected);
        if self.accounts.get(&place).is_some_and(Account::is_failing) {
            self.unproven.insert(node, place);
        }
    }

    /// Takes in that a broker has answered a request.
    pub(super) fn handle_answer(&mut self, node: NodeId, now: Instant) {
        if self.unproven.is_empty() {
            return;
        }
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

    /// Returns what stands in the way of a batch for a leader, or for one that is not known.
    pub(super) fn why(&self, leader: Option<&HostPort>, now: Instant) -> Why {
        let leader = leader.and_then(|leader| self.accounts.get(&Place::of(leader)));
        match leader {
            Some(leader) => Why::Leader(leader.report(now)),
            None => Why::Brokers(account::reports(&self.accounts, None, now)),
        }
    }

    /// Returns what the log is to be told next.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        self.lines.pop_front()
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
            && matches!(reason, DisconnectReason::Closed(_) | DisconnectReason::ClosedUnanswered(_));
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
        let place = Place::of(address);
        let account = self.accounts.entry(place.clone()).or_insert_with(|| Account::new(address));
        account.name(node);
        change(account);
        self.board.set(&place, account);
        place
    }
}

/// Quotas make brokers ask for some milliseconds all the time.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::error::BrokerReport;
    use crate::network::SocketError;

    const ONE: NodeId = NodeId(1);
    const BOOTSTRAP: NodeId = NodeId(-1);

    impl Brokers {
        fn reports(&self, leader: Option<&HostPort>, now: Instant) -> Vec<BrokerReport> {
            self.board.reports(leader, now)
        }
    }

    fn at(host: &str) -> HostPort {
        HostPort::new(host, 9092)
    }

    fn refused() -> DisconnectReason {
        DisconnectReason::ConnectFailed(SocketError::from("connection refused"))
    }

    fn fail(brokers: &mut Brokers, node: NodeId, host: &str, now: Instant) {
        brokers.handle_attempt(node, &at(host));
        brokers.handle_end(node, &at(host), ConnectionStep::Connect, 0, &refused(), now);
    }

    fn texts(brokers: &Brokers, now: Instant) -> Vec<String> {
        brokers.reports(None, now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn failures_in_a_row_are_counted_until_the_broker_answers() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());

        fail(&mut brokers, ONE, "one", now);
        fail(&mut brokers, ONE, "one", now + Duration::from_secs(12));
        let later = now + Duration::from_secs(12);
        assert_eq!(texts(&brokers, later), ["one:9092: connection refused, 2 attempts in 12 s"]);
        brokers.handle_ready(ONE, &at("one"));
        assert_eq!(brokers.reports(None, later)[0].failures, 2);
        brokers.handle_answer(ONE, later);

        assert_eq!(texts(&brokers, later), ["one:9092: connected"]);
    }

    /// A broker that wants SASL answers ApiVersions and then ends the connection.
    #[test]
    fn connection_that_is_lost_before_an_answer_counts_on() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());

        for _ in 0..3 {
            brokers.handle_ready(ONE, &at("one"));
            brokers.handle_end(ONE, &at("one"), ConnectionStep::Ready, 1, &refused(), now);
        }

        assert_eq!(brokers.reports(None, now)[0].failures, 3);
    }

    #[test]
    fn broker_keeps_its_account_when_it_gets_another_id() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());
        brokers.handle_view(&[Node::at(BOOTSTRAP, at("One"))]);
        fail(&mut brokers, BOOTSTRAP, "One", now);
        assert_eq!(brokers.reports(None, now)[0].node, None);

        brokers.handle_view(&[Node::at(ONE, at("one"))]);
        brokers.handle_view(&[Node::at(BOOTSTRAP, at("One"))]);

        let reports = brokers.reports(None, now);
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].node, reports[0].failures), (Some(ONE), 1));
    }

    #[test]
    fn broker_that_is_gone_is_forgotten_unless_it_fails() {
        let now = clock::now();
        let board = Arc::<Board>::default();
        let mut brokers = Brokers::new(Arc::clone(&board));
        brokers.handle_view(&[Node::at(BOOTSTRAP, at("one")), Node::at(NodeId(-2), at("two"))]);
        fail(&mut brokers, BOOTSTRAP, "one", now);

        brokers.handle_view(&[Node::at(ONE, at("three"))]);

        let hosts = |reports: Vec<BrokerReport>| -> Vec<_> {
            reports.into_iter().map(|report| report.host.to_string()).collect()
        };
        assert_eq!(hosts(brokers.reports(None, now)), ["one", "three"]);
        assert_eq!(hosts(board.reports(None, now)), ["one", "three"]);
    }

    #[test]
    fn leader_comes_first_and_then_what_tells_most() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());
        let hosts = ["connected", "refused", "unanswered", "unused", "leader"];
        let nodes: Vec<_> = (1..).zip(hosts).map(|(id, host)| Node::at(NodeId(id), at(host))).collect();
        brokers.handle_view(&nodes);
        brokers.handle_ready(ONE, &at("connected"));
        fail(&mut brokers, NodeId(2), "refused", now);
        let timed_out = DisconnectReason::HandshakeTimedOut;
        brokers.handle_end(NodeId(3), &at("unanswered"), ConnectionStep::ApiVersions, 0, &timed_out, now);

        let reports = brokers.reports(Some(&at("leader")), now);

        let hosts: Vec<_> = reports.iter().map(|report| &*report.host).collect();
        assert_eq!(hosts, ["leader", "unanswered", "refused", "connected", "unused"]);
    }

    #[test]
    fn throttling_is_told_while_it_lasts() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());
        brokers.handle_ready(ONE, &at("one"));

        brokers.handle_throttle(ONE, &at("one"), now + Duration::from_secs(3), now);

        let left = |at| brokers.reports(None, at)[0].throttled_for;
        assert_eq!(left(now + Duration::from_secs(1)), Some(Duration::from_secs(2)));
        assert_eq!(left(now + Duration::from_secs(3)), None);
    }

    fn lines(brokers: &mut Brokers) -> Vec<String> {
        let line = |line: Line| match line {
            Line { level, text, folded: 0 } => format!("{level:?} {text}"),
            Line { level, text, folded } => format!("{level:?} {text} ({folded})"),
        };
        std::iter::from_fn(|| brokers.next_line()).map(line).collect()
    }

    #[test]
    fn broker_that_is_down_is_told_once_a_minute_and_when_it_is_back() {
        let (now, second) = (clock::now(), Duration::from_secs(1));
        let mut brokers = Brokers::new(Arc::default());

        for at in 0..=61 {
            fail(&mut brokers, ONE, "one", now + at * second);
        }
        let warning =
            "Warn cannot connect to broker 1 (one:9092): connection refused; the producer keeps trying";
        assert_eq!(lines(&mut brokers), [warning.to_owned(), format!("{warning} (59)")]);
        brokers.handle_ready(ONE, &at("one"));
        assert!(lines(&mut brokers).is_empty());
        brokers.handle_answer(ONE, now + 62 * second);

        assert_eq!(
            lines(&mut brokers),
            ["Info connected to broker 1 (one:9092) again after 62 s, 62 attempts"]
        );
    }

    #[test]
    fn another_cause_and_another_broker_are_told_at_once() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());
        let end = |brokers: &mut Brokers, host, reason| {
            brokers.handle_end(BOOTSTRAP, &at(host), ConnectionStep::Connect, 0, &reason, now);
            lines(brokers).len()
        };

        assert_eq!(end(&mut brokers, "one", refused()), 1);
        assert_eq!(end(&mut brokers, "one", DisconnectReason::ConnectTimedOut), 1);
        assert_eq!(end(&mut brokers, "one", refused()), 0);
        assert_eq!(end(&mut brokers, "one", DisconnectReason::ConnectTimedOut), 0);
        assert_eq!(end(&mut brokers, "two", refused()), 1);
    }

    /// So a rolling restart is told in two lines for each broker: it is down, it is back.
    #[test]
    fn connection_that_is_lost_once_is_told_only_if_the_broker_stays_away() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());
        let closed = DisconnectReason::Closed(SocketError::from("connection reset"));
        let lose = |brokers: &mut Brokers| {
            brokers.handle_ready(ONE, &at("one"));
            brokers.handle_answer(ONE, now);
            brokers.handle_end(ONE, &at("one"), ConnectionStep::Ready, 3, &closed, now);
        };

        lose(&mut brokers);
        assert!(lines(&mut brokers).is_empty());
        lose(&mut brokers);
        lose(&mut brokers);

        let lost = "Warn connection to broker 1 (one:9092) lost with 3 requests unanswered: connection reset";
        assert_eq!(lines(&mut brokers)[0], lost);
    }

    #[test]
    fn connection_that_is_closed_while_nothing_is_under_way_is_not_told() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());
        let closed = DisconnectReason::Closed(SocketError::from("closed by the broker"));

        for _ in 0..3 {
            brokers.handle_ready(ONE, &at("one"));
            brokers.handle_end(ONE, &at("one"), ConnectionStep::Ready, 0, &closed, now);
            brokers.handle_ready(ONE, &at("one"));
            brokers.handle_answer(ONE, now);
        }

        assert!(lines(&mut brokers).is_empty());
    }

    #[test]
    fn long_throttling_is_told() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());

        brokers.handle_throttle(ONE, &at("one"), now + Duration::from_millis(900), now);
        assert!(lines(&mut brokers).is_empty());
        brokers.handle_throttle(ONE, &at("one"), now + Duration::from_secs(3), now);
        brokers.handle_throttle(ONE, &at("one"), now + Duration::from_secs(3), now);

        assert_eq!(
            lines(&mut brokers),
            ["Warn broker 1 (one:9092) throttles this producer by its quota for 3 s"]
        );
    }

    #[test]
    fn connection_that_is_let_go_of_is_no_failure() {
        let now = clock::now();
        let mut brokers = Brokers::new(Arc::default());
        brokers.handle_ready(ONE, &at("one"));

        brokers.handle_end(ONE, &at("one"), ConnectionStep::Ready, 0, &DisconnectReason::Idle, now);

        let reports = brokers.reports(None, now);
        assert_eq!((reports[0].state, reports[0].failures), (BrokerState::Disconnected, 0));
    }
}
