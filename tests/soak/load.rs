//! What goes on meanwhile: everything that comes and goes.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, KafkaProducerBuilder, ProducerRecord};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::pace::Pace;

const BROKERS: i32 = 3;

/// Topics that are there all the time.
const LASTING: [&str; 3] = ["orders", "payments", "clicks"];

/// A topic that is left alone idles out well before it is deleted. Less is not allowed, so this is the same at any pace.
const IDLE: Duration = Duration::from_secs(5);

/// Topics that exist at once, at a pace of 1; the oldest is deleted then. A new one is made each [`TOPIC_EVERY`].
const TOPICS: usize = 60;
const TOPIC_EVERY: Duration = Duration::from_millis(400);

/// After which time brokers forget producers (Kafka: a day, `producer.id.expiration.ms`), and how often they look.
const EXPIRATION: Duration = Duration::from_secs(60);
const EXPIRATION_CHECK: Duration = Duration::from_secs(10);

/// The cluster, and the tasks that use it.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cluster: MockCluster,
    pace: Pace,
    topics: AtomicUsize,
    counts: Counts,
    random: Mutex<StdRng>,
}

/// What has happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    given_up: AtomicU64,
    outages: AtomicU64,
    producers: AtomicU64,
}

impl Counts {
    pub(crate) const NAMES: &str = "delivered,failed,refused,given_up,outages,producers";

    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, failed, refused, given_up, outages, producers } = self;
        let counts = [delivered, failed, refused, given_up, outages, producers];
        let texts: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed).to_string()).collect();
        f.write_str(&texts.join(","))
    }
}

impl Load {
    /// Starts a cluster and everything that goes on, for as long as the runtime lives.
    pub(crate) async fn start(pace: Pace) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let builder = MockCluster::builder().brokers(BROKERS).keep_records(false);
        let cluster = builder.auto_create_topics(false, 1).start().await?;
        for topic in LASTING {
            cluster.create_topic(topic, 6, 3)?;
        }
        let shared = Arc::new(Shared {
            cluster,
            pace,
            topics: AtomicUsize::new(0),
            counts: Counts::default(),
            random: Mutex::new(StdRng::seed_from_u64(9)),
        });
        let (used, filled) = (shared.producer(), shared.producer());
        let (used, filled) = (used.buffer_memory(4 << 20).build()?, filled.buffer_memory(128 << 10).build()?);
        tokio::spawn(Arc::clone(&shared).topics_that_come_and_go(used));
        tokio::spawn(Arc::clone(&shared).outages());
        tokio::spawn(Arc::clone(&shared).expiry());
        tokio::spawn(Arc::clone(&shared).producers_that_come_and_go());
        tokio::spawn(Arc::clone(&shared).waits_that_are_given_up(filled));
        Ok(Self { shared })
    }

    pub(crate) fn topics(&self) -> usize {
        self.shared.topics.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Shared {
    fn producer(&self) -> KafkaProducerBuilder {
        KafkaProducer::builder()
            .bootstrap_servers(self.cluster.bootstrap_servers())
            .linger(self.pace.millis(20))
            .metadata_max_idle(IDLE)
            .metadata_max_age(self.pace.millis(3000))
            .request_timeout(self.pace.millis(1500))
            .delivery_timeout(self.pace.millis(7000))
            .max_block(self.pace.millis(3000))
            .retry_backoff(self.pace.millis(100))
            .retry_backoff_max(self.pace.millis(1000))
            .reconnect_backoff(self.pace.millis(50))
            .reconnect_backoff_max(self.pace.millis(500))
    }

    fn random(&self, below: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..below)
    }

    fn record(&self, topic: &str, bytes: u64) -> ProducerRecord {
        let value = vec![b'x'; usize::try_from(self.random(bytes)).unwrap_or_default()];
        let record = ProducerRecord::to(topic.to_owned()).value(value);
        match self.random(2) {
            0 => record,
            _ => record.key(self.random(1000).to_string()),
        }
    }

    /// Sends records and counts what becomes of them.
    fn send(self: &Arc<Self>, producer: &KafkaProducer, topic: &str, count: u64, bytes: u64) {
        let records: Vec<_> = (0..count).map(|_| self.record(topic, bytes)).collect();
        let (this, producer) = (Arc::clone(self), producer.clone());
        tokio::spawn(async move {
            for result in producer.send_all(records).await {
                let counter = match result {
                    Ok(_) => &this.counts.delivered,
                    Err(error) if error.delivery_error().is_some() => &this.counts.failed,
                    Err(_) => &this.counts.refused,
                };
                Counts::add(counter);
            }
        });
    }

    async fn topics_that_come_and_go(self: Arc<Self>, producer: KafkaProducer) {
        let most = TOPICS * self.pace.0.get() as usize;
        let mut topics = VecDeque::new();
        for number in 0_u64.. {
            let topic = format!("topic-{number}");
            if self.cluster.create_topic(&topic, 4, 3).is_ok() {
                self.send(&producer, &topic, 10, 1000);
                topics.push_back(topic);
            }
            for topic in LASTING {
                self.send(&producer, topic, 5, 2000);
            }
            if topics.len() > most
                && let Some(oldest) = topics.pop_front()
            {
                drop(self.cluster.delete_topic(&oldest));
            }
            // Some that have idled out are used again.
            if number % 10 == 0
                && let Some(topic) = topics.get(most / 4)
            {
                self.send(&producer, topic, 10, 1000);
            }
            self.topics.store(topics.len(), Ordering::Relaxed);
            tokio::time::sleep(self.pace.of(TOPIC_EVERY)).await;
        }
    }

    async fn outages(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.pace.millis(4000 + self.random(4000))).await;
            let broker = 1 + i32::try_from(self.random(BROKERS as u64)).unwrap_or_default();
            let time = self.pace.millis(500 + self.random(4000));
            Counts::add(&self.counts.outages);
            if self.random(2) == 0 {
                drop(self.cluster.broker_down(broker).await);
                tokio::time::sleep(time).await;
                drop(self.cluster.broker_up(broker).await);
            } else {
                drop(self.cluster.freeze(broker));
                tokio::time::sleep(time).await;
                drop(self.cluster.unfreeze(broker));
            }
        }
    }

    /// Has brokers forget producers, as Kafka's do, but sooner than after a day.
    #[expect(clippy::disallowed_methods, reason = "the timestamps of records are real")]
    async fn expiry(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.pace.of(EXPIRATION_CHECK)).await;
            let oldest = SystemTime::now() - self.pace.of(EXPIRATION);
            let since_1970 = oldest.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.cluster.expire_producers(i64::try_from(since_1970.as_millis()).unwrap_or_default());
        }
    }

    async fn producers_that_come_and_go(self: Arc<Self>) {
        for round in 0_usize.. {
            tokio::time::sleep(self.pace.millis(3000)).await;
            let lingering = self.producer().linger(self.pace.millis(5000)).batch_size(4096);
            let Ok(producer) = lingering.build() else { continue };
            Counts::add(&self.counts.producers);
            let topic = LASTING[round % LASTING.len()];
            for _ in 0..100 {
                let record = self.record(topic, 2000);
                let enqueue = producer.enqueue(record);
                drop(tokio::time::timeout(self.pace.millis(500), enqueue).await);
            }
            match round % 3 {
                0 => drop(producer.close(Duration::ZERO).await),
                1 => drop(producer.close(self.pace.millis(300)).await),
                _ => drop(producer),
            }
        }
    }

    async fn waits_that_are_given_up(self: Arc<Self>, producer: KafkaProducer) {
        loop {
            tokio::time::sleep(self.pace.millis(2000)).await;
            for number in 0..60_usize {
                let (this, producer) = (Arc::clone(&self), producer.clone());
                let time = self.pace.millis(self.random(200));
                let record = self.record(LASTING[number % LASTING.len()], 10_000);
                tokio::spawn(async move {
                    if tokio::time::timeout(time, producer.enqueue(record)).await.is_err() {
                        Counts::add(&this.counts.given_up);
                    }
                });
            }
        }
    }
}
