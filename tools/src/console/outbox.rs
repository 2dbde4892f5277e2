//! Records on their way.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use kafka_producer::{Delivery, DeliveryError, KafkaProducer, ProducerRecord};
use tokio::time::{Interval, MissedTickBehavior};

use crate::failures::{Failures, Reason};
use crate::now;

/// Hands records over, awaits their deliveries, and names the lines that failed.
#[derive(Debug)]
pub(crate) struct Outbox {
    producer: KafkaProducer,
    /// Oldest first.
    pending: VecDeque<Pending>,
    max_pending: usize,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    failures: Failures,
    /// When to look for failures behind the oldest record.
    looks: Interval,
}

/// A line whose fate is still to be told.
#[derive(Debug)]
struct Pending {
    line: u64,
    delivery: Delivery,
}

impl Outbox {
    pub(crate) fn new(producer: KafkaProducer, max_pending: usize) -> Self {
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (pending, failures) = (VecDeque::new(), Failures::default());
        Self { producer, pending, max_pending, delivered: 0, failed: 0, failures, looks }
    }

    /// Hands a record over. While that waits, earlier ones are settled.
    ///
    /// Dropping the future before it is ready leaves the record unsent.
    pub(crate) async fn send(&mut self, line: u64, record: ProducerRecord) {
        while self.pending.len() >= self.max_pending {
            self.settle_some().await;
        }
        let producer = self.producer.clone();
        let mut enqueue = pin!(producer.enqueue(record));
        let accepted = loop {
            tokio::select! {
                biased;
                accepted = &mut enqueue => break accepted,
                () = self.settle_some(), if !self.is_quiet() => {}
            }
        };
        match accepted {
            Ok(delivery) => self.pending.push_back(Pending { line, delivery }),
            Err(error) => {
                self.failed += 1;
                self.failures.add(line, Reason::of_refusal(&error), &error.to_string(), now());
            }
        }
        self.settle_ready();
    }

    /// Notes a line of which no record could be made.
    pub(crate) fn fail(&mut self, line: u64, reason: &str) {
        self.failed += 1;
        self.failures.add(line, Reason::of_line(), reason, now());
    }

    /// Whether every line that was handed over has its fate.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether there is nothing to wait for and nothing to tell.
    pub(crate) fn is_quiet(&self) -> bool {
        self.pending.is_empty() && !self.failures.are_waiting()
    }

    /// Waits until the oldest record is settled, but not for long, and settles those that are ready. Nothing is lost if it is dropped.
    pub(crate) async fn settle_some(&mut self) {
        let oldest = async {
            match self.pending.front_mut() {
                Some(pending) => (&mut pending.delivery).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = oldest => {
                if let Some(Pending { line, .. }) = self.pending.pop_front() {
                    self.settle(line, result.map(drop));
                }
            }
            _ = self.looks.tick() => self.settle_scattered(),
        }
        self.settle_ready();
    }

    /// Settles lines up to the first that is still on its way.
    fn settle_ready(&mut self) {
        while let Some(result) = self.pending.front().and_then(|pending| pending.delivery.try_result()) {
            if let Some(Pending { line, .. }) = self.pending.pop_front() {
                self.settle(line, result.map(drop));
            }
        }
    }

    /// Settles all that are ready: a failure is told soon also if an older line is still on its way.
    fn settle_scattered(&mut self) {
        for Pending { line, delivery } in std::mem::take(&mut self.pending) {
            match delivery.try_result() {
                Some(result) => self.settle(line, result.map(drop)),
                None => self.pending.push_back(Pending { line, delivery }),
            }
        }
        self.failures.print_due(now());
    }

    fn settle(&mut self, line: u64, result: Result<(), DeliveryError>) {
        let Err(error) = result else {
            self.delivered += 1;
            return;
        };
        self.failed += 1;
        self.failures.add(line, Reason::of_failure(&error), &error.to_string(), now());
    }

    /// Prints what has not been printed yet.
    pub(crate) fn print_failures(&mut self) {
        self.failures.print_all();
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
