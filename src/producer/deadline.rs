//! Waits that end at a time, on whichever task or thread the caller is.
//!
//! A timer of tokio's fires only while a thread drives its runtime, and we cannot ask tokio whether one does. So a thread of
//! ours ends the waits. It stays for a while after the last of them. In runtimes of one thread, tests can pause the time. There
//! the runtime's timer ends the waits, too, because only the runtime knows the paused time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::yield_now;

use crate::clock;
use crate::fence::fenced;

/// Returns what a future returns, or `None` if that takes until after `deadline`.
///
/// If the thread, the runtime or the process stood still meanwhile, the event may have come in time although no task has seen
/// it yet. So other tasks get their turn before the wait ends.
pub(super) async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep_until(deadline));
    let first = std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    });
    if let Some(output) = first.await {
        return Some(output);
    }
    for _ in 0..LAST_LOOKS {
        yield_now().await;
        let look = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx)));
        if let Poll::Ready(output) = look.await {
            return Some(output);
        }
    }
    None
}

/// The runtime looks at its sockets, the sender takes in what it finds there, and the caller gets its result.
const LAST_LOOKS: usize = 3;

/// Waits until `deadline`.
pub(super) async fn sleep_until(deadline: Instant) {
    #[cfg(test)]
    if clock::simulated::now().is_some() {
        return clock::simulated::sleep_until(deadline).await;
    }
    let mut thread_sleep = pin!(ThreadSleep { deadline, id: None });
    let mut timer = pin!(pausable_sleep(deadline));
    // While the time is paused the thread, which knows of no other time than the system's, has no say.
    let mut has_thread = timer.is_none() || !clock::is_paused();
    let either = std::future::poll_fn(|cx| {
        if let Some(polled) = timer.as_mut().as_pin_mut().map(|timer| fenced(|| timer.poll(cx))) {
            match polled {
                Ok(Poll::Ready(())) => return Poll::Ready(true),
                Ok(Poll::Pending) => {}
                // The runtime that it is of has ended, and the caller goes on in another.
                Err(_) => {
                    timer.set(None);
                    has_thread = true;
                }
            }
        }
        if !has_thread {
            return Poll::Pending;
        }
        match thread_sleep.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if timer.is_none() || deadline <= clock::now() => Poll::Ready(true),
            Poll::Ready(outcome) => {
                has_thread = false;
                if timer.is_none() { Poll::Ready(outcome.is_ok()) } else { Poll::Pending }
            }
        }
    });
    if !either.await
        && let Some(sleep) = new_sleep(deadline)
    {
        sleep.await;
    }
}

/// Returns a timer of the current runtime if that is one whose time can be paused, now or later.
fn pausable_sleep(deadline: Instant) -> Option<tokio::time::Sleep> {
    let is_pausable = Handle::try_current().ok()?.runtime_flavor() == RuntimeFlavor::CurrentThread;
    is_pausable.then(|| new_sleep(deadline)).flatten()
}

/// Returns a timer of the current runtime, if it has any.
pub(super) fn new_sleep(deadline: Instant) -> Option<tokio::time::Sleep> {
    Handle::try_current().ok()?;
    // Tokio has no other way of telling whether a runtime has timers.
    fenced(|| tokio::time::sleep_until(deadline.into())).ok()
}

/// A sleep that the thread ends.
#[derive(Debug)]
struct ThreadSleep {
    deadline: Instant,
    /// Its place among those that the thread knows.
    id: Option<u64>,
}

/// The system has refused the thread, so that the sleep would never end.
#[derive(Debug)]
struct NoThread;

/// Those who sleep, and the thread that wakes them.
#[derive(Debug)]
struct Sleepers {
    by_deadline: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
    thread: Option<TimerThread>,
}

#[derive(Debug, Clone, Copy)]
struct TimerThread {
    /// A fork of the process has no such thread.
    process: u32,
    /// When it looks at the sleepers by itself; `None` if that is at once.
    looks_at: Option<Instant>,
}

static SLEEPERS: Mutex<Sleepers> =
    Mutex::new(Sleepers { by_deadline: BTreeMap::new(), next_id: 0, thread: None });
static NEWS: Condvar = Condvar::new();

/// How long the thread stays without a sleeper to wake: starting a thread for each wait would cost more than the wait. It also
/// looks at the sleepers this often, so most sleepers that come and go need not wake it.
const LINGER: Duration = Duration::from_secs(5);

fn lock() -> MutexGuard<'static, Sleepers> {
    SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sleepers {
    fn set_looks_at(&mut self, looks_at: Option<Instant>) {
        if let Some(thread) = &mut self.thread {
            thread.looks_at = looks_at;
        }
    }

    /// Sees to it that there is a thread. Returns when it looks at the sleepers.
    fn have_thread(&mut self) -> Result<Option<Instant>, NoThread> {
        let process = std::process::id();
        if let Some(thread) = self.thread
            && thread.process == process
        {
            return Ok(thread.looks_at);
        }
        let thread = thread::Builder::new().name("kafka-producer-timer".to_owned()).spawn(run_thread);
        thread.map_err(|_| NoThread)?;
        self.thread = Some(TimerThread { process, looks_at: None });
        Ok(None)
    }
}

impl Future for ThreadSleep {
    type Output = Result<(), NoThread>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.deadline <= clock::now() {
            return Poll::Ready(Ok(()));
        }
        let mut sleepers = lock();
        if let Some(id) = self.id {
            // If it is not there any more the thread has ended the sleep.
            let Some(waker) = sleepers.by_deadline.get_mut(&(self.deadline, id)) else {
                return Poll::Ready(Ok(()));
            };
            let old = (!waker.will_wake(cx.waker())).then(|| std::mem::replace(waker, cx.waker().clone()));
            drop(sleepers);
            drop(old);
            return Poll::Pending;
        }
        let looks_at = match sleepers.have_thread() {
            Ok(looks_at) => looks_at,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let id = sleepers.next_id;
        sleepers.next_id += 1;
        sleepers.by_deadline.insert((self.deadline, id), cx.waker().clone());
        self.id = Some(id);
        drop(sleepers);
        if looks_at.is_some_and(|looks_at| self.deadline < looks_at) {
            NEWS.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for ThreadSleep {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let gone = lock().by_deadline.remove(&(self.deadline, id));
        // Dropping a waker may run whatever its executor likes: not under the lock.
        drop(gone);
    }
}

/// The thread. It goes on after a panic, because no other thread wakes the sleepers.
fn run_thread() {
    while fenced(wake_sleepers).is_err() {}
}

/// Wakes those whose time has come, until no task has slept for a while.
fn wake_sleepers() {
    let mut sleepers = lock();
    loop {
        let now = clock::now();
        let first = sleepers.by_deadline.first_key_value().map(|((deadline, _), _)| *deadline);
        if first.is_some_and(|deadline| deadline <= now) {
            let first = sleepers.by_deadline.pop_first();
            drop(sleepers);
            wake(first.map(|(_, waker)| waker));
            sleepers = lock();
            continue;
        }
        let looks_at = first.map_or(now + LINGER, |deadline| deadline.min(now + LINGER));
        sleepers.set_looks_at(Some(looks_at));
        let timeout;
        (sleepers, timeout) =
            NEWS.wait_timeout(sleepers, looks_at - now).unwrap_or_else(PoisonError::into_inner);
        sleepers.set_looks_at(None);
        if timeout.timed_out() && sleepers.by_deadline.is_empty() {
            sleepers.thread = None;
            return;
        }
    }
}

/// An executor's waker that panics must not end the sleep of others.
fn wake(waker: Option<Waker>) {
    drop(fenced(|| waker.map(Waker::wake)));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    /// An executor that knows nothing of tokio.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(thread::Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn sleep_needs_no_runtime() {
        let start = clock::now();

        block_on(sleep_until(start + SHORT));

        assert!(clock::now() - start >= SHORT);
    }

    #[test]
    fn sleep_needs_no_timer_of_the_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let start = clock::now();

        runtime.block_on(sleep_until(start + SHORT));

        assert!(clock::now() - start >= SHORT);
    }

    /// The runtime has timers, and no thread drives it.
    #[test]
    fn sleep_ends_although_the_runtime_stands_still() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let start = clock::now();

        runtime.handle().block_on(sleep_until(start + SHORT));
        let guard = runtime.enter();
        let outcome = block_on(timeout_at(start + SHORT * 2, std::future::pending::<()>()));
        drop(guard);

        assert!(outcome.is_none() && clock::now() - start >= SHORT * 2);
    }

    #[tokio::test]
    async fn waker_that_panics_keeps_no_other_asleep() {
        struct Thrown;

        impl Drop for Thrown {
            fn drop(&mut self) {
                panic!("thrown by what was thrown");
            }
        }

        struct Throws;

        impl Wake for Throws {
            fn wake(self: Arc<Self>) {
                std::panic::panic_any(Thrown);
            }
        }

        let start = clock::now();
        let mut bad = ThreadSleep { deadline: start + SHORT, id: None };
        let waker = Waker::from(Arc::new(Throws));
        assert!(Pin::new(&mut bad).poll(&mut Context::from_waker(&waker)).is_pending());

        sleep_until(start + SHORT * 2).await;
        sleep_until(start + SHORT * 3).await;

        assert!(Pin::new(&mut bad).poll(&mut Context::from_waker(&waker)).is_ready());
    }

    #[test]
    fn sleeps_of_several_threads_end_each_at_its_time() {
        thread::scope(|scope| {
            for part in [5, 1, 3] {
                scope.spawn(move || {
                    let start = clock::now();
                    block_on(sleep_until(start + SHORT * part));
                    assert!(clock::now() - start >= SHORT * part);
                });
            }
        });
    }

    #[test]
    fn sleep_that_is_given_up_leaves_nothing_behind() {
        let deadline = clock::now() + Duration::from_secs(3600);
        let mut sleep = ThreadSleep { deadline, id: None };

        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(lock().by_deadline.keys().any(|(at, _)| *at == deadline));
        drop(sleep);

        assert!(lock().by_deadline.keys().all(|(at, _)| *at != deadline));
    }

    #[tokio::test(start_paused = true)]
    async fn wait_ends_with_what_it_waits_for_or_at_its_time() {
        let start = clock::now();

        assert_eq!(timeout_at(start, std::future::ready(7)).await, Some(7));
        assert_eq!(timeout_at(start + SHORT, std::future::pending::<()>()).await, None);

        assert_eq!(clock::now() - start, SHORT);
    }

    #[tokio::test]
    async fn wait_ends_by_a_time_that_is_paused_while_it_lasts() {
        let start = clock::now();
        let wait = tokio::spawn(sleep_until(start + Duration::from_secs(3600)));
        yield_now().await;

        tokio::time::pause();

        wait.await.unwrap();
        assert!(clock::now() - start >= Duration::from_secs(3600));
    }

    /// The runtime was blocked: it finds the timer and the answer at the same time, and the timer first.
    #[tokio::test(start_paused = true)]
    async fn others_have_their_turn_before_a_wait_ends() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let deadline = clock::now() + SHORT;
        let wait = tokio::spawn(timeout_at(deadline, receiver));
        yield_now().await;
        let answer = tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            yield_now().await;
            sender.send("in time").unwrap();
        });

        assert_eq!(wait.await.unwrap().unwrap(), Ok("in time"));
        answer.await.unwrap();
    }
}
