//! DeleteTopics.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::topic::{TopicId, TopicRef};

impl Broker<'_> {
    pub(crate) fn delete_topics(
        &mut self,
        request: &DeleteTopicsRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> DeleteTopicsResponse {
        let topics = topics_of(request, version);
        let results = topics.iter().map(|topic| self.delete_named_topic(topic, version, plan));
        DeleteTopicsResponse::default()
            .with_responses(results.collect())
            .with_throttle_time_ms(plan.throttle_time_ms())
    }

    pub(crate) fn delete_topics_targets(&self, request: &DeleteTopicsRequest, version: i16) -> Vec<Target> {
        let topics = topics_of(request, version);
        let names = topics.iter().filter_map(|topic| self.name_of(topic));
        names.map(|topic| Target { topic, partition: None }).collect()
    }

    fn delete_named_topic(
        &mut self,
        topic: &TopicRef,
        version: i16,
        plan: &FaultPlan,
    ) -> DeletableTopicResult {
        let name = self.name_of(topic);
        let result = DeletableTopicResult::default()
            .with_name(name.clone().map(|name| TopicName(StrBytes::from_string(name))));
        let id = name.as_deref().and_then(|name| self.state.topic(name)).map(|topic| topic.id);
        let id = match topic {
            TopicRef::Id(id) => Some(*id),
            TopicRef::Name(_) => id,
        };
        let code = match name {
            None => code::UNKNOWN_TOPIC_ID,
            Some(name) if plan.topic_error(&name) != code::NONE => plan.topic_error(&name),
            Some(name) if self.state.delete_topic(&name).is_ok() => code::NONE,
            Some(_) => code::UNKNOWN_TOPIC_OR_PARTITION,
        };
        let result = result.with_error_code(code);
        match id {
            Some(id) if version >= 6 => result.with_topic_id(id.to_wire()),
            _ => result,
        }
    }
}

fn topics_of(request: &DeleteTopicsRequest, version: i16) -> Vec<TopicRef> {
    if version < 6 {
        return request.topic_names.iter().map(|name| TopicRef::Name(name.as_str().to_owned())).collect();
    }
    let topics = request.topics.iter().map(|topic| match &topic.name {
        Some(name) => TopicRef::Name(name.as_str().to_owned()),
        None => TopicRef::Id(TopicId::from_u128(topic.topic_id.as_u128())),
    });
    topics.collect()
}
