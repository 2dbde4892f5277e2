//! Topics, their ids, and who leads their partitions.

use std::hash::{BuildHasher, RandomState};

use crate::log::PartitionLog;
use crate::replication::Replication;

/// A topic and its partitions.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<Partition>,
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index).ok()?)
    }

    /// Partitions with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (i32, &Partition)> {
        (0_i32..).zip(&self.partitions)
    }
}

/// One partition: its replicas, its leader, its log.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) replicas: Vec<i32>,
    pub(crate) leader: Option<i32>,
    /// 0 at first, one more at each change of the leader, also when the partition loses its leader or gets one again.
    pub(crate) leader_epoch: i32,
    /// By how much the epoch that clients are told of is higher.
    pub(crate) epoch_lead: i32,
    /// The leader's log, or that of the last leader; everybody's if there is no `replication`.
    pub(crate) log: PartitionLog,
    pub(crate) replication: Option<Replication>,
}

impl Partition {
    pub(crate) fn new(replicas: Vec<i32>, leader: Option<i32>, replication: Option<Replication>) -> Self {
        Self { replicas, leader, leader_epoch: 0, epoch_lead: 0, log: PartitionLog::default(), replication }
    }

    /// The leader epoch that clients are told of.
    pub(crate) fn told_epoch(&self) -> i32 {
        self.leader_epoch.saturating_add(self.epoch_lead)
    }

    /// Offset up to which consumers may read.
    pub(crate) fn high_watermark(&self) -> i64 {
        let replication = self.replication.as_ref();
        replication.map_or_else(|| self.log.end_offset(), |all| all.high_watermark(&self.log))
    }

    /// Whether a replica may lead without what was acknowledged being lost.
    pub(crate) fn may_be_led_by(&self, replica: i32) -> bool {
        let replication = self.replication.as_ref();
        replication.is_none_or(|replication| replication.in_sync().any(|id| id == replica))
    }

    pub(crate) fn move_leader(&mut self, leader: Option<i32>) {
        if self.leader != leader {
            if let (Some(replication), Some(leader)) = (&mut self.replication, leader) {
                replication.change_leader(leader, &mut self.log);
            }
            self.leader = leader;
            self.leader_epoch = self.leader_epoch.saturating_add(1);
        }
    }
}

/// The id of a topic: another one each time that a topic of the same name is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TopicId(u128);

impl TopicId {
    pub(crate) fn random() -> Self {
        // The two lowest ids are reserved by Kafka; setting one bit keeps clear of them.
        Self((u128::from(random_u64()) << 64) | (1 << 63) | u128::from(random_u64()))
    }

    pub(crate) fn from_u128(id: u128) -> Self {
        Self(id)
    }

    pub(crate) fn to_u128(self) -> u128 {
        self.0
    }

    /// Converts to the id type of `kafka-protocol`, which cannot be named without depending on its crate.
    pub(crate) fn to_wire<T: TryFrom<Vec<u8>> + Default>(self) -> T {
        T::try_from(self.0.to_be_bytes().to_vec()).unwrap_or_default()
    }
}

/// How a request names a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicRef {
    Id(TopicId),
    Name(String),
}

/// Good enough for ids that only have to differ.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// Whether Kafka would accept the name.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !matches!(name, "" | "." | "..") && name.len() <= 249 && name.bytes().all(is_legal)
}
