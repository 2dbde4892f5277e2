//! From Java's producer (kafka-clients 4.3) and its file of properties. The lines in comments are Java's; below each block stands
//! what takes its place.

use std::path::Path;
use std::time::Duration;

use kafka_producer::{
    Disposition, KafkaProducer, LongSerializer, ProducerConfig, ProducerRecord, StringSerializer,
    TransactionalProducer,
};

use crate::{AnyError, step};

/// Sends what such a program sends to a cluster with the topic `orders`.
///
/// # Errors
///
/// What any of its calls fails with.
pub async fn run(servers: &str, file: &Path) -> Result<(), AnyError> {
    step("The file as it is. What is there for Java alone is taken out by name.");
    // Properties config = new Properties();
    // try (InputStream input = Files.newInputStream(file)) {
    //     config.load(input);
    // }
    // config.put("bootstrap.servers", servers);
    let config = ProducerConfig::from_properties_file(file)?
        .remove("metric.reporters")
        .property("bootstrap.servers", servers);

    step("Serializers are values. That of the file must be of the same kind, so a mix-up is found at once.");
    // Producer<String, Long> producer = new KafkaProducer<>(config);
    let producer: KafkaProducer<String, i64> =
        KafkaProducer::builder().config(config).serializers(StringSerializer, LongSerializer).build()?;

    step("One record, awaited.");
    // RecordMetadata metadata = producer.send(new ProducerRecord<>("orders", "customer-7", 2L)).get();
    // System.out.println("partition " + metadata.partition() + ", offset " + metadata.offset());
    let metadata = producer.send(ProducerRecord::to("orders").key("customer-7".to_owned()).value(2)).await?;
    println!("partition {}, offset {:?}", metadata.partition(), metadata.offset());

    step("Headers, and a record without a value.");
    // ProducerRecord<String, Long> gone = new ProducerRecord<>("orders", "customer-7", null);
    // gone.headers().add("source", "web".getBytes(StandardCharsets.UTF_8));
    // producer.send(gone).get();
    let gone = ProducerRecord::to("orders").key("customer-7".to_owned()).header("source", "web");
    producer.send(gone).await?;

    step("Many records: futures are awaited later, as in Java.");
    // List<Future<RecordMetadata>> sent = new ArrayList<>();
    // for (long number = 0; number < 100; number++) {
    //     sent.add(producer.send(new ProducerRecord<>("orders", "customer-" + number, number)));
    // }
    // for (Future<RecordMetadata> one : sent) {
    //     one.get();
    // }
    let mut sent = Vec::new();
    for number in 0..100 {
        sent.push(
            producer
                .enqueue(ProducerRecord::to("orders").key(format!("customer-{number}")).value(number))
                .await?,
        );
    }
    for one in sent {
        one.await?;
    }

    step("A callback is a task that awaits the delivery, and RetriableException a disposition.");
    // producer.send(new ProducerRecord<>("orders", "customer-7", 3L), (written, error) -> {
    //     if (error instanceof RetriableException) {
    //         System.out.println("try again: " + error);
    //     } else if (error != null) {
    //         System.out.println("give up: " + error);
    //     }
    // });
    let delivery =
        producer.enqueue(ProducerRecord::to("orders").key("customer-7".to_owned()).value(3)).await?;
    let callback = tokio::spawn(async move {
        match delivery.await {
            Ok(_) => {}
            Err(error) if error.disposition() == Disposition::RetryLater => println!("try again: {error}"),
            Err(error) => println!("give up: {error}"),
        }
    });

    step("The end: what Java's `close` only logs is in the report.");
    // producer.close(Duration.ofSeconds(30));
    let report = producer.close(Duration::from_secs(30)).await;
    callback.await?;
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
        "Transactions: `initTransactions` is part of the first `begin_transaction`, and the guard aborts if it is dropped.",
    );
    // Properties config = new Properties();
    // config.put("bootstrap.servers", servers);
    // config.put("transactional.id", "orders-1");
    // Producer<String, Long> producer = new KafkaProducer<>(config, new StringSerializer(), new LongSerializer());
    // producer.initTransactions();
    // producer.beginTransaction();
    // producer.send(new ProducerRecord<>("orders", "customer-7", 5L));
    // producer.commitTransaction();
    // producer.close();
    let mut producer: TransactionalProducer<String, i64> = KafkaProducer::builder()
        .bootstrap_servers(servers)
        .transactional_id("orders-1")
        .serializers(StringSerializer, LongSerializer)
        .build_transactional()?;
    let transaction = producer.begin_transaction().await?;
    drop(transaction.enqueue(ProducerRecord::to("orders").key("customer-7".to_owned()).value(5)).await?);
    transaction.commit().await?;
    println!("{}", producer.close(Duration::from_secs(30)).await);
    Ok(())
}
