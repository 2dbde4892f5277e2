//! What the sender waits for, by name.

use std::time::Duration;

use super::rig::{Config, Rig, millis};
use crate::sender::timer::Timer;

/// Returns what has the sender look again first, and how long that takes.
fn next(rig: &Rig) -> (Timer, Duration) {
    let (at, timer) = rig.core.timers(rig.now).min().unwrap();
    (timer, at.saturating_duration_since(rig.now))
}

#[test]
fn batch_that_lingers_is_what_the_sender_waits_for() {
    let mut rig = Rig::new(Config { linger: millis(50), ..Config::default() });

    let _delivery = rig.send(0, "a");

    assert_eq!(next(&rig), (Timer::Partition, millis(50)));
}

#[test]
fn request_without_an_answer_is_what_the_sender_waits_for() {
    let timeout = Duration::from_secs(7);
    let mut rig = Rig::new(Config { request_timeout: timeout, ..Config::default() });

    let _delivery = rig.send(0, "a");

    assert_eq!(next(&rig), (Timer::Network, timeout));
}

#[test]
fn producer_id_that_was_refused_for_now_is_what_the_sender_waits_for() {
    let mut rig = Rig::unconnected(Config { is_idempotent: true, ..Config::default() });
    // COORDINATOR_LOAD_IN_PROGRESS
    rig.producer_id_error = 14;

    rig.settle();

    assert_eq!(next(&rig), (Timer::ProducerId, millis(100)));
}

#[test]
fn metadata_that_grows_old_is_what_an_idle_sender_waits_for() {
    let rig = Rig::new(Config::default());

    assert!(rig.core.timers(rig.now).any(|(_, timer)| timer == Timer::Metadata));
    assert!(rig.core.timers(rig.now).all(|(_, timer)| matches!(timer, Timer::Metadata | Timer::Network)));
}
