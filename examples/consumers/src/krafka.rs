//! krafka: pure Rust, with groups.

use kafka_producer::{ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition};
use krafka::consumer::{Consumer, ConsumerRecord};

/// The offsets that follow these records, for `send_offsets`. The last record of a partition counts.
pub fn offsets_after(records: &[ConsumerRecord]) -> impl Iterator<Item = (TopicPartition, OffsetAndMetadata)> {
    records.iter().map(|record| {
        let offset = OffsetAndMetadata::new(record.offset + 1);
        let offset = match record.leader_epoch {
            Some(epoch) => offset.leader_epoch(epoch),
            None => offset,
        };
        (TopicPartition::new(record.topic.to_string(), record.partition), offset)
    })
}

/// What the consumer says of its place in its group; `None` before it has joined.
pub async fn group_metadata(consumer: &Consumer) -> Option<ConsumerGroupMetadata> {
    let said = consumer.group_metadata().await?;
    let group = ConsumerGroupMetadata::new(said.group_id()).member(said.member_id(), said.generation_id());
    Some(match said.group_instance_id() {
        Some(id) => group.group_instance_id(id),
        None => group,
    })
}
