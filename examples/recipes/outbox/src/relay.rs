//! Sends what is in the outbox.

use std::collections::BTreeSet;

use kafka_producer::{
    BlockingRefused, BuildError, Disposition, KafkaProducer, KafkaProducerBuilder, ProducerRecord, SendError,
    TopicPartition, block_on,
};

use crate::table::{Outbox, Row};

/// Rows that are sent before any of them is noted. A relay that is killed sends at most as many again.
const ROWS: u32 = 500;

/// Sends what is in the outbox: rows in their order, and a row is deleted only when it is acknowledged. So it may be killed at any time. There
/// may be only one at a time.
#[derive(Debug)]
pub struct Relay {
    producer: KafkaProducer,
}

/// What a round has come to.
#[derive(Debug, Default)]
pub struct Round {
    /// Rows that are acknowledged.
    pub acknowledged: Vec<i64>,
    /// Rows that cannot be sent as they are, with the reasons.
    pub refused: Vec<(i64, String)>,
    /// Why the first of the other rows was not sent. It and those after it are still in the outbox.
    pub trouble: Option<SendError>,
}

impl Relay {
    /// Starts a producer with these settings.
    ///
    /// # Errors
    ///
    /// Those of the producer's configuration.
    pub fn new(producer: KafkaProducerBuilder) -> Result<Self, BuildError> {
        // Once a row fails, those after it in its partition fail, too, among them all of its key. So they are still in their order when they
        // are sent again.
        let producer = producer.fail_stop(true).build_blocking()?;
        Ok(Self { producer })
    }

    /// Sends the oldest rows, waits for all of them and notes what has become of them.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn round(&self, outbox: &mut Outbox) -> Result<Round, Box<dyn std::error::Error>> {
        let round = self.send(outbox.oldest(ROWS)?)?;
        outbox.note(&round.acknowledged, &round.refused)?;
        Ok(round)
    }

    fn send(&self, rows: Vec<Row>) -> Result<Round, BlockingRefused> {
        let mut round = Round::default();
        let mut sent = Vec::with_capacity(rows.len());
        for Row { id, topic, key, payload } in rows {
            match self.producer.enqueue_blocking(ProducerRecord::to(topic).key(key).value(payload)) {
                Ok(delivery) => sent.push((id, delivery)),
                Err(error) if error.disposition() == Disposition::FixRecord => {
                    round.refused.push((id, error.to_string()));
                }
                // Those after it wait, too: some of them may have its key. If a row before it has failed, that one says why.
                Err(error) => {
                    round.trouble = Some(error).filter(|error| !is_stopped(error.disposition()));
                    break;
                }
            }
        }
        let mut stopped = BTreeSet::<TopicPartition>::new();
        for (id, delivery) in sent {
            let Err(error) = block_on(delivery)? else {
                round.acknowledged.push(id);
                continue;
            };
            stopped.insert(error.topic_partition().clone());
            match error.disposition() {
                Disposition::FixRecord => round.refused.push((id, error.to_string())),
                disposition if is_stopped(disposition) || round.trouble.is_some() => {}
                _ => round.trouble = Some(error.into()),
            }
        }
        // All rows that were sent have their result, so the next round can begin with those that failed.
        for partition in stopped {
            self.producer.resume(&partition);
        }
        Ok(round)
    }
}

/// Whether a record failed only because one before it in its partition has.
fn is_stopped(disposition: Disposition) -> bool {
    disposition == Disposition::ResumePartition
}
