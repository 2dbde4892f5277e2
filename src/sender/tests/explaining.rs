//! What the log is told while nothing is delivered.

use std::time::Duration;

use super::rig::{Config, Rig, millis};
use super::wire::Reply;
use super::world::TOPIC;
use crate::error::{BrokerState, ConnectionStep};
use crate::sender::topic_interests::TopicInterest;
use crate::topic_partition::Topic;

const SECOND: Duration = Duration::from_secs(1);

impl Rig {
    /// A sender that a caller has asked for the topic, and that knows of no broker more than its address.
    fn waiting(prepare: impl FnOnce(&mut Self)) -> Self {
        let mut rig = Self::unconnected(Config::default());
        prepare(&mut rig);
        rig.wait_for(TOPIC);
        rig
    }

    fn wait_for(&mut self, topic: &'static str) {
        let interest = TopicInterest { topic: Topic::from(topic), is_wanted: true, is_awaited: true };
        self.core.handle_topic_interest(&interest, self.now);
        self.settle();
    }

    /// Answers whatever comes with an error, for a time.
    fn refuse_all(&mut self, code: i16, time: Duration) {
        for _ in 0..time.as_millis() / 50 {
            self.advance(millis(50));
            while let Some(request) = self.received.pop_front() {
                self.reply(&request, &Reply::error(code));
            }
        }
    }

    /// Returns the only line about a stall since the last call.
    fn stall(&mut self) -> String {
        let told = self.core.take_told();
        let stalls: Vec<_> = told.iter().filter(|line| line.contains("nothing delivered")).collect();
        assert_eq!(stalls.len(), 1, "{told:?}");
        stalls[0].clone()
    }

    fn state(&self) -> BrokerState {
        self.core.board().reports(None, self.now)[0].state
    }
}

#[test]
fn port_that_is_silent_is_told_after_a_second() {
    let mut rig = Rig::waiting(|rig| rig.answers_versions = false);
    assert_eq!(rig.state(), BrokerState::Connecting(ConnectionStep::ApiVersions));

    rig.advance(millis(999));
    assert_eq!(rig.core.take_told(), [""; 0]);
    rig.advance(millis(1));

    let silent = "Warn broker bootstrap:9092 accepts connections but has not answered ApiVersions for 1 s; \
                  check that it is a Kafka broker, and security.protocol";
    assert_eq!(rig.core.take_told(), [silent]);
}

#[test]
fn address_that_never_answers_is_told_after_a_second() {
    let mut rig = Rig::waiting(|rig| {
        rig.silent.insert(1);
    });
    assert_eq!(rig.state(), BrokerState::Connecting(ConnectionStep::Connect));

    rig.advance(SECOND);

    let told = rig.core.take_told();
    assert!(told[0].contains("bootstrap:9092 cannot be reached so far"), "{told:?}");
}

#[test]
fn attempts_wake_the_sender_once_for_the_log() {
    let mut rig = Rig::unconnected(Config::default());
    rig.answers_versions = false;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.settle();
    let before = rig.polls;

    rig.advance(5 * SECOND);

    assert!(rig.polls - before <= 3, "{} polls", rig.polls - before);
}

#[test]
fn refused_connections_are_the_reason_of_callers_that_wait() {
    let mut rig = Rig::waiting(|rig| {
        rig.down.insert(1);
    });

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    let begin = "Warn nothing delivered for 2 s: callers wait for topic \"topic\": \
                 no broker can be reached (bootstrap:9092: refused, ";
    assert!(stall.starts_with(begin), "{stall}");
}

#[test]
fn silent_port_is_the_reason_before_the_first_attempt_has_failed() {
    let mut rig = Rig::waiting(|rig| rig.answers_versions = false);

    rig.advance(2 * SECOND);

    let expected = "Warn nothing delivered for 2 s: callers wait for topic \"topic\": \
                    no broker is connected so far (bootstrap:9092: connected, no answer to ApiVersions yet)";
    assert_eq!(rig.stall(), expected);
}

#[test]
fn controller_is_the_reason() {
    let mut rig = Rig::unconnected(Config { bootstrap: &["controller"], ..Config::default() });
    rig.wait_for(TOPIC);

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    assert!(stall.contains("speaks no version of Metadata"), "{stall}");
}

#[test]
fn unknown_topic_is_the_reason_with_the_code_and_what_to_do() {
    let mut rig = Rig::new(Config::default());
    rig.wait_for("orders");

    rig.advance(2 * SECOND);

    let expected = "Warn nothing delivered for 2 s: callers wait for topic \"orders\": \
                    brokers answer UNKNOWN_TOPIC_OR_PARTITION (3) \
                    (create it, or set auto.create.topics.enable on the brokers)";
    assert_eq!(rig.stall(), expected);
}

#[test]
fn unanswered_metadata_is_the_reason() {
    let mut rig = Rig::waiting(|rig| rig.answers_metadata = false);

    rig.advance(2 * SECOND);

    let expected = "Warn nothing delivered for 2 s: callers wait for topic \"topic\": \
                    broker bootstrap:9092 has not answered for 2 s";
    assert_eq!(rig.stall(), expected);
}

#[test]
fn missing_leader_is_the_reason() {
    let mut rig = Rig::unconnected(Config::default());
    rig.world.lead(0, -1);
    rig.wait_for(TOPIC);
    rig.core.handle_topic_interest(
        &TopicInterest { topic: Topic::from(TOPIC), is_wanted: false, is_awaited: false },
        rig.now,
    );
    let _delivery = rig.send(0, "a");

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    assert!(stall.starts_with("Warn nothing delivered for 2 s: 1 record waits ("), "{stall}");
    assert!(stall.ends_with("; \"topic\"-0: brokers name no leader; bring a replica of it back"), "{stall}");
}

#[test]
fn answer_of_the_broker_is_the_reason_while_it_is_asked_again() {
    let mut rig = Rig::new(Config::default());
    let _delivery = rig.send(0, "a");

    rig.refuse_all(19, 2 * SECOND);

    let stall = rig.stall();
    let reason = "\"topic\"-0: brokers answer NOT_ENOUGH_REPLICAS (19) \
                  (bring replicas back, or lower min.insync.replicas of the topic), ";
    assert!(stall.contains(reason), "{stall}");
}

#[test]
fn broker_that_does_not_answer_is_the_reason() {
    let mut rig = Rig::new(Config::default());
    let deliveries: Vec<_> = (0..1200).map(|_| rig.append(0, "a")).collect();
    rig.settle();

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    assert!(stall.contains(": 1,200 records wait ("), "{stall}");
    assert!(stall.ends_with("\"topic\"-0: broker 1 (kafka-1:9092) has not answered for 2 s"), "{stall}");
    rig.acknowledge_all();
    assert_eq!(rig.core.take_told(), ["Info delivering again after 2 s"]);
    drop(deliveries);
}

#[test]
fn leader_that_cannot_be_reached_is_the_reason() {
    let mut rig = Rig::new(Config::default());
    rig.down.insert(2);
    let _delivery = rig.send(1, "a");

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    assert!(stall.contains("\"topic\"-1: leader kafka-2:9092: refused, "), "{stall}");
}

#[test]
fn quota_is_the_reason() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    let request = rig.request();
    let reply = rig.world.append(1, &request.batches[0]);
    rig.reply_with(&request, &[(TOPIC.to_owned(), 0, reply)], 5000);
    let _delivery = rig.send(0, "b");

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    let reason = "leader 1 (kafka-1:9092) throttles this producer by its quota for another 3 s";
    assert!(stall.ends_with(reason), "{stall}");
}

#[test]
fn missing_producer_id_is_the_reason() {
    let mut rig = Rig::unconnected(Config { is_idempotent: true, ..Config::default() });
    rig.producer_id_error = 14;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.settle();
    let _delivery = rig.send(0, "a");

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    assert!(stall.contains("no producer id: brokers answer COORDINATOR_LOAD_IN_PROGRESS (14)"), "{stall}");
}

#[test]
fn delivery_goes_on_without_a_line() {
    let mut rig = Rig::new(Config::default());

    for _ in 0..100 {
        rig.put(0, "a");
        rig.advance(millis(100));
        rig.acknowledge_all();
    }

    assert_eq!(rig.core.take_told(), [""; 0]);
}

#[test]
fn sender_is_woken_by_no_stall_while_nothing_waits_and_seldom_while_something_does() {
    let mut rig = Rig::new(Config::default());
    rig.put(0, "a");
    rig.acknowledge_all();
    let before = rig.polls;
    rig.advance(10 * SECOND);
    assert_eq!(rig.polls, before + 2);

    rig.put(0, "a");
    let before = rig.polls;
    rig.advance(10 * SECOND);

    assert!(rig.polls - before <= 10, "{} polls", rig.polls - before);
}

#[test]
fn partition_that_the_topic_does_not_have_is_the_reason() {
    let mut rig = Rig::new(Config::default());
    rig.wait_for(TOPIC);

    rig.advance(2 * SECOND);

    let expected = "Warn nothing delivered for 2 s: callers wait for topic \"topic\": \
                    it has 4 partitions, and not the one that is asked for";
    assert_eq!(rig.stall(), expected);
}

#[test]
fn socket_that_takes_nothing_is_the_reason() {
    let mut rig = Rig::new(Config { acks: 0, ..Config::default() });
    rig.writes = false;
    let _delivery = rig.send(0, "a");

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    let reason = "\"topic\"-0: leader 1 (kafka-1:9092) is connected and has not taken it so far";
    assert!(stall.ends_with(reason), "{stall}");
}

#[test]
fn coordinator_that_does_not_answer_is_the_reason_in_a_transaction() {
    let mut rig = Rig::in_transaction(1);
    let _delivery = rig.send(0, "a");
    rig.core.take_told();

    rig.advance(2 * SECOND);

    let stall = rig.stall();
    let reason = "\"topic\"-0: the coordinator has not taken the partition into the transaction (broker ";
    assert!(stall.contains(reason), "{stall}");
    assert!(stall.ends_with("has not answered for 2 s)"), "{stall}");
}
