//! Calls with a time limit of their own, which give the record back.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop;

use crate::accumulator::NO_TRANSACTION;
use crate::clock;
use crate::delivery::{Delivery, RecordMetadata};
use crate::error::SendError;
use crate::producer::enqueue::{TimeLimit, far};
use crate::producer::walk::{Stop, Walk};
use crate::producer::{KafkaProducer, ProducerCore, deadline};
use crate::record::ProducerRecord;

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Hands a record over as [`enqueue`](Self::enqueue) does, and waits for at most `timeout` instead of `max.block.ms`.
    ///
    /// The record comes back in the error when the time is over. A `timeout` around `enqueue` would lose it.
    ///
    /// # Cancel safety
    ///
    /// As that of [`enqueue`](Self::enqueue).
    ///
    /// # Errors
    ///
    /// As those of [`enqueue`](Self::enqueue). When the time is over, they are
    /// [`SendErrorKind::MetadataTimeout`](crate::SendErrorKind::MetadataTimeout) and
    /// [`SendErrorKind::MemoryTimeout`](crate::SendErrorKind::MemoryTimeout).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use kafka_producer::ProducerRecord;
    ///
    /// let record = ProducerRecord::to("orders").value("2 apples");
    /// match producer.enqueue_timeout(record, Duration::from_millis(200)).await {
    ///     Ok(delivery) => println!("written to {}", delivery.await?),
    ///     Err(error) => println!("not now: {:?}", error.into_record()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn enqueue_timeout(
        &self,
        record: ProducerRecord<K, V>,
        timeout: Duration,
    ) -> Result<Delivery, SendError<K, V>> {
        if !coop::has_budget_remaining() {
            drop(std::future::poll_fn(coop::poll_proceed).await);
        }
        let mut record = record;
        let mut walk = Walk::new(self, &mut record, NO_TRANSACTION);
        let stop = match walk.step() {
            Ok(delivery) => {
                if walk.is_countable()
                    && let Poll::Ready(budget) = coop::poll_proceed(&mut Context::from_waker(Waker::noop()))
                {
                    budget.made_progress();
                }
                return Ok(delivery);
            }
            Err(Stop::Refused(kind)) => return Err(walk.refuse(*kind)),
            Err(stop) => stop,
        };
        let (kept, limit) = (walk.into_kept(), TimeLimit::OfCall(timeout));
        Box::pin(self.enqueue_waiting(record, kept, None, Some(stop), limit)).await
    }

    /// Sends a record as [`send`](Self::send) does, and gives it up after `timeout` if it was not sent by then.
    ///
    /// So this is a deadline of the record's own, beside `max.block.ms` and `delivery.timeout.ms`, which hold for all records. When the
    /// time is over, one of three things is the case:
    ///
    /// - The record still waits for metadata or memory, or in a batch of which nothing was ever sent. Then it is withdrawn and comes back
    ///   in the error, and [`SendError::persisted`] is [`Persisted::No`](crate::Persisted::No). The other records of the batch keep their order.
    /// - The record was sent, and no answer has come: [`SendErrorKind::UnderWay`](crate::SendErrorKind::UnderWay) says so. The producer goes on
    ///   with the record, within `delivery.timeout.ms`, so it may still be written.
    /// - The outcome has just come. Then that is what the call returns. A record that was acknowledged is never told as withdrawn.
    ///
    /// To go on waiting for a record that is under way, take the call apart:
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use kafka_producer::ProducerRecord;
    ///
    /// let record = ProducerRecord::to("orders").value("2 apples");
    /// let mut delivery = producer.enqueue_timeout(record, Duration::from_secs(1)).await?;
    /// if tokio::time::timeout(Duration::from_secs(1), &mut delivery).await.is_err() {
    ///     producer.withdraw(&delivery).await;
    /// }
    /// match delivery.await {
    ///     Ok(metadata) => println!("written to {metadata}"),
    ///     Err(error) => println!("{error}: {:?}", error.record()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As that of [`send`](Self::send). If you drop the future after `timeout`, the record may be withdrawn.
    ///
    /// # Errors
    ///
    /// As those of [`enqueue_timeout`](Self::enqueue_timeout) before the record is accepted, and as those of [`send`](Self::send) after that;
    /// [`DeliveryErrorKind::Withdrawn`](crate::DeliveryErrorKind::Withdrawn) and
    /// [`SendErrorKind::UnderWay`](crate::SendErrorKind::UnderWay) when the time is over.
    pub async fn send_timeout(
        &self,
        record: ProducerRecord<K, V>,
        timeout: Duration,
    ) -> Result<RecordMetadata, SendError<K, V>> {
        let until = far(clock::now(), timeout);
        let mut delivery = self.enqueue_timeout(record, timeout).await?;
        if let Some(result) = deadline::timeout_at(until, &mut delivery).await {
            return Ok(result?);
        }
        self.withdraw(&delivery).await;
        match delivery.try_result() {
            Some(result) => Ok(result?),
            None => Err(SendError::under_way(delivery.topic_partition().clone(), timeout)),
        }
    }

    /// Gives up one record that was accepted, if it waits in a batch of which nothing was ever sent. Returns whether it was withdrawn.
    ///
    /// The record's [`Delivery`] then resolves to [`DeliveryErrorKind::Withdrawn`](crate::DeliveryErrorKind::Withdrawn), which gives the
    /// record back. The other records of the batch keep their order, and linger on. A record whose batch was sent is not withdrawn,
    /// even if it waits to be sent again; only if the broker refused that batch because of other records, and certainly did not write it, it
    /// may be. With [`fail_stop`](crate::KafkaProducerBuilder::fail_stop) none is withdrawn, because the log would have a gap.
    ///
    /// The other records of the batch are copied, once for all that callers want back at about the same time.
    /// [`purge`](Self::purge) gives up all records without a copy.
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled, the record is withdrawn if it can be, whether you drop the future or not.
    pub async fn withdraw(&self, delivery: &Delivery) -> bool {
        let ProducerCore { control, accumulator, .. } = &*self.core;
        let mut withdrawn = control.withdraw(delivery);
        accumulator.wake_sender();
        let until = far(clock::now(), FOR_THE_SENDER);
        match deadline::timeout_at(until, &mut withdrawn).await {
            Some(result) => result.unwrap_or(false),
            None => {
                control.carry_out();
                accumulator.wake_sender();
                withdrawn.await.unwrap_or(false)
            }
        }
    }
}

/// The sender withdraws together what callers want back at about one time. If no thread drives its runtime, the caller does it.
const FOR_THE_SENDER: Duration = Duration::from_millis(5);
