//! What a cluster knows of transactions and of the offsets that are committed with them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::DescribeTransactionsRequest;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::protocol::StrBytes;

use super::cluster::KafkaCluster;
use super::version::Version;
use super::wait;
use super::wire;

/// For a request that a healthy broker answers at once.
const QUICK: Duration = Duration::from_secs(10);
/// For the cluster as a whole to agree on something.
const LIMIT: Duration = Duration::from_secs(120);

/// The topic of the coordinators. It has one partition here, so one broker coordinates all transactions.
const STATE_TOPIC: &str = "__transaction_state";

/// `KRaft` only.
const API_VERSIONS_VERSION: i16 = 3;
/// Since Kafka 3.0.
const DESCRIBE_TRANSACTIONS_VERSION: i16 = 0;
/// The last without a second round for the id of the member.
const JOIN_GROUP_VERSION: i16 = 3;
const SYNC_GROUP_VERSION: i16 = 1;
/// The first that knows isolation levels.
const LIST_OFFSETS_VERSION: i16 = 2;

const LATEST: i64 = -1;
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

impl KafkaCluster {
    /// The node that coordinates all transactions.
    pub(crate) async fn transaction_coordinator(&self) -> i32 {
        wait::wait_for("a coordinator of transactions", LIMIT, async || self.leader(STATE_TOPIC, 0).await)
            .await
    }

    /// Waits until another node than `old` coordinates.
    pub(crate) async fn wait_for_other_coordinator(&self, old: i32) -> i32 {
        self.wait_for_other_leader(STATE_TOPIC, 0, old).await
    }

    /// Waits until `count` brokers have the state of all transactions.
    pub(crate) async fn wait_for_coordinators(&self, count: usize) {
        self.wait_for_isr(STATE_TOPIC, 1, count).await;
    }

    /// Sets the feature `transaction.version` by Kafka's tool, and waits until all brokers say so; since Kafka 4.
    pub(crate) async fn set_transaction_version(&self, level: i16) {
        let old = self.transaction_version(1).await;
        let direction = if level > old { "upgrade" } else { "downgrade" };
        let (bootstrap, feature) = (self.bootstrap_servers(), format!("transaction.version={level}"));
        let arguments = ["--bootstrap-server", &bootstrap, direction, "--feature", &feature];
        self.run_tool("org.apache.kafka.tools.FeatureCommand", &arguments, Vec::new()).await;
        for broker in self.brokers().iter().filter(|broker| broker.is_answering()) {
            wait::wait_for(&feature, LIMIT, async || {
                (self.transaction_version(broker.id()).await == level).then_some(())
            })
            .await;
        }
    }

    /// The level of `transaction.version` as a broker tells it; 0 if it has no such feature.
    async fn transaction_version(&self, id: i32) -> i16 {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("harness"))
            .with_client_software_version(StrBytes::from_static_str("1"));
        let answer = wire::call(self.broker(id).address(), API_VERSIONS_VERSION, &request, QUICK).await;
        let features = answer.expect("an answer").finalized_features;
        let found = features.iter().find(|feature| feature.name.as_str() == "transaction.version");
        found.map_or(0, |feature| feature.max_version_level)
    }

    /// The epoch of the producer that has this id, as its coordinator keeps it; since Kafka 3.0.
    pub(crate) async fn producer_epoch(&self, transactional_id: &str) -> i16 {
        let id = TransactionalId(StrBytes::from_string(transactional_id.to_owned()));
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id]);
        wait::wait_for("the epoch of a producer", LIMIT, async || {
            let coordinator = self.broker(self.transaction_coordinator().await);
            let answer = wire::call(coordinator.address(), DESCRIBE_TRANSACTIONS_VERSION, &request, QUICK)
                .await
                .ok()?;
            let state = answer.transaction_states.first()?;
            (state.error_code == 0).then_some(state.producer_epoch)
        })
        .await
    }

    /// Waits until the last record of a partition is of no transaction that is open.
    pub(crate) async fn wait_for_end_of_transactions(&self, topic: &str, partition: i32) {
        wait::wait_for(&format!("an end of the transactions of {topic}-{partition}"), LIMIT, async || {
            let stable = self.end_offset(topic, partition, READ_COMMITTED).await?;
            (stable == self.end_offset(topic, partition, READ_UNCOMMITTED).await?).then_some(())
        })
        .await;
    }

    async fn end_offset(&self, topic: &str, partition: i32, isolation: i8) -> Option<i64> {
        let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(LATEST);
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let asked = ListOffsetsTopic::default().with_name(name).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation)
            .with_topics(vec![asked]);
        let leader = self.broker(self.leader(topic, partition).await?);
        let answer = wire::call(leader.address(), LIST_OFFSETS_VERSION, &request, QUICK).await.ok()?;
        let found = answer.topics.first()?.partitions.first()?;
        (found.error_code == 0).then_some(found.offset)
    }

    /// The offsets that a group has committed, by Kafka's tool: partitions of all topics.
    pub(crate) async fn committed_offsets(&self, group: &str) -> BTreeMap<(String, i32), i64> {
        let bootstrap = self.bootstrap_servers();
        let arguments = ["--bootstrap-server", &bootstrap, "--describe", "--group", group];
        let printed = self.run_tool(self.version().consumer_groups_command(), &arguments, Vec::new()).await;
        let printed = String::from_utf8(printed).expect("text");
        let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        let head = lines.iter().position(|fields| fields.contains(&"CURRENT-OFFSET"));
        let head = head.unwrap_or_else(|| panic!("no offsets in:\n{printed}"));
        let column = |name: &str| lines[head].iter().position(|field| *field == name).expect("a column");
        let (topic, partition, offset) = (column("TOPIC"), column("PARTITION"), column("CURRENT-OFFSET"));
        let lines = lines[head + 1..].iter().filter(|fields| fields.len() > offset && fields[offset] != "-");
        lines
            .map(|fields| {
                let partition = fields[partition].parse().expect("a partition");
                ((fields[topic].to_owned(), partition), fields[offset].parse().expect("an offset"))
            })
            .collect()
    }

    /// Joins a group as its only member, which stays so for `session`; gives the id of the member and the generation.
    ///
    /// For a cluster of one broker, which coordinates all groups.
    pub(crate) async fn join_group(&self, group: &str, session: Duration) -> (String, i32) {
        let address = self.broker(1).address();
        let timeout = i32::try_from(session.as_millis()).expect("a short session");
        let group = GroupId(StrBytes::from_string(group.to_owned()));
        let protocol = JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
        let join = JoinGroupRequest::default()
            .with_group_id(group.clone())
            .with_session_timeout_ms(timeout)
            .with_rebalance_timeout_ms(timeout)
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        let joined = wait::wait_for("a place in a group", LIMIT, async || {
            let answer = wire::call(address, JOIN_GROUP_VERSION, &join, QUICK).await.ok()?;
            (answer.error_code == 0).then_some(answer)
        })
        .await;
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(joined.member_id.clone())
            .with_assignment(Bytes::new());
        let sync = SyncGroupRequest::default()
            .with_group_id(group)
            .with_member_id(joined.member_id.clone())
            .with_generation_id(joined.generation_id)
            .with_assignments(vec![assignment]);
        let synced = wire::call(address, SYNC_GROUP_VERSION, &sync, QUICK).await.expect("an answer");
        assert_eq!(synced.error_code, 0);
        (joined.member_id.to_string(), joined.generation_id)
    }
}

impl Version {
    /// Whether brokers check the members of a group that commits offsets in a transaction (KIP-447).
    pub(crate) const fn checks_group_members(self) -> bool {
        !matches!(self, Self::V1_0_2)
    }

    /// Whether coordinators describe transactions (KIP-664).
    pub(crate) const fn describes_transactions(self) -> bool {
        matches!(self, Self::V3_9_2 | Self::V4_3_1)
    }
}
