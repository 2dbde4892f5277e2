//! Cuts a schedule that fails down to the few things that are needed for it to fail.

use super::schedule::{Op, Schedule};
use super::simulate;

/// Leaves out whatever is not needed for a run to fail, and returns what is left and how it fails.
pub(super) fn shrink(schedule: &Schedule) -> (Schedule, String) {
    let mut best = schedule.clone();
    let mut failure = simulate(&best).err().unwrap_or_default();
    let mut tries = 0;
    loop {
        let before = best.clone();
        leave_out(&mut best, &mut failure, &mut tries);
        send_less(&mut best, &mut failure, &mut tries);
        if best == before || tries > MAX_TRIES {
            return (best, failure);
        }
    }
}

const MAX_TRIES: usize = 2000;

/// Takes out stretches of operations, first long ones, then ever shorter ones.
fn leave_out(best: &mut Schedule, failure: &mut String, tries: &mut usize) {
    let mut len = best.ops.len().div_ceil(2);
    while len > 0 {
        let mut at = 0;
        while at < best.ops.len() {
            let mut candidate = best.clone();
            candidate.ops.drain(at..(at + len).min(best.ops.len()));
            if !try_it(candidate, best, failure, tries) {
                at += len;
            }
        }
        len /= 2;
    }
}

fn send_less(best: &mut Schedule, failure: &mut String, tries: &mut usize) {
    for at in 0..best.ops.len() {
        while let (_, Op::Send { count: 2.., .. }) = best.ops[at] {
            let mut candidate = best.clone();
            if let Op::Send { count, .. } = &mut candidate.ops[at].1 {
                *count /= 2;
            }
            if !try_it(candidate, best, failure, tries) {
                break;
            }
        }
    }
}

fn try_it(candidate: Schedule, best: &mut Schedule, failure: &mut String, tries: &mut usize) -> bool {
    *tries += 1;
    if *tries > MAX_TRIES {
        return false;
    }
    match simulate(&candidate) {
        Ok(_) => false,
        Err(reason) => {
            *best = candidate;
            *failure = reason;
            true
        }
    }
}
