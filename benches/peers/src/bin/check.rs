//! Produces records with librdkafka, with idempotence, and reads them back with it: none may be missing, doubled, changed
//! or out of its order.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka_producer_peers::options::Arguments;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Values in the order of offsets, by partition.
type Log = BTreeMap<i32, Vec<(i64, String, String)>>;

const TOPIC: &str = "foreign";
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::of_process();
    let bootstrap = arguments.take("bootstrap", "127.0.0.1:9092".to_owned());
    let records: usize = arguments.take("records", 10_000);
    arguments.finish();
    let sent = produce(&bootstrap, records)?;
    let read = consume(&bootstrap, records)?;
    if sent != read {
        return Err("what was read is not what was sent".into());
    }
    println!("{records} records were sent, acknowledged and read back, the same and in order");
    Ok(())
}

struct Context(Arc<Mutex<Result<Log, String>>>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, &mut *log) {
            (Ok(message), Ok(log)) => log.entry(message.partition()).or_default().push(facts(message)),
            (Err((error, _)), log) => *log = Err(error.to_string()),
            (Ok(_), Err(_)) => {}
        }
    }
}

fn facts(message: &impl Message) -> (i64, String, String) {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    (message.offset(), text(message.key()), text(message.payload()))
}

fn produce(bootstrap: &str, records: usize) -> Result<Log, Box<dyn Error>> {
    let log = Arc::new(Mutex::new(Ok(Log::new())));
    let producer: ThreadedProducer<Context> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .create_with_context(Context(Arc::clone(&log)))?;
    for number in 0..records {
        let (key, value) = (format!("key {}", number % 101), format!("value {number}"));
        let mut record = BaseRecord::to(TOPIC).key(&key).payload(&value);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(LIMIT)?;
    let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    Ok(log)
}

fn consume(bootstrap: &str, records: usize) -> Result<Log, Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(TOPIC), LIMIT)?;
    let topic = metadata.topics().first().ok_or("no such topic")?;
    let mut all = TopicPartitionList::new();
    for partition in topic.partitions() {
        all.add_partition_offset(TOPIC, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let (mut log, mut read, begin) = (Log::new(), 0, Instant::now());
    while read < records {
        if begin.elapsed() > LIMIT {
            return Err(format!("only {read} records came back").into());
        }
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            log.entry(message.partition()).or_default().push(facts(&message));
            read += 1;
        }
    }
    // Nothing may come after them.
    match consumer.poll(Duration::from_millis(500)) {
        Some(message) => Err(format!("one too many: {:?}", message.map(|message| message.offset())).into()),
        None => Ok(log),
    }
}
