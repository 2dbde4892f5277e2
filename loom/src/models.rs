//! The scenarios.

pub mod completion;
pub mod fair_memory;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

/// Tries every order in which threads are interrupted at most twice each in a place where they need not be: bugs that need
/// more are rare, and all orders would take hours.
fn model(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(scenario);
}

/// Polls a future once, and drops it if it is not ready.
fn poll_and_give_up<F: Future>(future: F) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
