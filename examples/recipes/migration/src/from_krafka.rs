//! From krafka 0.28. The lines in comments are its; below each block stands what takes its place.

use std::time::Duration;

use kafka_producer::{Compression, KafkaProducer, Persisted, ProducerRecord};

use crate::{AnyError, step};

/// Sends what such a program sends to a cluster with the topic `orders`.
///
/// # Errors
///
/// What any of its calls fails with.
pub async fn run(servers: &str) -> Result<(), AnyError> {
    step(
        "One builder for the cluster and the producer. It connects in the background; `ready` waits for that.",
    );
    // let kafka = Kafka::builder(servers).client_id("shop").connect().await?;
    // let producer = kafka
    //     .producer()
    //     .linger(Duration::from_millis(5))
    //     .compression(Compression::Lz4)
    //     .delivery_timeout(Duration::from_secs(60))
    //     .build()
    //     .await?;
    let producer = KafkaProducer::builder()
        .bootstrap_servers(servers)
        .client_id("shop")
        .linger(Duration::from_millis(5))
        .compression(Compression::Lz4)
        .delivery_timeout(Duration::from_secs(60))
        .build()?;
    producer.ready(Duration::from_secs(30)).await?;

    step("One record, awaited. Keys go where they went: both hash as Java does.");
    // let metadata = producer.send(Record::new("orders", "2 apples").key("customer-7")).await?;
    // println!("partition {}, offset {}", metadata.partition, metadata.offset);
    let metadata = producer.send(ProducerRecord::to("orders").value("2 apples").key("customer-7")).await?;
    println!("partition {}, offset {:?}", metadata.partition(), metadata.offset());

    step("Headers, and a record without a value.");
    // producer.send(Record::tombstone("orders", "customer-7").header("source", "web")).await?;
    producer.send(ProducerRecord::to("orders").key("customer-7").header("source", "web")).await?;

    step("Many records: the same two stages.");
    // let mut deliveries = Vec::new();
    // for number in 0..100 {
    //     let record = Record::new("orders", number.to_string()).key(format!("customer-{number}"));
    //     deliveries.push(producer.enqueue(record).await?);
    // }
    // for delivery in deliveries {
    //     delivery.await?;
    // }
    let mut deliveries = Vec::new();
    for number in 0..100 {
        let record = ProducerRecord::to("orders").value(number.to_string()).key(format!("customer-{number}"));
        deliveries.push(producer.enqueue(record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }

    step("Whether it may be written is known of every failure, and the record comes back.");
    // match producer.send(Record::new("no such topic", "2 apples")).await {
    //     Err(KrafkaError::DeliveryTimeout { possibly_written: true, .. }) => println!("look for it"),
    //     Err(error) => println!("{error}"),
    //     Ok(_) => return Err("there is no such topic".into()),
    // }
    match producer.send(ProducerRecord::to("no such topic").value("2 apples")).await {
        Err(error) if error.persisted() == Persisted::Maybe => println!("look for it"),
        Err(error) => println!("{error}"),
        Ok(_) => return Err("there is no such topic".into()),
    }

    step("The end: a report in place of an error without records.");
    // producer.close_with(CloseOptions::new().timeout(Duration::from_secs(30))).await?;
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
    step("Transactions: a guard in place of calls in the right order.");
    // let kafka = Kafka::builder(servers).connect().await?;
    // let producer = kafka.producer().build_transactional("orders-1").await?;
    // producer.begin()?;
    // drop(producer.enqueue(Record::new("orders", "5 plums").key("customer-7")).await?);
    // producer.commit().await?;
    // producer.close().await?;
    let mut producer = KafkaProducer::builder()
        .bootstrap_servers(servers)
        .transactional_id("orders-1")
        .build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    drop(transaction.enqueue(ProducerRecord::to("orders").value("5 plums").key("customer-7")).await?);
    transaction.commit().await?;
    println!("{}", producer.close(Duration::from_secs(30)).await);
    Ok(())
}
