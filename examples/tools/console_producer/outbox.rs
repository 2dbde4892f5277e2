//! Records on their way, settled in the order of their lines.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal};
use std::pin::pin;

use kafka_producer::{Delivery, DeliveryError, KafkaProducer, Persisted, ProducerRecord, SendError};

/// Hands records over, awaits their deliveries, and names the lines that failed.
#[derive(Debug)]
pub(crate) struct Outbox {
    producer: KafkaProducer,
    /// Oldest first.
    pending: VecDeque<Pending>,
    max_pending: usize,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// Failures that have not been printed yet, since the next line may have failed for the same reason.
    failures: Option<Failures>,
}

/// A line whose fate is still to be told.
#[derive(Debug)]
struct Pending {
    line: u64,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    Accepted(Delivery),
    Failed(String),
}

/// Lines in a row that failed alike.
#[derive(Debug)]
struct Failures {
    first: u64,
    last: u64,
    reason: String,
}

impl Outbox {
    pub(crate) fn new(producer: KafkaProducer, max_pending: usize) -> Self {
        Self { producer, pending: VecDeque::new(), max_pending, delivered: 0, failed: 0, failures: None }
    }

    /// Hands a record over. While that waits, earlier ones are settled.
    ///
    /// Dropping the future before it is ready leaves the record unsent.
    pub(crate) async fn send(&mut self, line: u64, record: ProducerRecord) {
        while self.pending.len() >= self.max_pending {
            self.settle_oldest().await;
        }
        let producer = self.producer.clone();
        let mut enqueue = pin!(producer.enqueue(record));
        let accepted = loop {
            tokio::select! {
                biased;
                accepted = &mut enqueue => break accepted,
                () = self.settle_oldest(), if !self.is_empty() => {}
            }
        };
        let fate = match accepted {
            Ok(delivery) => Fate::Accepted(delivery),
            Err(error) => Fate::Failed(refusal(&error)),
        };
        self.pending.push_back(Pending { line, fate });
        self.settle_ready();
    }

    /// Notes a line of which no record could be made.
    pub(crate) async fn fail(&mut self, line: u64, reason: String) {
        while self.pending.len() >= self.max_pending {
            self.settle_oldest().await;
        }
        self.pending.push_back(Pending { line, fate: Fate::Failed(reason) });
        self.settle_ready();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Waits for the oldest record, then settles all that are ready. Nothing is lost if it is dropped.
    pub(crate) async fn settle_oldest(&mut self) {
        if let Some(Pending { fate: Fate::Accepted(delivery), .. }) = self.pending.front_mut() {
            let result = delivery.await;
            if let Some(Pending { line, .. }) = self.pending.pop_front() {
                self.settle(line, result.map(drop).map_err(|error| failure(&error)));
            }
        }
        self.settle_ready();
    }

    /// Settles lines up to the first that is still on its way.
    fn settle_ready(&mut self) {
        while let Some(Pending { line, fate }) = self.pending.pop_front() {
            match fate {
                Fate::Failed(reason) => self.settle(line, Err(reason)),
                Fate::Accepted(delivery) => match delivery.try_result() {
                    Some(result) => self.settle(line, result.map(drop).map_err(|error| failure(&error))),
                    None => {
                        self.pending.push_front(Pending { line, fate: Fate::Accepted(delivery) });
                        return;
                    }
                },
            }
        }
    }

    fn settle(&mut self, line: u64, result: Result<(), String>) {
        let Err(reason) = result else {
            self.delivered += 1;
            return;
        };
        self.failed += 1;
        match &mut self.failures {
            Some(failures) if failures.last + 1 == line && failures.reason == reason => failures.last = line,
            _ => {
                self.print_failures();
                self.failures = Some(Failures { first: line, last: line, reason });
            }
        }
    }

    /// Prints what has not been printed yet.
    pub(crate) fn print_failures(&mut self) {
        if let Some(failures) = self.failures.take() {
            // The line of progress, which changes in place, makes room.
            let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
            eprintln!("{clear}{failures}");
        }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "line {first}: {}", self.reason),
            (first, last) => write!(f, "lines {first} to {last}: {}", self.reason),
        }
    }
}

/// The error and its causes; a serializer's, for one, is only told as the source.
fn refusal(error: &SendError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn failure(error: &DeliveryError) -> String {
    match error.persisted() {
        Persisted::No => error.to_string(),
        Persisted::Maybe => format!("{error} (it may have been written all the same)"),
    }
}
