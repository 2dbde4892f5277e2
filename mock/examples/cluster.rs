//! A cluster to try clients against: `cargo run -p kafka-mock --example cluster -- 3`.
//!
//! Prints the bootstrap servers, then obeys lines on standard input until it ends:
//! `records TOPIC PARTITION`, `requests`, `refusals`, `down BROKER`, `up BROKER`.

use std::error::Error;
use std::io::BufRead;

use kafka_mock::{Api, MockCluster};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let brokers = std::env::args().nth(1).map_or(Ok(1), |brokers| brokers.parse())?;
    let cluster = MockCluster::start(brokers).await?;
    println!("{}", cluster.bootstrap_servers());

    let (lines, mut orders) = tokio::sync::mpsc::unbounded_channel();
    // Standard input blocks, so it gets a thread of its own; it ends when the channel or the input does.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    while let Some(order) = orders.recv().await {
        if let Err(error) = obey(&cluster, &order).await {
            println!("{order:?}: {error}");
        }
    }
    cluster.shutdown().await;
    Ok(())
}

async fn obey(cluster: &MockCluster, order: &str) -> Result<(), Box<dyn Error>> {
    match order.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["records", topic, partition] => {
            for record in cluster.records(topic, partition.parse()?) {
                println!("{record:?}");
            }
        }
        ["requests"] => {
            for api in Api::ALL {
                println!("{api:?}: {}", cluster.requests().of(api));
            }
        }
        ["refusals"] => println!("{:#?}", cluster.refusals()),
        ["down", broker] => cluster.broker_down(broker.parse()?).await?,
        ["up", broker] => cluster.broker_up(broker.parse()?).await?,
        [] => {}
        _ => return Err("not an order".into()),
    }
    Ok(())
}
