//! kacrab.

use std::sync::Arc;

use bytes::Bytes;
use kacrab::producer::{Producer, ProducerRecord, SendFuture};
use kafka_producer_peers::deliveries::{self, AnyError, Client};
use kafka_producer_peers::options::{Mode, Options};
use kafka_producer_peers::transactions;

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

impl transactions::Client for Kacrab {
    type Payload = Bytes;

    async fn transaction(
        &mut self,
        payloads: &[Bytes],
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
    let builder = properties.fold(Producer::builder(), |builder, (name, value)| builder.set(name, value));
    let producer = builder.build().await?;
    let topic: Arc<str> = options.topic.as_str().into();
    let payloads = deliveries::shared_payloads(&options);
    let mut client = Kacrab { producer, topic };
    if options.mode == Mode::Transactions {
        client.producer.init_transactions().await?;
        return transactions::run("kacrab", &mut client, &options, &payloads).await;
    }
    deliveries::run("kacrab", &client, &options, outstanding, &payloads).await
}
