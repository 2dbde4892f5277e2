//! This crate. Every `Delivery` is awaited.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_producer::{Delivery, KafkaProducer, ProducerRecord, Topic, TransactionalProducer};
use kafka_producer_peers::deliveries::AnyError;
use kafka_producer_peers::options::{Arguments, Mode, Options};
use kafka_producer_peers::outcome::{Run, payloads, timed_one_of};
use kafka_producer_peers::transactions;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = Arguments::of_process();
    let options = Options::take(&mut arguments);
    let outstanding = arguments.take("outstanding", 10_000);
    let tasks = arguments.take("tasks", 1);
    let spread = arguments.take("spread", 0);
    let partitions = arguments.take("partitions", 1);
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
        return tokio::spawn(async move {
            transactions::run("kafka-producer", &mut client, &options, &payloads).await
        })
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
            Mode::Pipelined => load.pipelined().await,
            Mode::Lone => load.lone().await,
            Mode::Tasks => load.tasks(tasks).await,
            Mode::Stalled => load.stalled().await,
            Mode::Idle => load.idle().await,
            Mode::Transactions => unreachable!("they have a producer of their own"),
        }
    })
    .await?;
    Ok(())
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

/// What is on its way, oldest first, and when the timed ones among it were handed over.
#[derive(Default)]
struct Outstanding {
    deliveries: VecDeque<Delivery>,
    timed: VecDeque<(u64, Instant)>,
    settled: u64,
    failed: u64,
}

impl Outstanding {
    async fn settle(&mut self, most: usize, run: &mut Run) {
        while self.deliveries.len() > most {
            let Some(delivery) = self.deliveries.pop_front() else { break };
            self.failed += u64::from(delivery.await.is_err());
            if let Some((_, at)) = self.timed.front().filter(|(number, _)| *number == self.settled) {
                run.latency(at.elapsed());
                self.timed.pop_front();
            }
            self.settled += 1;
        }
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

    /// Hands records over until `outstanding` are on their way, then awaits the older half of them.
    async fn pipelined(&self) {
        let every = timed_one_of(&self.options);
        let mut run = Run::start("kafka-producer");
        let mut outstanding = Outstanding::default();
        let mut next_timed = 0;
        for number in 0..self.options.records {
            if number == next_timed {
                outstanding.timed.push_back((number, Instant::now()));
                next_timed += every;
            }
            let delivery = self.producer.enqueue(self.record(number)).await;
            outstanding.deliveries.push_back(delivery.expect("the record is good"));
            if outstanding.deliveries.len() >= self.outstanding {
                outstanding.settle(self.outstanding / 2, &mut run).await;
            }
        }
        outstanding.settle(0, &mut run).await;
        run.finish(self.options.records, outstanding.failed, "");
    }

    async fn lone(&self) {
        let mut run = Run::start("kafka-producer");
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
        let mut run = Run::start("kafka-producer");
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
        let run = Run::start("kafka-producer");
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
        let run = Run::start("kafka-producer");
        tokio::time::sleep(Duration::from_secs(10)).await;
        run.finish(1, 0, "");
    }
}
