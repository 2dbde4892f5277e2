//! What the sender waits for, by name.

use std::time::Duration;

use super::rig::{Config, Rig, millis};
use crate::error::DeliveryErrorKind;
use crate::network::Deadline;
use crate::sender::schedule::PartitionWait;
use crate::sender::timer::Timer;

/// Returns what the sender waits for, and for how long, the shortest wait first.
fn waits(rig: &Rig) -> Vec<(Duration, Timer)> {
    let mut waits = Vec::new();
    rig.core.current_waits(rig.now, |at, timer| waits.push((at.saturating_duration_since(rig.now), timer)));
    waits.sort();
    waits
}

#[test]
fn batch_that_lingers_is_what_the_sender_waits_for() {
    let mut rig = Rig::new(Config { linger: millis(50), ..Config::default() });

    let _delivery = rig.send(0, "a");

    assert_eq!(waits(&rig)[0], (millis(50), Timer::Partition(PartitionWait::Linger)));
}

#[test]
fn request_without_an_answer_is_what_the_sender_waits_for() {
    let timeout = Duration::from_secs(1);
    let mut rig = Rig::new(Config { request_timeout: timeout, ..Config::default() });

    let _delivery = rig.send(0, "a");

    assert_eq!(waits(&rig)[0], (timeout, Timer::Network(Deadline::Request)));
    let expires = |(_, timer): &(Duration, Timer)| *timer == Timer::Partition(PartitionWait::Expiry);
    assert!(waits(&rig).iter().any(expires), "{:?}", waits(&rig));
}

#[test]
fn producer_id_that_was_refused_for_now_is_what_the_sender_waits_for() {
    let mut rig = Rig::unconnected(Config { is_idempotent: true, ..Config::default() });
    // COORDINATOR_LOAD_IN_PROGRESS
    rig.producer_id_error = 14;

    rig.settle();

    assert_eq!(waits(&rig)[0], (millis(100), Timer::ProducerId));
}

#[test]
fn metadata_that_grows_old_is_what_an_idle_sender_waits_for() {
    let rig = Rig::new(Config::default());

    let timers: Vec<_> = waits(&rig).into_iter().map(|(_, timer)| timer).collect();
    assert!(timers.contains(&Timer::Metadata), "{timers:?}");
    assert!(
        timers.iter().all(|timer| matches!(timer, Timer::Metadata | Timer::Network(Deadline::Idle))),
        "{timers:?}"
    );
}

#[test]
fn failures_that_the_log_is_not_told_of_yet_are_waited_for() {
    let mut rig = Rig::new(Config { delivery_timeout: millis(200), ..Config::default() });
    rig.silent.insert(1);
    let fail = |rig: &mut Rig| {
        let _delivery = rig.send(0, "a");
        rig.advance(millis(200));
    };
    let wait = |rig: &Rig| waits(rig).into_iter().find(|(_, timer)| *timer == Timer::Failures);

    fail(&mut rig);
    assert_eq!(wait(&rig), None, "the log is told of the first at once");
    fail(&mut rig);

    assert_eq!(wait(&rig), Some((millis(9_800), Timer::Failures)));
    rig.advance(millis(9_800));
    assert_eq!(wait(&rig), None);
    fail(&mut rig);
    rig.core.abort(&DeliveryErrorKind::Closed, rig.now, &mut Vec::new());
    assert_eq!(wait(&rig), None);
}
