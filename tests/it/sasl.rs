//! Clusters that let in only clients that say who they are.

use kafka_mock::{Api, Fault, MockCluster, MockClusterBuilder, SaslMechanism};
use kafka_producer::{
    DeliveryErrorKind, Disposition, KafkaProducer, KafkaProducerBuilder, Persisted, ProducerConfig, Sasl,
    SecurityProtocol, SendErrorKind, TransactionErrorKind,
};

use crate::support::{
    TOPIC, TestResult, builder, delivered, enqueue_all, log_of, millis, record, record_for, seconds, soon,
    texts, until,
};

const PASSWORD: &str = "alice-hunter2";

fn guarded() -> MockClusterBuilder {
    MockCluster::builder().auto_create_topics(false, 1).sasl_user("alice", PASSWORD)
}

async fn start(builder: MockClusterBuilder, partitions: i32) -> MockCluster {
    let cluster = builder.start().await.unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

fn builder_with(cluster: &MockCluster, sasl: Sasl) -> KafkaProducerBuilder {
    builder(cluster).security_protocol(SecurityProtocol::SaslPlaintext).sasl(sasl)
}

type SaslOf = fn(&str, &str) -> Sasl;

fn all_mechanisms() -> [(&'static str, SaslOf); 3] {
    [
        ("PLAIN", |name, password| Sasl::plain(name, password)),
        ("SCRAM-SHA-256", |name, password| Sasl::scram_sha_256(name, password)),
        ("SCRAM-SHA-512", |name, password| Sasl::scram_sha_512(name, password)),
    ]
}

async fn refused(producer: &KafkaProducer) -> (SendErrorKind, Disposition) {
    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();
    (error.kind().clone(), error.disposition())
}

#[tokio::test]
async fn records_go_to_brokers_that_are_told_who_sends_them() -> TestResult {
    let cluster = start(guarded().brokers(3), 6).await;
    for (name, sasl) in all_mechanisms() {
        let producer = builder_with(&cluster, sasl("alice", PASSWORD)).build()?;
        let before = log_of(&cluster, 0).len();

        let records = (0..60).map(|number| record_for(number % 6, number));
        delivered(enqueue_all(&producer, records).await).await;

        assert_eq!(log_of(&cluster, 0).len(), before + 10, "{name}");
        let _ = producer.close(seconds(5)).await;
    }
    assert_eq!(cluster.refusals(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn properties_of_java_users_are_enough() -> TestResult {
    let cluster = start(guarded(), 1).await;
    for (module, mechanism) in [
        ("org.apache.kafka.common.security.plain.PlainLoginModule", "PLAIN"),
        ("org.apache.kafka.common.security.scram.ScramLoginModule", "SCRAM-SHA-256"),
        ("org.apache.kafka.common.security.scram.ScramLoginModule", "SCRAM-SHA-512"),
    ] {
        let text = format!(
            "bootstrap.servers={}\n\
             security.protocol=SASL_PLAINTEXT\n\
             sasl.mechanism={mechanism}\n\
             sasl.jaas.config={module} required \\\n    username=\"alice\" \\\n    password=\"{PASSWORD}\";\n",
            cluster.bootstrap_servers()
        );
        let config = ProducerConfig::from_properties_text(&text);
        let producer: KafkaProducer = KafkaProducer::builder().config(config).build()?;

        soon("delivery", producer.send(record(mechanism))).await?;
    }
    assert_eq!(log_of(&cluster, 0), ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    Ok(())
}

#[tokio::test]
async fn wrong_password_fails_callers_soon_and_heals_once_it_is_right() -> TestResult {
    for (name, sasl) in all_mechanisms() {
        let cluster = start(guarded().sasl_user("bob", "another"), 1).await;
        let producer = builder_with(&cluster, sasl("bob", "bob-hunter2")).build()?;
        // The second caller comes after the first attempt.
        for _ in 0..2 {
            let (kind, disposition) = refused(&producer).await;
            let text = kind.to_string();
            assert!(matches!(kind, SendErrorKind::AuthenticationFailed { .. }), "{name}: {text}");
            assert_eq!(disposition, Disposition::FixConfiguration);
            for part in
                ["sasl.jaas.config", name, "SASL_AUTHENTICATION_FAILED", "127.0.0.1:", "uthentication failed"]
            {
                assert!(text.contains(part), "{name}: {text}");
            }
            assert!(!text.contains("hunter2"), "{text}");
        }

        cluster.set_sasl_user("bob", "bob-hunter2");
        until("the producer is let in", || cluster.requests().of(Api::Metadata) > 0).await;
        soon("delivery", producer.send(record("y"))).await?;
        assert_eq!(log_of(&cluster, 0), ["y"]);
    }
    Ok(())
}

#[tokio::test]
async fn mechanism_that_brokers_do_not_offer_is_told_with_those_that_they_do() -> TestResult {
    let offered = [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];
    let cluster = start(guarded().sasl_mechanisms(offered), 1).await;
    let producer = builder_with(&cluster, Sasl::plain("alice", PASSWORD)).build()?;

    let (kind, disposition) = refused(&producer).await;

    let text = kind.to_string();
    assert!(text.contains("sasl.mechanism PLAIN; it offers SCRAM-SHA-256, SCRAM-SHA-512"), "{text}");
    assert_eq!(disposition, Disposition::FixConfiguration);
    Ok(())
}

#[tokio::test]
async fn broker_that_asks_for_endless_work_is_refused() -> TestResult {
    let cluster = start(guarded().scram_iterations(1_000_001), 1).await;
    let producer = builder_with(&cluster, Sasl::scram_sha_256("alice", PASSWORD)).build()?;

    let (kind, disposition) = refused(&producer).await;

    let text = kind.to_string();
    assert!(text.contains("asks for 1000001 iterations; at most 1000000 are done"), "{text}");
    assert_eq!(disposition, Disposition::FixConfiguration);
    Ok(())
}

#[tokio::test]
async fn sessions_are_renewed_under_load_on_the_same_connection() -> TestResult {
    for outcome in futures::future::join_all(all_mechanisms().map(renew_under_load)).await {
        outcome?;
    }
    Ok(())
}

async fn renew_under_load((name, sasl): (&'static str, SaslOf)) -> TestResult {
    // While the machine stands still a session may end before its renewal is under way.
    for _ in 0..3 {
        if renews_under_load(name, sasl).await? {
            return Ok(());
        }
    }
    panic!("{name}: each time a session has ended before it was renewed");
}

/// Returns whether each session was renewed before its end.
async fn renews_under_load(name: &str, sasl: SaslOf) -> Result<bool, Box<dyn std::error::Error>> {
    let cluster = start(guarded().sasl_session_lifetime(seconds(2)), 1).await;
    let producer = builder_with(&cluster, sasl("alice", PASSWORD)).build()?;
    let mut deliveries = Vec::new();
    let mut number = 0;

    while cluster.requests().of(Api::SaslHandshake) < 4 {
        deliveries.extend(enqueue_all(&producer, (number..number + 100).map(record)).await);
        number += 100;
        tokio::time::sleep(millis(5)).await;
    }
    delivered(deliveries).await;

    assert_eq!(log_of(&cluster, 0), texts(0..number), "{name}");
    let refusals = cluster.refusals();
    if refusals.iter().any(|refusal| refusal.contains("the session of the client has ended")) {
        return Ok(false);
    }
    assert!(cluster.connections_accepted(0) <= 2, "{name}: bootstrap and broker");
    assert_eq!(refusals, Vec::<String>::new(), "{name}");
    assert_eq!(producer.metrics().connections_created, cluster.connections_accepted(0), "{name}");
    Ok(true)
}

#[tokio::test]
async fn refused_renewal_costs_a_connection_and_no_record() -> TestResult {
    let cluster = start(guarded().sasl_session_lifetime(millis(300)), 1).await;
    let producer = builder_with(&cluster, Sasl::scram_sha_256("alice", PASSWORD)).build()?;
    soon("delivery", producer.send(record("0"))).await?;

    cluster.inject(Fault::error_code(58).api(Api::SaslAuthenticate).times(1));
    let mut number = 1;
    while cluster.requests().of(Api::SaslHandshake) < 4 {
        let deliveries = enqueue_all(&producer, (number..number + 10).map(record)).await;
        number += 10;
        delivered(deliveries).await;
    }

    assert_eq!(log_of(&cluster, 0), texts(0..number));
    Ok(())
}

#[tokio::test]
async fn brokers_before_kafka_1_0_are_told_who_we_are_without_headers() -> TestResult {
    let cluster = start(guarded().sasl_without_headers(true), 1).await;
    for (name, sasl) in all_mechanisms() {
        let producer = builder_with(&cluster, sasl("alice", PASSWORD)).build()?;
        soon("delivery", producer.send(record(name))).await?;

        let producer = builder_with(&cluster, sasl("alice", "mallory-hunter2")).build()?;
        let (kind, disposition) = refused(&producer).await;
        let text = kind.to_string();
        assert!(text.contains("closes the connection where it should answer"), "{name}: {text}");
        assert_eq!(disposition, Disposition::FixConfiguration);
    }
    assert_eq!(log_of(&cluster, 0), ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    Ok(())
}

#[tokio::test]
async fn producer_that_does_not_say_who_it_is_hears_soon_that_it_has_to() -> TestResult {
    let offered = [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];
    let cluster = start(guarded().sasl_mechanisms(offered), 1).await;
    let producer = builder(&cluster).max_block(seconds(600)).build()?;

    let (kind, disposition) = refused(&producer).await;

    let text = kind.to_string();
    assert!(text.contains("demands SASL") && text.contains("(SCRAM-SHA-256, SCRAM-SHA-512)"), "{text}");
    assert_eq!(disposition, Disposition::FixConfiguration);
    Ok(())
}

#[tokio::test]
async fn broker_that_does_not_know_the_password_gets_no_record() -> TestResult {
    let cluster = start(guarded(), 1).await;
    cluster.inject(Fault::wrong_proof().api(Api::SaslAuthenticate).always());
    let producer = builder_with(&cluster, Sasl::scram_sha_512("alice", PASSWORD)).build()?;

    let (kind, _) = refused(&producer).await;

    assert!(kind.to_string().contains("cannot prove that it knows the password"), "{kind}");
    // A look at the metadata goes along with the last words.
    for api in [Api::InitProducerId, Api::Produce] {
        assert_eq!(cluster.requests().of(api), 0, "{api:?}");
    }
    Ok(())
}

/// Has a producer deliver a record, changes the password behind its back, and has its connections end.
async fn locked_out(builder: KafkaProducerBuilder, cluster: &MockCluster) -> KafkaProducer {
    let producer = builder.reconnect_backoff_max(millis(100)).build().unwrap();
    soon("delivery", producer.send(record("0"))).await.unwrap();
    cluster.broker_down(0).await.unwrap();
    cluster.set_sasl_user("alice", "another");
    cluster.broker_up(0).await.unwrap();
    producer
}

async fn knocks(cluster: &MockCluster, count: u64) {
    let before = cluster.requests().of(Api::SaslAuthenticate);
    until("the producer tries again", || cluster.requests().of(Api::SaslAuthenticate) >= before + count)
        .await;
}

#[tokio::test]
async fn accepted_records_wait_until_the_password_is_right_again() -> TestResult {
    let cluster = start(guarded(), 1).await;
    let producer = locked_out(builder_with(&cluster, Sasl::plain("alice", PASSWORD)), &cluster).await;

    let deliveries = enqueue_all(&producer, (1..100).map(record)).await;
    knocks(&cluster, 3).await;
    cluster.set_sasl_user("alice", PASSWORD);

    delivered(deliveries).await;
    assert_eq!(log_of(&cluster, 0), texts(0..100));
    Ok(())
}

#[tokio::test]
async fn accepted_records_that_time_out_tell_that_the_password_is_wrong() -> TestResult {
    let cluster = start(guarded(), 1).await;
    let builder = builder_with(&cluster, Sasl::scram_sha_256("alice", PASSWORD))
        .linger(millis(0))
        .request_timeout(seconds(1))
        .delivery_timeout(seconds(1));
    let producer = locked_out(builder, &cluster).await;

    let error = soon("the end of the record", producer.send(record("1"))).await.unwrap_err();

    let error = error.delivery_error().expect("it was accepted");
    let text = error.to_string();
    assert!(matches!(error.kind(), DeliveryErrorKind::AuthenticationFailed { .. }), "{text}");
    assert_eq!((error.disposition(), error.persisted()), (Disposition::FixConfiguration, Persisted::No));
    for part in ["delivery.timeout.ms", "sasl.jaas.config", "SASL_AUTHENTICATION_FAILED", "0 attempts"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(log_of(&cluster, 0), ["0"]);
    Ok(())
}

#[tokio::test]
async fn callers_who_wait_for_memory_hear_that_the_password_is_wrong() -> TestResult {
    let cluster = start(guarded(), 1).await;
    let builder = builder_with(&cluster, Sasl::plain("alice", PASSWORD))
        .batch_size(1024)
        .buffer_memory(4096)
        .max_block(seconds(600));
    let producer = locked_out(builder, &cluster).await;

    let mut accepted = Vec::new();
    let error = loop {
        match soon("a place or a refusal", producer.enqueue(record("x".repeat(500)))).await {
            Ok(delivery) => accepted.push(delivery),
            Err(error) => break error,
        }
    };

    assert!(!accepted.is_empty());
    assert!(matches!(error.kind(), SendErrorKind::AuthenticationFailed { .. }), "{error}");
    assert_eq!(error.disposition(), Disposition::FixConfiguration);
    cluster.set_sasl_user("alice", PASSWORD);
    delivered(accepted).await;
    Ok(())
}

/// The other brokers let the producer in all the while.
#[tokio::test]
async fn callers_who_wait_for_memory_hear_that_the_leader_of_their_partition_alone_refuses() -> TestResult {
    let cluster = start(guarded().brokers(2), 2).await;
    let refusing = cluster.leader(TOPIC, 1).expect("it has one");
    cluster.inject(Fault::error_code(58).api(Api::SaslAuthenticate).broker(refusing).times(1_000_000));
    let producer = builder_with(&cluster, Sasl::plain("alice", PASSWORD))
        .batch_size(1024)
        .buffer_memory(8192)
        .max_block(seconds(600))
        .reconnect_backoff_max(millis(100))
        .build()?;

    let mut accepted = Vec::new();
    let error = loop {
        match soon("a place or a refusal", producer.enqueue(record_for(1, "x".repeat(500)))).await {
            Ok(delivery) => accepted.push(delivery),
            Err(error) => break error,
        }
    };

    assert!(!accepted.is_empty());
    let text = error.to_string();
    assert!(matches!(error.kind(), SendErrorKind::AuthenticationFailed { .. }), "{text}");
    assert_eq!(error.disposition(), Disposition::FixConfiguration);
    for part in ["SASL_AUTHENTICATION_FAILED", "127.0.0.1:"] {
        assert!(text.contains(part), "{text}");
    }
    // Records that may go elsewhere do.
    for _ in 0..20 {
        soon("delivery", producer.send(record_for(0, "y".repeat(500)))).await?;
        soon("delivery", producer.send(record("z".repeat(500)))).await?;
    }
    cluster.clear_faults();
    delivered(accepted).await;
    soon("delivery", producer.send(record_for(1, "x"))).await?;
    Ok(())
}

#[tokio::test]
async fn credentials_are_shown_nowhere() -> TestResult {
    let cluster = start(guarded(), 1).await;
    let sasl = Sasl::plain("mallory", "mallory-hunter2");
    let builder = builder_with(&cluster, sasl.clone());
    let mut shown = format!("{sasl:?} {sasl:#?} {builder:?} {builder:#?}");
    let producer = builder.build()?;

    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();
    shown += &format!("{producer:?} {producer:#?} {error} {error:?} {error:#?} {:?}", producer.metrics());

    assert!(!shown.contains("hunter2"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn transaction_of_a_wrong_password_fails_soon_and_begins_once_it_is_right() -> TestResult {
    let cluster = start(guarded().sasl_user("bob", "another"), 1).await;
    let bob = builder_with(&cluster, Sasl::plain("bob", "bob-hunter2"));
    let mut producer = bob.transactional_id("payments").build_transactional()?;
    // The second call comes after the first attempt.
    for _ in 0..2 {
        let error = soon("a refusal", producer.begin_transaction()).await.unwrap_err();
        assert!(matches!(error.kind(), TransactionErrorKind::AuthenticationFailed { .. }), "{error}");
        assert!(error.to_string().contains("sasl.jaas.config"), "{error}");
        assert_eq!(error.disposition(), Disposition::FixConfiguration);
    }

    cluster.set_sasl_user("bob", "bob-hunter2");
    while producer.begin_transaction().await.is_err() {}
    Ok(())
}
