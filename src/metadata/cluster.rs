//! `Cluster`: an immutable view of brokers and topics.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use crate::protocol::ErrorCode;
use crate::topic_partition::{NodeId, Topic};
use crate::wire::Uuid;

use super::node::Node;
use super::topic_info::{PartitionInfo, TopicInfo};
use super::topic_map::TopicMap;

/// An immutable view of the cluster: brokers, and the topics that the producer has used lately.
///
/// A partitioner reads it to choose a partition. It is what the brokers said last, so it may be out of date.
///
/// ```
/// use kafka_producer::{Cluster, Node, NodeId, PartitionInfo, TopicInfo};
///
/// let cluster = Cluster::new(
///     [Node::new(NodeId(1), "kafka-1", 9092)],
///     [TopicInfo::new("orders", [PartitionInfo::new(0, Some(NodeId(1))), PartitionInfo::new(1, None)])],
/// );
///
/// assert_eq!(cluster.partition_count("orders"), Some(2));
/// assert_eq!(cluster.available_partitions("orders"), [0]);
/// assert_eq!(cluster.leader("orders", 0).map(Node::host), Some("kafka-1"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// Counts the answers taken in before this view was made.
    version: u64,
    cluster_id: Option<Arc<str>>,
    controller: Option<NodeId>,
    /// Ascending by id, each id once.
    nodes: Vec<Node>,
    /// A leader of a partition in here is always one of `nodes`.
    topics: TopicMap<Arc<TopicInfo>>,
    /// How many of `topics` have a partition without a leader, or no partition.
    incomplete_topics: usize,
    /// Topics whose last answer was an error. They are not in `topics`.
    topic_errors: TopicMap<ErrorCode>,
    /// Why brokers could not be asked for more since the last answer that was taken in.
    obstacle: Option<Obstacle>,
    /// Which brokers have refused the producer since then, and why, although others can be asked.
    refusals: BTreeMap<NodeId, Arc<str>>,
}

/// Why brokers could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Obstacle {
    text: Arc<str>,
    kind: ObstacleKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ObstacleKind {
    /// It may be gone soon.
    Passing,
    /// Brokers do not let the producer in. Waiting does not help, only other credentials do.
    Refusal,
    /// No name in `bootstrap.servers` has had an address in time.
    Unresolved,
}

impl Cluster {
    /// Describes a cluster by its brokers and topics, for tests of partitioners.
    ///
    /// A leader that is not among `nodes` counts as none. Of two nodes with one id the first counts.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = Node>, topics: impl IntoIterator<Item = TopicInfo>) -> Self {
        let mut cluster = Self::default().with_nodes(nodes.into_iter().collect());
        for topic in topics {
            cluster.set_topic(Arc::new(topic));
        }
        cluster
    }

    pub(crate) fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    pub(super) fn with_identity(mut self, cluster_id: Option<Arc<str>>, controller: Option<NodeId>) -> Self {
        self.cluster_id = cluster_id;
        self.controller = controller;
        self
    }

    pub(super) fn with_nodes(mut self, mut nodes: Vec<Node>) -> Self {
        nodes.sort_by_key(Node::id);
        nodes.dedup_by_key(|node| node.id());
        let before = mem::replace(&mut self.nodes, nodes);
        // Topics refer to nodes by their ids only.
        if !self.nodes.iter().map(Node::id).eq(before.iter().map(Node::id)) {
            let topics: Vec<_> = self.topics().map(Arc::clone).collect();
            topics.into_iter().for_each(|topic| self.set_topic(topic));
        }
        self
    }

    /// Adds a topic as it is described, in place of what was known of it.
    pub(super) fn set_topic(&mut self, topic: Arc<TopicInfo>) {
        let topic = self.resolve(topic);
        let name = topic.name().clone();
        self.incomplete_topics += usize::from(!topic.is_complete());
        let before = self.topics.insert(&name, topic);
        self.incomplete_topics -= before.map_or(0, |before| usize::from(!before.is_complete()));
        self.topic_errors.remove(&name);
    }

    /// Notes that the answer about a topic was an error, in place of what was known of it.
    pub(super) fn set_topic_error(&mut self, name: &Topic, code: ErrorCode) {
        self.remove_topic(name);
        self.topic_errors.insert(name, code);
    }

    /// Forgets what is known of a topic.
    pub(super) fn remove_topic(&mut self, name: &Topic) {
        let before = self.topics.remove(name);
        self.incomplete_topics -= before.map_or(0, |before| usize::from(!before.is_complete()));
        self.topic_errors.remove(name);
    }

    /// Returns the brokers, ascending by id. Before the first answer these are the `bootstrap.servers`, with
    /// negative ids.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns a broker by its id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        let index = self.nodes.binary_search_by_key(&id, Node::id).ok()?;
        self.nodes.get(index)
    }

    /// Returns a topic by its name, if the brokers have described it.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&TopicInfo> {
        self.topics.get(name).map(|topic| &**topic)
    }

    pub(super) fn shared_topic(&self, name: &str) -> Option<&Arc<TopicInfo>> {
        self.topics.get(name)
    }

    /// Returns how many partitions a topic has, with or without a leader, or `None` for an unknown topic.
    #[must_use]
    pub fn partition_count(&self, name: &str) -> Option<usize> {
        self.topic(name).map(|topic| topic.partitions().len())
    }

    /// Returns all partitions of a topic: partition `i` is at index `i`. Empty for an unknown topic.
    #[must_use]
    pub fn partitions(&self, name: &str) -> &[PartitionInfo] {
        self.topic(name).map_or(&[], TopicInfo::partitions)
    }

    /// Returns the numbers of those partitions of a topic that have a leader, ascending. Empty for an unknown
    /// topic.
    #[must_use]
    pub fn available_partitions(&self, name: &str) -> &[i32] {
        self.topic(name).map_or(&[], TopicInfo::available_partitions)
    }

    /// Returns a partition of a topic.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionInfo> {
        self.topic(topic)?.partition(partition)
    }

    /// Returns the broker that leads a partition, or `None` while there is none.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<&Node> {
        self.node(self.partition(topic, partition)?.leader()?)
    }

    /// Returns the broker that answers for the cluster as a whole, if it is known.
    #[must_use]
    pub fn controller(&self) -> Option<&Node> {
        self.node(self.controller?)
    }

    /// Returns the id of the cluster, once a broker has told it.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Grows with every answer that is taken in.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the id of a topic; zero if it is not known, or has none.
    pub(crate) fn topic_id(&self, topic: &Topic) -> Uuid {
        self.topic(topic).map_or(Uuid::ZERO, TopicInfo::id)
    }

    /// Returns the name of the topic with this id. The zero id stands for no topic.
    #[cfg(test)]
    pub(crate) fn topic_name(&self, id: Uuid) -> Option<&Topic> {
        let with_id = |topic: &&Arc<TopicInfo>| id != Uuid::default() && topic.id() == id;
        self.topics().find(with_id).map(|topic| topic.name())
    }

    /// Returns the error that the last answer gave in place of a topic, if it gave one.
    pub(crate) fn topic_error(&self, name: &str) -> Option<ErrorCode> {
        self.topic_errors.get(name).copied()
    }

    /// Returns why brokers could not be asked since the last answer that was taken in, if that is known.
    pub(crate) fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_ref().map(|obstacle| &*obstacle.text)
    }

    /// Returns why brokers do not let the producer in, if that is why they could not be asked.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.obstacle_of(ObstacleKind::Refusal)
    }

    /// Returns why no name in `bootstrap.servers` has had an address in time, if that is so.
    pub(crate) fn unresolved(&self) -> Option<&str> {
        self.obstacle_of(ObstacleKind::Unresolved)
    }

    /// Returns why the leader of a partition does not let the producer in or, without a partition, why those of all partitions of the
    /// topic do not.
    pub(crate) fn leader_refusal(&self, topic: &str, partition: Option<i32>) -> Option<&str> {
        if self.refusals.is_empty() {
            return None;
        }
        let refusal = |partition| {
            let leader = self.partition(topic, partition)?.leader()?;
            self.refusals.get(&leader).map(|refusal| &**refusal)
        };
        match partition {
            Some(partition) => refusal(partition),
            None => {
                let available = self.available_partitions(topic);
                let first = refusal(*available.first()?)?;
                available.iter().all(|partition| refusal(*partition).is_some()).then_some(first)
            }
        }
    }

    /// Whether this broker does not let the producer in, while others can be asked.
    pub(super) fn has_refusal_of(&self, node: NodeId) -> bool {
        self.refusals.contains_key(&node)
    }

    /// Whether some broker does not let the producer in.
    pub(super) fn has_refusal(&self) -> bool {
        self.refusal().is_some() || !self.refusals.is_empty()
    }

    fn obstacle_of(&self, kind: ObstacleKind) -> Option<&str> {
        self.obstacle.as_ref().filter(|obstacle| obstacle.kind == kind).map(|obstacle| &*obstacle.text)
    }

    pub(super) fn with_obstacle(mut self, obstacle: &str) -> Self {
        self.obstacle = Some(Obstacle { text: Arc::from(obstacle), kind: ObstacleKind::Passing });
        self
    }

    pub(super) fn with_refusal(mut self, refusal: &str) -> Self {
        self.obstacle = Some(Obstacle { text: Arc::from(refusal), kind: ObstacleKind::Refusal });
        self
    }

    pub(super) fn with_unresolved(mut self, reason: &str) -> Self {
        self.obstacle = Some(Obstacle { text: Arc::from(reason), kind: ObstacleKind::Unresolved });
        self
    }

    pub(super) fn with_refusal_of(mut self, node: NodeId, refusal: &str) -> Self {
        self.refusals.insert(node, Arc::from(refusal));
        self
    }

    pub(super) fn without_refusal_of(mut self, node: NodeId) -> Self {
        self.refusals.remove(&node);
        self
    }

    /// Leaves out why brokers could not be asked, but not which of them refuse the producer.
    pub(super) fn without_note(mut self) -> Self {
        self.obstacle = None;
        self
    }

    pub(super) fn without_obstacle(mut self) -> Self {
        self.obstacle = None;
        self.refusals = BTreeMap::new();
        self
    }

    /// Returns all topics, in no particular order.
    pub(super) fn topics(&self) -> impl Iterator<Item = &Arc<TopicInfo>> {
        self.topics.iter().map(|(_, topic)| topic)
    }

    #[cfg(test)]
    pub(super) fn topic_errors(&self) -> impl Iterator<Item = (&Topic, &ErrorCode)> {
        self.topic_errors.iter()
    }

    /// Whether a partition has no leader, or a topic no partition.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete_topics > 0
    }

    /// Returns the names of the topics whose description differs in `before` or is missing in one of both, sorted.
    pub(super) fn changed_topics(&self, before: &Self) -> Vec<Topic> {
        let mut names = self.topics.differences(&before.topics);
        names.sort();
        names
    }

    fn resolve(&self, topic: Arc<TopicInfo>) -> Arc<TopicInfo> {
        let is_known = |id| self.node(id).is_some();
        if topic.leaders_are_resolved(is_known) {
            return topic;
        }
        Arc::new(Arc::unwrap_or_clone(topic).resolve_leaders(is_known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        Cluster::new(
            [Node::new(NodeId(2), "two", 9092).with_rack("b"), Node::new(NodeId(1), "one", 9092)],
            [
                TopicInfo::new("t", [PartitionInfo::new(0, Some(NodeId(2))), PartitionInfo::new(1, None)])
                    .with_id(Uuid([7; 16])),
                TopicInfo::new("lost", [PartitionInfo::new(0, Some(NodeId(9)))]),
            ],
        )
    }

    #[test]
    fn nodes_are_found_by_id() {
        let cluster = cluster();

        assert_eq!(cluster.nodes().iter().map(Node::id).collect::<Vec<_>>(), [NodeId(1), NodeId(2)]);
        assert_eq!(cluster.node(NodeId(2)).and_then(Node::rack), Some("b"));
        assert_eq!(cluster.node(NodeId(3)), None);
    }

    #[test]
    fn first_of_two_nodes_with_one_id_counts() {
        let cluster = Cluster::new([Node::new(NodeId(1), "a", 1), Node::new(NodeId(1), "b", 2)], []);

        assert_eq!(cluster.nodes(), [Node::new(NodeId(1), "a", 1)]);
    }

    #[test]
    fn leader_missing_from_the_nodes_is_no_leader() {
        let cluster = cluster();

        assert_eq!(cluster.leader("lost", 0), None);
        assert_eq!(cluster.partition("lost", 0).and_then(PartitionInfo::leader), None);
        assert!(cluster.available_partitions("lost").is_empty());
        assert_eq!(cluster.partition_count("lost"), Some(1));
    }

    #[test]
    fn leader_that_refuses_is_in_the_way_of_its_partitions_alone() {
        let nodes = [Node::new(NodeId(1), "one", 9092), Node::new(NodeId(2), "two", 9092)];
        let partition = |number, leader| PartitionInfo::new(number, Some(NodeId(leader)));
        let both = TopicInfo::new("both", [partition(0, 1), partition(1, 2)]);
        let second = TopicInfo::new("second", [partition(0, 2), PartitionInfo::new(1, None)]);
        let cluster = Cluster::new(nodes, [both, second]).with_refusal_of(NodeId(2), "no");

        assert_eq!(cluster.leader_refusal("both", Some(0)), None);
        assert_eq!(cluster.leader_refusal("both", Some(1)), Some("no"));
        assert_eq!(cluster.leader_refusal("both", None), None, "it may go to the other one");
        assert_eq!(cluster.leader_refusal("second", None), Some("no"));
        assert_eq!(cluster.leader_refusal("second", Some(1)), None);
        assert_eq!(cluster.leader_refusal("none", None), None);
        assert_eq!(cluster.without_obstacle().leader_refusal("both", Some(1)), None);
    }

    #[test]
    fn unknown_topic_has_no_partitions() {
        let cluster = cluster();

        assert_eq!(cluster.topic("none"), None);
        assert_eq!(cluster.partition_count("none"), None);
        assert!(cluster.partitions("none").is_empty());
        assert_eq!(cluster.leader("none", 0), None);
    }

    #[test]
    fn topic_is_found_by_its_id_but_not_by_the_zero_id() {
        let cluster = cluster();

        assert_eq!(cluster.topic_name(Uuid([7; 16])).map(Topic::as_str), Some("t"));
        assert_eq!(cluster.topic_name(Uuid::default()), None);
    }
}
