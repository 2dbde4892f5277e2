//! rdkafka: librdkafka, which is written in C.

use std::ffi::{CStr, c_char};

use kafka_producer::{ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition};
use rdkafka::bindings;
use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

/// The offset that follows this message.
pub fn offset_after(message: &BorrowedMessage<'_>) -> (TopicPartition, OffsetAndMetadata) {
    let place = TopicPartition::new(message.topic().to_owned(), message.partition());
    (place, OffsetAndMetadata::new(message.offset() + 1))
}

/// The offsets that follow everything that the consumer has returned, for `send_offsets`.
pub fn offsets<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
) -> KafkaResult<Vec<(TopicPartition, OffsetAndMetadata)>> {
    Ok(listed(&consumer.position()?))
}

/// The offsets of a list. Partitions of which nothing was read have none.
pub fn listed(list: &TopicPartitionList) -> Vec<(TopicPartition, OffsetAndMetadata)> {
    let elements = list.elements();
    let known = elements.iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => {
            Some((TopicPartition::new(element.topic().to_owned(), element.partition()), OffsetAndMetadata::new(offset)))
        }
        _ => None,
    });
    known.collect()
}

/// What the consumer says of its place in its group; `None` if it has none.
///
/// rdkafka's own `ConsumerGroupMetadata` shows nothing of what is in it, so this asks librdkafka.
pub fn group_metadata<C: ConsumerContext>(consumer: &impl Consumer<C>) -> Option<ConsumerGroupMetadata> {
    // SAFETY: the pointer of a client is valid as long as the consumer lives. librdkafka hands out metadata of its own, which is
    // destroyed once, after its strings were copied.
    unsafe {
        let said = bindings::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if said.is_null() {
            return None;
        }
        let group_id = text(bindings::rd_kafka_consumer_group_metadata_group_id(said));
        let member_id = text(bindings::rd_kafka_consumer_group_metadata_member_id(said));
        let instance_id = text(bindings::rd_kafka_consumer_group_metadata_group_instance_id(said));
        let generation = bindings::rd_kafka_consumer_group_metadata_generation_id(said);
        bindings::rd_kafka_consumer_group_metadata_destroy(said);

        let group = ConsumerGroupMetadata::new(group_id?).member(member_id.unwrap_or_default(), generation);
        Some(match instance_id {
            Some(id) => group.group_instance_id(id),
            None => group,
        })
    }
}

/// # Safety
///
/// `pointer` is null, or a string that lives as long as this call takes.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: by the caller's word.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
