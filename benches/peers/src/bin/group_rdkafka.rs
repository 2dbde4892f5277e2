//! Two consumers of a group share the records of a topic, with librdkafka: group-rdkafka BOOTSTRAP TOPIC GROUP RECORDS

use std::error::Error;
use std::time::Duration;

use kafka_producer_peers::sharing::Sharing;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut sharing = Sharing::of_process()?;
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &sharing.bootstrap)
        .set("group.id", &sharing.group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false");
    let pair: [BaseConsumer; 2] = [settings.create()?, settings.create()?];
    for consumer in &pair {
        consumer.subscribe(&[&sharing.topic])?;
    }
    while !sharing.are_both_ready()? {
        poll(&pair, &mut sharing)?;
    }
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", &sharing.bootstrap).create()?;
    for value in sharing.values() {
        let record: BaseRecord<'_, str, str> = BaseRecord::to(&sharing.topic).payload(&value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(LIMIT)?;
    while !sharing.is_over()? {
        poll(&pair, &mut sharing)?;
    }
    let mut all = TopicPartitionList::new();
    for consumer in &pair {
        consumer.commit_consumer_state(CommitMode::Sync)?;
        for partition in consumer.assignment()?.elements() {
            all.add_partition(partition.topic(), partition.partition());
        }
    }
    let found = pair[0].committed_offsets(all, LIMIT)?;
    let offsets: Vec<_> = found.elements().iter().map(|found| raw(found.offset())).collect();
    drop(pair);
    Ok(sharing.finish("rdkafka", offsets)?)
}

fn poll(pair: &[BaseConsumer; 2], sharing: &mut Sharing) -> Result<(), Box<dyn Error + Send + Sync>> {
    for (member, consumer) in pair.iter().enumerate() {
        let mut patience = Duration::from_millis(50);
        while let Some(record) = consumer.poll(patience) {
            sharing.take(record?.payload().unwrap_or_default());
            patience = Duration::ZERO;
        }
        let assigned = consumer.assignment()?;
        sharing.assign(member, assigned.elements().iter().map(|partition| partition.partition()));
    }
    Ok(())
}

fn raw(offset: Offset) -> i64 {
    match offset {
        Offset::Offset(offset) => offset,
        _ => 0,
    }
}
