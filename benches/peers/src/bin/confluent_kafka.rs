//! confluent-kafka, Confluent's translation of Java's client.

use std::collections::HashMap;

use confluent_kafka::common::KafkaFuture;
use confluent_kafka::common::serialization::ByteArraySerializer;
use confluent_kafka::producer::{KafkaProducer, ProducerConfig, ProducerRecord, RecordMetadata};
use kafka_producer_peers::deliveries::{self, AnyError, Client};
use kafka_producer_peers::options::{Arguments, Options};
use kafka_producer_peers::outcome::payloads;

struct Confluent {
    producer: KafkaProducer<Vec<u8>, Vec<u8>>,
    topic: String,
}

impl Client for Confluent {
    type Payload = Vec<u8>;
    type Delivery = KafkaFuture<RecordMetadata>;

    async fn send(&self, payload: &Vec<u8>) -> Result<Self::Delivery, AnyError> {
        let record = ProducerRecord::new(self.topic.clone(), Some(payload.as_slice()));
        Ok(self.producer.send(record, None).await?)
    }

    async fn settle(&self, delivery: Self::Delivery) -> Result<(), AnyError> {
        delivery.get().await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mut arguments = Arguments::of_process();
    let options = Options::take(&mut arguments);
    let outstanding = arguments.take("outstanding", 10_000);
    arguments.finish();
    tokio::spawn(run(options, outstanding)).await?
}

async fn run(options: Options, outstanding: usize) -> Result<(), AnyError> {
    let mut properties = vec![
        ("bootstrap.servers", options.bootstrap.clone()),
        ("batch.size", options.batch_size.to_string()),
        ("linger.ms", options.linger_ms.to_string()),
        ("compression.type", options.compression.clone()),
    ];
    if !options.tls_ca.is_empty() {
        properties.push(("security.protocol", "SSL".to_owned()));
        properties.push(("ssl.truststore.type", "PEM".to_owned()));
        properties.push(("ssl.truststore.location", options.tls_ca.clone()));
    }
    let properties: HashMap<_, _> =
        properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let producer = KafkaProducer::new(
        ProducerConfig::new(&properties)?,
        ByteArraySerializer::default(),
        ByteArraySerializer::default(),
    )?;
    let payloads = payloads(&options);
    let client = Confluent { producer, topic: options.topic.clone() };
    deliveries::run("confluent-kafka", &client, &options, outstanding, &payloads).await
}
