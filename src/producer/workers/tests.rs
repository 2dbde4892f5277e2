//! Work on the blocking pool: how many threads take it, and what is given back when none comes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::*;

/// For what must happen, on however slow a machine.
const LONG: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Work that says when it has begun and waits for being let go.
fn held() -> (Work, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (let_go, is_let_go) = mpsc::channel();
    let work = move || {
        begun.send(()).unwrap();
        is_let_go.recv_timeout(LONG).unwrap();
    };
    (Work::new(true, work), has_begun, let_go)
}

fn telling(done: &mpsc::Sender<usize>, number: usize) -> Work {
    let done = done.clone();
    Work::new(true, move || done.send(number).unwrap())
}

#[test]
fn work_is_done_on_as_many_threads_as_are_allowed_and_then_declined() {
    let runtime = runtime();
    let workers = BlockingWorkers::on(runtime.handle().clone(), 2);
    let held: Vec<_> = [held(), held()]
        .into_iter()
        .map(|(work, has_begun, let_go)| {
            assert!(workers.try_take(work).is_ok());
            (has_begun, let_go)
        })
        .collect();

    // Both run at the same time.
    held.iter().for_each(|(has_begun, _)| has_begun.recv_timeout(LONG).unwrap());
    let (done, is_done) = mpsc::channel();
    assert!(workers.try_take(telling(&done, 7)).is_err());

    held.iter().for_each(|(_, let_go)| let_go.send(()).unwrap());
    workers.take(telling(&done, 8)).unwrap();
    assert_eq!(is_done.recv_timeout(LONG), Ok(8));
}

#[test]
fn work_beyond_the_threads_waits_in_order() {
    let runtime = runtime();
    let workers = BlockingWorkers::on(runtime.handle().clone(), 1);
    let (work, has_begun, let_go) = held();
    workers.take(work).unwrap();
    has_begun.recv_timeout(LONG).unwrap();
    let (done, is_done) = mpsc::channel();

    (0..100).for_each(|number| workers.take(telling(&done, number)).unwrap());
    assert!(is_done.try_recv().is_err());
    let_go.send(()).unwrap();

    for number in 0..100 {
        assert_eq!(is_done.recv_timeout(LONG), Ok(number));
    }
}

#[test]
fn work_is_given_back_while_no_thread_comes_and_taken_on_again_when_one_has() {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let workers = BlockingWorkers::on(runtime.handle().clone(), 2);
    let (other, has_begun, let_go) = held();
    let other = runtime.spawn_blocking(move || other.run());
    has_begun.recv_timeout(LONG).unwrap();
    let (done, is_done) = mpsc::channel();

    workers.take(telling(&done, 0)).unwrap();
    assert!(workers.try_take(telling(&done, 1)).is_ok());
    let back = workers.take_back();
    assert_eq!(back.len(), 2);
    assert!(workers.take(telling(&done, 2)).is_err() && workers.try_take(telling(&done, 3)).is_err());
    assert!(workers.take_back().is_empty());
    back.into_iter().for_each(Work::run);
    assert_eq!((is_done.try_recv(), is_done.try_recv()), (Ok(0), Ok(1)));

    let_go.send(()).unwrap();
    runtime.block_on(other).unwrap();
    while workers.take(telling(&done, 4)).is_err() {
        thread::yield_now();
    }
    assert_eq!(is_done.recv_timeout(LONG), Ok(4));
}

#[test]
fn work_that_waits_for_a_thread_at_work_is_not_given_back() {
    let runtime = runtime();
    let workers = BlockingWorkers::on(runtime.handle().clone(), 1);
    let (work, has_begun, let_go) = held();
    workers.take(work).unwrap();
    has_begun.recv_timeout(LONG).unwrap();
    let (done, is_done) = mpsc::channel();
    workers.take(telling(&done, 1)).unwrap();

    assert!(workers.take_back().is_empty());

    let_go.send(()).unwrap();
    assert_eq!(is_done.recv_timeout(LONG), Ok(1));
}

#[test]
fn work_that_panics_leaves_the_others_none_the_worse() {
    let runtime = runtime();
    let workers = BlockingWorkers::on(runtime.handle().clone(), 1);
    let dropped = Arc::new(AtomicUsize::new(0));
    let (done, is_done) = mpsc::channel();

    workers.take(Work::new(true, || panic!("on purpose"))).unwrap();
    // Until then it is done or dropped, but never left lying.
    let mut number = 0;
    while is_done.recv_timeout(Duration::from_millis(1)).is_err() {
        let told = Told(Arc::clone(&dropped));
        let work = telling(&done, number);
        let work = Work::new(true, move || {
            work.run();
            drop(told);
        });
        workers.take(work).unwrap();
        number += 1;
    }
    drop(runtime);
    assert_eq!(dropped.load(Ordering::Relaxed), number);
}

/// Counts its drop.
struct Told(Arc<AtomicUsize>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn work_is_given_back_while_the_system_refuses_threads() {
    let refuses = Arc::new(AtomicBool::new(true));
    let name = {
        let refuses = Arc::clone(&refuses);
        // As tokio does when a thread cannot be made.
        move || {
            assert!(!refuses.load(Ordering::Relaxed), "OS can't spawn worker thread");
            "worker".to_owned()
        }
    };
    let runtime = Builder::new_current_thread().thread_name_fn(name).build().unwrap();
    let workers = BlockingWorkers::on(runtime.handle().clone(), 2);
    let (done, is_done) = mpsc::channel();

    for number in 0..5 {
        workers.try_take(telling(&done, number)).unwrap_err().run();
        assert_eq!(is_done.try_recv(), Ok(number));
        workers.take(telling(&done, number)).unwrap_err().run();
        assert_eq!(is_done.try_recv(), Ok(number));
    }

    refuses.store(false, Ordering::Relaxed);
    workers.take(telling(&done, 7)).unwrap();
    assert_eq!(is_done.recv_timeout(LONG), Ok(7));
}

#[test]
fn work_is_dropped_when_the_runtime_has_ended() {
    let runtime = runtime();
    let workers = BlockingWorkers::on(runtime.handle().clone(), 2);
    drop(runtime);
    let dropped = Arc::new(AtomicUsize::new(0));

    for _ in 0..5 {
        let told = Told(Arc::clone(&dropped));
        workers.take(Work::new(true, move || drop(told))).unwrap();
    }
    let told = Told(Arc::clone(&dropped));
    let is_taken = workers.try_take(Work::new(true, move || drop(told))).is_ok();

    assert_eq!((is_taken, dropped.load(Ordering::Relaxed)), (true, 6));
}
