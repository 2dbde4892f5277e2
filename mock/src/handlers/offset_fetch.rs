//! OffsetFetch: where groups go on.

use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, TopicName};

use crate::broker::Broker;
use crate::coordinators::Coordinated;
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::groups::{CommittedOffset, Offsets};
use crate::reply::{optional_text, text};

/// From here on the answer has an error code for the group.
const FIRST_WITH_GROUP_ERROR: i16 = 2;

/// From here on the answer tells leader epochs (KIP-320).
const FIRST_WITH_EPOCHS: i16 = 5;

/// From here on a request asks for several groups (KIP-709).
const FIRST_WITH_GROUPS: i16 = 8;

/// Partitions of a topic.
type Wanted = (String, Vec<i32>);

/// What is told of a partition.
struct Found {
    index: i32,
    error: i16,
    offset: CommittedOffset,
}

impl Broker<'_> {
    pub(crate) fn offset_fetch(
        &mut self,
        request: &OffsetFetchRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> OffsetFetchResponse {
        let mut response = OffsetFetchResponse::default();
        if version >= 3 {
            response = response.with_throttle_time_ms(plan.throttle_time_ms());
        }
        if version >= FIRST_WITH_GROUPS {
            let groups =
                request.groups.iter().map(|group| self.offsets_of(group, request.require_stable, plan));
            return response.with_groups(groups.collect());
        }
        let wanted = request.topics.as_ref().map(|topics| {
            let topics = topics.iter();
            topics.map(|topic| (topic.name.as_str().to_owned(), topic.partition_indexes.clone())).collect()
        });
        let (error, found) = self.find_offsets(&request.group_id, wanted, request.require_stable, plan);
        let topics = found.into_iter().map(|(topic, found)| {
            let partitions = found.into_iter().map(|found| partition(found, version));
            OffsetFetchResponseTopic::default()
                .with_name(TopicName(text(topic)))
                .with_partitions(partitions.collect())
        });
        response = response.with_topics(topics.collect());
        if version >= FIRST_WITH_GROUP_ERROR { response.with_error_code(error) } else { response }
    }

    fn offsets_of(
        &mut self,
        group: &OffsetFetchRequestGroup,
        is_stable_wanted: bool,
        plan: &FaultPlan,
    ) -> OffsetFetchResponseGroup {
        let wanted = group.topics.as_ref().map(|topics| {
            let topics = topics.iter();
            topics.map(|topic| (topic.name.as_str().to_owned(), topic.partition_indexes.clone())).collect()
        });
        let (error, found) = self.find_offsets(&group.group_id, wanted, is_stable_wanted, plan);
        let topics = found.into_iter().map(|(topic, found)| {
            let partitions = found.into_iter().map(|Found { index, error, offset }| {
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_error_code(error)
                    .with_committed_offset(offset.offset)
                    .with_committed_leader_epoch(offset.leader_epoch)
                    .with_metadata(optional_text(offset.metadata))
            });
            OffsetFetchResponseTopics::default()
                .with_name(TopicName(text(topic)))
                .with_partitions(partitions.collect())
        });
        OffsetFetchResponseGroup::default()
            .with_group_id(group.group_id.clone())
            .with_error_code(error)
            .with_topics(topics.collect())
    }

    /// Finds offsets of the partitions that are wanted, or of all for which there are any. The error is that of the whole group, which
    /// the oldest clients look for in partitions.
    fn find_offsets(
        &mut self,
        group: &GroupId,
        wanted: Option<Vec<Wanted>>,
        is_stable_wanted: bool,
        plan: &FaultPlan,
    ) -> (i16, Vec<(String, Vec<Found>)>) {
        let error = self.refusal_of_offsets(group, plan);
        let offsets = if error == code::NONE { self.state.groups.committed(group) } else { Offsets::new() };
        let wanted = wanted.unwrap_or_else(|| by_topic(&offsets));
        let topics = wanted.into_iter().map(|(topic, partitions)| {
            let found = partitions.into_iter().map(|index| {
                let key = (topic.clone(), index);
                let injected = plan.error(&topic, Some(index)).map(|error| error.code);
                let is_unstable = is_stable_wanted && self.state.groups.is_unstable(group, &key);
                let unstable = is_unstable.then_some(code::UNSTABLE_OFFSET_COMMIT);
                let error = injected.or(unstable).unwrap_or(error);
                let offset = offsets.get(&key).filter(|_| error == code::NONE).cloned();
                Found { index, error, offset: offset.unwrap_or_else(none) }
            });
            let found = found.collect();
            (topic, found)
        });
        (error, topics.collect())
    }

    fn refusal_of_offsets(&mut self, group: &GroupId, plan: &FaultPlan) -> i16 {
        if plan.request_error() != code::NONE {
            return plan.request_error();
        }
        let group = Coordinated::Group(group.as_str().to_owned());
        self.state.check_coordinator(&group, self.id).err().unwrap_or(code::NONE)
    }
}

pub(crate) fn targets(request: &OffsetFetchRequest) -> Vec<Target> {
    let old = request.topics.iter().flatten().map(|topic| (&topic.name, &topic.partition_indexes));
    let groups = request.groups.iter().flat_map(|group| group.topics.iter().flatten());
    let new = groups.map(|topic| (&topic.name, &topic.partition_indexes));
    let of_topic = |(topic, partitions): (&TopicName, &Vec<i32>)| {
        let target =
            |partition: &i32| Target { topic: topic.as_str().to_owned(), partition: Some(*partition) };
        partitions.iter().map(target).collect::<Vec<_>>()
    };
    old.chain(new).flat_map(of_topic).collect()
}

fn partition(found: Found, version: i16) -> OffsetFetchResponsePartition {
    let Found { index, error, offset } = found;
    let answer = OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_error_code(error)
        .with_committed_offset(offset.offset)
        .with_metadata(optional_text(offset.metadata));
    if version >= FIRST_WITH_EPOCHS {
        return answer.with_committed_leader_epoch(offset.leader_epoch);
    }
    answer
}

fn by_topic(offsets: &Offsets) -> Vec<Wanted> {
    let mut topics: Vec<Wanted> = Vec::new();
    for (topic, partition) in offsets.keys() {
        match topics.last_mut() {
            Some((last, partitions)) if last == topic => partitions.push(*partition),
            _ => topics.push((topic.clone(), vec![*partition])),
        }
    }
    topics
}

/// What is told of a partition for which nothing is committed.
fn none() -> CommittedOffset {
    CommittedOffset { offset: -1, leader_epoch: -1, metadata: Some(String::new()) }
}
