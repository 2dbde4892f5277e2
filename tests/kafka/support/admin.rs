//! Topics, leaders and offsets: what an admin client does, by single requests.
//!
//! The versions of the requests are those that Kafka 1.0 and Kafka 4 have in common, if both know the request.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use kafka_protocol::messages::AlterClientQuotasRequest;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::alter_client_quotas_request::EntityData;
use kafka_protocol::messages::alter_client_quotas_request::EntryData;
use kafka_protocol::messages::alter_client_quotas_request::OpData;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopicConfig;
use kafka_protocol::messages::describe_quorum_request;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::protocol::Request;
use kafka_protocol::protocol::StrBytes;

use super::broker::Broker;
use super::cluster::KafkaCluster;
use super::wait;
use super::wire;

const METADATA_VERSION: i16 = 5;
const CREATE_TOPICS_VERSION: i16 = 2;
const DELETE_TOPICS_VERSION: i16 = 1;
/// `KRaft` only.
const DESCRIBE_QUORUM_VERSION: i16 = 0;
/// Since Kafka 2.3.
const INCREMENTAL_ALTER_CONFIGS_VERSION: i16 = 0;
/// Since Kafka 2.6.
const ALTER_CLIENT_QUOTAS_VERSION: i16 = 0;
const LIST_OFFSETS_VERSION: i16 = 2;

/// For a request that a healthy broker answers at once.
const QUICK: Duration = Duration::from_secs(2);
/// For a request that the broker answers when the work is done.
const SLOW: Duration = Duration::from_secs(35);
/// For the cluster as a whole to agree on something.
const LIMIT: Duration = Duration::from_secs(120);

const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const REQUEST_TIMED_OUT: i16 = 7;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const NOT_CONTROLLER: i16 = 41;

/// The types of resource that topics, brokers and subscriptions to metrics are, and the operation that sets a value.
const TOPIC_RESOURCE: i8 = 2;
const BROKER_RESOURCE: i8 = 4;
const CLIENT_METRICS_RESOURCE: i8 = 16;
const SET: i8 = 0;

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

impl KafkaCluster {
    /// Creates a topic and waits until all brokers know all its partitions, with all replicas in sync and
    /// leaders that answer.
    pub(crate) async fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        replication: i16,
        configs: &[(&str, &str)],
    ) {
        self.announce_topic(topic, partitions, replication, configs).await;
        self.wait_for_isr(topic, partitions, usize::try_from(replication).expect("positive")).await;
        // A broker may know from the metadata that it leads a partition, and still have to make its log.
        self.end_offsets(topic).await;
    }

    /// Creates a topic, which some brokers may not know of yet.
    pub(crate) async fn announce_topic(
        &self,
        topic: &str,
        partitions: i32,
        replication: i16,
        configs: &[(&str, &str)],
    ) {
        let request = create_request(topic, partitions, replication, configs);
        let mut attempts = 0;
        wait::wait_for(&format!("topic {topic} created"), LIMIT, async || {
            attempts += 1;
            let response = self.ask_controller(CREATE_TOPICS_VERSION, &request).await.ok()?;
            let result = response.topics.first().expect("an answer about the topic");
            match result.error_code {
                NONE => Some(()),
                TOPIC_ALREADY_EXISTS if attempts > 1 => Some(()),
                REQUEST_TIMED_OUT | NOT_CONTROLLER => None,
                code => panic!("creating {topic}: error {code} {:?}", result.error_message),
            }
        })
        .await;
    }

    /// Deletes a topic and waits until no broker knows it and its name is free.
    pub(crate) async fn delete_topic(&self, topic: &str) {
        let request =
            DeleteTopicsRequest::default().with_topic_names(vec![name(topic)]).with_timeout_ms(30_000);
        wait::wait_for(&format!("topic {topic} deleted"), LIMIT, async || {
            let response = self.ask_controller(DELETE_TOPICS_VERSION, &request).await.ok()?;
            let code = response.responses.first().expect("an answer about the topic").error_code;
            matches!(code, NONE | UNKNOWN_TOPIC_OR_PARTITION).then_some(())
        })
        .await;
        self.wait_for_all(&format!("topic {topic} forgotten"), topic, |found| found.is_none()).await;
        // The last trace goes after the brokers have forgotten the topic; until then the name is not free.
        let request = create_request(topic, 1, 1, &[]).with_validate_only(true);
        wait::wait_for(&format!("the name {topic} free"), LIMIT, async || {
            let response = self.ask_controller(CREATE_TOPICS_VERSION, &request).await.ok()?;
            (response.topics.first()?.error_code == NONE).then_some(())
        })
        .await;
    }

    /// Sets one property of a topic, for brokers since Kafka 2.3.
    pub(crate) async fn set_topic_config(&self, topic: &str, key: &str, value: &str) {
        let request = alter_request(TOPIC_RESOURCE, topic, &[(key, value)]);
        wait::wait_for(&format!("{key}={value} for {topic}"), LIMIT, async || {
            let response = self.ask_controller(INCREMENTAL_ALTER_CONFIGS_VERSION, &request).await.ok()?;
            (response.responses.first().expect("an answer about the topic").error_code == NONE).then_some(())
        })
        .await;
    }

    /// Sets properties of a broker while it runs, for brokers since Kafka 2.3. It may take them in a little later.
    pub(crate) async fn set_broker_configs(&self, id: i32, configs: &[(&str, &str)]) {
        let request = alter_request(BROKER_RESOURCE, &id.to_string(), configs);
        let address = self.broker(id).address();
        let answered = wire::call(address, INCREMENTAL_ALTER_CONFIGS_VERSION, &request, SLOW).await;
        let response = answered.expect("an answer").responses.into_iter().next().expect("about the broker");
        assert_eq!(response.error_code, NONE, "{configs:?}: {:?}", response.error_message);
    }

    /// Asks clients for metrics, for brokers since Kafka 3.7 that have a receiver.
    ///
    /// Brokers may take in the subscription a little later.
    pub(crate) async fn subscribe_to_metrics(&self, name: &str, configs: &[(&str, &str)]) {
        let request = alter_request(CLIENT_METRICS_RESOURCE, name, configs);
        wait::wait_for(&format!("subscription {configs:?}"), LIMIT, async || {
            let response = self.ask_controller(INCREMENTAL_ALTER_CONFIGS_VERSION, &request).await.ok()?;
            (response.responses.first().expect("an answer about it").error_code == NONE).then_some(())
        })
        .await;
    }

    /// Bounds the bytes per second that a broker takes from producers with this `client.id`, for brokers since Kafka 2.6.
    ///
    /// Brokers may take in the bound a little later.
    pub(crate) async fn set_producer_byte_rate(&self, client_id: &str, rate: f64) {
        let entity =
            EntityData::default().with_entity_type(text("client-id")).with_entity_name(Some(text(client_id)));
        let bound = OpData::default().with_key(text("producer_byte_rate")).with_value(rate);
        let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![bound]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        wait::wait_for(&format!("{rate} bytes per second for {client_id}"), LIMIT, async || {
            let response = self.ask_controller(ALTER_CLIENT_QUOTAS_VERSION, &request).await.ok()?;
            (response.entries.first().expect("an answer about the client").error_code == NONE).then_some(())
        })
        .await;
    }

    /// The node that decides about topics and leaders at this moment; `KRaft` only.
    pub(crate) async fn active_controller(&self) -> i32 {
        let log = describe_quorum_request::TopicData::default()
            .with_topic_name(name("__cluster_metadata"))
            .with_partitions(vec![describe_quorum_request::PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![log]);
        wait::wait_for("the active controller", LIMIT, async || {
            let response = self.ask_controller(DESCRIBE_QUORUM_VERSION, &request).await.ok()?;
            let found = response.topics.first()?.partitions.first()?;
            (found.error_code == NONE).then_some(found.leader_id.0)
        })
        .await
    }

    /// The leader's node id, as the cluster believes at this moment; `None` while there is none.
    pub(crate) async fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let partitions = self.partitions(topic).await?;
        partitions.get(&partition).map(|partition| partition.leader_id.0).filter(|id| *id >= 0)
    }

    /// Waits until the partition is led by another node than `old`, and gives that.
    pub(crate) async fn wait_for_other_leader(&self, topic: &str, partition: i32, old: i32) -> i32 {
        wait::wait_for(&format!("leader of {topic}-{partition} moved away from {old}"), LIMIT, async || {
            self.leader(topic, partition).await.filter(|leader| *leader != old)
        })
        .await
    }

    /// Waits until all brokers that answer see `partitions` partitions, each with a leader and `count` replicas in sync.
    pub(crate) async fn wait_for_isr(&self, topic: &str, partitions: i32, count: usize) {
        let partitions = usize::try_from(partitions).expect("positive");
        self.wait_for_all(&format!("{topic} with {count} replicas in sync"), topic, |found| {
            found.is_some_and(|found| {
                found.len() == partitions
                    && found.values().all(|one| one.leader_id.0 >= 0 && one.isr_nodes.len() == count)
            })
        })
        .await;
    }

    /// The offset of the first record of each partition.
    pub(crate) async fn begin_offsets(&self, topic: &str) -> BTreeMap<i32, i64> {
        self.offsets(topic, EARLIEST).await
    }

    /// The offset that the next record of each partition will get.
    pub(crate) async fn end_offsets(&self, topic: &str) -> BTreeMap<i32, i64> {
        self.offsets(topic, LATEST).await
    }

    async fn offsets(&self, topic: &str, timestamp: i64) -> BTreeMap<i32, i64> {
        let partitions = self.partitions(topic).await.unwrap_or_else(|| panic!("no topic {topic}"));
        let mut offsets = BTreeMap::new();
        for partition in partitions.into_keys() {
            let asked =
                ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
            let asked = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![asked]);
            let request =
                ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
            let what = format!("offset of {topic}-{partition}");
            let offset = wait::wait_for(&what, LIMIT, async || {
                let leader = self.broker(self.leader(topic, partition).await?);
                let response =
                    wire::call(leader.address(), LIST_OFFSETS_VERSION, &request, QUICK).await.ok()?;
                let found = response.topics.first()?.partitions.first()?;
                (found.error_code == NONE).then_some(found.offset)
            });
            offsets.insert(partition, offset.await);
        }
        offsets
    }

    /// The partitions of a topic, as the first broker sees them that answers; `None` if it knows no such topic.
    async fn partitions(&self, topic: &str) -> Option<BTreeMap<i32, MetadataResponsePartition>> {
        wait::wait_for("metadata", LIMIT, async || {
            for broker in self.brokers().iter().filter(|broker| broker.is_answering()) {
                if let Ok(response) = metadata(broker, Some(topic)).await {
                    return Some(partitions(response));
                }
            }
            None
        })
        .await
    }

    async fn wait_for_all(
        &self,
        what: &str,
        topic: &str,
        is_so: impl Fn(Option<BTreeMap<i32, MetadataResponsePartition>>) -> bool,
    ) {
        wait::wait_for(what, LIMIT, async || {
            for broker in self.brokers().iter().filter(|broker| broker.is_answering()) {
                if !is_so(partitions(metadata(broker, Some(topic)).await.ok()?)) {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// Asks the controller (with `KRaft`: any broker, which passes the request on).
    async fn ask_controller<R: Request>(&self, version: i16, request: &R) -> io::Result<R::Response> {
        let mut last = io::Error::other("no broker answers");
        for broker in self.brokers().iter().filter(|broker| broker.is_answering()) {
            match metadata(broker, None).await {
                Ok(response) => {
                    let id = response.controller_id.0;
                    let named = self.brokers().iter().find(|broker| broker.id() == id);
                    // With KRaft the answer names any broker, even one that is frozen.
                    let asked = if self.version().is_kraft() { Some(broker) } else { named };
                    let Some(asked) = asked else { continue };
                    return wire::call(asked.address(), version, request, SLOW).await;
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn alter_request(
    resource_type: i8,
    resource: &str,
    configs: &[(&str, &str)],
) -> IncrementalAlterConfigsRequest {
    let config = |(key, value): &(&str, &str)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(SET)
            .with_value(Some(text(value)))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(resource))
        .with_configs(configs.iter().map(config).collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

fn create_request(
    topic: &str,
    partitions: i32,
    replication: i16,
    configs: &[(&str, &str)],
) -> CreateTopicsRequest {
    let configs = configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
    });
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(replication)
        .with_configs(configs.collect());
    CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000)
}

/// Asks one broker about one topic, or about none.
async fn metadata(broker: &Broker, topic: Option<&str>) -> io::Result<MetadataResponse> {
    let topics = topic.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))));
    let request =
        MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false);
    wire::call(broker.address(), METADATA_VERSION, &request, QUICK).await
}

/// The partitions of the only topic asked about; `None` if the broker does not know it.
fn partitions(response: MetadataResponse) -> Option<BTreeMap<i32, MetadataResponsePartition>> {
    let topic = response.topics.into_iter().next().filter(|topic| topic.error_code == NONE)?;
    Some(topic.partitions.into_iter().map(|partition| (partition.partition_index, partition)).collect())
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
