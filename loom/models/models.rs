//! The border between threads, tried under every order in which they may run.
//!
//! Each function is one scenario. Loom runs it under every order that the memory model allows, and fails it if in one of them a
//! task sleeps for ever or an assertion does not hold. The sources are those of the crate; `src/sync.rs` gives them loom's locks
//! and atomics. `loom/tests/models.rs` names the models, and for each part of the border a planted bug that its model finds.

pub mod accumulator;
pub mod completion;
pub mod fair_memory;
pub mod idle_topics;
pub mod seat;
pub mod transactions;
pub mod waits;
pub mod workers;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use crate::planted::{Bug, plant};

/// The bugs that models find.
const BUGS: [Bug; 14] = [
    Bug::AwaitedAskedTooEarly,
    Bug::ComingAskedTooEarly,
    Bug::FlagTakenTooEarly,
    Bug::FlushIsNotTold,
    Bug::GrantDiesWithItsWait,
    Bug::LateWakerParked,
    Bug::LookNotedTooLate,
    Bug::OrderLeftBehind,
    Bug::RetiredTopicGrows,
    Bug::SealedTooLate,
    Bug::ShutTooEarly,
    Bug::TransactionReadTooEarly,
    Bug::WaitToldTooEarly,
    Bug::WorkerLeavesTooLate,
];

/// Tries every order in which threads are interrupted at most twice each in a place where they need not be: bugs that need
/// more are rare, and all orders would take hours. `PLANTED_BUG` plants a bug by its name.
fn model(scenario: impl Fn() + Send + Sync + 'static) {
    if let Ok(name) = std::env::var("PLANTED_BUG") {
        let bug = BUGS.into_iter().find(|bug| format!("{bug:?}") == name);
        plant(Some(bug.expect("a bug of this name can be planted")));
    }
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
