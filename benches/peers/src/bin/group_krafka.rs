//! Two consumers of a group share the records of a topic, with krafka: group-krafka BOOTSTRAP TOPIC GROUP RECORDS

use std::time::Duration;

use kafka_producer_peers::deliveries::AnyError;
use kafka_producer_peers::sharing::Sharing;
use krafka::consumer::{AutoOffsetReset, Consumer};
use krafka::{Kafka, Record};

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mut sharing = Sharing::of_process()?;
    let pair = [consumer(&sharing).await?, consumer(&sharing).await?];
    while !sharing.are_both_ready()? {
        poll(&pair, &mut sharing).await?;
    }
    let kafka = Kafka::builder(&sharing.bootstrap).connect().await?;
    let producer = kafka.producer().build().await?;
    let mut deliveries = Vec::new();
    for value in sharing.values() {
        deliveries.push(producer.enqueue(Record::new(sharing.topic.as_str(), value)).await?);
    }
    for delivery in deliveries {
        let _ = delivery.await?;
    }
    while !sharing.is_over()? {
        poll(&pair, &mut sharing).await?;
    }
    let mut partitions = Vec::new();
    for consumer in &pair {
        consumer.commit().await?;
        partitions.extend(consumer.assignment().await.into_values().flatten());
    }
    let partitions: Vec<_> = partitions.into_iter().map(|number| (sharing.topic.as_str(), number)).collect();
    let found = pair[0].committed(&partitions).await?;
    let offsets: Vec<_> = found.into_values().map(|found| found.offset).collect();
    for consumer in &pair {
        consumer.close().await?;
    }
    Ok(sharing.finish("krafka", offsets)?)
}

async fn consumer(sharing: &Sharing) -> Result<Consumer, AnyError> {
    // Each needs connections of its own: a coordinator reads nothing more of one on which a member waits for the others.
    let kafka = Kafka::builder(&sharing.bootstrap).connect().await?;
    let consumer = kafka
        .consumer(sharing.group.as_str())
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        .build()
        .await?;
    consumer.subscribe([&sharing.topic]).await?;
    Ok(consumer)
}

/// Both at once, since a member that joins waits for the other.
async fn poll(pair: &[Consumer; 2], sharing: &mut Sharing) -> Result<(), AnyError> {
    let [first, second] = pair.each_ref().map(|consumer| consumer.poll(Duration::from_millis(100)));
    let (first, second) = tokio::join!(first, second);
    for record in first?.into_iter().chain(second?) {
        sharing.take(record.value.as_deref().unwrap_or_default());
    }
    for (member, consumer) in pair.iter().enumerate() {
        sharing.assign(member, consumer.assignment().await.into_values().flatten());
    }
    Ok(())
}
