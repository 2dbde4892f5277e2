//! Every model by its name, and for each part of the border a bug that its model finds.

use std::env;
use std::process::Command;

use kafka_producer_loom::models::{accumulator, completion, fair_memory, idle_topics, seat, transactions, waits, workers};

macro_rules! models {
    ($($part:ident::$model:ident,)*) => {
        $(
            #[test]
            fn $model() {
                $part::$model();
            }
        )*
    };
}

models! {
    accumulator::records_of_two_threads,
    accumulator::record_for_a_sender_that_was_coming,
    accumulator::batch_that_fills_while_the_sender_looks,
    accumulator::batch_that_its_caller_compresses,
    accumulator::record_and_close,
    completion::waiter_and_value,
    completion::two_waiters_and_value,
    completion::waiter_that_gives_up_beside_another,
    completion::two_values,
    fair_memory::waiter_and_release,
    fair_memory::two_waiters_and_release,
    fair_memory::two_waiters_of_a_partition_and_release,
    fair_memory::waiter_for_any_partition_and_release,
    fair_memory::cancelled_waiter_and_release,
    fair_memory::waiter_and_close,
    idle_topics::record_to_a_topic_that_idles_out,
    idle_topics::first_record_to_a_topic_that_idles_out,
    idle_topics::first_records_of_two_threads,
    seat::orders_of_two_threads,
    seat::orders_to_a_sender_that_ends,
    transactions::first_record_and_end_of_its_transaction,
    transactions::late_record_and_next_transaction,
    transactions::record_and_end_of_its_transaction,
    waits::memory_in_a_batch_that_lingers,
    waits::flush_of_a_batch_that_lingers,
    waits::batch_whose_last_record_is_awaited,
    workers::work_of_two_callers,
    workers::work_that_is_taken_back,
}

/// The part of the border, the bug, and the model that finds it.
const PLANTS: [(&str, &str, &str); 14] = [
    ("announcements", "ComingAskedTooEarly", "record_for_a_sender_that_was_coming"),
    ("awaited batches", "AwaitedAskedTooEarly", "batch_whose_last_record_is_awaited"),
    ("close", "ShutTooEarly", "record_and_close"),
    ("completion", "LateWakerParked", "waiter_and_value"),
    ("flush", "FlushIsNotTold", "flush_of_a_batch_that_lingers"),
    ("hand-over of sealing, batch", "SealedTooLate", "batch_that_its_caller_compresses"),
    ("hand-over of sealing, threads", "WorkerLeavesTooLate", "work_of_two_callers"),
    ("idle topics", "RetiredTopicGrows", "first_record_to_a_topic_that_idles_out"),
    ("line for memory", "GrantDiesWithItsWait", "cancelled_waiter_and_release"),
    ("line for memory, sender", "WaitToldTooEarly", "memory_in_a_batch_that_lingers"),
    ("orders", "OrderLeftBehind", "orders_of_two_threads"),
    ("queue", "LookNotedTooLate", "batch_that_fills_while_the_sender_looks"),
    ("transactions", "TransactionReadTooEarly", "first_record_and_end_of_its_transaction"),
    ("wake flag", "FlagTakenTooEarly", "records_of_two_threads"),
];

/// Each in a process of its own: a task that sleeps for ever may leave a thread that cannot be unwound.
#[test]
fn every_planted_bug_is_found() {
    let itself = env::current_exe().expect("tests have a path");
    for (part, bug, model) in PLANTS {
        let run = Command::new(&itself).args(["--exact", model, "--nocapture"]).env("PLANTED_BUG", bug).output();
        let run = run.expect("it can be run again");

        let said = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success(), "{part}: {model} does not find {bug}");
        assert!(said.contains("deadlock") || said.contains("assertion"), "{part}, {bug}: {said}");
        println!("{part}: {model} finds {bug}");
    }
}
