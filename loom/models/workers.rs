//! The hand-over of compressions to threads of the blocking pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use loom::thread;

use super::model;
use crate::accumulator::{Work, Workers};
use crate::producer::workers::BlockingWorkers;

/// Work that counts that it was done.
fn work(done: &Arc<AtomicU32>) -> Work {
    let done = Arc::clone(done);
    Work::new(true, move || {
        done.fetch_add(1, Ordering::Relaxed);
    })
}

/// One thread at a time. Threads that are started come.
fn workers() -> BlockingWorkers {
    BlockingWorkers::with(|thread| drop(thread::spawn(thread)), 1)
}

fn wait_for_threads(workers: &BlockingWorkers) {
    while workers.is_anything_running() {
        thread::yield_now();
    }
}

/// All work that two callers hand over is done.
pub fn work_of_two_callers() {
    model(|| {
        let (workers, done) = (workers(), Arc::new(AtomicU32::new(0)));
        let other = {
            let (workers, done) = (workers.clone(), Arc::clone(&done));
            thread::spawn(move || workers.take(work(&done)).expect("a thread comes for it"))
        };
        workers.take(work(&done)).expect("a thread comes for it");

        other.join().unwrap();
        wait_for_threads(&workers);
        assert_eq!(done.load(Ordering::Relaxed), 2);
    });
}

/// Work is done by a thread that comes, or given back to the sender that looks after it.
pub fn work_that_is_taken_back() {
    model(|| {
        let (workers, done) = (workers(), Arc::new(AtomicU32::new(0)));
        let sender = {
            let workers = workers.clone();
            thread::spawn(move || workers.take_back().into_iter().for_each(Work::run))
        };
        let taken = workers.take(work(&done));

        taken.err().into_iter().for_each(Work::run);
        sender.join().unwrap();
        wait_for_threads(&workers);
        assert_eq!(done.load(Ordering::Relaxed), 1);
    });
}
