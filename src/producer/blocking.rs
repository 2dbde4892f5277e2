//! Calls for threads that run no async code: they park their thread until the future of the async call is ready.
//!
//! Within async code they would hold up what they wait for, so there they refuse to wait.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::coop;

use crate::accumulator::NO_TRANSACTION;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{SendError, SendErrorKind};
use crate::producer::enqueue::TimeLimit;
use crate::producer::walk::{Stop, Walk};
use crate::producer::{CloseReport, KafkaProducer};
use crate::record::ProducerRecord;
use crate::sender::is_seated;

/// Parks this thread until a future of this crate is ready: a [`Delivery`], [`KafkaProducer::ready`], or the calls of a transaction.
///
/// Any other executor does, too, such as that of the crate `futures`. This one is here for programs without async code, and
/// refuses to wait in async code.
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_producer::{KafkaProducer, ProducerRecord, block_on};
///
/// let mut producer = KafkaProducer::builder()
///     .bootstrap_servers("localhost:9092")
///     .transactional_id("payments-1")
///     .build_transactional_blocking()?;
///
/// let transaction = block_on(producer.begin_transaction())??;
/// drop(block_on(transaction.enqueue(ProducerRecord::to("debits").value("5")))??);
/// block_on(transaction.commit())??;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`BlockingRefused`] on a thread that runs async code of a tokio runtime. The future is dropped, unpolled.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, BlockingRefused> {
    if is_in_async_code() {
        return Err(BlockingRefused);
    }
    Ok(park_on(future))
}

/// A blocking call was made in async code, and would have held up its runtime: in a task, or in `block_on` of a runtime. Or it was made in
/// code that the producer itself calls, such as an interceptor that hears of an acknowledgement, and would have waited for itself.
///
/// Await the async call of the same name there, or make this one on a thread of `spawn_blocking` or within `block_in_place`. A future
/// within tokio's `unconstrained` is not recognised: blocking calls wait there, as all blocking code does.
#[derive(Debug, Clone, Error)]
#[error(
    "a blocking call in async code would hold up its runtime: await the async call, or make this one in `spawn_blocking`"
)]
#[non_exhaustive]
pub struct BlockingRefused;

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Sends a record and waits on this thread for its acknowledgement: [`send`](Self::send) for threads without async code.
    ///
    /// # Errors
    ///
    /// As those of [`send`](Self::send), and [`SendErrorKind::BlockingRefused`] in async code.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use kafka_producer::{KafkaProducer, ProducerRecord};
    ///
    /// let producer = KafkaProducer::builder().bootstrap_servers("localhost:9092").build_blocking()?;
    /// let metadata = producer.send_blocking(ProducerRecord::to("orders").value("2 apples"))?;
    /// println!("written to {metadata}");
    /// println!("{}", producer.close_blocking(Duration::from_secs(30))?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_blocking(&self, record: ProducerRecord<K, V>) -> Result<RecordMetadata, SendError<K, V>> {
        // Once the record is accepted it could not be given back.
        if is_in_async_code() {
            return Err(SendError::refused(SendErrorKind::BlockingRefused, record));
        }
        Ok(park_on(self.enqueue_blocking(record)?)?)
    }

    /// Hands a record over, and waits on this thread until the producer has accepted it: [`enqueue`](Self::enqueue) for threads
    /// without async code.
    ///
    /// It does not wait for the acknowledgement: [`block_on`] waits for the [`Delivery`], and
    /// [`flush_blocking`](Self::flush_blocking) for those of all records.
    ///
    /// # Errors
    ///
    /// As those of [`enqueue`](Self::enqueue), and [`SendErrorKind::BlockingRefused`] if the record would have to wait in async code.
    pub fn enqueue_blocking(&self, record: ProducerRecord<K, V>) -> Result<Delivery, SendError<K, V>> {
        let mut record = record;
        let mut walk = Walk::new(self, &mut record, NO_TRANSACTION);
        match walk.step() {
            Ok(delivery) => Ok(delivery),
            Err(Stop::Refused(kind)) => Err(walk.refuse(*kind)),
            Err(_) if is_in_async_code() => Err(walk.refuse(SendErrorKind::BlockingRefused)),
            Err(stop) => {
                let kept = walk.into_kept();
                park_on(self.enqueue_waiting(record, kept, None, Some(stop), TimeLimit::MaxBlock))
            }
        }
    }

    /// Waits on this thread until every record accepted before the call is delivered or has failed: [`flush`](Self::flush) for threads
    /// without async code.
    ///
    /// # Errors
    ///
    /// [`BlockingRefused`] in async code. Records linger then as if the call had not been made.
    pub fn flush_blocking(&self) -> Result<(), BlockingRefused> {
        block_on(self.flush())
    }

    /// Closes the producer, and waits on this thread for the end: [`close`](Self::close) for threads without async code.
    ///
    /// # Errors
    ///
    /// [`BlockingRefused`] in async code. The producer is not closed then.
    pub fn close_blocking(&self, timeout: Duration) -> Result<CloseReport, BlockingRefused> {
        block_on(self.close(timeout))
    }
}

/// Returns whether this thread runs async code of a tokio runtime, or that of the sender.
///
/// Tokio does not tell. But it limits how much a task does before it gives way, and limits no other code. So a limit that is reached
/// tells, and what was used up on the way is given back.
fn is_in_async_code() -> bool {
    // An order of a caller, such as a purge, is carried out on the caller's thread.
    if is_seated() {
        return true;
    }
    if Handle::try_current().is_err() {
        return false;
    }
    let mut cx = Context::from_waker(Waker::noop());
    // Restores the budget when it is dropped, which is last.
    let Poll::Ready(_before) = coop::poll_proceed(&mut cx) else { return true };
    for _ in 0..LARGEST_BUDGET {
        match coop::poll_proceed(&mut cx) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => return true,
        }
    }
    false
}

/// Tokio counts a budget in one byte.
const LARGEST_BUDGET: u8 = u8::MAX;

fn park_on<F: Future>(future: F) -> F::Output {
    let parked = Arc::new(Parked { thread: thread::current(), is_woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&parked));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !parked.is_woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

/// A thread that waits for a future.
#[derive(Debug)]
struct Parked {
    thread: Thread,
    /// The future wants to be polled. What is polled may itself park the thread, and use up the token of `unpark`.
    is_woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::{LocalSet, block_in_place};

    use super::*;

    fn runtimes() -> [Runtime; 2] {
        [Builder::new_current_thread().build().unwrap(), Builder::new_multi_thread().build().unwrap()]
    }

    #[test]
    fn async_code_is_recognised_and_other_code_is_not() {
        assert!(!is_in_async_code());
        for runtime in runtimes() {
            assert!(runtime.block_on(async { is_in_async_code() }));
            assert!(runtime.block_on(runtime.spawn(async { is_in_async_code() })).unwrap());
            assert!(runtime.handle().block_on(async { is_in_async_code() }));
            assert!(!runtime.block_on(runtime.spawn_blocking(is_in_async_code)).unwrap());
            let _entered = runtime.enter();
            assert!(!is_in_async_code());
        }
    }

    #[test]
    fn local_tasks_and_blocking_places_are_told_apart() {
        let [one, many] = runtimes();

        let local = LocalSet::new().block_on(&one, async {
            let spawned = tokio::task::spawn_local(async { is_in_async_code() }).await.unwrap();
            (spawned, is_in_async_code())
        });
        let places = many.spawn(async {
            let inside = block_in_place(is_in_async_code);
            let nested = block_in_place(|| Handle::current().block_on(async { is_in_async_code() }));
            (inside, nested, is_in_async_code())
        });

        assert_eq!(local, (true, true));
        assert_eq!(many.block_on(places).unwrap(), (false, true, true));
    }

    #[test]
    fn looking_uses_up_nothing() {
        let left = || {
            let mut cx = Context::from_waker(Waker::noop());
            let Poll::Ready(_before) = coop::poll_proceed(&mut cx) else { return 0 };
            (1..)
                .take_while(|_| coop::poll_proceed(&mut cx).map(|unit| unit.made_progress()).is_ready())
                .last()
                .unwrap_or(0)
        };
        for runtime in runtimes() {
            let (before, after) = runtime.block_on(async {
                let before = left();
                for _ in 0..3 {
                    assert!(is_in_async_code());
                }
                (before, left())
            });

            assert_eq!(before, after);
            assert!(before > 0);
        }
    }

    #[test]
    fn task_without_budget_is_async_code() {
        let [runtime, _] = runtimes();

        let found = runtime.block_on(async {
            while coop::has_budget_remaining() {
                let mut cx = Context::from_waker(Waker::noop());
                assert!(coop::poll_proceed(&mut cx).map(|unit| unit.made_progress()).is_ready());
            }
            is_in_async_code()
        });

        assert!(found);
    }

    #[test]
    fn future_is_polled_again_although_it_has_used_up_the_token() {
        let mut polls = 0;

        let output = block_on(std::future::poll_fn(|cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(polls);
            }
            cx.waker().wake_by_ref();
            thread::park();
            Poll::Pending
        }));

        assert_eq!(output.unwrap(), 3);
    }

    #[test]
    fn refused_future_is_not_polled() {
        let [runtime, _] = runtimes();

        let refused = runtime.block_on(async { block_on(async { unreachable!("it is not polled") }) });

        assert!(matches!(refused, Err(BlockingRefused)));
    }
}
