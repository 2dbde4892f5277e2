//! From confluent-kafka 1.0. The lines in comments are its; below each block stands what takes its place.

use std::collections::HashMap;
use std::time::Duration;

use kafka_producer::{
    Disposition, KafkaProducer, LibrdkafkaPartitioner, ProducerRecord, StringSerializer,
    TransactionalProducer,
};

use crate::{AnyError, step};

/// Sends what such a program sends to a cluster with the topic `orders`.
///
/// # Errors
///
/// What any of its calls fails with.
pub async fn run(servers: &str) -> Result<(), AnyError> {
    step(
        "The settings: the same names and defaults, those of Java, but for the hash of keys, which is librdkafka's.",
    );
    // let properties = HashMap::from([
    //     ("bootstrap.servers".to_owned(), servers.to_owned()),
    //     ("compression.type".to_owned(), "lz4".to_owned()),
    //     ("delivery.timeout.ms".to_owned(), "60000".to_owned()),
    // ]);
    // let config = ProducerConfig::new(&properties)?;
    // let producer = KafkaProducer::<String, String>::new(config, StringSerializer::default(), StringSerializer::default())?;
    let properties = HashMap::from([
        ("bootstrap.servers".to_owned(), servers.to_owned()),
        ("compression.type".to_owned(), "lz4".to_owned()),
        ("delivery.timeout.ms".to_owned(), "60000".to_owned()),
    ]);
    let producer: KafkaProducer<String, String> = KafkaProducer::builder()
        .properties(properties)
        .serializers(StringSerializer, StringSerializer)
        .partitioner(LibrdkafkaPartitioner::ConsistentRandom)
        .build()?;

    step("One record, awaited: one call in place of two.");
    // let (key, value) = ("customer-7".to_owned(), "2 apples".to_owned());
    // let record = ProducerRecord::with_key("orders".to_owned(), Some(key), Some(value));
    // let metadata = Producer::send(&producer, record).await?.get().await?;
    // println!("partition {}, offset {}", metadata.partition(), metadata.offset());
    let (key, value) = ("customer-7".to_owned(), "2 apples".to_owned());
    let record = ProducerRecord::to("orders").key(key).value(value);
    let metadata = producer.send(record).await?;
    println!("partition {}, offset {:?}", metadata.partition(), metadata.offset());

    step("A record without a value.");
    // let record = ProducerRecord::with_key("orders".to_owned(), Some("customer-7".to_owned()), None);
    // Producer::send(&producer, record).await?.get().await?;
    producer.send(ProducerRecord::to("orders").key("customer-7".to_owned())).await?;

    step("Many records: `enqueue` is what `send` was.");
    // let mut sent = Vec::new();
    // for number in 0..100 {
    //     let (key, value) = (format!("customer-{number}"), number.to_string());
    //     let record = ProducerRecord::with_key("orders".to_owned(), Some(key), Some(value));
    //     sent.push(Producer::send(&producer, record).await?);
    // }
    // for one in sent {
    //     one.get().await?;
    // }
    let mut sent = Vec::new();
    for number in 0..100 {
        let (key, value) = (format!("customer-{number}"), number.to_string());
        sent.push(producer.enqueue(ProducerRecord::to("orders").key(key).value(value)).await?);
    }
    for one in sent {
        one.await?;
    }

    step("What failed: what to do is a value, and so is whether it may be written.");
    // let record = ProducerRecord::new("orders".to_owned(), Some("x".repeat(2_000_000)));
    // match Producer::send(&producer, record).await?.get().await {
    //     Err(error) if error.is_retriable_error() => println!("try again: {error}"),
    //     Err(error) => println!("give up: {error}"),
    //     Ok(_) => return Err("it is too large".into()),
    // }
    match producer.send(ProducerRecord::to("orders").value("x".repeat(2_000_000))).await {
        Err(error) if error.disposition() == Disposition::RetryLater => println!("try again: {error}"),
        Err(error) => println!("give up: {error}, {:?}", error.persisted()),
        Ok(_) => return Err("it is too large".into()),
    }

    step("The end: a report, where the old call told nothing.");
    // producer.flush().await?;
    // producer.close_with_timeout(Duration::from_secs(30)).await?;
    let report = producer.close(Duration::from_secs(30)).await;
    println!("{report}");
    if report.undelivered.is_empty() { Ok(()) } else { Err("not all was delivered".into()) }
}

/// A transaction.
///
/// # Errors
///
/// What any of its calls fails with.
pub async fn run_transaction(servers: &str) -> Result<(), AnyError> {
    step(
        "Transactions: `init_transactions` is part of the first `begin_transaction`, and the guard aborts if it is dropped.",
    );
    // let properties = HashMap::from([
    //     ("bootstrap.servers".to_owned(), servers.to_owned()),
    //     ("transactional.id".to_owned(), "orders-1".to_owned()),
    // ]);
    // let config = ProducerConfig::new(&properties)?;
    // let producer = KafkaProducer::<String, String>::new(config, StringSerializer::default(), StringSerializer::default())?;
    // producer.init_transactions().await?;
    // producer.begin_transaction()?;
    // let (key, value) = ("customer-7".to_owned(), "5 plums".to_owned());
    // let record = ProducerRecord::with_key("orders".to_owned(), Some(key), Some(value));
    // drop(Producer::send(&producer, record).await?);
    // producer.commit_transaction().await?;
    // producer.close().await?;
    let mut producer: TransactionalProducer<String, String> = KafkaProducer::builder()
        .bootstrap_servers(servers)
        .transactional_id("orders-1")
        .serializers(StringSerializer, StringSerializer)
        .partitioner(LibrdkafkaPartitioner::ConsistentRandom)
        .build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    let (key, value) = ("customer-7".to_owned(), "5 plums".to_owned());
    let record = ProducerRecord::to("orders").key(key).value(value);
    drop(transaction.enqueue(record).await?);
    transaction.commit().await?;
    println!("{}", producer.close(Duration::from_secs(30)).await);
    Ok(())
}
