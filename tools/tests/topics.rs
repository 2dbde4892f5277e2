//! `kafka-producer-topics` against mock brokers of several releases.

use std::process::Output;

use kafka_mock::{Api, MockCluster};
use tokio::process::Command;

struct Tool {
    cluster: MockCluster,
}

impl Tool {
    async fn with(release: Option<&str>) -> Self {
        let builder = MockCluster::builder().brokers(3).auto_create_topics(false, 1);
        let builder = match release {
            Some(release) => builder.kafka_release(release),
            None => builder,
        };
        Self { cluster: builder.start().await.expect("a cluster") }
    }

    async fn run(&self, arguments: &str) -> Output {
        let servers = self.cluster.bootstrap_servers();
        let program = Command::new(env!("CARGO_BIN_EXE_kafka-producer-topics"))
            .args(["--bootstrap-server", &servers])
            .args(arguments.split_whitespace())
            .output();
        program.await.expect("the program starts")
    }

    async fn printed(&self, arguments: &str) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    async fn complaint(&self, arguments: &str) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

#[tokio::test]
async fn creates_describes_lists_and_deletes_with_every_release() {
    for release in [Some("1.0"), Some("2.8"), Some("3.9"), None] {
        let tool = Tool::with(release).await;

        let shown =
            tool.printed("--create --describe --topic orders --partitions 4 --replication-factor 3").await;
        let listed = tool.printed("--list").await;
        tool.printed("--delete --topic orders").await;

        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "Created topic orders.", "{release:?}");
        assert!(lines[1].starts_with("Topic: orders\t"), "{shown}");
        assert!(lines[1].contains("\tPartitionCount: 4\tReplicationFactor: 3\tConfigs: "), "{shown}");
        assert_eq!(lines.len(), 6, "{shown}");
        for (partition, line) in lines[2..].iter().enumerate() {
            let begin = format!("\tTopic: orders\tPartition: {partition}\tLeader: ");
            assert!(line.starts_with(&begin) && line.contains("\tIsr: "), "{shown}");
        }
        assert_eq!(listed, "orders\n", "{release:?}");
        assert_eq!(tool.cluster.partition_count("orders"), 0, "{release:?}");
    }
}

#[tokio::test]
async fn shows_ids_of_topics_since_kafka_2_8() {
    for (release, has_id) in [("2.4", false), ("2.8", true)] {
        let tool = Tool::with(Some(release)).await;

        let shown =
            tool.printed("--create --describe --topic orders --partitions 1 --replication-factor 1").await;

        assert_eq!(shown.contains("\tTopicId: "), has_id, "{release}: {shown}");
    }
}

#[tokio::test]
async fn a_topic_that_is_there_is_an_error_unless_it_may_be() {
    let tool = Tool::with(None).await;
    tool.cluster.create_topic("orders", 2, 1).expect("a topic");

    let complaint = tool.complaint("--create --topic orders --partitions 4 --replication-factor 3").await;
    let shown = tool.printed("--create --if-not-exists --describe --topic orders --partitions 4").await;

    assert_eq!(complaint, "topic \"orders\" already exists\n");
    assert!(shown.contains("PartitionCount: 2"), "{shown}");
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_an_error_unless_it_may_be() {
    let tool = Tool::with(None).await;

    for act in ["--describe", "--delete"] {
        assert_eq!(tool.complaint(&format!("{act} --topic no")).await, "topic \"no\" does not exist\n");
        assert_eq!(tool.printed(&format!("{act} --topic no --if-exists")).await, "");
    }
}

#[tokio::test]
async fn says_what_brokers_refuse() {
    let tool = Tool::with(None).await;

    let complaint = tool.complaint("--create --topic orders --partitions 1 --replication-factor 4").await;

    assert!(complaint.starts_with("topic \"orders\": InvalidReplicationFactor: "), "{complaint}");
}

#[tokio::test]
async fn asks_again_when_the_controller_is_another_one() {
    let tool = Tool::with(None).await;
    tool.cluster.fail_next(Api::CreateTopics, 41, 2);

    let printed = tool.printed("--create --topic orders --partitions 1 --replication-factor 1").await;

    assert_eq!(printed, "Created topic orders.\n");
}

#[tokio::test]
async fn old_brokers_cannot_choose_partitions_and_replicas() {
    let tool = Tool::with(Some("2.3")).await;

    let complaint = tool.complaint("--create --topic orders").await;

    assert_eq!(complaint, "brokers older than Kafka 2.4 want --partitions and --replication-factor\n");
}

#[tokio::test]
async fn refuses_what_it_cannot_speak() {
    let tool = Tool::with(None).await;

    let pattern = tool.complaint("--delete --topic ord.*").await;

    for protocol in ["SASL_PLAINTEXT", "SSL", "SASL_SSL", "no"] {
        let complaint =
            tool.complaint(&format!("--list --command-property security.protocol={protocol}")).await;
        assert!(complaint.contains("without TLS and SASL only"), "{complaint}");
    }
    assert!(pattern.contains("patterns are not supported"), "{pattern}");
    assert_eq!(tool.cluster.requests().total(), 0);
}

#[tokio::test]
async fn takes_the_first_server_that_answers() {
    let tool = Tool::with(None).await;
    tool.cluster.create_topic("orders", 1, 1).expect("a topic");
    let down = tool.cluster.port(0).expect("a port");
    let servers = format!("127.0.0.1:{down},{}", tool.cluster.bootstrap_servers());
    tool.cluster.broker_down(0).await.expect("a broker");

    let output = Command::new(env!("CARGO_BIN_EXE_kafka-producer-topics"))
        .args(["--list", "--bootstrap-server", &servers])
        .output()
        .await
        .expect("the program starts");

    assert_eq!(String::from_utf8(output.stdout).expect("text"), "orders\n");
}
