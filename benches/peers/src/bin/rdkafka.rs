//! librdkafka through rdkafka: `--api base` is the `ThreadedProducer`, `--api future` the `FutureProducer`.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka_producer_peers::deliveries::OUTSTANDING;
use kafka_producer_peers::options::{Arguments, Mode, Options};
use kafka_producer_peers::outcome::{Latencies, Run, payloads, timed_one_of};
use kafka_producer_peers::transactions;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{
    BaseRecord, FutureProducer, FutureRecord, Producer, ProducerContext, ThreadedProducer,
};

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let mut arguments = Arguments::of_process();
    let options = Options::take(&mut arguments);
    let api = arguments.take("api", "base".to_owned());
    let outstanding = arguments.take("outstanding", OUTSTANDING);
    arguments.finish();
    if options.mode == Mode::Transactions {
        return transactional(options, outstanding);
    }
    if api == "base" {
        return base(&options, outstanding);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async move { tokio::spawn(future(options, outstanding)).await? })
}

/// Its calls block, so the thread that calls them is no other task's.
fn transactional(options: Options, outstanding: usize) -> Result<(), AnyError> {
    let delivered = Arc::new(Delivered {
        origin: Instant::now(),
        failed: AtomicU64::new(0),
        latencies: Mutex::default(),
    });
    let producer: ThreadedProducer<Context> = config(&options, outstanding)
        .set("transactional.id", transactions::id(&options))
        .create_with_context(Context(delivered))?;
    producer.init_transactions(PATIENCE)?;
    let payloads = payloads(&options);
    let mut client = Transactional { producer, options: options.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(transactions::run("rdkafka-base", &mut client, &options, &payloads))
}

const PATIENCE: Duration = Duration::from_secs(60);

struct Transactional {
    producer: ThreadedProducer<Context>,
    options: Options,
}

impl transactions::Client for Transactional {
    type Payload = Vec<u8>;

    async fn transaction(
        &mut self,
        payloads: &[Vec<u8>],
        first: usize,
        records: usize,
    ) -> Result<(), AnyError> {
        self.producer.begin_transaction()?;
        for payload in payloads.iter().cycle().skip(first).take(records) {
            base_send(&self.producer, &self.options, payload, 0)?;
        }
        Ok(self.producer.commit_transaction(PATIENCE)?)
    }
}

/// What differs from librdkafka's defaults is what all clients are told.
fn config(options: &Options, outstanding: usize) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", options.linger_ms.to_string())
        .set("batch.size", options.batch_size.to_string())
        .set("compression.type", &options.compression)
        .set("queue.buffering.max.messages", outstanding.to_string());
    if !options.tls_ca.is_empty() {
        config.set("security.protocol", "ssl").set("ssl.ca.location", &options.tls_ca);
    }
    config
}

/// Counts and times what is delivered, on rdkafka's polling thread.
#[derive(Clone)]
struct Context(Arc<Delivered>);

struct Delivered {
    origin: Instant,
    failed: AtomicU64,
    latencies: Mutex<Latencies>,
}

impl ClientContext for Context {}

impl ProducerContext for Context {
    /// Nanoseconds since the origin at which the record was handed over; 0 for a record that is not timed.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: usize) {
        if result.is_err() {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
        if sent != 0 {
            let latency = self.0.origin.elapsed().saturating_sub(Duration::from_nanos(sent as u64));
            self.0.latencies.lock().unwrap_or_else(PoisonError::into_inner).add(latency);
        }
    }
}

fn base(options: &Options, outstanding: usize) -> Result<(), AnyError> {
    let delivered = Arc::new(Delivered {
        origin: Instant::now(),
        failed: AtomicU64::new(0),
        latencies: Mutex::default(),
    });
    let producer: ThreadedProducer<Context> =
        config(options, outstanding).create_with_context(Context(Arc::clone(&delivered)))?;
    let payloads = payloads(options);
    base_send(&producer, options, &payloads[0], 0)?;
    producer.flush(Duration::from_secs(30))?;

    let mut run = Run::start("rdkafka-base");
    let every = timed_one_of(options);
    for (number, payload) in (0..options.records).zip(payloads.iter().cycle()) {
        let sent =
            if number.is_multiple_of(every) { delivered.origin.elapsed().as_nanos() as usize } else { 0 };
        base_send(&producer, options, payload, sent)?;
        if options.mode == Mode::Lone {
            producer.flush(Duration::from_secs(30))?;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    run.latencies(&delivered.latencies.lock().unwrap_or_else(PoisonError::into_inner));
    run.finish(options.records, delivered.failed.load(Ordering::Relaxed), "");
    Ok(())
}

fn base_send(
    producer: &ThreadedProducer<Context>,
    options: &Options,
    payload: &[u8],
    sent: usize,
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<'_, (), [u8], usize>::with_opaque_to(&options.topic, sent).payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::sleep(Duration::from_micros(500));
            }
            Err((error, _)) => return Err(error),
        }
    }
}

async fn future(options: Options, outstanding: usize) -> Result<(), AnyError> {
    let producer: FutureProducer = config(&options, outstanding).create()?;
    let payloads = payloads(&options);
    let record = FutureRecord::<(), _>::to(&options.topic).payload(&payloads[0]);
    producer.send(record, Duration::from_secs(30)).await.map_err(|(error, _)| error)?;

    let mut run = Run::start("rdkafka-future");
    match options.mode {
        Mode::Lone => lone(&producer, &options, &payloads, &mut run).await?,
        _ => pipelined(&producer, &options, &payloads, outstanding, &mut run).await?,
    }
    run.finish(options.records, 0, "");
    Ok(())
}

async fn lone(
    producer: &FutureProducer,
    options: &Options,
    payloads: &[Vec<u8>],
    run: &mut Run,
) -> Result<(), AnyError> {
    for (_, payload) in (0..options.records).zip(payloads.iter().cycle()) {
        let begin = Instant::now();
        let record = FutureRecord::<(), _>::to(&options.topic).payload(payload);
        producer.send(record, Duration::from_secs(30)).await.map_err(|(error, _)| error)?;
        run.latency(begin.elapsed());
    }
    Ok(())
}

/// The same loop as ours.
async fn pipelined(
    producer: &FutureProducer,
    options: &Options,
    payloads: &[Vec<u8>],
    outstanding: usize,
    run: &mut Run,
) -> Result<(), AnyError> {
    let every = timed_one_of(options);
    let mut deliveries: VecDeque<(DeliveryFuture, Option<Instant>)> = VecDeque::new();
    let mut settle = async |deliveries: &mut VecDeque<(DeliveryFuture, Option<Instant>)>,
                            most: usize|
           -> Result<(), AnyError> {
        while deliveries.len() > most {
            let Some((delivery, sent)) = deliveries.pop_front() else { break };
            delivery.await?.map_err(|(error, _)| error)?;
            if let Some(sent) = sent {
                run.latency(sent.elapsed());
            }
        }
        Ok(())
    };
    for (number, payload) in (0..options.records).zip(payloads.iter().cycle()) {
        let sent = (number.is_multiple_of(every)).then(Instant::now);
        let mut record = FutureRecord::<(), _>::to(&options.topic).payload(payload);
        loop {
            match producer.send_result(record) {
                Ok(delivery) => break deliveries.push_back((delivery, sent)),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    let most = deliveries.len().saturating_sub(1);
                    settle(&mut deliveries, most).await?;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        if deliveries.len() >= outstanding {
            settle(&mut deliveries, outstanding / 2).await?;
        }
    }
    settle(&mut deliveries, 0).await
}
