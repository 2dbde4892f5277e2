//! The cluster as it really is.

use std::collections::BTreeMap;

use kafka_mock::sans_io::Log;

use super::wire::{Batch, Reply};

pub(super) const TOPIC: &str = "topic";

#[derive(Debug)]
pub(super) struct World {
    pub(super) cluster: &'static str,
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
    /// Judges sequence numbers.
    numbers: Log,
}

impl PartitionState {
    fn append(&mut self, batch: &Batch) -> Reply {
        if self.log.is_empty() {
            // A test may have made the partition anew.
            self.numbers = Log::default();
        }
        match self.numbers.append(batch.bytes.clone()) {
            Ok(base_offset) => {
                // What was there already, brokers do not append again.
                if usize::try_from(base_offset) == Ok(self.log.len()) {
                    self.log.extend(batch.records.iter().cloned());
                }
                Reply::ok(base_offset)
            }
            Err(code) => Reply::error(code),
        }
    }
}

impl World {
    /// Makes nodes 1 and 2, and a topic of four partitions that are led by them in turns.
    pub(super) fn new() -> Self {
        let nodes = (1..=2).map(|id| (id, format!("kafka-{id}"))).collect();
        let mut world = Self { cluster: "here", nodes, topics: BTreeMap::new() };
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

    /// Restarts the leader of a partition: of each producer it remembers only the last batch.
    pub(super) fn restart_leader(&mut self, index: i32) {
        self.partition(TOPIC, index).unwrap().numbers.restart();
    }

    /// Has the leader of a partition forget all producers.
    pub(super) fn forget_producers(&mut self, index: i32) {
        self.partition(TOPIC, index).unwrap().numbers.forget_producers();
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
