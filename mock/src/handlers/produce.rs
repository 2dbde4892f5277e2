//! Produce: appends batches, or says why not.

mod transactional;

use std::collections::BTreeSet;

use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::batch::{CheckedBatch, Rejection};
use crate::broker::{Broker, HOST};
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::log::Appending;
use crate::reaction::Reaction;
use crate::reply::reply;
use crate::request::{Produce, ProduceTopic, Request};
use crate::topic::{Partition, TopicId, TopicRef};

/// A Produce request that has been carried out, and whose answer may wait for followers.
#[derive(Debug)]
pub(crate) struct Producing {
    topics: Vec<TopicOutcome>,
}

#[derive(Debug)]
struct TopicOutcome {
    topic: TopicRef,
    name: Option<String>,
    /// A topic that is created under the same name later is another one.
    id: Option<TopicId>,
    partitions: Vec<(i32, Result<Written, Rejection>)>,
}

/// A batch in the log of its leader.
#[derive(Debug, Clone, Copy)]
struct Written {
    base_offset: i64,
    end_offset: i64,
    leader_epoch: i32,
    /// What to answer in place of success.
    injected: Option<i16>,
}

impl Broker<'_> {
    pub(crate) fn produce(&mut self, produce: &Produce, request: &Request, plan: &FaultPlan) -> Reaction {
        let producing = self.begin_produce(produce, plan);
        self.end_produce(&producing, produce, request, plan)
    }

    /// Appends what can be appended.
    pub(crate) fn begin_produce(&mut self, produce: &Produce, plan: &FaultPlan) -> Producing {
        let has_one_producer = transactional::has_one_producer(produce);
        let topics =
            produce.topics.iter().map(|topic| self.produce_topic(topic, produce, has_one_producer, plan));
        Producing { topics: topics.collect() }
    }

    /// Whether the answer must wait for replicas in sync that lack some of the batches.
    pub(crate) fn is_waiting(&self, producing: &Producing, acks: i16) -> bool {
        let is_waiting = |topic: &TopicOutcome, index: i32, written: &Written| {
            let partition = self.partition_of(topic, index)?;
            let replication = partition.replication.as_ref()?;
            let is_same = partition.leader == Some(self.id) && partition.leader_epoch == written.leader_epoch;
            Some(is_same && replication.high_watermark(&partition.log) < written.end_offset)
        };
        acks == -1
            && producing.topics.iter().any(|topic| {
                let mut partitions = topic.partitions.iter();
                partitions.any(|(index, outcome)| {
                    outcome.as_ref().is_ok_and(|written| is_waiting(topic, *index, written).unwrap_or(false))
                })
            })
    }

    /// Answers a request that was carried out, waiting or not.
    pub(crate) fn end_produce(
        &mut self,
        producing: &Producing,
        produce: &Produce,
        request: &Request,
        plan: &FaultPlan,
    ) -> Reaction {
        let version = request.version;
        let topics = producing.topics.iter();
        let mut responses: Vec<_> =
            topics.map(|topic| self.topic_response(topic, produce.acks, version)).collect();
        if produce.acks == 0 {
            // A producer that expects no answer learns that something went wrong only if the broker hangs up.
            let mut partitions = responses.iter().flat_map(|topic| &topic.partition_responses);
            return match partitions.any(|partition| partition.error_code != code::NONE) {
                true => Reaction::Close,
                false => Reaction::Silence,
            };
        }
        for (topic, response) in producing.topics.iter().zip(&mut responses) {
            let Some(name) = &topic.name else { continue };
            response.partition_responses.retain(|partition| !plan.leaves_out(name, Some(partition.index)));
        }
        responses.retain(|topic| !topic.partition_responses.is_empty());
        let mut response = ProduceResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        if version >= 10 {
            response.node_endpoints = self.endpoints_of_leaders(&responses);
        }
        reply(request, plan, &response.with_responses(responses))
    }

    /// Finds a partition again that was written to.
    fn partition_of(&self, outcome: &TopicOutcome, index: i32) -> Option<&Partition> {
        let topic = self.state.topic(outcome.name.as_deref()?)?;
        topic.partition(index).filter(|_| outcome.id == Some(topic.id))
    }

    pub(crate) fn produce_targets(&self, produce: &Produce) -> Vec<Target> {
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
        produce: &Produce,
        has_one_producer: bool,
        plan: &FaultPlan,
    ) -> TopicOutcome {
        let name = self.name_of(&topic.topic);
        let partitions = topic.partitions.iter().map(|(index, batch)| {
            if produce.lacks_transactional_id {
                // Kafka refuses the request as a whole, before it looks at topics.
                let code = code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
                return (*index, Err(Rejection::new(code, "transactional batch without a transactional id")));
            }
            if !has_one_producer {
                let code = code::INVALID_PRODUCER_ID_MAPPING;
                return (
                    *index,
                    Err(Rejection::new(code, "transactional batches of more than one producer")),
                );
            }
            (*index, self.produce_partition(name.as_deref(), *index, batch, produce, plan))
        });
        let partitions = partitions.collect();
        let id = name.as_deref().and_then(|name| self.state.topic(name)).map(|topic| topic.id);
        TopicOutcome { topic: topic.topic.clone(), name, id, partitions }
    }

    fn topic_response(&self, topic: &TopicOutcome, acks: i16, version: i16) -> TopicProduceResponse {
        let name = topic.name.as_deref();
        let partitions = topic.partitions.iter().map(|(index, outcome)| {
            let outcome = outcome.clone().and_then(|written| self.judge(topic, *index, written, acks));
            let (base_offset, rejection) = match outcome {
                Ok(base_offset) => (base_offset, None),
                Err(rejection) => (-1, Some(rejection)),
            };
            let leader = name.filter(|_| version >= 10).map_or_else(LeaderIdAndEpoch::default, |name| {
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

    /// Says what became of a batch that was appended (Kafka: `DelayedProduce`).
    fn judge(&self, topic: &TopicOutcome, index: i32, written: Written, acks: i16) -> Result<i64, Rejection> {
        let refuse = |code: i16, message: &str| Err(Rejection::new(code, message));
        let Some(partition) = self.partition_of(topic, index) else {
            return refuse(code::UNKNOWN_TOPIC_OR_PARTITION, "topic was deleted");
        };
        let outcome = match written.injected {
            None => Ok(written.base_offset),
            Some(code) => refuse(code, "injected by the test, after the append"),
        };
        let Some(replication) = partition.replication.as_ref().filter(|_| acks == -1) else {
            return outcome;
        };
        if partition.leader != Some(self.id) || partition.leader_epoch != written.leader_epoch {
            refuse(code::NOT_LEADER_OR_FOLLOWER, "broker leads the partition no longer")
        } else if replication.high_watermark(&partition.log) < written.end_offset {
            refuse(code::REQUEST_TIMED_OUT, "replicas in sync are too slow")
        } else if replication.in_sync().count() < self.state.settings.min_insync_replicas {
            refuse(code::NOT_ENOUGH_REPLICAS_AFTER_APPEND, "fewer replicas in sync than min.insync.replicas")
        } else {
            outcome
        }
    }

    fn produce_partition(
        &mut self,
        topic: Option<&str>,
        index: i32,
        batch: &Result<CheckedBatch, Rejection>,
        produce: &Produce,
        plan: &FaultPlan,
    ) -> Result<Written, Rejection> {
        let acks = produce.acks;
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
        let leader_epoch = partition.leader_epoch;
        if let Ok(batch) = batch {
            self.join_transaction(topic, index, batch, produce)?;
        }
        let Some(partition) = self.state.partition(topic, index) else {
            return refuse(code::UNKNOWN_TOPIC_OR_PARTITION, "topic or partition does not exist");
        };
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
        if let Some(judge) = &self.state.settings.record_judge {
            batch.judge_records(judge)?;
        }
        let base_offset = self.append(topic, index, batch)?;
        let end_offset = base_offset.saturating_add(batch.header.record_count.into());
        Ok(Written { base_offset, end_offset, leader_epoch, injected: injected.map(|error| error.code) })
    }

    fn append(&mut self, topic: &str, index: i32, batch: &CheckedBatch) -> Result<i64, Rejection> {
        let (settings, now) = (&self.state.settings, self.state.now);
        let (keeps_records, knows_all_producers) = (settings.keeps_records, settings.knows_all_producers);
        match self.state.partition_mut(topic, index) {
            Some(partition) => {
                let leader_epoch = partition.leader_epoch;
                let appending = Appending { leader_epoch, now, keeps_records, knows_all_producers };
                partition.log.append(batch, appending)
            }
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
            .with_leader_epoch(partition.told_epoch())
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
    let records = rejection.records.into_iter().map(|index| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(message.clone()))
    });
    response.with_record_errors(records.collect()).with_error_message(Some(message))
}
