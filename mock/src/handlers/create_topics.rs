//! CreateTopics.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::error::{MockError, code};
use crate::faults::{FaultPlan, Target};

impl Broker<'_> {
    pub(crate) fn create_topics(
        &mut self,
        request: &CreateTopicsRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> CreateTopicsResponse {
        let topics = request.topics.iter();
        let results =
            topics.map(|topic| self.create_asked_topic(topic, request.validate_only, version, plan));
        CreateTopicsResponse::default()
            .with_topics(results.collect())
            .with_throttle_time_ms(plan.throttle_time_ms())
    }

    fn create_asked_topic(
        &mut self,
        topic: &CreatableTopic,
        validate_only: bool,
        version: i16,
        plan: &FaultPlan,
    ) -> CreatableTopicResult {
        let name = topic.name.as_str();
        let result = CreatableTopicResult::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_configs(Some(Vec::new()));
        let injected = plan.topic_error(name);
        if injected != code::NONE {
            return result.with_error_code(injected);
        }
        if let Err(error) = self.create(topic) {
            let message = StrBytes::from_string(error.to_string());
            return result.with_error_code(code_of(&error)).with_error_message(Some(message));
        }
        let Some(created) = self.state.topic(name) else { return result };
        let replicas = created.partitions.first().map_or(0, |partition| partition.replicas.len());
        let result = result
            .with_num_partitions(i32::try_from(created.partitions.len()).unwrap_or(-1))
            .with_replication_factor(i16::try_from(replicas).unwrap_or(-1));
        let result = if version >= 7 { result.with_topic_id(created.id.to_wire()) } else { result };
        if validate_only && self.state.delete_topic(name).is_err() {
            tracing::error!(topic = name, "topic vanished while it was validated");
        }
        result
    }

    fn create(&mut self, topic: &CreatableTopic) -> Result<(), MockError> {
        if !topic.assignments.is_empty() {
            let assignment = topic.assignments.iter();
            let assignment = assignment.map(|of| of.broker_ids.iter().map(|id| id.0).collect()).collect();
            return self.state.create_assigned_topic(topic.name.as_str(), assignment);
        }
        let partitions = match topic.num_partitions {
            -1 => self.state.settings.default_partitions,
            partitions => partitions,
        };
        let replication_factor = match topic.replication_factor {
            -1 => self.state.default_replication_factor(),
            replication_factor => replication_factor,
        };
        self.state.create_topic(topic.name.as_str(), partitions, replication_factor)
    }
}

pub(crate) fn targets(request: &CreateTopicsRequest) -> Vec<Target> {
    let topics = request.topics.iter();
    topics.map(|topic| Target { topic: topic.name.as_str().to_owned(), partition: None }).collect()
}

fn code_of(error: &MockError) -> i16 {
    match error {
        MockError::InvalidPartitions { .. } => code::INVALID_PARTITIONS,
        MockError::InvalidReplicationFactor { .. } => code::INVALID_REPLICATION_FACTOR,
        MockError::InvalidTopicName { .. } => code::INVALID_TOPIC_EXCEPTION,
        MockError::TopicExists { .. } => code::TOPIC_ALREADY_EXISTS,
        _ => code::INVALID_REQUEST,
    }
}
