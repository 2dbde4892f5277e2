//! The cell in which a batch is completed.

use std::future::poll_fn;
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use super::model;
use crate::delivery::completion::{Completion, NO_SLOT};

fn wait(completion: &Completion<u8>) -> u8 {
    let mut slot = NO_SLOT;
    block_on(poll_fn(|cx| completion.poll(cx, &mut slot, 1).map(|value| *value)))
}

fn complete(completion: &Completion<u8>) {
    assert!(completion.set(7));
    completion.wake();
}

/// A thread that waits learns of the value.
pub fn waiter_and_value() {
    model(|| {
        let completion = Arc::new(Completion::new());
        let completing = {
            let completion = Arc::clone(&completion);
            thread::spawn(move || complete(&completion))
        };

        assert_eq!(wait(&completion), 7);

        completing.join().unwrap();
    });
}

/// So do two, each by its own waker.
pub fn two_waiters_and_value() {
    model(|| {
        let completion = Arc::new(Completion::new());
        let completing = {
            let completion = Arc::clone(&completion);
            thread::spawn(move || complete(&completion))
        };
        let waiting = {
            let completion = Arc::clone(&completion);
            thread::spawn(move || assert_eq!(wait(&completion), 7))
        };

        assert_eq!(wait(&completion), 7);

        completing.join().unwrap();
        waiting.join().unwrap();
    });
}

/// A thread that gives up takes no other thread's waker along.
pub fn waiter_that_gives_up_beside_another() {
    model(|| {
        let completion = Arc::new(Completion::new());
        let completing = {
            let completion = Arc::clone(&completion);
            thread::spawn(move || complete(&completion))
        };
        let giving_up = {
            let completion = Arc::clone(&completion);
            thread::spawn(move || {
                let mut slot = NO_SLOT;
                let polled = completion.poll(&Context::from_waker(Waker::noop()), &mut slot, 1);
                if polled.is_pending() {
                    completion.forget(slot);
                }
            })
        };

        assert_eq!(wait(&completion), 7);

        completing.join().unwrap();
        giving_up.join().unwrap();
    });
}

/// The first value stands.
pub fn two_values() {
    model(|| {
        let completion = Arc::new(Completion::new());
        let other = {
            let completion = Arc::clone(&completion);
            thread::spawn(move || {
                let is_first = completion.set(8);
                if is_first {
                    completion.wake();
                }
                is_first
            })
        };
        let is_first = completion.set(7);
        if is_first {
            completion.wake();
        }

        let value = wait(&completion);

        assert_ne!(is_first, other.join().unwrap());
        assert_eq!(value, if is_first { 7 } else { 8 });
    });
}
