//! kacrab.

use std::sync::Arc;

use bytes::Bytes;
use kacrab::producer::{Producer, ProducerRecord, SendFuture};
use kafka_producer_peers::deliveries::{self, AnyError, Client};
use kafka_producer_peers::options::{Arguments, Options};
use kafka_producer_peers::outcome::payloads;

struct Kacrab {
    producer: Producer,
    topic: Arc<str>,
}

impl Client for Kacrab {
    type Payload = Bytes;
    type Delivery = SendFuture;

    async fn send(&self, payload: &Bytes) -> Result<Self::Delivery, AnyError> {
        Ok(self.producer.send(ProducerRecord::topic_value(Arc::clone(&self.topic), payload.clone()))?)
    }

    async fn settle(&self, delivery: Self::Delivery) -> Result<(), AnyError> {
        delivery.await?;
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
    let mut builder = Producer::builder()
        .set("bootstrap.servers", options.bootstrap.as_str())
        .set("batch.size", options.batch_size.to_string())
        .set("linger.ms", options.linger_ms.to_string())
        .set("compression.type", options.compression.as_str());
    if !options.tls_ca.is_empty() {
        builder = builder
            .set("security.protocol", "SSL")
            .set("ssl.truststore.type", "PEM")
            .set("ssl.truststore.location", options.tls_ca.as_str());
    }
    let producer = builder.build().await?;
    let topic: Arc<str> = options.topic.as_str().into();
    let payloads: Vec<_> =
        payloads(&options).into_iter().map(|payload| Bytes::from_static(payload.leak())).collect();
    let client = Kacrab { producer, topic };
    deliveries::run("kacrab", &client, &options, outstanding, &payloads).await
}
