//! A steady load on one topic, and the memory of everything that was sent.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_producer::Delivery;
use kafka_producer::DeliveryErrorKind;
use kafka_producer::KafkaProducer;
use kafka_producer::Persisted;
use kafka_producer::ProducerRecord;
use kafka_producer::SendError;
use tokio::time::MissedTickBehavior;

use crate::support::ConsumedRecord;
use crate::support::wait;

const TICK: Duration = Duration::from_millis(10);
const RECORDS_PER_TICK: u64 = 5;
/// Now and then a burst, so that there are full batches, too.
const TICKS_PER_BURST: u64 = 150;
const BURST: u64 = 400;
const KEYS: u64 = 50;

/// How long records may take to be settled; well above any `delivery.timeout.ms` in use.
const LIMIT: Duration = Duration::from_secs(600);
/// Records that must be settled before a stream counts as flowing again.
const PROOF: usize = 100;

/// Records to one topic, numbered from 0 in the order in which the producer accepted or refused them.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) topic: &'static str,
    pub(super) partitions: i32,
    pub(super) producer: KafkaProducer,
    keys: Keys,
    /// Record `n` is at index `n`.
    sent: Mutex<Vec<Sent>>,
    /// Acknowledged by a topic that has been deleted since, as far as one can know.
    buried: Mutex<BTreeSet<u64>>,
}

/// Which records of a stream have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    All,
    Half,
    None,
}

#[derive(Debug)]
enum Sent {
    Accepted(Delivery),
    Refused(String),
}

/// What became of a record in the end.
#[derive(Debug)]
pub(super) enum Fate {
    Acknowledged {
        partition: i32,
        /// `None` if the broker only said that it has the record already.
        offset: Option<i64>,
    },
    Failed {
        kind: String,
        persisted: Persisted,
    },
}

impl Stream {
    pub(super) fn new(topic: &'static str, partitions: i32, keys: Keys, producer: &KafkaProducer) -> Self {
        let producer = producer.clone();
        Self { topic, partitions, producer, keys, sent: Mutex::default(), buried: Mutex::default() }
    }

    /// Sends until `is_over`.
    pub(super) async fn run(&self, is_over: &AtomicBool) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 1.. {
            ticks.tick().await;
            let count = if tick % TICKS_PER_BURST == 0 { BURST } else { RECORDS_PER_TICK };
            for _ in 0..count {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                self.send_one().await;
            }
        }
    }

    async fn send_one(&self) {
        let n = self.len() as u64;
        let record = ProducerRecord::to(self.topic).value(format!("{n} {}", "-".repeat(60)));
        let has_key = match self.keys {
            Keys::All => true,
            Keys::Half => n.is_multiple_of(2),
            Keys::None => false,
        };
        let record = if has_key { record.key(format!("key {}", n / 2 % KEYS)) } else { record };
        let sent = match self.producer.enqueue(record).await {
            Ok(delivery) => Sent::Accepted(delivery),
            Err(error) => Sent::Refused(refusal(&error)),
        };
        self.sent().push(sent);
    }

    /// The records sent so far, which is also the number of the next.
    pub(super) fn len(&self) -> usize {
        self.sent().len()
    }

    /// Waits until records that are sent from now on, and all before them, are settled.
    pub(super) async fn flows(&self) {
        let goal = self.len() + PROOF;
        let mut settled = 0;
        wait::wait_for(&format!("{} flows again", self.topic), LIMIT, async || {
            let sent = self.sent();
            settled += sent.iter().skip(settled).take_while(|sent| sent.is_settled()).count();
            (settled >= goal).then_some(())
        })
        .await;
    }

    /// Waits until a record has failed and `is_proof` holds for its error.
    pub(super) async fn fails(&self, what: &str, is_proof: impl Fn(&DeliveryErrorKind) -> bool) {
        let from = self.len();
        wait::wait_for(&format!("{what} on {}", self.topic), LIMIT, async || {
            let failed = |sent: &Sent| match sent {
                Sent::Accepted(delivery) => {
                    delivery.try_result().and_then(Result::err).is_some_and(|error| is_proof(&error.kind()))
                }
                Sent::Refused(_) => false,
            };
            self.sent().iter().skip(from).any(failed).then_some(())
        })
        .await;
    }

    /// Takes note that the topic is gone, with all that has been acknowledged. To be called while it does not exist.
    pub(super) fn bury(&self) {
        let sent = self.sent();
        let settled = (0..).zip(sent.iter()).filter(|(_, sent)| sent.is_settled());
        self.buried.lock().unwrap_or_else(PoisonError::into_inner).extend(settled.map(|(n, _)| n));
    }

    /// The same when some broker may still acknowledge what the topic was given before it was deleted.
    pub(super) fn bury_all(&self) {
        let end = self.len() as u64;
        self.buried.lock().unwrap_or_else(PoisonError::into_inner).extend(0..end);
    }

    pub(super) fn buried(&self) -> BTreeSet<u64> {
        self.buried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for every answer that is still to come. Fate `n` is that of record `n`.
    pub(super) async fn settle(&self) -> Vec<Fate> {
        let sent = std::mem::take(&mut *self.sent());
        let mut fates = Vec::with_capacity(sent.len());
        for (n, sent) in sent.into_iter().enumerate() {
            fates.push(match sent {
                Sent::Refused(kind) => Fate::Failed { kind, persisted: Persisted::No },
                Sent::Accepted(delivery) => {
                    let result = tokio::time::timeout(LIMIT, delivery).await;
                    fate(result.unwrap_or_else(|_| panic!("{}: record {n} is not settled", self.topic)))
                }
            });
        }
        fates
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    fn is_settled(&self) -> bool {
        match self {
            Self::Accepted(delivery) => delivery.try_result().is_some(),
            Self::Refused(_) => true,
        }
    }
}

/// The number of a record that was found.
pub(super) fn number(record: &ConsumedRecord) -> u64 {
    let text = record.value.as_deref().and_then(|value| str::from_utf8(value).ok());
    let number = text.and_then(|text| text.split_once(' ')).and_then(|(number, _)| number.parse().ok());
    number.expect("a number and a space")
}

fn fate(result: Result<kafka_producer::RecordMetadata, kafka_producer::DeliveryError>) -> Fate {
    match result {
        Ok(metadata) => Fate::Acknowledged { partition: metadata.partition(), offset: metadata.offset() },
        Err(error) => {
            let kind = match error.kind() {
                DeliveryErrorKind::Broker { code, .. } => code.to_string(),
                kind => variant(&kind),
            };
            Fate::Failed { kind, persisted: error.persisted() }
        }
    }
}

fn refusal(error: &SendError) -> String {
    assert_eq!(error.persisted(), Persisted::No, "refused: {error}");
    variant(error.kind())
}

/// The name of an enum's variant.
fn variant(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
