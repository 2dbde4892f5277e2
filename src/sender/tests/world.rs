//! The cluster as it really is.

use std::collections::{BTreeMap, VecDeque};

use super::wire::{Batch, Identity, Reply};

pub(super) const TOPIC: &str = "topic";

#[derive(Debug)]
pub(super) struct World {
    /// Host names by id.
    pub(super) nodes: BTreeMap<i32, String>,
    pub(super) topics: BTreeMap<String, TopicState>,
}

#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) id: [u8; 16],
    /// What is said of the topic in place of its partitions.
    pub(super) error: i16,
    pub(super) partitions: Vec<PartitionState>,
}

#[derive(Debug, Default)]
pub(super) struct PartitionState {
    /// -1 while there is none.
    pub(super) leader: i32,
    pub(super) epoch: i32,
    pub(super) log: Vec<String>,
    producers: BTreeMap<i64, ProducerState>,
}

/// What a broker remembers of a producer id.
#[derive(Debug, Default)]
struct ProducerState {
    epoch: i16,
    /// The last five batches: first and last sequence number, and first offset.
    batches: VecDeque<(i32, i32, i64)>,
}

impl PartitionState {
    fn append(&mut self, batch: &Batch) -> Reply {
        let base_offset = i64::try_from(self.log.len()).unwrap();
        if batch.identity.id >= 0 {
            let producer = self.producers.entry(batch.identity.id).or_default();
            let count = i32::try_from(batch.records.len()).unwrap();
            if let Some(reply) = producer.check(batch.identity, count, base_offset) {
                return reply;
            }
        }
        self.log.extend(batch.records.iter().cloned());
        Reply::ok(base_offset)
    }
}

impl ProducerState {
    /// Does what Kafka does (`ProducerAppendInfo`): returns the answer to a batch that is not to be appended, and
    /// remembers others.
    fn check(&mut self, identity: Identity, count: i32, offset: i64) -> Option<Reply> {
        let Identity { epoch, sequence, .. } = identity;
        let last = sequence + count - 1;
        let known = self.batches.back().copied();
        if known.is_some() && epoch < self.epoch {
            return Some(Reply::error(47));
        }
        if known.is_some() && epoch > self.epoch {
            if sequence != 0 {
                return Some(Reply::error(45));
            }
            self.batches.clear();
        } else if let Some((_, last_known, _)) = known {
            let double = self.batches.iter().find(|batch| (batch.0, batch.1) == (sequence, last));
            if let Some((_, _, offset)) = double {
                return Some(Reply::ok(*offset));
            }
            if sequence != last_known + 1 {
                return Some(Reply::error(45));
            }
        }
        self.epoch = epoch;
        self.batches.push_back((sequence, last, offset));
        if self.batches.len() > 5 {
            self.batches.pop_front();
        }
        None
    }
}

impl World {
    /// Makes nodes 1 and 2, and a topic of four partitions that are led by them in turns.
    pub(super) fn new() -> Self {
        let nodes = (1..=2).map(|id| (id, format!("kafka-{id}"))).collect();
        let mut world = Self { nodes, topics: BTreeMap::new() };
        world.add_topic(TOPIC, 4);
        world
    }

    pub(super) fn add_topic(&mut self, name: &str, partitions: i32) {
        let id = [u8::try_from(self.topics.len()).unwrap() + 1; 16];
        let partitions = (0..partitions)
            .map(|index| PartitionState { leader: 1 + index % 2, epoch: 5, ..PartitionState::default() })
            .collect();
        self.topics.insert(name.to_owned(), TopicState { id, error: 0, partitions });
    }

    /// Returns the name of the topic with this id, or one that stands for the id if there is none.
    pub(super) fn name_of(&self, id: [u8; 16]) -> String {
        let found = self.topics.iter().find(|(_, topic)| topic.id == id);
        found.map_or_else(|| format!("#{}", u128::from_be_bytes(id)), |(name, _)| name.clone())
    }

    /// The reverse of `name_of`; zero for a name that nothing has.
    pub(super) fn id_of(&self, name: &str) -> [u8; 16] {
        let no_topic = || name.strip_prefix('#').map_or(0, |id| id.parse().unwrap());
        self.topics.get(name).map_or_else(|| u128::to_be_bytes(no_topic()), |topic| topic.id)
    }

    pub(super) fn partition(&mut self, topic: &str, index: i32) -> Option<&mut PartitionState> {
        self.topics.get_mut(topic)?.partitions.get_mut(usize::try_from(index).ok()?)
    }

    /// Has another node lead a partition; a negative one for none.
    pub(super) fn lead(&mut self, index: i32, leader: i32) {
        let partition = self.partition(TOPIC, index).unwrap();
        partition.leader = leader;
        partition.epoch += 1;
    }

    /// Restarts the leader of a partition: of each producer it remembers only the last batch, for that is all that Kafka
    /// keeps on disk (`ProducerStateManager.writeSnapshot`).
    pub(super) fn restart_leader(&mut self, index: i32) {
        for producer in self.partition(TOPIC, index).unwrap().producers.values_mut() {
            let forgotten = producer.batches.len().saturating_sub(1);
            producer.batches.drain(..forgotten);
        }
    }

    /// Does what a healthy broker does with a batch.
    pub(super) fn append(&mut self, node: i32, batch: &Batch) -> Reply {
        match self.partition(&batch.topic, batch.partition) {
            None if batch.topic.starts_with('#') => Reply::error(100),
            None => Reply::error(3),
            Some(partition) if partition.leader != node => Reply::error(6),
            Some(partition) => partition.append(batch),
        }
    }

    pub(super) fn log(&mut self, index: i32) -> Vec<String> {
        self.partition(TOPIC, index).unwrap().log.clone()
    }
}
