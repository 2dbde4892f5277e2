//! What must hold for topics while a run goes on: which of them questions may create, and when they become unknown.

use bytes::{Buf, Bytes};
use kafka_mock::Api;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    MetadataRequest, MetadataResponse, ProduceResponse, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use super::run::{ORDERS, Simulation};
use crate::network::Frame;

/// What brokers have told of the topic.
#[derive(Debug, Default)]
pub(super) struct TopicNews {
    /// The producer knows it.
    is_known: bool,
    /// Answers that had an error in its place.
    errors: usize,
    /// A broker has denied to lead a partition.
    is_denied: bool,
}

impl Simulation {
    /// Only the question for a record that waits creates topics, and nothing waits for a topic that is known.
    pub(super) fn check_creation(&mut self, frame: &Frame) {
        let segments = &frame.segments;
        // Most frames are of another kind, and need not be copied.
        let is_metadata = |head: &[u8]| head.get(4..6) == Some(&Api::Metadata.key().to_be_bytes());
        if !segments.pieces().next().is_some_and(is_metadata) {
            return;
        }
        let mut bytes = Bytes::from(segments.concat());
        bytes.advance(4);
        let version = i16::from_be_bytes([bytes[2], bytes[3]]);
        RequestHeader::decode(&mut bytes, MetadataRequest::header_version(version)).unwrap();
        let request = MetadataRequest::decode(&mut bytes, version).unwrap();
        let names = request.topics.into_iter().flatten().filter_map(|topic| topic.name);
        let is_known = |name: &TopicName| self.core.cluster().topic(name.as_str()).is_some();
        let known = names.into_iter().find(is_known);
        if let Some(name) = known.filter(|_| request.allow_auto_topic_creation) {
            self.violate(format!("a question about {} may create it", name.as_str()));
        }
    }

    /// A topic is not given up for an error that passes, if its leaders do not deny that they lead it.
    pub(super) fn check_forgetting(&mut self, has_orders: bool) {
        let had_orders = std::mem::replace(&mut self.topic_news.is_known, has_orders);
        let is_idle = self.setup.max_idle < 300_000;
        if had_orders
            && !has_orders
            && !is_idle
            && !self.topic_news.is_denied
            && self.topic_news.errors < ENOUGH_ERRORS
        {
            self.violate(format!(
                "{ORDERS} is unknown after {} answers with an error",
                self.topic_news.errors
            ));
        }
    }

    /// Notes what an answer says of a topic.
    pub(super) fn note_answer(&mut self, frame: &Bytes, (api, version): (i16, i16)) {
        let mut body = frame.slice(if version >= 9 { 9 } else { 8 }..);
        if api == Api::Metadata.key() {
            let response = MetadataResponse::decode(&mut body, version).unwrap();
            // Of a name or of rights, one answer is enough.
            let weight = |topic: &MetadataResponseTopic| match topic.error_code {
                0 => 0,
                17 | 29 => ENOUGH_ERRORS,
                _ => 1,
            };
            self.topic_news.errors += response.topics.iter().map(weight).max().unwrap_or_default();
        } else if api == Api::Produce.key() {
            let response = ProduceResponse::decode(&mut body, version).unwrap();
            let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
            self.topic_news.is_denied |= partitions.any(|partition| matches!(partition.error_code, 3 | 6));
        }
    }
}

/// Answers with an error in place of a topic that make it unknown.
const ENOUGH_ERRORS: usize = 3;
