//! What the log is told while nothing is delivered.

use std::time::Duration;

use super::rig::{Config, Rig, millis};
use super::world::TOPIC;
use crate::error::{BrokerState, ConnectionStep};
use crate::topic_partition::Topic;

const SECOND: Duration = Duration::from_secs(1);

impl Rig {
    /// A sender that a caller has asked for the topic, and that knows of no broker more than its address.
    fn waiting(prepare: impl FnOnce(&mut Self)) -> Self {
        let mut rig = Self::unconnected(Config::default());
        prepare(&mut rig);
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.settle();
        rig
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
    let mut rig = Rig::waiting(|rig| rig.answers_versions = false);
    rig.advance(millis(999));
    let before = rig.polls;

    rig.advance(5 * SECOND);

    assert!(rig.polls - before <= 6, "{} polls", rig.polls - before);
}
