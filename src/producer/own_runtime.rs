//! A producer with a runtime of its own, for programs that have none.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};

use super::{BuildError, KafkaProducer, KafkaProducerBuilder, TransactionalProducer};

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducerBuilder<K, V> {
    /// Makes the producer and starts its background task on a thread of its own, named `kafka-producer`: for programs without a tokio
    /// runtime, and for those whose runtime is not to do the work.
    ///
    /// The thread ends when the producer does: once it is closed, or once its last handle is dropped and everything that was accepted
    /// is delivered or has failed. Dropping the last handle does not wait for that, and the thread does not keep the process alive. So
    /// a program should call [`close_blocking`](KafkaProducer::close_blocking) before it ends.
    ///
    /// The call reaches no broker and waits for none, so it may be made in async code, too.
    ///
    /// # Errors
    ///
    /// As those of [`build`](Self::build), and [`BuildError::OwnRuntime`] if the system refuses the thread, or what the runtime needs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use kafka_producer::{KafkaProducer, ProducerRecord};
    ///
    /// let producer = KafkaProducer::builder().bootstrap_servers("localhost:9092").build_blocking()?;
    /// producer.send_blocking(ProducerRecord::to("orders").value("2 apples"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_blocking(self) -> Result<KafkaProducer<K, V>, BuildError> {
        Ok(self.build_on_thread(false)?.0)
    }

    /// Makes a transactional producer with a thread of its own, as [`build_blocking`](Self::build_blocking) does.
    /// [`block_on`](crate::block_on) waits for its calls.
    ///
    /// # Errors
    ///
    /// As those of [`build_blocking`](Self::build_blocking) and of [`build_transactional`](Self::build_transactional).
    pub fn build_transactional_blocking(self) -> Result<TransactionalProducer<K, V>, BuildError> {
        Ok(TransactionalProducer::new(self.build_on_thread(true)?.0))
    }

    fn build_on_thread(
        self,
        is_transactional: bool,
    ) -> Result<(KafkaProducer<K, V>, JoinHandle<()>), BuildError> {
        let runtime = OwnRuntime::new().map_err(refused)?;
        let producer = runtime.within(|| self.build_any(is_transactional))?;
        let mut clusters = producer.core.clusters.clone();
        // The sender drops its end of the channel when it ends.
        let ended = async move { while clusters.changed().await.is_ok() {} };
        let thread = thread::Builder::new().name("kafka-producer".to_owned());
        let thread = thread.spawn(move || runtime.run_until(ended)).map_err(refused)?;
        Ok((producer, thread))
    }
}

fn refused(error: io::Error) -> BuildError {
    BuildError::OwnRuntime(Arc::new(error))
}

/// A runtime that may be dropped in async code.
struct OwnRuntime(
    /// `None` only while it is being dropped.
    Option<Runtime>,
);

impl OwnRuntime {
    fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(|runtime| Self(Some(runtime)))
    }

    fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        let _entered = self.0.as_ref().map(Runtime::enter);
        act()
    }

    fn run_until(self, ended: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(ended);
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A look-up of a name may take long, and no caller waits for it any more.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn start() -> (KafkaProducer, JoinHandle<()>) {
        let builder = KafkaProducer::builder().bootstrap_servers("127.0.0.1:1");
        builder.build_on_thread(false).unwrap()
    }

    #[test]
    fn thread_ends_with_the_last_handle() {
        let (producer, thread) = start();
        let another = producer.clone();

        drop(producer);
        assert!(!thread.is_finished());
        drop(another);

        thread.join().unwrap();
    }

    #[test]
    fn thread_ends_when_the_producer_is_closed() {
        let (producer, thread) = start();

        let report = producer.close_blocking(Duration::from_secs(600)).unwrap();

        thread.join().unwrap();
        assert!(report.undelivered.is_empty());
    }

    #[test]
    fn thread_ends_after_an_abrupt_close() {
        let (producer, thread) = start();
        let clone = producer.clone();
        let waiting =
            thread::spawn(move || clone.enqueue_blocking(crate::ProducerRecord::to("missing")).map(drop));
        while !producer.health().brokers.iter().any(|broker| broker.failures > 0) {
            thread::yield_now();
        }

        drop(producer.close_blocking(Duration::ZERO).unwrap());

        thread.join().unwrap();
        assert!(waiting.join().unwrap().is_err());
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_in_async_code_too() {
        let error = KafkaProducer::builder().build_blocking().unwrap_err();
        assert!(matches!(error, BuildError::Config(_)), "{error}");

        let error = KafkaProducer::builder().bootstrap_servers("127.0.0.1:1").build_transactional_blocking();
        assert!(matches!(error.unwrap_err(), BuildError::NoTransactionalId));
    }
}
