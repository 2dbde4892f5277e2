//! Whatever network, brokers and callers do: nothing acknowledged is lost, doubled or reordered, everything accepted
//! gets an answer, and the producer recovers.
//!
//! The real accumulator, sender core, metadata, network client and transport run on virtual time against the brokers of
//! `kafka-mock`, which keep logs, check sequence numbers, replicate and elect leaders.
//!
//! ```text
//!  schedule   what happens, made up from a seed (schedule.rs), or kept from a failure (corpus.rs)
//!     │
//!  run        callers ─► accumulator ─► SenderCore ─► Connection ─► SimulatedStream      (run.rs, outside.rs)
//!     │                                                                 │  bytes         (line.rs)
//!     │                                       kafka_mock::sans_io ◄─────┘                (world.rs)
//!  check      logs against what the producer has said                                    (check.rs)
//!     │
//!  shrink     to the few things that it takes                                            (shrink.rs)
//! ```
//!
//! In every third run the producer is transactional. There the callers are tasks that use the real `TransactionalProducer`
//! (client.rs), coordinators write markers late and one by one (transactions.rs), another producer may take the id (rival.rs), and
//! readers with `isolation.level=read_committed` see each committed transaction whole, and nothing of others (committed.rs).
//!
//! With the feature `telemetry`, brokers want metrics in every fourth run (telemetry.rs).
//!
//! A run is decided by its seed alone. `SIMULATION_SEEDS=17` or `SIMULATION_SEEDS=0..1000000` runs others; a million
//! takes a release build:
//!
//! ```text
//! SIMULATION_SEEDS=0..1000000 cargo test --release --lib simulation::seeds -- --nocapture
//! ```

mod callers;
mod changes;
mod check;
mod client;
mod committed;
mod corpus;
mod damage;
mod faults;
mod helpers;
mod line;
mod login;
mod mix;
mod outside;
mod plants;
mod rival;
mod run;
mod sasl;
mod schedule;
mod seeds;
mod shrink;
#[cfg(feature = "telemetry")]
mod telemetry;
mod tls;
mod topics;
mod transacting;
mod transactions;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use self::callers::Accepted;
use self::run::Simulation;
use self::schedule::Schedule;
use super::rig::millis;
use crate::clock;

/// Runs a schedule. Returns what is wrong.
fn simulate(schedule: &Schedule) -> Result<Figures, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| simulate_or_panic(schedule))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("?")))
    });
    clock::simulated::end();
    outcome
}

/// What a run was like.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Figures {
    runs: usize,
    connects: usize,
    accepted: usize,
    delivered: usize,
    requests: usize,
    truncated: usize,
    /// Pushes of metrics that brokers have taken, and how many of these were the last of their run.
    #[cfg(feature = "telemetry")]
    pushes: usize,
    #[cfg(feature = "telemetry")]
    goodbyes: usize,
    virtual_time: Duration,
}

fn simulate_or_panic(schedule: &Schedule) -> Result<Figures, String> {
    let mut simulation = Simulation::new(schedule);
    let last = schedule.ops.last().map_or(0, |(at, _)| *at);
    let calm = millis(last + 300);
    simulation.run_until(calm, |_| false)?;
    if schedule.setup.is_aborted {
        simulation.abort();
    }
    simulation.heal();
    if !schedule.setup.is_aborted && !simulation.is_closing {
        recover(&mut simulation)?;
        if schedule.setup.max_idle < 300_000 {
            idle(&mut simulation)?;
            recover(&mut simulation)?;
        }
        match simulation.transactional.is_some() {
            true => simulation.close(Duration::from_secs(100)),
            false => simulation.accumulator.close(),
        }
    }
    if let Some(side) = &simulation.transactional {
        side.desk.close();
    }
    let patience = Duration::from_secs(200);
    simulation.run_until(simulation.now + patience, |simulation| {
        simulation.core.is_idle() && simulation.callers.is_empty() && simulation.have_tasks_ended()
    })?;
    // What is still under way may be written, and replicas have to agree.
    if !schedule.setup.is_aborted {
        simulation.connections_end();
    }
    simulation.run_until(simulation.now + Duration::from_secs(8), |_| false)?;
    let has_idled = schedule.setup.is_aborted || simulation.is_closing || simulation.is_over;
    if !has_idled && !simulation.core.is_done(simulation.instant()) {
        return Err("the sender does not end".to_owned());
    }
    simulation.seal_all();
    simulation.settle_transactions();
    simulation.check()?;
    Ok(simulation.figures())
}

/// Topics that are used no more leave nothing behind.
fn idle(simulation: &mut Simulation) -> Result<(), String> {
    // They are looked at when metadata is asked for again.
    let long = millis(2 * simulation.setup.max_idle) + Duration::from_secs(400);
    simulation.run_until(simulation.now + long, |_| false)?;
    if simulation.transactional.is_some() {
        // They keep their numbers, since the epoch is that of all partitions.
        return Ok(());
    }
    let topics = simulation.accumulator.topics().len();
    let (partitions, timers) = (simulation.core.partitions(), simulation.core.partition_timers());
    if topics > 0 || partitions != (0, 0) || timers > 0 {
        return Err(format!(
            "{topics} topics, {partitions:?} partitions and {timers} timers outlive their use"
        ));
    }
    Ok(())
}

/// Once all is well, so is everything that is sent then.
fn recover(simulation: &mut Simulation) -> Result<(), String> {
    if simulation.transactional.is_some() {
        return transactions::recover(simulation);
    }
    let is_done = |simulation: &Simulation| {
        simulation.callers.is_empty()
            && simulation
                .accepted
                .iter()
                .all(|record| record.delivery.as_ref().is_none_or(|delivery| delivery.try_result().is_some()))
    };
    let setup = &simulation.setup;
    let patience = 2 * setup.delivery_timeout + 4 * setup.request_timeout + 30_000;
    simulation.run_until(simulation.now + millis(patience), is_done)?;
    // Without retries, records are what it takes to find out that something has changed; and a batch whose first attempt
    // may have been written is given up when the number is refused.
    let rounds = if simulation.setup.retries > 10 { 3 } else { 6 };
    let mut failed = String::new();
    for _ in 0..rounds {
        simulation.resume_partitions();
        let first = simulation.next_record;
        (0..=simulation.setup.partitions).for_each(|place| simulation.send(place, 1));
        simulation.run_until(simulation.now + millis(patience), is_done)?;
        // An answer about a topic that was lost just before is waited for.
        let pause = if simulation.setup.retries > 10 { 300 } else { 300 + simulation.setup.request_timeout };
        simulation.run_until(simulation.now + millis(pause), |_| false)?;
        let result = |record: &Accepted| record.delivery.as_ref().and_then(|delivery| delivery.try_result());
        let is_lost = |record: &&Accepted| !matches!(result(record), Some(Ok(_)));
        let taken = simulation.accepted.iter().filter(|record| record.id >= first);
        // A partition that stops while a caller waits for memory refuses the record, and must be resumed once more.
        let are_all_taken = taken.clone().count() == simulation.next_record - first;
        match taken.clone().find(is_lost) {
            None if are_all_taken => return Ok(()),
            None => failed = "a partition takes no records".to_owned(),
            Some(record) => {
                failed = format!("partition {} does not recover: {:?}", record.place, result(record));
            }
        }
    }
    Err(failed)
}
