//! From rdkafka 0.39. The lines in comments are its; below each block stands what takes its place.

use std::time::Duration;

use kafka_producer::{KafkaProducer, LibrdkafkaPartitioner, Persisted, ProducerRecord};

use crate::{AnyError, step};

/// Sends what such a program sends to a cluster with the topic `orders`.
///
/// # Errors
///
/// What any of its calls fails with.
pub async fn run(servers: &str) -> Result<(), AnyError> {
    step(
        "The settings: names of Kafka in place of librdkafka's, and the old hash of keys, so that no key moves.",
    );
    // let producer: FutureProducer = ClientConfig::new()
    //     .set("bootstrap.servers", servers)
    //     .set("enable.idempotence", "true")
    //     .set("message.timeout.ms", "60000")
    //     .set("queue.buffering.max.kbytes", "65536")
    //     .set("queue.buffering.max.ms", "5")
    //     .set("compression.codec", "lz4")
    //     .create()?;
    let producer = KafkaProducer::builder()
        .property("bootstrap.servers", servers)
        .property("delivery.timeout.ms", "60000")
        .property("buffer.memory", "67108864")
        .property("linger.ms", "5")
        .property("compression.type", "lz4")
        .partitioner(LibrdkafkaPartitioner::ConsistentRandom)
        .build()?;

    step("One record, awaited. The record owns its parts.");
    // let (key, value) = ("customer-7".to_owned(), "2 apples".to_owned());
    // let record = FutureRecord::to("orders").key(&key).payload(&value);
    // let delivery = producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _message)| error)?;
    // println!("partition {}, offset {}", delivery.partition, delivery.offset);
    let (key, value) = ("customer-7".to_owned(), "2 apples".to_owned());
    let record = ProducerRecord::to("orders").key(key).value(value);
    let metadata = producer.send(record).await?;
    println!("partition {}, offset {:?}", metadata.partition(), metadata.offset());

    step("Headers, and a record without a value.");
    // let headers = OwnedHeaders::new().insert(Header { key: "source", value: Some("web") });
    // let record = FutureRecord::<str, [u8]>::to("orders").key("customer-7").headers(headers);
    // producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _message)| error)?;
    let record = ProducerRecord::to("orders").key("customer-7").header("source", "web");
    producer.send(record).await?;

    step("Many records: hand them over, await them later. A full queue is waited for, not polled.");
    many(&producer).await?;

    step("What failed, and whether it may be written.");
    // let value = vec![0; 2_000_000];
    // match producer.send(FutureRecord::<str, _>::to("orders").payload(&value), Duration::ZERO).await {
    //     Err((error, message)) => println!("{error}: {:?} bytes", message.payload().map(<[u8]>::len)),
    //     Ok(_) => return Err("it is too large".into()),
    // }
    let value = vec![0; 2_000_000];
    match producer.send(ProducerRecord::to("orders").value(value)).await {
        Err(error) if error.persisted() == Persisted::No => println!("{error}"),
        _ => return Err("it is too large".into()),
    }

    step("The end: a report in place of what is left in the queue.");
    // println!("{} in flight", producer.in_flight_count());
    // producer.flush(Duration::from_secs(30))?;
    println!("{} in flight", producer.metrics().buffered_records);
    let report = producer.close(Duration::from_secs(30)).await;
    println!("{report}");
    if report.undelivered.is_empty() { Ok(()) } else { Err("not all was delivered".into()) }
}

async fn many(producer: &KafkaProducer) -> Result<(), AnyError> {
    // let mut deliveries = Vec::new();
    // for number in 0..100 {
    //     let (key, value) = (format!("customer-{number}"), number.to_string());
    //     let mut record = FutureRecord::to("orders").key(&key).payload(&value);
    //     let delivery = loop {
    //         match producer.send_result(record) {
    //             Ok(delivery) => break delivery,
    //             Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
    //             Err((error, _record)) => return Err(error.into()),
    //         }
    //         tokio::time::sleep(Duration::from_millis(10)).await;
    //     };
    //     deliveries.push(delivery);
    // }
    // for delivery in deliveries {
    //     delivery.await?.map_err(|(error, _message)| error)?;
    // }
    let mut deliveries = Vec::new();
    for number in 0..100 {
        let (key, value) = (format!("customer-{number}"), number.to_string());
        let record = ProducerRecord::to("orders").key(key).value(value);
        deliveries.push(producer.enqueue(record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    Ok(())
}

/// The same from a thread without async code, by which `BaseProducer` and `ThreadedProducer` are used.
///
/// # Errors
///
/// What any of its calls fails with.
pub fn run_on_a_thread(servers: &str) -> Result<(), AnyError> {
    step(
        "From threads: nothing to poll, and results where they are awaited, in place of a context with a callback.",
    );
    // let producer: ThreadedProducer<DefaultProducerContext> =
    //     ClientConfig::new().set("bootstrap.servers", servers).create()?;
    // producer.send(BaseRecord::to("orders").key("customer-7").payload("3 pears")).map_err(|(error, _record)| error)?;
    // producer.flush(Duration::from_secs(30))?;
    let producer = KafkaProducer::builder()
        .bootstrap_servers(servers)
        .partitioner(LibrdkafkaPartitioner::ConsistentRandom)
        .build_blocking()?;
    producer.send_blocking(ProducerRecord::to("orders").key("customer-7").value("3 pears"))?;
    println!("{}", producer.close_blocking(Duration::from_secs(30))?);
    Ok(())
}

/// A transaction.
///
/// # Errors
///
/// What any of its calls fails with.
pub async fn run_transaction(servers: &str) -> Result<(), AnyError> {
    step("Transactions: calls that are awaited, and a guard that aborts if it is dropped.");
    // let producer: FutureProducer = ClientConfig::new()
    //     .set("bootstrap.servers", servers)
    //     .set("transactional.id", "orders-1")
    //     .create()?;
    // producer.init_transactions(Duration::from_secs(30))?;
    // producer.begin_transaction()?;
    // drop(producer.send_result(FutureRecord::to("orders").key("customer-7").payload("5 plums")));
    // producer.commit_transaction(Duration::from_secs(30))?;
    let mut producer = KafkaProducer::builder()
        .bootstrap_servers(servers)
        .transactional_id("orders-1")
        .partitioner(LibrdkafkaPartitioner::ConsistentRandom)
        .build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    drop(transaction.enqueue(ProducerRecord::to("orders").key("customer-7").value("5 plums")).await?);
    transaction.commit().await?;
    println!("{}", producer.close(Duration::from_secs(30)).await);
    Ok(())
}
