//! The loop that clients are measured with, around a client that hands back ready results: what of each figure is the loop's own.

use std::future::{Ready, ready};
use std::hint::black_box;

use bytes::Bytes;
use kafka_producer_peers::deliveries::{self, AnyError, Client};
use kafka_producer_peers::options::Options;

struct ReadyAtOnce;

impl Client for ReadyAtOnce {
    type Payload = Bytes;
    type Delivery = Ready<u64>;

    async fn send(&self, payload: &Bytes) -> Result<Self::Delivery, AnyError> {
        Ok(ready(black_box(payload.len() as u64)))
    }

    async fn settle(&self, delivery: Self::Delivery) -> Result<(), AnyError> {
        black_box(delivery.await);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    deliveries::with_options(run).await
}

async fn run(options: Options, outstanding: usize) -> Result<(), AnyError> {
    let payloads = deliveries::shared_payloads(&options);
    deliveries::run("the loop", &ReadyAtOnce, &options, outstanding, &payloads).await
}
