//! Produce: appends batches, or says why not.

use std::collections::BTreeSet;

use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Broker, HOST, Reaction, reply};
use crate::batch::{CheckedBatch, Rejection};
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::request::{Produce, ProduceTopic, Request, TopicRef};

impl Broker<'_> {
    pub(super) fn produce(&mut self, produce: &Produce, request: &Request, plan: &FaultPlan) -> Reaction {
        let version = request.version;
        let topics = produce.topics.iter();
        let mut responses: Vec<_> =
            topics.map(|topic| self.produce_topic(topic, produce.acks, version, plan)).collect();
        if produce.acks == 0 {
            // The only way to tell such a producer that something went wrong is to hang up.
            let mut partitions = responses.iter().flat_map(|topic| &topic.partition_responses);
            return match partitions.any(|partition| partition.error_code != code::NONE) {
                true => Reaction::Close,
                false => Reaction::Silence,
            };
        }
        for (topic, response) in produce.topics.iter().zip(&mut responses) {
            let Some(name) = self.name_of(&topic.topic) else { continue };
            response.partition_responses.retain(|partition| !plan.leaves_out(&name, Some(partition.index)));
        }
        responses.retain(|topic| !topic.partition_responses.is_empty());
        let mut response = ProduceResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        if version >= 10 {
            response.node_endpoints = self.endpoints_of_leaders(&responses);
        }
        reply(request, plan, &response.with_responses(responses))
    }

    pub(super) fn produce_targets(&self, produce: &Produce) -> Vec<Target> {
        let topics = produce.topics.iter().filter_map(|topic| Some((self.name_of(&topic.topic)?, topic)));
        topics
            .flat_map(|(name, topic)| {
                let partitions = topic.partitions.iter();
                partitions.map(move |(index, _)| Target { topic: name.clone(), partition: Some(*index) })
            })
            .collect()
    }

    fn produce_topic(
        &mut self,
        topic: &ProduceTopic,
        acks: i16,
        version: i16,
        plan: &FaultPlan,
    ) -> TopicProduceResponse {
        let name = self.name_of(&topic.topic);
        let partitions = topic.partitions.iter().map(|(index, batch)| {
            let (base_offset, rejection) =
                match self.produce_partition(name.as_deref(), *index, batch, acks, plan) {
                    Ok(base_offset) => (base_offset, None),
                    Err(rejection) => (-1, Some(rejection)),
                };
            let leader =
                name.as_deref().filter(|_| version >= 10).map_or_else(LeaderIdAndEpoch::default, |name| {
                    self.leader_hint(name, *index, rejection.as_ref())
                });
            partition_response(version, base_offset, rejection).with_index(*index).with_current_leader(leader)
        });
        let response = TopicProduceResponse::default().with_partition_responses(partitions.collect());
        match &topic.topic {
            TopicRef::Id(id) => response.with_topic_id(id.to_wire()),
            TopicRef::Name(name) => response.with_name(TopicName(StrBytes::from_string(name.clone()))),
        }
    }

    fn produce_partition(
        &mut self,
        topic: Option<&str>,
        index: i32,
        batch: &Result<CheckedBatch, Rejection>,
        acks: i16,
        plan: &FaultPlan,
    ) -> Result<i64, Rejection> {
        let refuse = |code: i16, message: &str| Err(Rejection::new(code, message));
        let Some(topic) = topic else {
            return refuse(code::UNKNOWN_TOPIC_ID, "no topic has this id");
        };
        let injected = plan.error(topic, Some(index));
        if let Some(error) = injected.filter(|error| !error.carry_out) {
            return refuse(error.code, "injected by the test");
        }
        if !(-1..=1).contains(&acks) {
            return refuse(code::INVALID_REQUIRED_ACKS, "acks is none of -1, 0, 1");
        }
        let Some(partition) = self.state.partition(topic, index) else {
            return refuse(code::UNKNOWN_TOPIC_OR_PARTITION, "topic or partition does not exist");
        };
        if partition.leader != Some(self.id) {
            return refuse(code::NOT_LEADER_OR_FOLLOWER, "broker does not lead the partition");
        }
        if acks == -1 && self.state.in_sync(partition).len() < self.state.settings.min_insync_replicas {
            return refuse(code::NOT_ENOUGH_REPLICAS, "fewer replicas in sync than min.insync.replicas");
        }
        let batch = batch.as_ref().map_err(Clone::clone)?;
        if batch.len() > self.state.settings.max_message_bytes {
            let limit = self.state.settings.max_message_bytes;
            return refuse(
                code::MESSAGE_TOO_LARGE,
                &format!("batch of {} bytes exceeds {limit}", batch.len()),
            );
        }
        let base_offset = self.append(topic, index, batch)?;
        match injected {
            Some(error) => refuse(error.code, "injected by the test, after the append"),
            None => Ok(base_offset),
        }
    }

    fn append(&mut self, topic: &str, index: i32, batch: &CheckedBatch) -> Result<i64, Rejection> {
        let keeps_records = self.state.settings.keeps_records;
        match self.state.partition_mut(topic, index) {
            Some(partition) => partition.log.append(batch, partition.leader_epoch, keeps_records),
            None => {
                Err(Rejection::new(code::UNKNOWN_TOPIC_OR_PARTITION, "topic or partition does not exist"))
            }
        }
    }

    /// KIP-951: tells a client that asked the wrong broker which is the right one.
    fn leader_hint(&self, topic: &str, index: i32, rejection: Option<&Rejection>) -> LeaderIdAndEpoch {
        let is_about_leader = rejection.is_some_and(|rejection| {
            matches!(rejection.code, code::NOT_LEADER_OR_FOLLOWER | code::FENCED_LEADER_EPOCH)
        });
        let Some(partition) = self.state.partition(topic, index).filter(|_| is_about_leader) else {
            return LeaderIdAndEpoch::default();
        };
        LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
            .with_leader_epoch(partition.leader_epoch)
    }

    fn endpoints_of_leaders(&self, responses: &[TopicProduceResponse]) -> Vec<NodeEndpoint> {
        let partitions = responses.iter().flat_map(|topic| &topic.partition_responses);
        let leaders: BTreeSet<_> = partitions.map(|partition| partition.current_leader.leader_id.0).collect();
        let known = self.state.live_brokers().filter(|(id, _)| leaders.contains(id));
        known
            .map(|(id, node)| {
                NodeEndpoint::default()
                    .with_node_id(BrokerId(id))
                    .with_host(StrBytes::from_static_str(HOST))
                    .with_port(node.port.into())
            })
            .collect()
    }
}

fn partition_response(
    version: i16,
    base_offset: i64,
    rejection: Option<Rejection>,
) -> PartitionProduceResponse {
    let log_start_offset = if base_offset < 0 || version < 5 { -1 } else { 0 };
    let response = PartitionProduceResponse::default()
        .with_base_offset(base_offset)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(log_start_offset);
    let Some(rejection) = rejection else { return response };
    let response = response.with_error_code(rejection.code);
    if version < 8 {
        return response;
    }
    let message = StrBytes::from_string(rejection.message);
    let records = rejection.record.map(|index| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(message.clone()))
    });
    response.with_record_errors(records.into_iter().collect()).with_error_message(Some(message))
}
