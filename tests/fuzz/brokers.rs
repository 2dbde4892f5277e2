//! Two brokers as they really are: who leads, and what stands in the logs.

use std::collections::{BTreeMap, VecDeque};

use super::wire::{Batch, Reply};

pub(crate) const TOPIC: &str = "topic";
pub(crate) const TOPIC_ID: [u8; 16] = [7; 16];
pub(crate) const PARTITIONS: usize = 4;
pub(crate) const NODES: [i32; 2] = [1, 2];

pub(crate) fn host(node: i32) -> String {
    format!("kafka-{node}")
}

/// The reverse of [`host`].
pub(crate) fn node_at(host: &str) -> Option<i32> {
    if host == "bootstrap" { Some(1) } else { NODES.into_iter().find(|id| self::host(*id) == host) }
}

#[derive(Debug)]
pub(crate) struct Brokers {
    partitions: [Partition; PARTITIONS],
    producer_ids: i64,
    /// The largest batch that is taken.
    pub(crate) max_batch: usize,
}

#[derive(Debug)]
pub(crate) struct Partition {
    /// -1 while there is none.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    /// The values.
    pub(crate) log: Vec<String>,
    /// By producer id.
    producers: BTreeMap<i64, Producer>,
}

/// What a broker remembers of a producer id.
#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    /// The last five batches: first and last sequence number, and first offset.
    batches: VecDeque<(i32, i32, i64)>,
}

impl Brokers {
    pub(crate) fn new(max_batch: usize) -> Self {
        let partitions = [1, 2, 1, 2].map(|leader| Partition {
            leader,
            leader_epoch: 5,
            log: Vec::new(),
            producers: BTreeMap::new(),
        });
        Self { partitions, producer_ids: 0, max_batch }
    }

    pub(crate) fn next_producer_id(&mut self) -> i64 {
        self.producer_ids += 1;
        self.producer_ids
    }

    /// Has another node lead a partition; -1 for none.
    pub(crate) fn lead(&mut self, partition: usize, leader: i32) {
        self.partitions[partition].leader = leader;
        self.partitions[partition].leader_epoch += 1;
    }

    /// Does what a healthy broker does with a batch.
    pub(crate) fn append(&mut self, node: i32, batch: &Batch) -> Reply {
        let index = batch.partition;
        let place = usize::try_from(index).ok().and_then(|index| self.partitions.get_mut(index));
        let Some(partition) = place else { return Reply::error(index, if index < 0 { 100 } else { 3 }) };
        if partition.leader != node {
            return Reply::error(index, 6);
        }
        if batch.len > self.max_batch {
            return Reply::error(index, 10);
        }
        partition.append(batch)
    }

    pub(crate) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }
}

impl Partition {
    fn append(&mut self, batch: &Batch) -> Reply {
        let base_offset = i64::try_from(self.log.len()).expect("logs are short");
        if batch.producer_id >= 0 {
            let producer = self.producers.entry(batch.producer_id).or_default();
            if let Some(reply) = producer.check(batch, base_offset) {
                return reply;
            }
        }
        self.log.extend(batch.records.iter().cloned());
        Reply::ok(batch.partition, base_offset)
    }
}

impl Producer {
    /// Does what Kafka does (`ProducerAppendInfo`): returns the answer to a batch that is not to be appended, and
    /// remembers others.
    fn check(&mut self, batch: &Batch, offset: i64) -> Option<Reply> {
        let refuse = |code| Some(Reply::error(batch.partition, code));
        let last = batch.sequence + i32::try_from(batch.records.len()).expect("batches are small") - 1;
        if let Some((_, last_known, _)) = self.batches.back().copied() {
            if batch.epoch < self.epoch {
                return refuse(47);
            }
            if batch.epoch > self.epoch {
                if batch.sequence != 0 {
                    return refuse(45);
                }
                self.batches.clear();
            } else if let Some(known) =
                self.batches.iter().find(|known| (known.0, known.1) == (batch.sequence, last))
            {
                return Some(Reply::ok(batch.partition, known.2));
            } else if batch.sequence != last_known + 1 {
                return refuse(45);
            }
        }
        self.epoch = batch.epoch;
        self.batches.push_back((batch.sequence, last, offset));
        if self.batches.len() > 5 {
            self.batches.pop_front();
        }
        None
    }
}
