//! krafka, for `errors`.

use std::time::Duration;

use kafka_producer_peers::failures::{Manner, Order, print};
use krafka::error::{KrafkaError, Result};
use krafka::prelude::{AuthConfig, TlsConfig};
use krafka::producer::{Producer, ProducerBuilder};
use krafka::{CloseOptions, Kafka, Record};
use tokio::runtime::Runtime;

fn main() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
    let order = Order::of_process();
    let runtime = Runtime::new().expect("there are threads");
    let result = match order.manner {
        Manner::Fence | Manner::Transaction => runtime.block_on(transaction(&order)),
        Manner::RuntimeGone | Manner::RuntimeGoneUnderWay => outlive(&order, runtime),
        _ => runtime.block_on(run(&order)),
    };
    if let Err(error) = result {
        print(&error);
    }
}

async fn run(order: &Order) -> Result<()> {
    let producer = connect(order).await?.build().await?;
    begin(order, &producer).await?;
    if order.manner == Manner::Closed {
        producer.close().await?;
    }
    let mut handles = Vec::new();
    for _ in 0..order.records {
        handles.push(producer.enqueue(record(order)).await?);
    }
    if order.manner == Manner::CloseAtOnce {
        // It tells of the records, too.
        drop(producer.close_with(CloseOptions::default().timeout(Duration::ZERO)).await);
    }
    let mut result = Ok(());
    for handle in handles {
        let next = handle.await.map(drop);
        if result.is_ok() || order.manner == Manner::SendLast {
            result = next;
        }
    }
    result
}

/// Sends the record that is written, if there is one. It waits for metadata, even if the producer does not.
async fn begin(order: &Order, producer: &Producer) -> Result<()> {
    if !order.has_first {
        return Ok(());
    }
    for _ in 0..100 {
        match producer.send(record(order)).await {
            Err(KrafkaError::Timeout { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            result => {
                drop(result?);
                break;
            }
        }
    }
    order.wait_for_failure();
    Ok(())
}

async fn transaction(order: &Order) -> Result<()> {
    let id = order.setting("transactional.id").unwrap_or_default();
    let producer = connect(order).await?.build_transactional(id).await?;
    producer.begin()?;
    drop(producer.send(record(order)).await?);
    if order.manner == Manner::Fence {
        let _other = connect(order).await?.build_transactional(id).await?;
        producer.commit().await?;
    }
    Ok(())
}

/// Sends when the runtime of the producer has ended, or before that.
fn outlive(order: &Order, first: Runtime) -> Result<()> {
    let second = Runtime::new().expect("there are threads");
    let producer = first.block_on(async { connect(order).await?.build().await })?;
    first.block_on(begin(order, &producer))?;
    let handle = match order.manner {
        Manner::RuntimeGoneUnderWay => Some(first.block_on(producer.enqueue(record(order)))?),
        _ => None,
    };
    std::thread::sleep(Duration::from_millis(500));
    first.shutdown_background();
    let answer = second.block_on(async {
        let answer = async {
            match handle {
                Some(handle) => handle.await.map(drop),
                None => producer.send(record(order)).await.map(drop),
            }
        };
        tokio::time::timeout(Duration::from_secs(30), answer).await
    });
    answer.unwrap_or_else(|_| {
        println!("error (no word within 30 s)");
        Ok(())
    })
}

fn record(order: &Order) -> Record {
    let record = Record::new(order.topic.as_str(), order.value());
    match order.partition {
        Some(partition) => record.partition(partition),
        None => record,
    }
}

async fn connect(order: &Order) -> Result<ProducerBuilder> {
    let millis = |name| {
        let value = order.setting(name)?.parse().ok()?;
        Some(Duration::from_millis(value))
    };
    let number = |name| order.setting(name).and_then(|value| value.parse::<usize>().ok());
    let mut kafka = Kafka::builder(&order.bootstrap).allow_auto_create_topics(false);
    if let Some(timeout) = millis("request.timeout.ms") {
        kafka = kafka.request_timeout(timeout).connect_timeout(timeout.min(Duration::from_secs(10)));
    }
    match order.setting("security.protocol") {
        Some("SSL") => kafka = kafka.security(AuthConfig::ssl(TlsConfig::new())),
        Some("SASL_PLAINTEXT") => {
            let [user, password] = ["user", "password"].map(|name| order.setting(name).unwrap_or_default());
            kafka = kafka.security(AuthConfig::sasl_scram_sha512(user, password));
        }
        _ => {}
    }
    if let Some(most) = number("max.in.flight.requests.per.connection") {
        kafka = kafka.max_in_flight_requests(most);
    }
    let mut producer = kafka.connect().await?.producer();
    if let Some(timeout) = millis("delivery.timeout.ms") {
        producer = producer.delivery_timeout(timeout);
    }
    if let Some(time) = millis("max.block.ms") {
        producer = producer.max_block(time);
    }
    if let Some(linger) = millis("linger.ms") {
        producer = producer.linger(linger);
    }
    if let Some(backoff) = millis("retry.backoff.ms") {
        producer = producer.retry_backoff(backoff);
    }
    if let Some(bytes) = number("max.request.size") {
        producer = producer.max_request_size(bytes);
    }
    if let Some(bytes) = number("buffer.memory") {
        producer = producer.buffer_memory(bytes);
    }
    if let Some(bytes) = number("batch.size") {
        producer = producer.batch_size(bytes);
    }
    Ok(producer)
}
