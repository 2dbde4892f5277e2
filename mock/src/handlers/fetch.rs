//! Fetch: reads batches; waits for more if the client says so.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId, ProducerId, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::log::PartitionLog;
use crate::reaction::Reaction;
use crate::reply::reply;
use crate::request::Request;
use crate::topic::{TopicId, TopicRef};

/// `isolation.level=read_committed`.
const READ_COMMITTED: i8 = 1;

impl Broker<'_> {
    /// Reads what there is; `since` is when the request came.
    pub(crate) fn fetch(
        &self,
        fetch: &FetchRequest,
        request: &Request,
        plan: &FaultPlan,
        since: Duration,
    ) -> Reaction {
        let mut response = FetchResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        // The mock never opens a session: it answers each full request with session 0, and clients then go on
        // with full requests.
        if request.version >= 7 && fetch.session_epoch > 0 {
            return reply(request, plan, &response.with_error_code(code::FETCH_SESSION_ID_NOT_FOUND));
        }
        let mut read = Read { left: bytes_of(fetch.max_bytes), bytes: 0, has_error: false };
        let topics = fetch.topics.iter();
        response.responses =
            topics.map(|topic| self.fetch_topic(topic, fetch, request.version, plan, &mut read)).collect();
        let is_enough = read.has_error || read.bytes >= bytes_of(fetch.min_bytes);
        let until = since + Duration::from_millis(fetch.max_wait_ms.try_into().unwrap_or(0));
        if is_enough || self.state.now >= until {
            return reply(request, plan, &response);
        }
        Reaction::Wait { until: Some(until) }
    }

    pub(crate) fn fetch_targets(&self, fetch: &FetchRequest, version: i16) -> Vec<Target> {
        let topics =
            fetch.topics.iter().filter_map(|topic| Some((self.fetched_name(topic, version)?, topic)));
        topics
            .flat_map(|(name, topic)| {
                let partitions = topic.partitions.iter();
                partitions
                    .map(move |wanted| Target { topic: name.clone(), partition: Some(wanted.partition) })
            })
            .collect()
    }

    fn fetch_topic(
        &self,
        topic: &FetchTopic,
        fetch: &FetchRequest,
        version: i16,
        plan: &FaultPlan,
        read: &mut Read,
    ) -> FetchableTopicResponse {
        let name = self.fetched_name(topic, version);
        let partitions = topic.partitions.iter().map(|wanted| {
            let data = match &name {
                Some(name) => self.fetch_partition(name, wanted, fetch, version, plan, read),
                None => Err(code::UNKNOWN_TOPIC_ID),
            };
            let data = data.unwrap_or_else(|code| {
                read.has_error = true;
                failed(code)
            });
            let data = match &name {
                Some(name) if version >= 12 => self.with_leader_hint(data, name, wanted.partition),
                _ => data,
            };
            data.with_partition_index(wanted.partition)
        });
        let response = FetchableTopicResponse::default().with_partitions(partitions.collect());
        if version >= 13 {
            return response.with_topic_id(topic.topic_id);
        }
        response.with_topic(TopicName(StrBytes::from_string(name.unwrap_or_default())))
    }

    fn fetch_partition(
        &self,
        topic: &str,
        wanted: &FetchPartition,
        fetch: &FetchRequest,
        version: i16,
        plan: &FaultPlan,
        read: &mut Read,
    ) -> Result<PartitionData, i16> {
        if let Some(error) = plan.error(topic, Some(wanted.partition)) {
            return Err(error.code);
        }
        let partition = self.led_partition(topic, wanted.partition, wanted.current_leader_epoch)?;
        let log = &partition.log;
        if !(log.start_offset()..=log.end_offset()).contains(&wanted.fetch_offset) {
            return Err(code::OFFSET_OUT_OF_RANGE);
        }
        let high_watermark = partition.high_watermark();
        let last_stable_offset = log.last_stable_offset(high_watermark);
        let is_committed_only = fetch.isolation_level == READ_COMMITTED;
        let end = if is_committed_only { last_stable_offset } else { high_watermark };
        let (records, next_offset) =
            read.take(log, wanted.fetch_offset, end, bytes_of(wanted.partition_max_bytes));
        let aborted = is_committed_only.then(|| log.aborted_between(wanted.fetch_offset, next_offset));
        let aborted = aborted.map(|aborted| aborted.into_iter().map(aborted_transaction).collect());
        let data = PartitionData::default()
            .with_high_watermark(high_watermark)
            .with_last_stable_offset(last_stable_offset)
            .with_aborted_transactions(aborted)
            .with_records(Some(records));
        Ok(if version >= 5 { data.with_log_start_offset(log.start_offset()) } else { data })
    }

    fn with_leader_hint(&self, data: PartitionData, topic: &str, index: i32) -> PartitionData {
        let is_about_leader =
            matches!(data.error_code, code::NOT_LEADER_OR_FOLLOWER | code::FENCED_LEADER_EPOCH);
        let Some(partition) = self.state.partition(topic, index).filter(|_| is_about_leader) else {
            return data;
        };
        let leader = LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
            .with_leader_epoch(partition.leader_epoch);
        data.with_current_leader(leader)
    }

    fn fetched_name(&self, topic: &FetchTopic, version: i16) -> Option<String> {
        if version >= 13 {
            self.name_of(&TopicRef::Id(TopicId::from_u128(topic.topic_id.as_u128())))
        } else {
            Some(topic.topic.as_str().to_owned())
        }
    }
}

/// What one Fetch has read so far.
struct Read {
    left: usize,
    bytes: usize,
    has_error: bool,
}

impl Read {
    /// Takes batches up to both limits; the very first batch of a response is taken whatever its size, so that
    /// a client with small limits gets on.
    ///
    /// Nothing from `end` on is taken. Returns the offset behind the last batch, too.
    fn take(&mut self, log: &PartitionLog, offset: i64, end: i64, partition_limit: usize) -> (Bytes, i64) {
        let limit = partition_limit.min(self.left);
        let mut records = BytesMut::new();
        let mut next_offset = offset;
        for batch in log.batches_from(offset).iter().take_while(|batch| batch.last_offset() < end) {
            let is_first = self.bytes == 0 && records.is_empty();
            if !is_first && records.len() + batch.bytes.len() > limit {
                break;
            }
            records.extend_from_slice(&batch.bytes);
            next_offset = batch.last_offset() + 1;
        }
        self.bytes += records.len();
        self.left = self.left.saturating_sub(records.len());
        (records.freeze(), next_offset)
    }
}

fn aborted_transaction((producer_id, first_offset): (i64, i64)) -> AbortedTransaction {
    AbortedTransaction::default().with_producer_id(ProducerId(producer_id)).with_first_offset(first_offset)
}

fn failed(code: i16) -> PartitionData {
    PartitionData::default()
        .with_error_code(code)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_records(Some(Bytes::new()))
}

fn bytes_of(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0)
}
