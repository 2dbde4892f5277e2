//! krafka.

use std::time::Duration;

use bytes::Bytes;
use kafka_producer_peers::deliveries::{self, AnyError, Client};
use kafka_producer_peers::options::{Mode, Options};
use kafka_producer_peers::transactions;
use krafka::prelude::{AuthConfig, TlsConfig};
use krafka::producer::{DeliveryHandle, Producer, TransactionalProducer};
use krafka::{Compression, Kafka, Record};

struct Krafka {
    producer: Producer,
    topic: String,
}

impl Client for Krafka {
    type Payload = Bytes;
    type Delivery = DeliveryHandle;

    async fn send(&self, payload: &Bytes) -> Result<Self::Delivery, AnyError> {
        let record = Record::new(self.topic.as_str(), payload.clone());
        Ok(self.producer.enqueue(record).await?)
    }

    async fn settle(&self, delivery: Self::Delivery) -> Result<(), AnyError> {
        let _ = delivery.await?;
        Ok(())
    }
}

struct Transactional {
    producer: TransactionalProducer,
    topic: String,
}

impl transactions::Client for Transactional {
    type Payload = Bytes;

    async fn transaction(
        &mut self,
        payloads: &[Bytes],
        first: usize,
        records: usize,
    ) -> Result<(), AnyError> {
        self.producer.begin()?;
        for payload in payloads.iter().cycle().skip(first).take(records) {
            let record = Record::new(self.topic.as_str(), payload.clone());
            drop(self.producer.enqueue(record).await?);
        }
        Ok(self.producer.commit().await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    deliveries::with_options(run).await
}

async fn run(options: Options, outstanding: usize) -> Result<(), AnyError> {
    let mut builder = Kafka::builder(&options.bootstrap);
    if !options.tls_ca.is_empty() {
        builder = builder.security(AuthConfig::ssl(TlsConfig::new().with_ca_cert(&options.tls_ca)));
    }
    let kafka = builder.connect().await?;
    let builder = kafka
        .producer()
        .batch_size(options.batch_size)
        .linger(Duration::from_millis(options.linger_ms))
        .compression(codec(&options.compression)?);
    let payloads = deliveries::shared_payloads(&options);
    if options.mode == Mode::Transactions {
        let producer = builder.build_transactional(transactions::id(&options)).await?;
        let mut client = Transactional { producer, topic: options.topic.clone() };
        return transactions::run("krafka", &mut client, &options, &payloads).await;
    }
    let producer = builder.build().await?;
    let client = Krafka { producer, topic: options.topic.clone() };
    deliveries::run("krafka", &client, &options, outstanding, &payloads).await
}

fn codec(name: &str) -> Result<Compression, String> {
    match name {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "lz4" => Ok(Compression::Lz4),
        _ => Err(format!("unknown codec {name}")),
    }
}
