//! Clusters that speak TLS.

use kafka_mock::{MockCluster, MockClusterBuilder, MockTls};
use kafka_producer::{
    Disposition, KafkaProducer, KafkaProducerBuilder, ProducerConfig, Sasl, SecurityProtocol, SendErrorKind,
    Tls,
};

use crate::support::{
    TOPIC, TestResult, builder, delivered, enqueue_all, log_of, record, record_for, soon, texts,
};

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs");

fn encrypted(tls: MockTls) -> MockClusterBuilder {
    MockCluster::builder().auto_create_topics(false, 1).tls(tls)
}

async fn start(builder: MockClusterBuilder, partitions: i32) -> MockCluster {
    let cluster = builder.start().await.unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

fn builder_with(cluster: &MockCluster, tls: Tls) -> KafkaProducerBuilder {
    builder(cluster).security_protocol(SecurityProtocol::Ssl).tls(tls)
}

fn trusting() -> Tls {
    Tls::new().truststore_pem(MockTls::ca_pem())
}

async fn refused(producer: &KafkaProducer) -> String {
    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::AuthenticationFailed { .. }), "{error}");
    assert_eq!(error.disposition(), Disposition::FixConfiguration);
    error.kind().to_string()
}

#[tokio::test]
async fn records_travel_over_tls_to_each_broker() -> TestResult {
    let cluster = start(encrypted(MockTls::new()).brokers(3), 6).await;
    let producer = builder_with(&cluster, trusting()).build()?;

    let records = (0..600).map(|number| record_for(number % 6, number));
    delivered(enqueue_all(&producer, records).await).await;

    for partition in 0..6 {
        assert_eq!(log_of(&cluster, partition).len(), 100);
    }
    assert_eq!(cluster.refusals(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn properties_of_java_users_are_enough() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    let one_line = MockTls::ca_pem().replace('\n', "\\n");
    for ca in [
        format!("ssl.truststore.location={CERTIFICATES}/ca.pem"),
        format!("ssl.truststore.certificates={one_line}"),
    ] {
        let servers = cluster.bootstrap_servers();
        let text =
            format!("bootstrap.servers={servers}\nsecurity.protocol=SSL\nssl.truststore.type=PEM\n{ca}\n");
        let config = ProducerConfig::from_properties_text(&text);
        let producer: KafkaProducer = KafkaProducer::builder().config(config).build()?;

        soon("delivery", producer.send(record("x"))).await?;
    }
    assert_eq!(log_of(&cluster, 0), ["x", "x"]);
    Ok(())
}

#[cfg(feature = "sasl")]
#[tokio::test]
async fn records_travel_over_tls_to_brokers_that_are_told_who_sends_them() -> TestResult {
    let cluster = start(encrypted(MockTls::new()).sasl_user("alice", "hunter2"), 1).await;
    for sasl in [Sasl::plain("alice", "hunter2"), Sasl::scram_sha_512("alice", "hunter2")] {
        let builder = builder_with(&cluster, trusting()).security_protocol(SecurityProtocol::SaslSsl);
        let producer = builder.sasl(sasl).build()?;

        delivered(enqueue_all(&producer, (0..50).map(record)).await).await;
    }
    assert_eq!(log_of(&cluster, 0), [texts(0..50), texts(0..50)].concat());
    Ok(())
}

#[tokio::test]
async fn brokers_that_are_not_trusted_fail_callers_soon() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    let producer = builder_with(&cluster, Tls::new().truststore_pem(MockTls::other_ca_pem())).build()?;

    // The second caller comes after the first attempt.
    for _ in 0..2 {
        refused(&producer).await;
    }
    Ok(())
}

#[tokio::test]
async fn plaintext_to_brokers_that_speak_tls_fails_callers_soon() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    let producer = builder(&cluster).build()?;

    let text = refused(&producer).await;

    assert!(text.contains("speaks TLS at this address: set security.protocol to SSL or SASL_SSL"), "{text}");
    Ok(())
}
