//! Waits that end at a time, on whichever task or thread the caller is.
//!
//! Within a tokio runtime its timer is used. Elsewhere, and in a runtime without timers, there is none to be had: the
//! producer's own runtime may stand still or be gone. A thread that lives as long as somebody waits takes its place.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::catch_unwind;
use std::pin::{Pin, pin};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::yield_now;

use crate::clock;

/// Returns what a future returns, or `None` if that takes until after `deadline`.
///
/// If the thread, the runtime or the process stood still meanwhile, what is waited for may have come in time without anybody
/// having looked. So the others have their turn before the wait ends.
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

/// The runtime looks at its sockets, the sender takes in what it finds there, and the caller is told.
const LAST_LOOKS: usize = 3;

/// Waits until `deadline`.
pub(super) async fn sleep_until(deadline: Instant) {
    match new_sleep(deadline) {
        Some(sleep) => sleep.await,
        None => ThreadSleep { deadline, id: None }.await,
    }
}

/// Returns a timer of the current runtime, if it has any.
pub(super) fn new_sleep(deadline: Instant) -> Option<tokio::time::Sleep> {
    Handle::try_current().ok()?;
    // Tokio has no other way of telling whether a runtime has timers.
    catch_unwind(|| tokio::time::sleep_until(deadline.into())).ok()
}

/// A sleep that the thread ends.
#[derive(Debug)]
struct ThreadSleep {
    deadline: Instant,
    /// Its place among those that the thread knows.
    id: Option<u64>,
}

/// Those who sleep, and whether there is a thread to wake them.
#[derive(Debug)]
struct Sleepers {
    by_deadline: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
    has_thread: bool,
}

static SLEEPERS: Mutex<Sleepers> =
    Mutex::new(Sleepers { by_deadline: BTreeMap::new(), next_id: 0, has_thread: false });
static NEWS: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Sleepers> {
    SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Future for ThreadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= clock::now() {
            return Poll::Ready(());
        }
        let mut sleepers = lock();
        let id = *self.id.get_or_insert(sleepers.next_id);
        sleepers.next_id = sleepers.next_id.max(id + 1);
        let old = sleepers.by_deadline.insert((self.deadline, id), cx.waker().clone());
        if !sleepers.has_thread {
            let thread = thread::Builder::new().name("kafka-producer-timer".to_owned()).spawn(wake_sleepers);
            if thread.is_err() {
                // Without a thread a wait would never end. So it ends at once.
                return Poll::Ready(());
            }
            sleepers.has_thread = true;
        }
        drop(sleepers);
        NEWS.notify_one();
        drop(old);
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

/// Wakes those whose time has come, until nobody sleeps any more.
fn wake_sleepers() {
    let mut sleepers = lock();
    while let Some(((deadline, _), _)) = sleepers.by_deadline.first_key_value() {
        let left = deadline.saturating_duration_since(clock::now());
        if !left.is_zero() {
            (sleepers, _) = NEWS.wait_timeout(sleepers, left).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let first = sleepers.by_deadline.pop_first();
        drop(sleepers);
        if let Some((_, waker)) = first {
            // An executor's waker that panics must not end the sleep of others.
            let _ = catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
        sleepers = lock();
    }
    sleepers.has_thread = false;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;
    use std::time::Duration;

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
