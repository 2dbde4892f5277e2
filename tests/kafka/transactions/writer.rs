//! A producer that writes transactions, and puts down in the ledger what it was told of each.

use std::time::Duration;

use futures::FutureExt;
use kafka_producer::Delivery;
use kafka_producer::Disposition;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerRecord;
use kafka_producer::SendError;
use kafka_producer::Transaction;
use kafka_producer::TransactionError;
use kafka_producer::TransactionErrorKind;
use kafka_producer::TransactionHandle;
use kafka_producer::TransactionalProducer;
use tokio::sync::watch;

use super::PARTITIONS;
use super::ledger::Ledger;
use super::ledger::Name;
use super::ledger::Told;
use crate::support::wait;

/// How often a transaction is begun at most, each time for `max.block.ms`.
const ATTEMPTS: usize = 50;
/// How long the end of a transaction may take, whatever happens to brokers.
const END_LIMIT: Duration = Duration::from_secs(120);

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Commit,
    /// Most of its records are still in the producer.
    Abort,
    /// All of its records are acknowledged.
    AbortWritten,
    /// The guard is dropped.
    Drop,
    /// The guard is dropped when all records are acknowledged.
    DropWritten,
    /// The commit is given up while it is under way, and asked for later.
    CommitAndLeave,
}

/// What a writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Between,
    Writing,
    Committing,
    Aborting,
}

/// How the producers of writers are made.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) bootstrap: String,
    pub(super) topic: &'static str,
    pub(super) id: String,
    pub(super) max_block: Duration,
    pub(super) transaction_timeout: Duration,
}

impl Recipe {
    pub(super) fn producer(&self) -> TransactionalProducer {
        KafkaProducer::builder()
            .bootstrap_servers(&*self.bootstrap)
            .transactional_id(&*self.id)
            .max_block(self.max_block)
            .transaction_timeout(self.transaction_timeout)
            .build_transactional()
            .expect("a valid configuration")
    }
}

#[derive(Debug)]
pub(super) struct Writer<'a> {
    recipe: Recipe,
    pub(super) producer: TransactionalProducer,
    ledger: &'a Ledger,
    next: u64,
    phase: watch::Sender<Phase>,
    /// How many producers it took.
    pub(super) producers: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(recipe: Recipe, ledger: &'a Ledger) -> Self {
        let producer = recipe.producer();
        Self { recipe, producer, ledger, next: 1, phase: watch::Sender::new(Phase::Between), producers: 1 }
    }

    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Writes one transaction, with a new producer of the same id whenever the old one cannot go on. It always comes to an end, though
    /// perhaps not to that which was wanted.
    pub(super) async fn write(&mut self, protocol: &'static str, records: u64, tasks: u64, end: End) -> Told {
        let name = (self.recipe.id.clone(), self.next);
        self.next += 1;
        for _ in 0..ATTEMPTS {
            let ended = match self.producer.begin_transaction().await {
                Ok(transaction) => {
                    self.ledger.open(&name, protocol, records, tasks);
                    self.phase.send_replace(Phase::Writing);
                    let sent = send(&transaction, self.recipe.topic, &name, records, tasks, end).await;
                    let end = if sent.is_ok() { end } else { End::Abort };
                    if let Err(error) = sent {
                        eprintln!("{name:?}: a record is refused: {error}");
                    }
                    self.phase.send_replace(if end.is_commit() {
                        Phase::Committing
                    } else {
                        Phase::Aborting
                    });
                    Ok((end, finish(transaction, end).await))
                }
                Err(error) => Err(error),
            };
            let (end, outcome) = match ended {
                Ok(ended) => ended,
                Err(error) => {
                    eprintln!("{name:?}: begin_transaction: {error}");
                    self.go_on_after(&error);
                    continue;
                }
            };
            let (told, error) = told(&mut self.producer, end, outcome).await;
            self.ledger.tell(&name, told);
            self.phase.send_replace(Phase::Between);
            if let Some(error) = error {
                eprintln!("{name:?}: {told:?}: {error}");
                self.go_on_after(&error);
            }
            return told;
        }
        panic!("{name:?}: no transaction can be begun");
    }

    fn go_on_after(&mut self, error: &TransactionError) {
        match error.disposition() {
            Disposition::AbortTransaction | Disposition::RepeatCall | Disposition::SendPreviousAgain => {}
            Disposition::NewProducer | Disposition::FindOutcome => {
                self.producer = self.recipe.producer();
                self.producers += 1;
            }
            other => panic!("{}: {other:?}: {error}", self.recipe.id),
        }
    }
}

impl End {
    pub(super) const fn is_commit(self) -> bool {
        matches!(self, Self::Commit | Self::CommitAndLeave)
    }

    const fn is_after_acknowledgements(self) -> bool {
        matches!(self, Self::AbortWritten | Self::DropWritten)
    }
}

/// Hands over the records of a transaction, each of several tasks those whose turn it is.
async fn send(
    transaction: &Transaction<'_>,
    topic: &'static str,
    name: &Name,
    records: u64,
    tasks: u64,
    end: End,
) -> Result<(), SendError> {
    let mut deliveries = Vec::new();
    if tasks == 1 {
        for number in 0..records {
            deliveries.push(transaction.enqueue(record(topic, name, number, tasks)).await?);
        }
        return settle(deliveries, end).await;
    }
    let sending: Vec<_> = (0..tasks)
        .map(|task| {
            let (handle, name): (TransactionHandle, _) = (transaction.handle(), name.clone());
            tokio::spawn(async move {
                let mut deliveries = Vec::new();
                for number in (0..records).filter(|number| number % tasks == task) {
                    deliveries.push(handle.enqueue(record(topic, &name, number, tasks)).await?);
                }
                Ok::<_, SendError>(deliveries)
            })
        })
        .collect();
    for task in sending {
        deliveries.extend(task.await.expect("no task panics")?);
    }
    settle(deliveries, end).await
}

async fn settle(deliveries: Vec<Delivery>, end: End) -> Result<(), SendError> {
    if end.is_after_acknowledgements() {
        for delivery in deliveries {
            delivery.await?;
        }
    }
    Ok(())
}

/// `None` if the caller does not wait.
async fn finish(transaction: Transaction<'_>, end: End) -> Option<Result<(), TransactionError>> {
    match end {
        End::Commit => Some(transaction.commit().await),
        End::Abort | End::AbortWritten => Some(transaction.abort().await),
        End::Drop | End::DropWritten => {
            drop(transaction);
            None
        }
        End::CommitAndLeave => transaction.commit().now_or_never(),
    }
}

/// What the caller knows of the transaction in the end, and why it is not what was wanted.
async fn told(
    producer: &mut TransactionalProducer,
    end: End,
    mut outcome: Option<Result<(), TransactionError>>,
) -> (Told, Option<TransactionError>) {
    if !end.is_commit() {
        return (Told::Aborted, outcome.and_then(Result::err));
    }
    let begin = wait::now();
    loop {
        match outcome {
            Some(Ok(())) => return (Told::Committed, None),
            Some(Err(error)) if error.disposition() != Disposition::RepeatCall => {
                let is_in_doubt = matches!(error.kind(), TransactionErrorKind::CommitInDoubt { .. });
                return (if is_in_doubt { Told::InDoubt } else { Told::Aborted }, Some(error));
            }
            Some(Err(_)) | None => {}
        }
        assert!(begin.elapsed() < END_LIMIT, "the commit does not end: {outcome:?}");
        outcome = Some(producer.finish_transaction().await);
    }
}

/// `ID-transaction-record`, with the number of its partition as its key.
pub(super) fn record(topic: &'static str, name: &Name, number: u64, tasks: u64) -> ProducerRecord {
    let partition = partition(number, tasks);
    let value = format!("{}-{}-{number}", name.0, name.1);
    ProducerRecord::to(topic).partition(partition).key(partition.to_string()).value(value)
}

/// Records go to all partitions, and those of each task, too.
pub(super) fn partition(number: u64, tasks: u64) -> i32 {
    i32::try_from(number / tasks % u64::from(PARTITIONS.unsigned_abs())).expect("few partitions")
}

/// The transaction and the number of a record, from its value.
pub(super) fn parse(value: &str) -> (Name, u64) {
    let mut parts = value.rsplitn(3, '-');
    let mut number = || parts.next().and_then(|part| part.parse().ok());
    let (record, transaction) = (number(), number());
    match (parts.next(), transaction, record) {
        (Some(id), Some(transaction), Some(record)) => ((id.to_owned(), transaction), record),
        _ => panic!("the value {value:?} is of no transaction"),
    }
}
