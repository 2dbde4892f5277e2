use super::*;
use crate::clock;
use crate::network::SocketError;

const ONE: NodeId = NodeId(1);
const BOOTSTRAP: NodeId = NodeId(-1);

impl Brokers {
    fn reports_to(&self, leader: Option<&HostPort>, now: Instant) -> Vec<BrokerReport> {
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
    brokers.handle_attempt(node, &at(host), now);
    brokers.handle_end(node, &at(host), ConnectionStep::Connect, 0, &refused(), now);
}

fn texts(brokers: &Brokers, now: Instant) -> Vec<String> {
    brokers.reports_to(None, now).iter().map(ToString::to_string).collect()
}

#[test]
fn failures_in_a_row_are_counted_until_the_broker_answers() {
    let now = clock::now();
    let mut brokers = Brokers::new(Arc::default());

    fail(&mut brokers, ONE, "one", now);
    fail(&mut brokers, ONE, "one", now + Duration::from_secs(12));
    let later = now + Duration::from_secs(12);
    assert_eq!(texts(&brokers, later), ["one:9092: connection refused, 2 attempts in 12 s"]);
    brokers.handle_ready(ONE, &at("one"), now);
    assert_eq!(brokers.reports_to(None, later)[0].failures, 2);
    brokers.handle_answer(ONE, later);

    assert_eq!(texts(&brokers, later), ["one:9092: connected"]);
}

/// A broker that wants SASL answers ApiVersions and then ends the connection.
#[test]
fn connection_that_is_lost_before_an_answer_counts_on() {
    let now = clock::now();
    let mut brokers = Brokers::new(Arc::default());

    for _ in 0..3 {
        brokers.handle_ready(ONE, &at("one"), now);
        brokers.handle_end(ONE, &at("one"), ConnectionStep::Ready, 1, &refused(), now);
    }

    assert_eq!(brokers.reports_to(None, now)[0].failures, 3);
}

#[test]
fn broker_keeps_its_account_when_it_gets_another_id() {
    let now = clock::now();
    let mut brokers = Brokers::new(Arc::default());
    brokers.handle_view(&[Node::at(BOOTSTRAP, at("One"))]);
    fail(&mut brokers, BOOTSTRAP, "One", now);
    assert_eq!(brokers.reports_to(None, now)[0].node, None);

    brokers.handle_view(&[Node::at(ONE, at("one"))]);
    brokers.handle_view(&[Node::at(BOOTSTRAP, at("One"))]);

    let reports = brokers.reports_to(None, now);
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
    assert_eq!(hosts(brokers.reports_to(None, now)), ["one", "three"]);
    assert_eq!(hosts(board.reports(None, now)), ["one", "three"]);
}

#[test]
fn leader_comes_first_and_then_what_tells_most() {
    let now = clock::now();
    let mut brokers = Brokers::new(Arc::default());
    let hosts = ["connected", "refused", "unanswered", "unused", "leader"];
    let nodes: Vec<_> = (1..).zip(hosts).map(|(id, host)| Node::at(NodeId(id), at(host))).collect();
    brokers.handle_view(&nodes);
    brokers.handle_ready(ONE, &at("connected"), now);
    fail(&mut brokers, NodeId(2), "refused", now);
    let timed_out = DisconnectReason::HandshakeTimedOut;
    brokers.handle_end(NodeId(3), &at("unanswered"), ConnectionStep::ApiVersions, 0, &timed_out, now);

    let reports = brokers.reports_to(Some(&at("leader")), now);

    let hosts: Vec<_> = reports.iter().map(|report| &*report.host).collect();
    assert_eq!(hosts, ["leader", "unanswered", "refused", "connected", "unused"]);
}

#[test]
fn throttling_is_told_while_it_lasts() {
    let now = clock::now();
    let mut brokers = Brokers::new(Arc::default());
    brokers.handle_ready(ONE, &at("one"), now);

    brokers.handle_throttle(ONE, &at("one"), now + Duration::from_secs(3), now);

    let left = |at| brokers.reports_to(None, at)[0].throttled_for;
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
    let warning = "Warn cannot connect to broker 1 (one:9092): connection refused; the producer keeps trying";
    assert_eq!(lines(&mut brokers), [warning.to_owned(), format!("{warning} (59)")]);
    brokers.handle_ready(ONE, &at("one"), now);
    assert!(lines(&mut brokers).is_empty());
    brokers.handle_answer(ONE, now + 62 * second);

    assert_eq!(lines(&mut brokers), ["Info connected to broker 1 (one:9092) again after 62 s, 62 attempts"]);
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
        brokers.handle_ready(ONE, &at("one"), now);
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
        brokers.handle_ready(ONE, &at("one"), now);
        brokers.handle_end(ONE, &at("one"), ConnectionStep::Ready, 0, &closed, now);
        brokers.handle_ready(ONE, &at("one"), now);
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
    brokers.handle_ready(ONE, &at("one"), now);

    brokers.handle_end(ONE, &at("one"), ConnectionStep::Ready, 0, &DisconnectReason::Idle, now);

    let reports = brokers.reports_to(None, now);
    assert_eq!((reports[0].state, reports[0].failures), (BrokerState::Disconnected, 0));
}

fn awaited(step: ConnectionStep, since: Instant) -> impl Fn(NodeId) -> Option<Awaited> {
    move |_| Some(Awaited { step, since: Some(since) })
}

#[test]
fn broker_that_does_not_answer_for_a_second_is_told_with_the_step() {
    let (now, second) = (clock::now(), Duration::from_secs(1));
    for (step, expected) in [
        (
            ConnectionStep::Connect,
            "Warn broker 1 (one:9092) cannot be reached so far: no connection for 1 s (host, port or TLS); \
             check bootstrap.servers, the network and security.protocol",
        ),
        (
            ConnectionStep::ApiVersions,
            "Warn broker 1 (one:9092) accepts connections but has not answered ApiVersions for 1 s; \
             check that it is a Kafka broker, and security.protocol",
        ),
        (
            ConnectionStep::Authentication,
            "Warn broker 1 (one:9092) accepts connections but has not answered the authentication for 1 s; \
             check sasl.mechanism, and the broker's log",
        ),
    ] {
        let mut brokers = Brokers::new(Arc::default());
        brokers.handle_attempt(ONE, &at("one"), now);
        brokers.handle_step(ONE, &at("one"), step, now);

        brokers.handle_due(awaited(step, now), now + second / 2);
        assert!(lines(&mut brokers).is_empty());
        brokers.handle_due(awaited(step, now), now + second);

        assert_eq!(lines(&mut brokers), [expected]);
        assert_eq!(brokers.reports_to(None, now)[0].state, BrokerState::Connecting(step));
        assert_eq!(brokers.timeout(), None);
    }
}

#[test]
fn silence_and_the_end_of_the_attempt_are_one_cause() {
    let (now, second) = (clock::now(), Duration::from_secs(1));
    let mut brokers = Brokers::new(Arc::default());

    for attempt in 0..6 {
        let began = now + attempt * 10 * second;
        brokers.handle_attempt(ONE, &at("one"), began);
        brokers.handle_due(awaited(ConnectionStep::ApiVersions, began), began + second);
        let (step, reason) = (ConnectionStep::ApiVersions, DisconnectReason::HandshakeTimedOut);
        brokers.handle_end(ONE, &at("one"), step, 0, &reason, began + 10 * second);
    }

    assert_eq!(lines(&mut brokers).len(), 1);
}

#[test]
fn attempt_that_goes_on_is_looked_at_a_second_after_its_last_step() {
    let (now, second) = (clock::now(), Duration::from_secs(1));
    let mut brokers = Brokers::new(Arc::default());
    brokers.handle_attempt(ONE, &at("one"), now);
    assert_eq!(brokers.timeout(), Some(now + second));

    let later = now + second * 9 / 10;
    brokers.handle_step(ONE, &at("one"), ConnectionStep::ApiVersions, later);
    brokers.handle_due(awaited(ConnectionStep::ApiVersions, later), now + second);

    assert_eq!(brokers.timeout(), Some(later + second));
    assert!(lines(&mut brokers).is_empty());
}

#[test]
fn wait_that_is_not_for_the_broker_is_not_told() {
    let (now, second) = (clock::now(), Duration::from_secs(1));
    let mut brokers = Brokers::new(Arc::default());
    brokers.handle_attempt(ONE, &at("one"), now);

    let awaited = |_| Some(Awaited { step: ConnectionStep::Authentication, since: None });
    brokers.handle_due(awaited, now + second);

    assert!(lines(&mut brokers).is_empty());
    assert_eq!(brokers.timeout(), Some(now + 2 * second));
}

#[test]
fn broker_that_was_told_to_be_silent_is_told_when_it_is_connected() {
    let (now, second) = (clock::now(), Duration::from_secs(1));
    let mut brokers = Brokers::new(Arc::default());
    brokers.handle_attempt(ONE, &at("one"), now);
    brokers.handle_due(awaited(ConnectionStep::Connect, now), now + second);
    lines(&mut brokers);

    brokers.handle_ready(ONE, &at("one"), now + 3 * second);

    assert_eq!(lines(&mut brokers), ["Info connected to broker 1 (one:9092) after 3 s"]);
    assert_eq!(brokers.timeout(), None);
}

#[test]
fn attempts_are_looked_at_under_the_id_that_the_broker_has_now() {
    let (now, second) = (clock::now(), Duration::from_secs(1));
    let mut brokers = Brokers::new(Arc::default());
    brokers.handle_attempt(BOOTSTRAP, &at("one"), now);
    brokers.handle_attempt(NodeId(2), &at("two"), now);

    brokers.handle_view(&[Node::at(ONE, at("one"))]);
    let asked = std::cell::RefCell::new(Vec::new());
    brokers.handle_due(
        |node| {
            asked.borrow_mut().push(node);
            None
        },
        now + second,
    );

    assert_eq!(asked.into_inner(), [ONE, NodeId(2)]);
    assert_eq!(brokers.timeout(), None);
}

#[test]
fn what_others_say_of_a_broker_is_told_once_a_minute() {
    let (now, second) = (clock::now(), Duration::from_secs(1));
    let mut brokers = Brokers::new(Arc::default());
    brokers.handle_view(&[Node::at(ONE, at("one")), Node::at(NodeId(2), at("two"))]);

    for number in 0..70 {
        let at_second = now + number * second;
        for (host, about) in [(Some("one"), "a"), (Some("two"), "a"), (Some("one"), "b"), (None, "a")] {
            let text = format!("{host:?} {about} {number}");
            brokers.tell(host.map(at).as_ref(), about, Line::warn(text), at_second);
        }
    }

    let (first, again) = ("0", "60");
    let mut expected = Vec::new();
    for (number, folded) in [(first, ""), (again, " (59)")] {
        for what in ["Some(\"one\") a", "Some(\"two\") a", "Some(\"one\") b", "None a"] {
            expected.push(format!("Warn {what} {number}{folded}"));
        }
    }
    assert_eq!(lines(&mut brokers), expected);
}

#[test]
fn partitions_that_expire_at_one_moment_share_the_reports_of_brokers() {
    let now = clock::now();
    let mut brokers = Brokers::new(Arc::default());
    fail(&mut brokers, ONE, "one", now);
    let all = |brokers: &mut Brokers| match brokers.why(None, now) {
        Why::Brokers(reports) => reports,
        Why::Leader(_) => panic!("there is no leader"),
    };

    let first = all(&mut brokers);
    assert!(Arc::ptr_eq(&first, &all(&mut brokers)));
    fail(&mut brokers, ONE, "one", now);

    assert_eq!(all(&mut brokers)[0].failures, 2);
}
