//! [`OneAtATime`]: work of which a caller has at most one under way, also if the caller has given it up meanwhile.
//!
//! A file on a server that is gone may keep a thread for ever. A caller that tries again must not take one thread after the other.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Claim, Job, OwnThreads};
use crate::fence::fenced;

/// Work of one caller, who waits for each before the next.
pub(crate) struct OneAtATime<T> {
    threads: &'static OwnThreads,
    /// What was given up while it was under way.
    left: Mutex<Option<Receiver<T>>>,
}

type Receiver<T> = oneshot::Receiver<Result<T, NotDone>>;

/// Why a thread has not done what it was to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    #[error("the system gives out no thread: {0}")]
    NoThread(io::Error),
    #[error("the thread panicked: {0}")]
    Panicked(String),
    #[error("the thread has ended before")]
    Ended,
}

impl<T: Send + 'static> OneAtATime<T> {
    pub(crate) const fn new(threads: &'static OwnThreads) -> Self {
        Self { threads, left: Mutex::new(None) }
    }

    /// Waits for what was given up and is still under way. Returns what has come of it.
    pub(crate) async fn left_over(&self) -> Option<Result<T, NotDone>> {
        let receiver = self.lock().take()?;
        Some(Waiting { left: &self.left, receiver: Some(receiver) }.done().await)
    }

    /// Has a thread do something that blocks, once all that was given up has come to an end. If this is dropped before a thread has begun,
    /// none does.
    pub(crate) async fn run(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotDone> {
        drop(self.left_over().await);
        let (sender, receiver) = oneshot::channel();
        let job = Job::new(move || {
            let done = fenced(work).map_err(|thrown| NotDone::Panicked(thrown.message()));
            drop(sender.send(done));
        });
        let _claim = Claim(Arc::clone(&job));
        self.threads.add(job).map_err(NotDone::NoThread)?;
        Waiting { left: &self.left, receiver: Some(receiver) }.done().await
    }

    fn lock(&self) -> MutexGuard<'_, Option<Receiver<T>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits. What it waits for is left behind if it gives up.
struct Waiting<'a, T> {
    left: &'a Mutex<Option<Receiver<T>>>,
    receiver: Option<Receiver<T>>,
}

impl<T> Waiting<'_, T> {
    async fn done(mut self) -> Result<T, NotDone> {
        #[cfg(test)]
        let _held = hold_clock();
        let Some(receiver) = &mut self.receiver else { return Err(NotDone::Ended) };
        let done = receiver.await;
        self.receiver = None;
        done.unwrap_or(Err(NotDone::Ended))
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
        }
    }
}

impl<T> fmt::Debug for OneAtATime<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneAtATime").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Keeps the paused clock of a test where it is until what this returns is dropped, as tokio does while its own threads are at work.
#[cfg(test)]
fn hold_clock() -> std::sync::mpsc::Sender<()> {
    let (held, is_let_go) = std::sync::mpsc::channel();
    if tokio::runtime::Handle::try_current().is_ok() {
        drop(tokio::task::spawn_blocking(move || is_let_go.recv()));
    }
    held
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};
    use std::thread;

    use super::super::OwnThread;
    use super::*;

    fn threads(most: usize, spawn: fn(OwnThread) -> io::Result<()>) -> &'static OwnThreads {
        Box::leak(Box::new(OwnThreads::with("kafka-producer-test", most, spawn)))
    }

    /// Begins something, waits until a thread does, and gives it up.
    fn give_up<T>(future: impl Future<Output = T>, until: impl FnOnce()) {
        let mut future = pin!(future);
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        until();
    }

    #[tokio::test]
    async fn what_was_given_up_keeps_one_thread_and_is_not_lost() {
        let threads = threads(8, OwnThread::spawn);
        let work = OneAtATime::new(threads);
        let (let_go, is_let_go) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let first = work.run(move || {
            begun.send(()).unwrap();
            let _ = is_let_go.recv();
            "first"
        });
        give_up(first, || has_begun.recv().unwrap());

        for _ in 0..20 {
            give_up(work.run(|| panic!("the first is not done")), || ());
        }
        assert_eq!(threads.running_and_waiting(), (1, 0));

        drop(let_go);
        assert_eq!(work.left_over().await.map(Result::unwrap), Some("first"));
        assert!(work.left_over().await.is_none());
        assert_eq!(work.run(|| "second").await.unwrap(), "second");
    }

    #[tokio::test]
    async fn what_no_thread_has_begun_is_taken_back() {
        fn stuck(thread: OwnThread) -> io::Result<()> {
            // It never runs, nor ends.
            std::mem::forget(thread);
            Ok(())
        }
        let work = OneAtATime::new(threads(1, stuck));

        give_up(work.run(|| ()), || ());

        assert!(matches!(work.left_over().await, Some(Err(NotDone::Ended))));
        assert!(work.left_over().await.is_none());
    }

    #[tokio::test]
    async fn missing_threads_and_panics_are_told() {
        let none = |_: OwnThread| Err(io::Error::new(io::ErrorKind::WouldBlock, "too many"));
        let error = OneAtATime::new(threads(1, none)).run(|| ()).await.unwrap_err();
        assert_eq!(error.to_string(), "the system gives out no thread: too many");

        let work = OneAtATime::new(threads(1, OwnThread::spawn));
        let error = work.run(|| panic!("on purpose")).await.unwrap_err();
        assert_eq!(error.to_string(), "the thread panicked: on purpose");
        let name = work.run(|| thread::current().name().map(str::to_owned)).await.unwrap();
        assert_eq!(name.as_deref(), Some("kafka-producer-test"));
    }

    #[tokio::test(start_paused = true)]
    async fn paused_clock_waits_for_the_thread() {
        let work = OneAtATime::new(threads(1, OwnThread::spawn));
        let begin = crate::clock::now();

        let sleeping = work.run(|| thread::sleep(std::time::Duration::from_millis(20)));
        tokio::time::timeout(std::time::Duration::from_secs(1), sleeping).await.unwrap().unwrap();

        assert_eq!(crate::clock::now(), begin);
    }
}
