//! TxnOffsetCommit: keeps offsets of a group until the transaction ends.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::coordinators::Coordinated;
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::groups::{Committer, Offsets};
use crate::offset_commit::{FIRST_WITH_IDS, OffsetCommit, encode_answer_with_ids};
use crate::reaction::Reaction;
use crate::reply::{reply, reply_bytes};
use crate::request::Request;
use crate::topic::TopicRef;
use crate::transactions::Participant;

/// From here on the group becomes part of the transaction by this request (KIP-890).
const FIRST_THAT_ADDS: i16 = 5;

/// Producers of older versions do not know TRANSACTION_ABORTABLE.
const FIRST_WITH_ABORTABLE: i16 = 4;

/// Producers of older versions may break at COORDINATOR_LOAD_IN_PROGRESS (KAFKA-7296).
const FIRST_WITH_LOADING: i16 = 2;

/// Error codes by partition.
type Codes = Vec<(i32, i16)>;

impl Broker<'_> {
    pub(crate) fn txn_offset_commit(
        &mut self,
        commit: &OffsetCommit,
        request: &Request,
        plan: &FaultPlan,
    ) -> Reaction {
        let version = request.version;
        // What is refused by itself, and the others under the names of their topics.
        let mut offsets = Offsets::new();
        let mut answer: Vec<(&TopicRef, Codes)> = Vec::new();
        for (topic, partitions) in &commit.topics {
            let name = self.name_of(topic);
            let codes = partitions.iter().map(|(index, committed)| {
                let code = self.refusal(name.as_deref(), *index, plan);
                if let Some(name) = name.as_ref().filter(|_| code == code::NONE) {
                    offsets.insert((name.clone(), *index), committed.clone());
                }
                (*index, code)
            });
            answer.push((topic, codes.collect()));
        }
        let outcome = if offsets.is_empty() { Ok(()) } else { self.keep_offsets(commit, version, offsets) };
        if let Err(error) = outcome {
            let codes = answer.iter_mut().flat_map(|(_, codes)| codes);
            codes.filter(|(_, code)| *code == code::NONE).for_each(|(_, code)| *code = error);
        }
        if version >= FIRST_WITH_IDS {
            let topics = answer.into_iter().filter_map(|(topic, codes)| match topic {
                TopicRef::Id(id) => Some((*id, codes)),
                TopicRef::Name(_) => None,
            });
            let body = encode_answer_with_ids(plan.throttle_time_ms(), &topics.collect::<Vec<_>>());
            return reply_bytes(request, plan, &body);
        }
        let topics = answer.into_iter().map(|(topic, codes)| response_topic(topic, codes));
        let response = TxnOffsetCommitResponse::default()
            .with_throttle_time_ms(plan.throttle_time_ms())
            .with_topics(topics.collect());
        reply(request, plan, &response)
    }

    pub(crate) fn txn_offset_commit_targets(&self, commit: &OffsetCommit) -> Vec<Target> {
        let topics =
            commit.topics.iter().filter_map(|(topic, partitions)| Some((self.name_of(topic)?, partitions)));
        let of_topic = |(topic, partitions): (String, &Vec<_>)| {
            let target = |(index, _): &(i32, _)| Target { topic: topic.clone(), partition: Some(*index) };
            partitions.iter().map(target).collect::<Vec<_>>()
        };
        topics.flat_map(of_topic).collect()
    }

    fn refusal(&self, topic: Option<&str>, index: i32, plan: &FaultPlan) -> i16 {
        let Some(topic) = topic else { return code::UNKNOWN_TOPIC_ID };
        match plan.error(topic, Some(index)) {
            Some(error) => error.code,
            None if plan.request_error() != code::NONE => plan.request_error(),
            None if self.state.partition(topic, index).is_none() => code::UNKNOWN_TOPIC_OR_PARTITION,
            None => code::NONE,
        }
    }

    fn keep_offsets(&mut self, commit: &OffsetCommit, version: i16, offsets: Offsets) -> Result<(), i16> {
        let OffsetCommit { transactional_id, group, producer, .. } = commit;
        let coordinated = self.state.check_coordinator(&Coordinated::Group(group.clone()), self.id);
        coordinated.map_err(|error| match error {
            code::COORDINATOR_LOAD_IN_PROGRESS if version < FIRST_WITH_LOADING => {
                code::COORDINATOR_NOT_AVAILABLE
            }
            error => error,
        })?;
        if group.is_empty() {
            return Err(code::INVALID_GROUP_ID);
        }
        let is_added = version >= FIRST_THAT_ADDS;
        if (is_added || self.state.settings.verifies_transactions)
            && self.state.groups.needs_verification(group, *producer)?
        {
            let participant = Participant::Group(group.clone());
            let asked = self.state.ask_coordinator(transactional_id, *producer, &participant, is_added);
            asked.map_err(|error| match error {
                code::TRANSACTION_ABORTABLE if version < FIRST_WITH_ABORTABLE => code::INVALID_TXN_STATE,
                error => error,
            })?;
        }
        let committer = Committer {
            member_id: &commit.member_id,
            instance_id: commit.instance_id.as_deref(),
            generation: commit.generation,
            is_transactional: true,
            knows_newer_errors: version >= FIRST_WITH_IDS,
        };
        let now = self.state.now;
        self.state.groups.check_member(group, committer, now)?;
        self.state.groups.add_pending(group, *producer, offsets);
        Ok(())
    }
}

fn response_topic(topic: &TopicRef, codes: Codes) -> TxnOffsetCommitResponseTopic {
    let partitions = codes.into_iter().map(|(index, code)| {
        TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
    });
    let response = TxnOffsetCommitResponseTopic::default().with_partitions(partitions.collect());
    match topic {
        TopicRef::Name(name) => response.with_name(TopicName(StrBytes::from_string(name.clone()))),
        TopicRef::Id(_) => response,
    }
}
