//! This crate. Every `Delivery` is awaited.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_producer::{Delivery, KafkaProducer, ProducerRecord, Topic};
use kafka_producer_peers::options::{Arguments, Mode, Options};
use kafka_producer_peers::outcome::{Run, payloads, timed_one_of};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = Arguments::of_process();
    let options = Options::take(&mut arguments);
    let outstanding = arguments.take("outstanding", 10_000);
    arguments.finish();
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(&options.bootstrap)
        .property("linger.ms", options.linger_ms.to_string())
        .property("batch.size", options.batch_size.to_string())
        .property("compression.type", &options.compression)
        .build()?;
    let topic = Topic::from(options.topic.clone());
    producer.partitions_for(topic.clone()).await?;
    let payloads: Vec<Bytes> = payloads(&options).into_iter().map(Bytes::from).collect();
    // The connection is warm and the producer id known when the clock starts.
    producer.send(ProducerRecord::to(&topic).value(payloads[0].clone())).await?;

    let task = tokio::spawn(async move {
        let mut run = Run::start("kafka-producer");
        let failed = match options.mode {
            Mode::Pipelined => pipelined(&options, &producer, &topic, &payloads, outstanding, &mut run).await,
            Mode::Lone => lone(&options, &producer, &topic, &payloads, &mut run).await,
        };
        run.finish(options.records, failed, "");
        drop(producer.close(Duration::from_secs(5)).await);
    });
    task.await?;
    Ok(())
}

/// Hands records over until `outstanding` are on their way, then awaits the older half of them.
async fn pipelined(
    options: &Options,
    producer: &KafkaProducer,
    topic: &Topic,
    payloads: &[Bytes],
    outstanding: usize,
    run: &mut Run,
) -> u64 {
    let mut deliveries: VecDeque<Delivery> = VecDeque::with_capacity(outstanding);
    let mut timed: VecDeque<(u64, Instant)> = VecDeque::new();
    let every = timed_one_of(options);
    let (mut settled, mut failed) = (0, 0);
    let mut settle =
        async |deliveries: &mut VecDeque<Delivery>, timed: &mut VecDeque<(u64, Instant)>, most| {
            while deliveries.len() > most {
                let Some(delivery) = deliveries.pop_front() else { break };
                failed += u64::from(delivery.await.is_err());
                if let Some((_, at)) = timed.pop_front_if(|(number, _)| *number == settled) {
                    run.latency(at.elapsed());
                }
                settled += 1;
            }
        };
    for (number, payload) in (0..options.records).zip(payloads.iter().cycle()) {
        if number % every == 0 {
            timed.push_back((number, Instant::now()));
        }
        let record = ProducerRecord::to(topic).value(payload.clone());
        match producer.enqueue(record).await {
            Ok(delivery) => deliveries.push_back(delivery),
            Err(error) => panic!("{error}"),
        }
        if deliveries.len() >= outstanding {
            settle(&mut deliveries, &mut timed, outstanding / 2).await;
        }
    }
    settle(&mut deliveries, &mut timed, 0).await;
    failed
}

async fn lone(
    options: &Options,
    producer: &KafkaProducer,
    topic: &Topic,
    payloads: &[Bytes],
    run: &mut Run,
) -> u64 {
    let mut failed = 0;
    for (_, payload) in (0..options.records).zip(payloads.iter().cycle()) {
        let begin = Instant::now();
        let sent = producer.send(ProducerRecord::to(topic).value(payload.clone())).await;
        failed += u64::from(sent.is_err());
        run.latency(begin.elapsed());
    }
    failed
}
