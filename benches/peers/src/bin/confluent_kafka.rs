//! confluent-kafka, Confluent's translation of Java's client.

use std::collections::HashMap;

use confluent_kafka::common::KafkaFuture;
use confluent_kafka::common::serialization::ByteArraySerializer;
use confluent_kafka::producer::{KafkaProducer, ProducerConfig, ProducerRecord, RecordMetadata};
use kafka_producer_peers::deliveries::{self, AnyError, Client};
use kafka_producer_peers::options::{Mode, Options};
use kafka_producer_peers::outcome::payloads;
use kafka_producer_peers::transactions;

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

impl transactions::Client for Confluent {
    type Payload = Vec<u8>;

    async fn transaction(
        &mut self,
        payloads: &[Vec<u8>],
        first: usize,
        records: usize,
    ) -> Result<(), AnyError> {
        self.producer.begin_transaction()?;
        for payload in payloads.iter().cycle().skip(first).take(records) {
            drop(Client::send(self, payload).await?);
        }
        Ok(self.producer.commit_transaction().await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    deliveries::with_options(run).await
}

async fn run(options: Options, outstanding: usize) -> Result<(), AnyError> {
    let properties = options.as_properties().into_iter();
    let properties: HashMap<_, _> = properties.map(|(name, value)| (name.to_owned(), value)).collect();
    let producer = KafkaProducer::new(
        ProducerConfig::new(&properties)?,
        ByteArraySerializer::default(),
        ByteArraySerializer::default(),
    )?;
    let payloads = payloads(&options);
    let mut client = Confluent { producer, topic: options.topic.clone() };
    if options.mode == Mode::Transactions {
        client.producer.init_transactions().await?;
        return transactions::run("confluent-kafka", &mut client, &options, &payloads).await;
    }
    deliveries::run("confluent-kafka", &client, &options, outstanding, &payloads).await
}
