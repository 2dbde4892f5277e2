//! Writes results, and how far they go, in one transaction.

use std::convert::Infallible;
use std::time::Duration;

use kafka_producer::{
    Disposition, KafkaProducerBuilder, ProducerRecord, SendError, TransactionError, TransactionalProducer,
};

use crate::brokers::Failure;
use crate::progress::Progress;
use crate::source::{Part, Source};

/// Turns the work of one source into results.
#[derive(Debug)]
pub struct Sink {
    /// What the source is called: its key in the topic of positions, and the transactional id. No other source has it.
    pub name: String,
    /// Where the work is read.
    pub source: Source,
    /// The topic of results.
    pub results: String,
    /// Where the positions are.
    pub progress: Progress,
}

/// Pieces of work in one transaction.
const PART: usize = 100;

/// How long to wait when there is nothing to do, and after a failure.
const PAUSE: Duration = Duration::from_millis(50);

impl Sink {
    /// Works until something ends it. Whatever that is, the next one goes on.
    ///
    /// # Errors
    ///
    /// Another instance has the name, or nothing tells here what became of the last transaction. An instance that starts anew answers both:
    /// it takes the name, which ends that transaction, and looks how far the results go. A result that cannot be written as it is ends every
    /// instance.
    pub async fn run(&self, producer: KafkaProducerBuilder) -> Result<Infallible, Failure> {
        let mut producer = producer.transactional_id(self.name.as_str()).build_transactional()?;
        // First take the id: an instance before this one, if it still lives, can commit no more. Only then look how far it came.
        while let Err(error) = take_id(&mut producer).await {
            if error.disposition() != Disposition::RepeatCall {
                return Err(error.into());
            }
        }
        let mut position = self.progress.position(&self.name).await?.unwrap_or(0);
        loop {
            let part = self.source.read(position, PART)?;
            if part.lines.is_empty() {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            match self.write(&mut producer, &part).await? {
                Ok(()) => position = part.end,
                // Nothing of it counts: the same work again.
                Err(error) if is_to_be_repeated(&error) => {
                    eprintln!("once more: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns what became of the transaction, or an error of a result that cannot be written as it is.
    async fn write(
        &self,
        producer: &mut TransactionalProducer,
        part: &Part,
    ) -> Result<Result<(), TransactionError>, SendError> {
        let transaction = match producer.begin_transaction().await {
            Ok(transaction) => transaction,
            Err(error) => return Ok(Err(error)),
        };
        for work in &part.lines {
            let (key, result) = result_of(work);
            let result = ProducerRecord::to(self.results.clone()).key(key).value(result);
            // If it is not accepted for another reason, or not delivered, the commit fails.
            if let Err(error) = transaction.enqueue(result).await
                && error.disposition() == Disposition::FixRecord
            {
                return Err(error);
            }
        }
        let position = ProducerRecord::to(self.progress.topic.clone());
        let position = position.key(self.name.clone()).value(part.end.to_string());
        drop(transaction.enqueue(position).await);
        let mut outcome = transaction.commit().await;
        // It takes longer than `max.block.ms`, and goes on.
        while let Err(error) = &outcome
            && error.disposition() == Disposition::RepeatCall
        {
            outcome = producer.finish_transaction().await;
        }
        Ok(outcome)
    }
}

async fn take_id(producer: &mut TransactionalProducer) -> Result<(), TransactionError> {
    drop(producer.begin_transaction().await?);
    Ok(())
}

/// Whether the transaction has come to nothing, or has not begun.
fn is_to_be_repeated(error: &TransactionError) -> bool {
    let is_refused = error.record().is_some_and(|error| error.disposition() == Disposition::FixRecord);
    !is_refused && matches!(error.disposition(), Disposition::AbortTransaction | Disposition::RepeatCall)
}

/// Returns the key and the value of what is made of a piece of work: a customer, a comma and what was bought.
#[must_use]
pub fn result_of(work: &str) -> (String, String) {
    let (customer, what) = work.split_once(',').unwrap_or(("", work));
    (customer.to_owned(), format!("invoice for {what}"))
}
