//! Schedules that have failed once, shrunk. They are run always.

use super::schedule::Schedule;
use super::simulate;

fn kept() -> Vec<(&'static str, Schedule)> {
    Vec::new()
}

#[test]
fn what_has_failed_once_does_not_fail_again() {
    for (name, schedule) in kept() {
        if let Err(reason) = simulate(&schedule) {
            panic!("{name}: {reason}");
        }
    }
}
