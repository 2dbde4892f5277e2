//! This crate. Every `Delivery` is awaited.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_producer::{
    Deliveries, Delivery, KafkaProducer, ProducerRecord, Topic, TopicHandle, TransactionalProducer,
};
use kafka_producer_peers::deliveries::{self, AnyError, Client, OUTSTANDING};
use kafka_producer_peers::options::{Arguments, Mode, Options};
use kafka_producer_peers::outcome::{Run, payloads};
use kafka_producer_peers::transactions;

const NAME: &str = "kafka-producer";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = Arguments::of_process();
    let options = Options::take(&mut arguments);
    let outstanding = arguments.take("outstanding", OUTSTANDING);
    let tasks = arguments.take("tasks", 1);
    let spread = arguments.take("spread", 0);
    let partitions = arguments.take("partitions", 1);
    let face = arguments.take("face", "record".to_owned());
    let burst = arguments.take("burst", 500);
    let provider = arguments.take("provider", String::new());
    arguments.finish();
    let mut builder = KafkaProducer::builder()
        .bootstrap_servers(&options.bootstrap)
        .property("batch.size", options.batch_size.to_string())
        .property("compression.type", &options.compression);
    // The default is left alone, as in an application that does not set it: then it spares awaited records.
    if options.linger_ms != 5 {
        builder = builder.property("linger.ms", options.linger_ms.to_string());
    }
    if !options.tls_ca.is_empty() {
        builder = builder
            .property("security.protocol", "SSL")
            .property("ssl.truststore.type", "PEM")
            .property("ssl.truststore.location", &options.tls_ca);
    }
    install(&provider);
    let fixed = |payload: Vec<u8>| Bytes::from_static(payload.leak());
    let payloads: Arc<[Bytes]> = payloads(&options).into_iter().map(fixed).collect();
    if options.mode == Mode::Transactions {
        let producer = builder.transactional_id(transactions::id(&options)).build_transactional()?;
        let name: &'static str = options.topic.clone().leak();
        let mut client = Transactional { producer, topic: Topic::from(name) };
        return tokio::spawn(async move { transactions::run(NAME, &mut client, &options, &payloads).await })
            .await?;
    }
    let producer: KafkaProducer = builder.build()?;
    // As in a program that names its topics and has its payloads at hand. The others need not count references either.
    let name: &'static str = options.topic.clone().leak();
    let topic = Topic::from(name);
    producer.partitions_for(topic.clone()).await?;
    let load = Load { options, producer, topic, payloads, outstanding, spread, partitions };
    // A task of the runtime, as senders are in applications, and not the thread that waits for it.
    tokio::spawn(async move {
        if load.options.mode != Mode::Stalled {
            // The connection is warm and the producer id known when the clock starts.
            load.producer.send(load.record(0)).await.expect("the broker takes everything");
        }
        match load.options.mode {
            Mode::Pipelined => match face.as_str() {
                "handle" => return load.by_handle().await,
                "bursts" => return load.in_bursts(burst).await,
                _ => return load.pipelined().await,
            },
            Mode::Lone => load.lone().await,
            Mode::Tasks => load.tasks(tasks).await,
            Mode::Stalled => load.stalled().await,
            Mode::Idle => load.idle().await,
            Mode::Transactions => unreachable!("they have a producer of their own"),
        }
        Ok(())
    })
    .await?
}

/// Makes the provider of this name the one of the process; the crate's own choice without a name.
fn install(provider: &str) {
    let provider = match provider {
        "" => return,
        "graviola" => rustls_graviola::default_provider(),
        "ring" => rustls::crypto::ring::default_provider(),
        "aws-lc-rs" => rustls::crypto::aws_lc_rs::default_provider(),
        _ => panic!("no provider is called {provider}"),
    };
    provider.install_default().expect("it is the first one");
}

struct Transactional {
    producer: TransactionalProducer,
    topic: Topic,
}

impl transactions::Client for Transactional {
    type Payload = Bytes;

    async fn transaction(
        &mut self,
        payloads: &[Bytes],
        first: usize,
        records: usize,
    ) -> Result<(), AnyError> {
        let transaction = self.producer.begin_transaction().await?;
        for payload in payloads.iter().cycle().skip(first).take(records) {
            drop(transaction.enqueue(ProducerRecord::to(&self.topic).value(payload.clone())).await?);
        }
        Ok(transaction.commit().await?)
    }
}

#[derive(Clone)]
struct Load {
    options: Options,
    producer: KafkaProducer,
    topic: Topic,
    payloads: Arc<[Bytes]>,
    /// Records that may be on their way.
    outstanding: usize,
    /// So many records to each of the partitions in turn; 0 leaves the choice to the producer.
    spread: u64,
    partitions: u64,
}

/// One record after the other, each with a delivery of its own.
impl Client for Load {
    type Payload = Bytes;
    type Delivery = Delivery;

    async fn send(&self, payload: &Bytes) -> Result<Delivery, AnyError> {
        Ok(self.producer.enqueue(ProducerRecord::to(&self.topic).value(payload.clone())).await?)
    }

    async fn settle(&self, delivery: Delivery) -> Result<(), AnyError> {
        delivery.await?;
        Ok(())
    }
}

/// The same by a handle of the topic.
struct Handle(TopicHandle);

impl Client for Handle {
    type Payload = Bytes;
    type Delivery = Delivery;

    async fn send(&self, payload: &Bytes) -> Result<Delivery, AnyError> {
        Ok(self.0.enqueue(None, payload).await?)
    }

    async fn settle(&self, delivery: Delivery) -> Result<(), AnyError> {
        delivery.await?;
        Ok(())
    }
}

/// The same with so many records to each partition in turn.
struct Spread {
    load: Load,
    number: AtomicU64,
}

impl Client for Spread {
    type Payload = Bytes;
    type Delivery = Delivery;

    async fn send(&self, _: &Bytes) -> Result<Delivery, AnyError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        Ok(self.load.producer.enqueue(self.load.record(number)).await?)
    }

    async fn settle(&self, delivery: Delivery) -> Result<(), AnyError> {
        self.load.settle(delivery).await
    }
}

impl Load {
    fn record(&self, number: u64) -> ProducerRecord {
        let payload = &self.payloads[number as usize & (self.payloads.len() - 1)];
        let record = ProducerRecord::to(&self.topic).value(payload.clone());
        if self.spread == 0 {
            return record;
        }
        record.partition((number / self.spread % self.partitions) as i32)
    }

    async fn pipelined(&self) -> Result<(), AnyError> {
        let Self { options, outstanding, payloads, .. } = self;
        if self.spread == 0 {
            return deliveries::run(NAME, self, options, *outstanding, payloads).await;
        }
        let spread = Spread { load: self.clone(), number: AtomicU64::new(0) };
        deliveries::run(NAME, &spread, options, *outstanding, payloads).await
    }

    async fn by_handle(&self) -> Result<(), AnyError> {
        let handle = Handle(self.producer.topic(self.topic.clone()));
        deliveries::run(NAME, &handle, &self.options, self.outstanding, &self.payloads).await
    }

    /// Hands over so many records at a time, and waits for the older half of those on their way as the other clients' loop does. What is
    /// timed is each burst.
    async fn in_bursts(&self, burst: usize) -> Result<(), AnyError> {
        let topic = self.producer.topic(self.topic.clone());
        let mut run = Run::start(NAME);
        let mut deliveries = Deliveries::new();
        // When bursts were handed over, and how many records there were with them.
        let mut times: VecDeque<(u64, Instant)> = VecDeque::new();
        let mut sent = 0;
        for chunk in self.payloads.chunks(burst).cycle() {
            let left = usize::try_from(self.options.records - sent)?;
            let next = chunk.get(..left).unwrap_or(chunk);
            times.push_back((sent + next.len() as u64, Instant::now()));
            topic.enqueue_all(next, &mut deliveries).await?;
            sent += next.len() as u64;
            let is_over = sent == self.options.records;
            if !is_over && deliveries.len() < self.outstanding {
                continue;
            }
            deliveries.settle(if is_over { 0 } else { self.outstanding / 2 }).await?;
            let settled = sent - deliveries.len() as u64;
            while let Some((_, time)) = times.front().filter(|(end, _)| *end <= settled) {
                run.latency(time.elapsed());
                times.pop_front();
            }
            if is_over {
                break;
            }
        }
        run.finish(self.options.records, 0, "");
        Ok(())
    }

    async fn lone(&self) {
        let mut run = Run::start(NAME);
        let mut failed = 0;
        for number in 0..self.options.records {
            let begin = Instant::now();
            failed += u64::from(self.producer.send(self.record(number)).await.is_err());
            run.latency(begin.elapsed());
        }
        run.finish(self.options.records, failed, "");
    }

    /// Also tells how fair it went: how many of its records the slowest task had sent when the first task was done.
    async fn tasks(&self, tasks: u64) {
        let each = self.options.records / tasks;
        let is_over = Arc::new(AtomicBool::new(false));
        let at_the_end: Arc<[AtomicU64]> = (0..tasks).map(|_| AtomicU64::new(0)).collect();
        let mut run = Run::start(NAME);
        let mut running = Vec::new();
        for task in 0..tasks {
            let (load, is_over, at_the_end) = (self.clone(), Arc::clone(&is_over), Arc::clone(&at_the_end));
            running.push(tokio::spawn(async move {
                let mut latencies = Vec::new();
                let mut failed = 0;
                for number in 0..each {
                    let begin = (number % 16 == task % 16).then(Instant::now);
                    failed += u64::from(load.producer.send(load.record(number)).await.is_err());
                    if let Some(begin) = begin {
                        latencies.push(begin.elapsed());
                    }
                    if !is_over.load(Ordering::Relaxed) {
                        at_the_end[task as usize].store(number + 1, Ordering::Relaxed);
                    }
                }
                is_over.store(true, Ordering::Relaxed);
                (latencies, failed)
            }));
        }
        let mut failed = 0;
        for task in running {
            let (latencies, failed_here) = task.await.expect("no task panics");
            latencies.into_iter().for_each(|latency| run.latency(latency));
            failed += failed_here;
        }
        let sent: Vec<u64> = at_the_end.iter().map(|sent| sent.load(Ordering::Relaxed)).collect();
        let mean = sent.iter().sum::<u64>() as f64 / tasks as f64;
        let slowest = sent.iter().min().copied().unwrap_or_default() as f64;
        run.finish(each * tasks, failed, &format!(",\"fairness\":{:.3}", slowest / mean));
    }

    /// Fills the memory for three seconds. The loop keeps no deliveries, so that what is measured is the producer's.
    async fn stalled(&self) {
        let run = Run::start(NAME);
        let begin = Instant::now();
        let mut accepted = 0;
        while begin.elapsed() < Duration::from_secs(3) {
            match self.producer.try_enqueue(self.record(accepted)) {
                Ok(delivery) => {
                    drop(delivery);
                    accepted += 1;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        run.finish(accepted, 0, "");
    }

    /// Counts the switches of ten seconds without a record.
    async fn idle(&self) {
        // Whatever the first record has set in motion is over by then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let run = Run::start(NAME);
        tokio::time::sleep(Duration::from_secs(10)).await;
        run.finish(1, 0, "");
    }
}
