//! A caller of the real [`TransactionalProducer`]: it begins, sends, commits, aborts, lets go of calls, and notes what it was told.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::super::rig::millis;
use crate::clock;
use crate::delivery::Delivery;
use crate::error::{Disposition, TransactionError, TransactionErrorKind};
use crate::producer::{
    ConsumerGroupMetadata, OffsetAndMetadata, Transaction, TransactionHandle, TransactionalProducer,
};
use crate::record::ProducerRecord;
use crate::topic_partition::{Topic, TopicPartition};

/// A caller that goes on until it has an answer.
pub(super) const FOR_EVER: u64 = 1_000_000_000;

/// Something that the caller is to do. Times are in milliseconds: after so long it lets go of the call; 0 is before the first poll.
#[derive(Debug)]
pub(super) enum Command {
    Abort {
        patience: u64,
    },
    Begin {
        patience: u64,
    },
    Close {
        patience: u64,
    },
    Commit {
        patience: u64,
    },
    /// The guard.
    Drop,
    Finish {
        patience: u64,
    },
    /// The guard is forgotten without being dropped.
    Leak,
    Send(Record),
    SendOffsets {
        group: &'static str,
        topic: &'static str,
        patience: u64,
    },
}

/// A record to send.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: usize,
    pub(super) place: i32,
    pub(super) topic: &'static str,
    pub(super) partition: i32,
    pub(super) value: String,
    pub(super) timestamp: i64,
    pub(super) is_bad: bool,
    /// Another task sends it, by a handle.
    pub(super) is_by_handle: bool,
}

/// A record that the producer has taken.
pub(super) struct Taken {
    pub(super) id: usize,
    pub(super) place: i32,
    pub(super) is_bad: bool,
    pub(super) delivery: Delivery,
}

/// A transaction as its caller knows it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) records: Vec<usize>,
    /// The offset that was sent last for each group. In a later transaction it is higher.
    pub(super) offsets: BTreeMap<&'static str, i64>,
    /// The producer has said that it can only be aborted.
    is_doomed: bool,
    pub(super) verdict: Verdict,
}

/// What the caller was told of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Verdict {
    Committed,
    /// Nothing of it counts.
    #[default]
    NotCommitted,
    /// It may be committed.
    Unknown,
}

/// What the caller and the simulation show each other.
#[derive(Default)]
pub(super) struct Papers {
    commands: VecDeque<Command>,
    /// No more commands come.
    is_closed: bool,
    reader: Option<Waker>,
    /// The caller has nothing to do.
    pub(super) is_idle: bool,
    pub(super) is_in_transaction: bool,
    /// The guard of the last transaction was forgotten without being dropped.
    pub(super) is_leaked: bool,
    /// The caller has ended.
    pub(super) is_over: bool,
    /// Tasks that send by handles.
    pub(super) senders: usize,
    spawned: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    taken: Vec<Taken>,
    cancels: usize,
    cancelled: Vec<Waker>,
    pub(super) ledger: Vec<Entry>,
    /// A transaction whose end the caller has not seen.
    pending: Option<usize>,
    next_offset: i64,
    /// What came of the last call that began or ended a transaction.
    pub(super) last: Option<Result<(), TransactionError>>,
    /// The first error after which the producer cannot be used.
    pub(super) end: Option<TransactionError>,
    pub(super) violations: Vec<String>,
}

/// The caller's desk.
#[derive(Clone, Default)]
pub(super) struct Desk(Rc<RefCell<Papers>>);

impl Desk {
    pub(super) fn papers<T>(&self, look: impl FnOnce(&mut Papers) -> T) -> T {
        look(&mut self.0.borrow_mut())
    }

    /// Gives the caller something to do.
    pub(super) fn order(&self, command: Command) {
        self.papers(|papers| {
            papers.commands.push_back(command);
            papers.is_idle = false;
            papers.reader.take()
        })
        .into_iter()
        .for_each(Waker::wake);
    }

    /// Ends the caller once it has done everything.
    pub(super) fn close(&self) {
        let reader = self.papers(|papers| {
            papers.is_closed = true;
            papers.reader.take()
        });
        reader.into_iter().for_each(Waker::wake);
    }

    /// Has all tasks let go of the calls that they wait for.
    pub(super) fn cancel(&self) {
        let wakers = self.papers(|papers| {
            papers.cancels += 1;
            std::mem::take(&mut papers.cancelled)
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn take_spawned(&self) -> Vec<Pin<Box<dyn Future<Output = ()>>>> {
        self.papers(|papers| std::mem::take(&mut papers.spawned))
    }

    pub(super) fn take_taken(&self) -> Vec<Taken> {
        self.papers(|papers| std::mem::take(&mut papers.taken))
    }

    /// Whether nothing is left to do, and no task waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.papers(|papers| (papers.is_idle || papers.is_over) && papers.senders == 0)
    }

    async fn next(&self) -> Option<Command> {
        std::future::poll_fn(|cx| {
            self.papers(|papers| {
                if let Some(command) = papers.commands.pop_front() {
                    return Poll::Ready(Some(command));
                }
                if papers.is_closed {
                    return Poll::Ready(None);
                }
                papers.is_idle = true;
                papers.reader = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await
    }

    /// Waits for a call for so long. Returns `None` if the caller has let go of it.
    async fn within<F: Future>(&self, patience: u64, call: F) -> Option<F::Output> {
        let mut call = pin!(call);
        if patience == 0 {
            return None;
        }
        let cancels = self.papers(|papers| papers.cancels);
        let mut sleep = pin!(clock::simulated::sleep_until(clock::now() + millis(patience)));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = call.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if self.papers(|papers| papers.cancels) != cancels {
                return Poll::Ready(None);
            }
            if patience < FOR_EVER && sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            self.papers(|papers| papers.cancelled.push(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Notes what came of a call that begins or ends a transaction.
    fn note(&self, call: &'static str, outcome: Result<(), TransactionError>) {
        self.papers(|papers| {
            if let Err(error) = &outcome {
                // What `begin_transaction` says of the transaction before is an end as any other.
                let error = match error.kind() {
                    TransactionErrorKind::PreviousNotCommitted { error } => error,
                    _ => error,
                };
                match error.disposition() {
                    Disposition::Bug => papers.violations.push(format!("{call} says {error}")),
                    Disposition::NewProducer => drop(papers.end.get_or_insert_with(|| error.clone())),
                    _ => {}
                }
            }
            tracing::debug!(call, ?outcome, "caller");
            papers.last = Some(outcome);
        });
    }

    /// Notes what came of the wait for a transaction's end. `None`: the caller has let go of it.
    fn note_end(
        &self,
        call: &'static str,
        transaction: usize,
        is_commit: bool,
        outcome: Option<Result<(), TransactionError>>,
    ) {
        self.papers(|papers| {
            papers.pending = None;
            let is_doomed = papers.ledger[transaction].is_doomed;
            let verdict = match &outcome {
                _ if !is_commit => Verdict::NotCommitted,
                Some(Ok(())) if is_doomed => {
                    papers.violations.push(format!("transaction {transaction} commits, which could not"));
                    Verdict::Committed
                }
                Some(Ok(())) => Verdict::Committed,
                Some(Err(error)) => match error.kind() {
                    TransactionErrorKind::TimedOut { .. } | TransactionErrorKind::CommitInDoubt { .. } => {
                        Verdict::Unknown
                    }
                    _ => Verdict::NotCommitted,
                },
                None => Verdict::Unknown,
            };
            papers.ledger[transaction].verdict = verdict;
            if is_commit && is_unfinished(outcome.as_ref()) {
                papers.pending = Some(transaction);
            }
        });
        outcome.into_iter().for_each(|outcome| self.note(call, outcome));
    }

    fn doom(&self, transaction: usize) {
        self.papers(|papers| papers.ledger[transaction].is_doomed = true);
    }

    fn take(&self, transaction: usize, record: &Record, delivery: Delivery) {
        let Record { id, place, is_bad, .. } = *record;
        self.papers(|papers| {
            papers.taken.push(Taken { id, place, is_bad, delivery });
            papers.ledger[transaction].records.push(id);
        });
    }
}

fn is_unfinished(outcome: Option<&Result<(), TransactionError>>) -> bool {
    match outcome {
        None => true,
        Some(Ok(())) => false,
        Some(Err(error)) => matches!(error.kind(), TransactionErrorKind::TimedOut { .. }),
    }
}

/// Does what it is told, until there is nothing more to do.
pub(super) async fn run(mut producer: TransactionalProducer, desk: Desk) {
    while let Some(command) = desk.next().await {
        match command {
            Command::Close { patience } => {
                let report = desk.within(FOR_EVER, producer.close(millis(patience))).await;
                tracing::debug!(?report, "closed");
                break;
            }
            Command::Finish { patience } => {
                let outcome = desk.within(patience, producer.finish_transaction()).await;
                match desk.papers(|papers| papers.pending) {
                    Some(transaction) => desk.note_end("finish_transaction", transaction, true, outcome),
                    None => outcome.into_iter().for_each(|outcome| desk.note("finish_transaction", outcome)),
                }
            }
            Command::Begin { patience } => begin(&mut producer, &desk, patience, None).await,
            command @ (Command::Send(_) | Command::SendOffsets { .. }) => {
                begin(&mut producer, &desk, FOR_EVER, Some(command)).await;
            }
            // There is nothing to end.
            Command::Abort { .. } | Command::Commit { .. } | Command::Drop | Command::Leak => {}
        }
    }
    desk.papers(|papers| {
        papers.is_over = true;
        papers.commands.clear();
    });
}

async fn begin(producer: &mut TransactionalProducer, desk: &Desk, patience: u64, first: Option<Command>) {
    let Some(outcome) = desk.within(patience, producer.begin_transaction()).await else { return };
    match outcome {
        Ok(transaction) => {
            desk.papers(|papers| {
                // It begins only once the one before was committed, if its caller has not heard of that.
                if let Some(before) = papers.pending.take() {
                    papers.ledger[before].verdict = Verdict::Committed;
                }
            });
            desk.note("begin_transaction", Ok(()));
            desk.papers(|papers| (papers.is_in_transaction, papers.is_leaked) = (true, false));
            transact(transaction, desk, first).await;
            desk.papers(|papers| papers.is_in_transaction = false);
        }
        Err(error) => {
            let is_unfinished = matches!(error.kind(), TransactionErrorKind::TimedOut { .. });
            // It may be what became of the transaction before, or not.
            desk.papers(|papers| papers.pending = papers.pending.filter(|_| is_unfinished));
            desk.note("begin_transaction", Err(error));
        }
    }
}

async fn transact(transaction: Transaction<'_>, desk: &Desk, first: Option<Command>) {
    let number = desk.papers(|papers| {
        papers.ledger.push(Entry::default());
        papers.ledger.len() - 1
    });
    let mut command = first;
    loop {
        match command.take() {
            None | Some(Command::Begin { .. } | Command::Finish { .. }) => {}
            Some(Command::Send(record)) if record.is_by_handle => {
                let (handle, shared) = (transaction.handle(), desk.clone());
                let sending = send_by_handle(handle, shared, number, record);
                desk.papers(|papers| {
                    papers.senders += 1;
                    papers.spawned.push(Box::pin(sending));
                });
            }
            Some(Command::Send(record)) => {
                if let Some(Ok(delivery)) = desk.within(FOR_EVER, transaction.enqueue(of(&record))).await {
                    desk.take(number, &record, delivery);
                }
            }
            Some(Command::SendOffsets { group, topic, patience }) => {
                send_offsets(&transaction, desk, number, (group, topic, patience)).await;
            }
            Some(Command::Commit { patience }) => {
                desk.papers(|papers| papers.ledger[number].verdict = Verdict::Unknown);
                let outcome = desk.within(patience, transaction.commit()).await;
                // Dropped before it was polled, it aborts.
                return desk.note_end("commit", number, patience > 0, outcome);
            }
            Some(Command::Abort { patience }) => {
                let outcome = desk.within(patience, transaction.abort()).await;
                return desk.note_end("abort", number, false, outcome);
            }
            Some(Command::Drop) => return,
            Some(Command::Leak) => {
                desk.papers(|papers| papers.is_leaked = true);
                return std::mem::forget(transaction);
            }
            Some(command @ Command::Close { .. }) => {
                return desk.papers(|papers| papers.commands.push_front(command));
            }
        }
        match desk.next().await {
            Some(next) => command = Some(next),
            None => return,
        }
    }
}

async fn send_by_handle(handle: TransactionHandle, desk: Desk, transaction: usize, record: Record) {
    if let Some(Ok(delivery)) = desk.within(FOR_EVER, handle.enqueue(of(&record))).await {
        desk.take(transaction, &record, delivery);
    }
    desk.papers(|papers| papers.senders -= 1);
}

async fn send_offsets(
    transaction: &Transaction<'_>,
    desk: &Desk,
    number: usize,
    (group, topic, patience): (&'static str, &'static str, u64),
) {
    let offset = desk.papers(|papers| {
        papers.next_offset += 1;
        papers.next_offset
    });
    let partition = TopicPartition { topic: Topic::from(topic), partition: 0 };
    let metadata = ConsumerGroupMetadata::new(group);
    let call = transaction.send_offsets([(partition, OffsetAndMetadata::new(offset))], &metadata);
    let outcome = desk.within(patience, call).await;
    if patience > 0 {
        desk.papers(|papers| papers.ledger[number].offsets.insert(group, offset));
    }
    if let Some(Err(error)) = outcome {
        if !matches!(error.kind(), TransactionErrorKind::TimedOut { .. }) {
            desk.doom(number);
        }
        desk.note("send_offsets", Err(error));
    }
}

fn of(record: &Record) -> ProducerRecord {
    ProducerRecord::to(record.topic)
        .partition(record.partition)
        .value(Bytes::from(record.value.clone()))
        .timestamp(record.timestamp)
}

/// How long a caller waits at most for what it has ordered.
pub(super) fn longest(max_block: Duration) -> Duration {
    2 * max_block + Duration::from_secs(30)
}
