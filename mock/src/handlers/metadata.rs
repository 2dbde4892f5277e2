//! Metadata: brokers, topics, leaders; and the creation of topics that are asked for.

use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::broker::{Broker, HOST};
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::topic::{Partition, Topic, TopicId, TopicRef, is_valid_name};

/// In place of a leader; Kafka tells it whenever the error says that there is none, or none that can be reached.
const NO_LEADER: BrokerId = BrokerId(-1);

impl Broker<'_> {
    pub(crate) fn metadata(
        &mut self,
        request: &MetadataRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> MetadataResponse {
        let may_create =
            self.state.settings.auto_create_topics && (version < 4 || request.allow_auto_topic_creation);
        let wanted = self.wanted_topics(request, version);
        let mut topics = Vec::new();
        for topic in &wanted {
            let mut described = self.metadata_of(topic, may_create, version, plan);
            if let Some(name) = self.name_of(topic) {
                if plan.leaves_out(&name, None) {
                    continue;
                }
                described.partitions.retain(|known| !plan.leaves_out(&name, Some(known.partition_index)));
            }
            topics.push(described);
        }
        let brokers = self.state.live_brokers().map(|(id, node)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str(HOST))
                .with_port(node.port.into())
                .with_rack(self.rack_of(id).filter(|_| version >= 1))
        });
        let controller = self.state.live_brokers().next().map_or(-1, |(id, _)| id);
        let response = MetadataResponse::default()
            .with_throttle_time_ms(plan.throttle_time_ms())
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(StrBytes::from_string(self.state.cluster_id.clone())))
            .with_controller_id(BrokerId(controller))
            .with_topics(topics);
        if version < 13 {
            return response;
        }
        let rebootstrap = plan.has_error(code::REBOOTSTRAP_REQUIRED).then_some(code::REBOOTSTRAP_REQUIRED);
        response.with_error_code(rebootstrap.unwrap_or_else(|| plan.request_error()))
    }

    fn rack_of(&self, broker: i32) -> Option<StrBytes> {
        let racks = &self.state.settings.racks;
        let place = usize::try_from(broker).ok()?.checked_rem(racks.len())?;
        racks.get(place).cloned().map(StrBytes::from_string)
    }

    pub(crate) fn metadata_targets(&self, request: &MetadataRequest, version: i16) -> Vec<Target> {
        let mut targets = Vec::new();
        for name in self.wanted_topics(request, version).iter().filter_map(|topic| self.name_of(topic)) {
            let partitions = self.state.topic(&name).map_or(0, |topic| topic.partitions.len());
            let partitions = (0_i32..).take(partitions).map(Some);
            targets.push(Target { topic: name.clone(), partition: None });
            targets.extend(partitions.map(|partition| Target { topic: name.clone(), partition }));
        }
        targets
    }

    fn wanted_topics(&self, request: &MetadataRequest, version: i16) -> Vec<TopicRef> {
        let all = || self.state.topic_names().map(|name| TopicRef::Name(name.to_owned())).collect();
        let named = |topic: &MetadataRequestTopic| match &topic.name {
            Some(name) => TopicRef::Name(name.as_str().to_owned()),
            None => TopicRef::Id(TopicId::from_u128(topic.topic_id.as_u128())),
        };
        match &request.topics {
            None => all(),
            Some(topics) if version == 0 && topics.is_empty() => all(),
            Some(topics) => topics.iter().map(named).collect(),
        }
    }

    fn metadata_of(
        &mut self,
        topic: &TopicRef,
        may_create: bool,
        version: i16,
        plan: &FaultPlan,
    ) -> MetadataResponseTopic {
        let Some(name) = self.name_of(topic) else { return unknown_id(topic) };
        let wire_name = TopicName(StrBytes::from_string(name.clone()));
        let failed =
            |code| MetadataResponseTopic::default().with_error_code(code).with_name(Some(wire_name.clone()));
        let injected = plan.topic_error(&name);
        if injected != code::NONE {
            return failed(injected);
        }
        let missing = if self.state.topic(&name).is_none() {
            self.create_missing(&name, may_create)
        } else {
            code::NONE
        };
        if missing != code::NONE {
            return failed(missing);
        }
        let Some(topic) = self.state.topic(&name) else { return failed(code::UNKNOWN_TOPIC_OR_PARTITION) };
        self.describe(topic, version, |index| plan.error(&name, Some(index)).map_or(0, |error| error.code))
            .with_name(Some(wire_name))
    }

    /// Creates a topic if that is allowed; the error code says why it is still missing.
    fn create_missing(&mut self, name: &str, may_create: bool) -> i16 {
        if !is_valid_name(name) {
            code::INVALID_TOPIC_EXCEPTION
        } else if !may_create || self.state.auto_create_topic(name).is_err() {
            code::UNKNOWN_TOPIC_OR_PARTITION
        } else {
            code::NONE
        }
    }

    fn describe(&self, topic: &Topic, version: i16, injected: impl Fn(i32) -> i16) -> MetadataResponseTopic {
        let partitions = topic.numbered().map(|(index, partition)| {
            let code = match partition.leader {
                _ if injected(index) != code::NONE => injected(index),
                None => code::LEADER_NOT_AVAILABLE,
                Some(_) => code::NONE,
            };
            let described = self.describe_partition(partition, version);
            let described = described.with_partition_index(index).with_error_code(code);
            match code {
                code::LEADER_NOT_AVAILABLE | code::LISTENER_NOT_FOUND => described.with_leader_id(NO_LEADER),
                _ => described,
            }
        });
        let described = MetadataResponseTopic::default().with_partitions(partitions.collect());
        if version >= 10 { described.with_topic_id(topic.id.to_wire()) } else { described }
    }

    fn describe_partition(&self, partition: &Partition, version: i16) -> MetadataResponsePartition {
        let ids = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect();
        let in_sync = self.state.in_sync(partition);
        let offline = partition.replicas.iter().copied().filter(|id| !in_sync.contains(id)).collect();
        let described = MetadataResponsePartition::default()
            .with_leader_id(partition.leader.map_or(NO_LEADER, BrokerId))
            .with_replica_nodes(ids(partition.replicas.clone()))
            .with_isr_nodes(ids(in_sync));
        match version {
            7.. => described.with_leader_epoch(partition.told_epoch()).with_offline_replicas(ids(offline)),
            5.. => described.with_offline_replicas(ids(offline)),
            _ => described,
        }
    }
}

fn unknown_id(topic: &TopicRef) -> MetadataResponseTopic {
    let unknown = MetadataResponseTopic::default().with_error_code(code::UNKNOWN_TOPIC_ID).with_name(None);
    match topic {
        TopicRef::Id(id) => unknown.with_topic_id(id.to_wire()),
        TopicRef::Name(_) => unknown,
    }
}
