//! Everything that the brokers of a cluster know: pure state, kept behind one lock by the shell.

mod coordination;
mod marking;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::connections::Connections;
use crate::coordinators::Coordinators;
use crate::error::MockError;
use crate::faults::Faults;
use crate::features::Features;
use crate::groups::Groups;
use crate::record_judge::RecordJudge;
use crate::replication::Replication;
use crate::requests::Requests;
use crate::sasl::Admission;
use crate::telemetry::Telemetry;
use crate::topic::{Partition, Topic, TopicId, is_valid_name};
use crate::transactions::Transactions;
use crate::versions::VersionTable;

/// One broker as the others see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BrokerNode {
    pub(crate) port: u16,
    pub(crate) is_up: bool,
}

/// What stays the same while the cluster runs, or changes only by order of a test.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) auto_create_topics: bool,
    pub(crate) default_partitions: i32,
    pub(crate) min_insync_replicas: usize,
    /// Brokers are in these by turns; empty: in none.
    pub(crate) racks: Vec<String>,
    pub(crate) max_message_bytes: usize,
    pub(crate) keeps_records: bool,
    /// Whether a producer that is not known must begin with sequence 0, as before Kafka 2.5.
    pub(crate) knows_all_producers: bool,
    /// Whether leaders ask the coordinator before they write for a transaction that was begun by AddPartitionsToTxn, as since Kafka
    /// 3.6 (`transaction.partition.verification.enable`).
    pub(crate) verifies_transactions: bool,
    /// Whether each replica has a log of its own, which follows the leader's when it is told to.
    pub(crate) replicates: bool,
    pub(crate) record_judge: Option<RecordJudge>,
    /// What clients must say to be let in; `None` lets in all.
    pub(crate) admission: Option<Admission>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_create_topics: true,
            default_partitions: 1,
            min_insync_replicas: 1,
            racks: Vec::new(),
            max_message_bytes: 1_048_588,
            keeps_records: true,
            knows_all_producers: false,
            verifies_transactions: true,
            replicates: false,
            record_judge: None,
            admission: None,
        }
    }
}

/// Brokers, topics, logs, faults and counters of one cluster.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) cluster_id: String,
    pub(crate) settings: Settings,
    pub(crate) versions: VersionTable,
    pub(crate) faults: Faults,
    pub(crate) requests: Requests,
    pub(crate) connections: Connections,
    /// Why the newest bad requests were refused; at most [`KEPT_REFUSALS`].
    pub(crate) refusals: Vec<String>,
    brokers: BTreeMap<i32, BrokerNode>,
    topics: BTreeMap<String, Topic>,
    /// Holds exactly the ids of `topics`.
    names: HashMap<TopicId, String>,
    next_producer_id: i64,
    pub(crate) features: Features,
    pub(crate) coordinators: Coordinators,
    pub(crate) transactions: Transactions,
    pub(crate) groups: Groups,
    pub(crate) telemetry: Telemetry,
    /// Whether a test writes markers when it pleases.
    pub(crate) are_markers_held: bool,
    /// Makes ids of topics; random if `None`.
    topic_ids: Option<u128>,
    /// Time since the cluster started.
    pub(crate) now: Duration,
}

impl ClusterState {
    /// A cluster whose brokers, numbered from 0, are all down and listen nowhere yet.
    pub(crate) fn new(cluster_id: String, brokers: i32, settings: Settings, versions: VersionTable) -> Self {
        let node = BrokerNode { port: 0, is_up: false };
        Self {
            cluster_id,
            settings,
            versions,
            faults: Faults::default(),
            requests: Requests::default(),
            connections: Connections::default(),
            refusals: Vec::new(),
            brokers: (0..brokers).map(|id| (id, node)).collect(),
            topics: BTreeMap::new(),
            names: HashMap::new(),
            next_producer_id: FIRST_PRODUCER_ID,
            features: Features::default(),
            coordinators: Coordinators::default(),
            transactions: Transactions::default(),
            groups: Groups::default(),
            telemetry: Telemetry::default(),
            are_markers_held: false,
            topic_ids: None,
            now: Duration::ZERO,
        }
    }

    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
    ) -> Result<(), MockError> {
        let topic = || name.to_owned();
        self.check_new_name(name)?;
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(MockError::InvalidPartitions { topic: topic(), partitions });
        }
        let replicas = usize::try_from(replication_factor).unwrap_or(0);
        if replicas < 1 || replicas > self.brokers.len() {
            return Err(MockError::InvalidReplicationFactor { topic: topic(), replication_factor });
        }
        let assignment = (0..partitions).map(|partition| self.place(partition, replicas)).collect();
        self.insert_topic(name, assignment);
        Ok(())
    }

    /// Creates a topic with the given replicas per partition; ids of unknown brokers are refused.
    pub(crate) fn create_assigned_topic(
        &mut self,
        name: &str,
        assignment: Vec<Vec<i32>>,
    ) -> Result<(), MockError> {
        self.check_new_name(name)?;
        for broker in assignment.iter().flatten() {
            self.node(*broker)?;
        }
        if assignment.is_empty() || assignment.iter().any(Vec::is_empty) {
            return Err(MockError::InvalidPartitions { topic: name.to_owned(), partitions: 0 });
        }
        self.insert_topic(name, assignment);
        Ok(())
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), MockError> {
        let topic = self.topics.remove(name);
        let topic = topic.ok_or_else(|| unknown(name, -1))?;
        self.names.remove(&topic.id);
        self.transactions.forget_markers(name);
        Ok(())
    }

    /// Raises the number of partitions to `total`.
    pub(crate) fn add_partitions(&mut self, name: &str, total: i32) -> Result<(), MockError> {
        let topic = self.topics.get(name).ok_or_else(|| unknown(name, -1))?;
        let present = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if !(present..=MAX_PARTITIONS).contains(&total) {
            return Err(MockError::InvalidPartitions { topic: name.to_owned(), partitions: total });
        }
        let replicas = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
        let assignment: Vec<_> = (present..total).map(|partition| self.place(partition, replicas)).collect();
        let added: Vec<_> = assignment.into_iter().map(|replicas| self.new_partition(replicas)).collect();
        if let Some(topic) = self.topics.get_mut(name) {
            topic.partitions.extend(added);
        }
        Ok(())
    }

    /// Creates a topic that a client asked for, with the default number of partitions and replicas.
    pub(crate) fn auto_create_topic(&mut self, name: &str) -> Result<(), MockError> {
        self.create_topic(name, self.settings.default_partitions, self.default_replication_factor())
    }

    /// Makes a broker the leader, and a replica if it is none yet, or leaves the partition without a leader.
    pub(crate) fn set_leader(
        &mut self,
        name: &str,
        index: i32,
        leader: Option<i32>,
    ) -> Result<(), MockError> {
        if let Some(leader) = leader {
            self.node(leader)?;
        }
        let partition = self.partition_mut(name, index).ok_or_else(|| unknown(name, index))?;
        partition.move_leader(leader);
        if let Some(leader) = leader.filter(|leader| !partition.replicas.contains(leader)) {
            partition.replicas.push(leader);
        }
        Ok(())
    }

    /// Takes a broker out: its partitions move to the first replica that is up, or are left without a leader.
    pub(crate) fn broker_down(&mut self, broker: i32) -> Result<(), MockError> {
        self.node_mut(broker)?.is_up = false;
        let brokers = &self.brokers;
        let is_up = |id: &i32| brokers.get(id).is_some_and(|node| node.is_up);
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            if let Some(replication) = &mut partition.replication {
                replication.remove_from_sync(broker, &partition.log);
            }
            if partition.leader == Some(broker) {
                let successor =
                    partition.replicas.iter().copied().find(|id| is_up(id) && partition.may_be_led_by(*id));
                partition.move_leader(successor);
            }
        }
        self.settle_coordinators();
        Ok(())
    }

    /// Brings a broker back on a port; it becomes leader of those of its partitions that have none.
    pub(crate) fn broker_up(&mut self, broker: i32, port: u16) -> Result<(), MockError> {
        *self.node_mut(broker)? = BrokerNode { port, is_up: true };
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            if let Some(replication) = &mut partition.replication {
                replication.restart(broker, &mut partition.log);
            }
            if partition.leader.is_none()
                && partition.replicas.contains(&broker)
                && partition.may_be_led_by(broker)
            {
                partition.move_leader(Some(broker));
            }
        }
        self.settle_coordinators();
        Ok(())
    }

    pub(crate) fn next_producer_id(&mut self) -> i64 {
        coordination::next(&mut self.next_producer_id)
    }

    pub(crate) fn partition_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.partition_mut(partition)
    }

    pub(crate) fn refuse(&mut self, reason: String) {
        if self.refusals.len() == KEPT_REFUSALS {
            self.refusals.remove(0);
        }
        self.refusals.push(reason);
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.topics.get(topic)?.partition(partition)
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(crate) fn topic_names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    pub(crate) fn name_of(&self, id: TopicId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    pub(crate) fn node(&self, broker: i32) -> Result<BrokerNode, MockError> {
        self.brokers.get(&broker).copied().ok_or(MockError::UnknownBroker { broker })
    }

    pub(crate) fn is_up(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|node| node.is_up)
    }

    pub(crate) fn broker_ids(&self) -> impl Iterator<Item = i32> {
        self.brokers.keys().copied()
    }

    /// Brokers that are up, in the order of their ids.
    pub(crate) fn live_brokers(&self) -> impl Iterator<Item = (i32, BrokerNode)> {
        self.brokers.iter().filter(|(_, node)| node.is_up).map(|(id, node)| (*id, *node))
    }

    /// Replicas of the partition that are in sync: without replication, those that are up.
    pub(crate) fn in_sync(&self, partition: &Partition) -> Vec<i32> {
        match &partition.replication {
            Some(replication) => replication.in_sync().collect(),
            None => partition.replicas.iter().copied().filter(|id| self.is_up(*id)).collect(),
        }
    }

    pub(crate) fn default_replication_factor(&self) -> i16 {
        i16::try_from(self.brokers.len().min(3)).unwrap_or(1)
    }

    fn check_new_name(&self, name: &str) -> Result<(), MockError> {
        if !is_valid_name(name) {
            return Err(MockError::InvalidTopicName { topic: name.to_owned() });
        }
        if self.topics.contains_key(name) {
            return Err(MockError::TopicExists { topic: name.to_owned() });
        }
        Ok(())
    }

    /// Spreads replicas over the brokers: partition p starts at the p-th broker.
    fn place(&self, partition: i32, replicas: usize) -> Vec<i32> {
        let first = usize::try_from(partition).unwrap_or(0) % self.brokers.len().max(1);
        self.brokers.keys().copied().cycle().skip(first).take(replicas.min(self.brokers.len())).collect()
    }

    /// Makes ids of topics that are the same in every run.
    pub(crate) fn count_topic_ids(&mut self) {
        self.topic_ids = Some(FIRST_TOPIC_ID);
    }

    /// Goes on where another cluster is with the ids of topics, and after the producer ids that it has given out, with the same
    /// features.
    pub(crate) fn count_on(&mut self, other: &Self) {
        self.topic_ids = other.topic_ids;
        self.next_producer_id = other.next_producer_id;
        self.features = other.features;
    }

    pub(crate) fn partitions_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.topics.values_mut().flat_map(|topic| &mut topic.partitions)
    }

    /// Has all replicas forget the producers whose newest records bear timestamps before this one.
    pub(crate) fn expire_producers(&mut self, timestamp: i64) {
        for partition in self.partitions_mut() {
            partition.log.expire_producers(timestamp);
            if let Some(replication) = &mut partition.replication {
                replication.expire_producers(timestamp);
            }
        }
    }

    fn insert_topic(&mut self, name: &str, assignment: Vec<Vec<i32>>) {
        let id = match &mut self.topic_ids {
            None => TopicId::random(),
            Some(next) => {
                *next += 1;
                TopicId::from_u128(*next)
            }
        };
        let partitions = assignment.into_iter().map(|replicas| self.new_partition(replicas)).collect();
        self.topics.insert(name.to_owned(), Topic { id, partitions });
        self.names.insert(id, name.to_owned());
    }

    fn new_partition(&self, replicas: Vec<i32>) -> Partition {
        let leader = replicas.iter().copied().find(|id| self.is_up(*id));
        let replication = self.settings.replicates.then(|| Replication::new(&replicas, leader));
        Partition::new(replicas, leader, replication)
    }

    fn node_mut(&mut self, broker: i32) -> Result<&mut BrokerNode, MockError> {
        self.brokers.get_mut(&broker).ok_or(MockError::UnknownBroker { broker })
    }
}

pub(crate) fn unknown(topic: &str, partition: i32) -> MockError {
    MockError::UnknownTopicOrPartition { topic: topic.to_owned(), partition }
}

/// A number that a client cannot mistake for a default.
const FIRST_PRODUCER_ID: i64 = 1000;

/// Clear of the ids that Kafka reserves.
const FIRST_TOPIC_ID: u128 = 1 << 100;

/// A client may ask for 2^31 partitions; no user of the mock needs more than this.
const MAX_PARTITIONS: i32 = 10_000;

/// Enough to see what went wrong, too few to fill memory.
const KEPT_REFUSALS: usize = 100;
