//! ListOffsets: first, last and timestamped offsets.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};

use crate::broker::Broker;
use crate::faults::{FaultPlan, Target};
use crate::topic::Partition;

impl Broker<'_> {
    pub(crate) fn list_offsets(
        &self,
        request: &ListOffsetsRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> ListOffsetsResponse {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions = partitions
                .map(|wanted| self.list_offset(topic.name.as_str(), wanted, request, version, plan));
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        let response = ListOffsetsResponse::default().with_topics(topics.collect());
        if version >= 2 { response.with_throttle_time_ms(plan.throttle_time_ms()) } else { response }
    }

    fn list_offset(
        &self,
        topic: &str,
        wanted: &ListOffsetsPartition,
        request: &ListOffsetsRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> ListOffsetsPartitionResponse {
        let index = wanted.partition_index;
        let answer = ListOffsetsPartitionResponse::default().with_partition_index(index);
        let failed = |code| answer.clone().with_error_code(code).with_timestamp(-1).with_offset(-1);
        if let Some(error) = plan.error(topic, Some(index)) {
            return failed(error.code);
        }
        let partition = match self.led_partition(topic, index, wanted.current_leader_epoch) {
            Ok(partition) => partition,
            Err(code) => return failed(code),
        };
        let (timestamp, offset) =
            find(partition, wanted.timestamp, request.isolation_level == READ_COMMITTED).unwrap_or((-1, -1));
        let epoch = if version >= 4 && offset >= 0 { partition.leader_epoch } else { -1 };
        answer.with_timestamp(timestamp).with_offset(offset).with_leader_epoch(epoch)
    }
}

pub(crate) fn targets(request: &ListOffsetsRequest) -> Vec<Target> {
    let partitions = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (topic.name.as_str().to_owned(), partition.partition_index))
    });
    partitions.map(|(topic, partition)| Target { topic, partition: Some(partition) }).collect()
}

/// Timestamp and offset for a point in time, or for one of the numbers that stand for special points.
fn find(partition: &Partition, timestamp: i64, is_committed_only: bool) -> Option<(i64, i64)> {
    let log = &partition.log;
    let high_watermark = partition.high_watermark();
    let end = if is_committed_only { log.last_stable_offset(high_watermark) } else { high_watermark };
    match timestamp {
        LATEST => Some((-1, end)),
        EARLIEST | EARLIEST_LOCAL => Some((-1, log.start_offset())),
        MAX_TIMESTAMP => log.max_timestamp(),
        timestamp => log.offset_for_timestamp(timestamp).filter(|(_, offset)| *offset < end),
    }
}

/// `isolation.level=read_committed`.
const READ_COMMITTED: i8 = 1;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
