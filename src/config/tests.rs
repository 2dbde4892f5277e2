//! The whole room, against a table that Kafka itself printed.

use std::time::Duration;

use super::keys;
use super::keys::Support;
use super::kind::Kind;
use super::{Acks, Compression, ConfigError, ConfigReason, MetadataRecoveryStrategy, ProducerConfig};
use super::{Sasl, SecurityProtocol, Tls, TlsVersion};

mod documentation;
mod rules;
mod table;

/// A configuration that is complete but for what a test is about.
fn complete() -> ProducerConfig {
    ProducerConfig::new().bootstrap_servers("localhost:9092")
}

fn messages(config: &ProducerConfig) -> Vec<String> {
    match config.validate() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn problems_are_reported_together_and_in_order() {
    let error = ProducerConfig::new()
        .property("linger", "5")
        .batch_size(usize::MAX)
        .property("acks", "2")
        .property("max.in.flight.requests.per.connection", "0")
        .property("compression.lz4.level", "3")
        .metadata_max_idle(Duration::from_micros(4_999_500))
        .validate()
        .unwrap_err();

    let expected = [
        r#"unknown key "linger": did you mean "linger.ms"?"#.to_owned(),
        format!("batch.size = {}: must be 0 to 2147483647", usize::MAX),
        "acks = 2: must be all, -1, 0 or 1".to_owned(),
        "max.in.flight.requests.per.connection = 0: must be at least 1".to_owned(),
        "compression.lz4.level = 3: other levels of lz4 are not available yet, must be 9 or unset".to_owned(),
        "metadata.max.idle.ms = 4999.5: must be at least 5000".to_owned(),
        "bootstrap.servers: required".to_owned(),
    ];
    let printed: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(printed, expected);
    assert_eq!(error.to_string(), format!("invalid producer configuration:\n  {}", expected.join("\n  ")));
}

#[test]
fn a_problem_tells_key_value_and_reason_apart() {
    let error = complete().property("batch.size", " -1 ").validate().unwrap_err();

    let [problem] = error.problems() else { panic!("{error}") };
    assert_eq!(problem.key, "batch.size");
    assert_eq!(problem.value, " -1 ");
    assert_eq!(problem.reason, ConfigReason::Invalid("must be at least 0".to_owned()));
    assert_eq!(problem.to_string(), r#"batch.size = " -1 ": must be at least 0"#);
}

#[test]
fn the_last_value_of_a_key_counts() {
    let config = complete().property("linger.ms", "x").linger(Duration::from_millis(7));
    let other = complete().linger(Duration::from_millis(7)).property("linger.ms", "x");

    assert_eq!(config.get("linger.ms").as_deref(), Some("7"));
    assert_eq!(messages(&config), [""; 0]);
    assert_eq!(messages(&other), ["linger.ms = x: must be a whole number, at least 0"]);
    let fraction = complete().property("linger.ms", "0.5");
    assert_eq!(
        messages(&fraction),
        ["linger.ms = 0.5: must be a whole number, at least 0; the setter `linger` takes fractions"]
    );
}

#[test]
#[cfg_attr(not(feature = "sasl"), ignore = "needs the feature sasl")]
fn typed_setters_and_properties_mean_the_same() {
    let typed = every_setter();
    let by_name = ProducerConfig::from_properties(EVERY_PROPERTY.iter().copied().chain(WITHOUT_SETTER));

    // No problem of a single value on either side, and every supported key was set.
    assert_eq!(typed.problems, []);
    assert_eq!(typed, by_name);
    for key in keys::all().filter(|key| key.is_supported()) {
        assert!(typed.is_explicit(key.name), "{}", key.name);
    }
    for (key, value) in EVERY_PROPERTY.iter().copied().chain(WITHOUT_SETTER) {
        let value = if keys::find(key).unwrap().is_secret() { "[hidden]" } else { value };
        assert_eq!(typed.get(key).as_deref(), Some(value), "{key}");
    }
}

fn every_setter() -> ProducerConfig {
    let ms = Duration::from_millis;
    ProducerConfig::new()
        .acks(Acks::Leader)
        .batch_size(1)
        .bootstrap_resolve_timeout(ms(21))
        .bootstrap_servers("a:1,[::1]:2")
        .buffer_memory(2)
        .client_id("me")
        .client_rack("r")
        .compression(Compression::Lz4)
        .compression_gzip_level(9)
        .compression_zstd_level(-7)
        .connections_max_idle(None)
        .delivery_timeout(ms(3))
        .enable_idempotence(false)
        .enable_metrics_push(false)
        .linger(ms(4))
        .max_block(ms(5))
        .max_in_flight_requests_per_connection(6)
        .max_request_size(7)
        .metadata_cluster_check(false)
        .metadata_max_age(ms(8))
        .metadata_max_idle(ms(5009))
        .metadata_recovery_rebootstrap_trigger(ms(10))
        .metadata_recovery_strategy(MetadataRecoveryStrategy::None)
        .partitioner_adaptive_partitioning(false)
        .partitioner_availability_timeout(ms(11))
        .partitioner_class("org.apache.kafka.clients.producer.RoundRobinPartitioner")
        .partitioner_ignore_keys(true)
        .partitioner_rack_aware(true)
        .receive_buffer(None)
        .reconnect_backoff(ms(12))
        .reconnect_backoff_max(ms(13))
        .request_timeout(ms(14))
        .retries(15)
        .retry_backoff(ms(16))
        .retry_backoff_max(ms(17))
        .sasl(Sasl::plain("alice", "hunter2"))
        .tls(
            Tls::new()
                .cipher_suites(["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"])
                .danger_accept_any_name()
                .enabled_protocols([TlsVersion::V1_3])
                .key_password("hunter3")
                .keystore_password("hunter4")
                .truststore_password("hunter5")
                .keystore_file("/client.pem")
                .keystore_pem("chain", "key")
                .truststore_file("/ca.pem")
                .truststore_pem("ca"),
        )
        .properties(WITHOUT_SETTER)
        .security_protocol(SecurityProtocol::SaslPlaintext)
        .send_buffer(Some(18))
        .socket_connection_setup_timeout(ms(19))
        .socket_connection_setup_timeout_max(ms(20))
        .transaction_timeout(ms(25))
        .transactional_id("t")
}

/// Rarely set by hand, so there are no typed setters.
const WITHOUT_SETTER: [(&str, &str); 8] = [
    ("sasl.oauthbearer.assertion.private.key.passphrase", "hunter4"),
    ("sasl.oauthbearer.client.credentials.client.secret", "hunter5"),
    ("sasl.login.refresh.buffer.seconds", "21"),
    ("sasl.login.refresh.min.period.seconds", "22"),
    ("sasl.login.refresh.window.factor", "0.75"),
    ("sasl.login.refresh.window.jitter", "0"),
    ("sasl.login.retry.backoff.ms", "23"),
    ("sasl.login.retry.backoff.max.ms", "24"),
];

/// The same as [`every_setter`], together with [`WITHOUT_SETTER`].
const EVERY_PROPERTY: &[(&str, &str)] = &[
    ("acks", "1"),
    ("transaction.timeout.ms", "25"),
    ("transactional.id", "t"),
    ("batch.size", "1"),
    ("bootstrap.resolve.timeout.ms", "21"),
    ("bootstrap.servers", "a:1,[::1]:2"),
    ("buffer.memory", "2"),
    ("client.id", "me"),
    ("client.rack", "r"),
    ("compression.gzip.level", "9"),
    ("compression.type", "lz4"),
    ("compression.zstd.level", "-7"),
    ("connections.max.idle.ms", "-1"),
    ("delivery.timeout.ms", "3"),
    ("enable.idempotence", "false"),
    ("enable.metrics.push", "false"),
    ("linger.ms", "4"),
    ("max.block.ms", "5"),
    ("max.in.flight.requests.per.connection", "6"),
    ("max.request.size", "7"),
    ("metadata.cluster.check.enable", "false"),
    ("metadata.max.age.ms", "8"),
    ("metadata.max.idle.ms", "5009"),
    ("metadata.recovery.rebootstrap.trigger.ms", "10"),
    ("metadata.recovery.strategy", "none"),
    ("partitioner.adaptive.partitioning.enable", "false"),
    ("partitioner.availability.timeout.ms", "11"),
    ("partitioner.class", "org.apache.kafka.clients.producer.RoundRobinPartitioner"),
    ("partitioner.ignore.keys", "true"),
    ("partitioner.rack.aware", "true"),
    ("receive.buffer.bytes", "-1"),
    ("reconnect.backoff.ms", "12"),
    ("reconnect.backoff.max.ms", "13"),
    ("request.timeout.ms", "14"),
    ("retries", "15"),
    ("retry.backoff.ms", "16"),
    ("retry.backoff.max.ms", "17"),
    ("sasl.jaas.config", "PlainLoginModule required username=alice password=hunter2;"),
    ("sasl.mechanism", "PLAIN"),
    ("security.protocol", "SASL_PLAINTEXT"),
    ("send.buffer.bytes", "18"),
    ("socket.connection.setup.timeout.ms", "19"),
    ("socket.connection.setup.timeout.max.ms", "20"),
    ("ssl.cipher.suites", "TLS_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256"),
    ("ssl.enabled.protocols", "TLSv1.3"),
    ("ssl.endpoint.identification.algorithm", ""),
    ("ssl.key.password", "hunter3"),
    ("ssl.keystore.certificate.chain", "chain"),
    ("ssl.keystore.key", "key"),
    ("ssl.keystore.location", "/client.pem"),
    ("ssl.keystore.password", "hunter4"),
    ("ssl.keystore.type", "PEM"),
    ("ssl.protocol", "TLSv1.3"),
    ("ssl.truststore.certificates", "ca"),
    ("ssl.truststore.location", "/ca.pem"),
    ("ssl.truststore.password", "hunter5"),
    ("ssl.truststore.type", "PEM"),
];

#[test]
fn the_setters_can_be_had_by_a_type_that_holds_a_configuration() {
    #[derive(Default)]
    struct Builder {
        config: ProducerConfig,
    }

    #[expect(dead_code, unreachable_pub, reason = "some setters of a public type are tried on a private one")]
    impl Builder {
        super::config_setters!(config);
    }

    let builder = Builder::default()
        .bootstrap_servers("localhost:9092")
        .linger(Duration::from_millis(9))
        .property("acks", "1")
        .properties([("retries", "3")]);

    let expected = complete().linger(Duration::from_millis(9)).acks(Acks::Leader).retries(3);
    assert_eq!(builder.config, expected);
}

#[test]
fn properties_text_is_read_like_a_map() {
    let text = "# nightly\nbootstrap.servers = a:1, \\\n  b:2\nlinger.ms: 20\nacks all\nlinger.ms=30   \n";

    let config = ProducerConfig::from_properties_text(text);

    assert_eq!(messages(&config), [""; 0]);
    assert_eq!(config.get("bootstrap.servers").as_deref(), Some("a:1,b:2"));
    assert_eq!(config.get("linger.ms").as_deref(), Some("30"));
}

#[test]
fn a_malformed_escape_is_a_problem_of_its_line() {
    let text = "bootstrap.servers=a:1\n\nclient.id=a\\u12";

    let config = ProducerConfig::from_properties_text(text);

    assert_eq!(
        messages(&config),
        [r"client.id = a\u12: line 3 must have four hexadecimal digits after each \u, in valid pairs"]
    );
}

#[test]
fn values_finer_than_a_millisecond_are_kept() {
    let config = complete().linger(Duration::from_micros(500));

    assert_eq!(config.settle().unwrap().linger, Duration::from_micros(500));
    assert_eq!(config.get("linger.ms").as_deref(), Some("0.5"));
}

#[test]
fn durations_that_kafka_cannot_hold_are_refused() {
    let config = complete()
        .linger(Duration::MAX)
        .request_timeout(Duration::from_millis(2_147_483_648))
        .delivery_timeout(Duration::from_nanos(2_147_483_647_000_001))
        .max_block(Duration::from_millis(9_223_372_036_854_775_807))
        .connections_max_idle(Some(Duration::from_millis(9_223_372_036_854_775_808)));

    assert_eq!(
        messages(&config),
        [
            "linger.ms = 18446744073709551615999.999999: must be 0 to 9223372036854775807",
            "request.timeout.ms = 2147483648: must be 0 to 2147483647",
            "delivery.timeout.ms = 2147483647.000001: must be 0 to 2147483647",
            "connections.max.idle.ms = 9223372036854775808: must be at most 9223372036854775807",
        ]
    );
}

#[test]
fn names_that_do_not_fit_the_protocol_are_refused() {
    let fits = complete().client_id("x".repeat(32_767));
    let too_long = complete().client_id("x".repeat(32_768));

    assert_eq!(messages(&fits), [""; 0]);
    assert!(messages(&too_long)[0].ends_with("must be at most 32767 bytes long"));
}

#[test]
fn keys_of_other_clients_are_explained() {
    for (key, note) in [
        ("queue.buffering.max.ms", r#"librdkafka's name; use "linger.ms""#),
        ("queue.buffering.max.kbytes", r#"librdkafka's name; use "buffer.memory", in bytes"#),
        ("message.max.bytes", r#"librdkafka's name; use "max.request.size""#),
        ("message.timeout.ms", r#"librdkafka's name; use "delivery.timeout.ms""#),
        ("message.send.max.retries", r#"librdkafka's name; use "retries""#),
        ("metadata.broker.list", r#"librdkafka's name; use "bootstrap.servers""#),
        ("request.required.acks", r#"librdkafka's name; use "acks""#),
        ("compression.codec", r#"librdkafka's name; use "compression.type""#),
        ("group.id", "a key for consumers"),
        ("statistics.interval.ms", "only librdkafka has it; use `KafkaProducer::metrics`"),
        ("queue.buffering.backpressure.threshold", "only librdkafka has it"),
        ("block.on.buffer.full", r#"no longer a key of Kafka; use "max.block.ms""#),
    ] {
        let config = complete().property(key, "1");

        assert_eq!(messages(&config), [format!("unknown key {key:?}: {note}")]);
    }
}

#[test]
fn a_suggestion_can_be_read_by_a_program() {
    let suggestion = |key: &str| {
        let error = complete().property(key, "1").validate().unwrap_err();
        match &error.problems()[0].reason {
            ConfigReason::Unknown { suggestion, .. } => *suggestion,
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(suggestion("batch_size"), Some("batch.size"));
    assert_eq!(suggestion("queue.buffering.max.ms"), Some("linger.ms"));
    assert_eq!(suggestion("colour"), None);
}

#[test]
fn secrets_are_shown_nowhere() {
    let config = complete()
        .property("sasl.jaas.config", "hunter2")
        .property("ssl.keystore.passwort", "hunter2")
        .property("ssl.keystore.keys", "hunter2")
        .property("sasl.oauthbearer.client.credentials.client.secret", "hunter2")
        .property("sasl.password", "hunter2")
        .property("ssl.keystore.pasword", "hunter2")
        .property("My.Secret", "hunter2")
        .property("ssl.key.pem", "hunter2");
    let broken = ProducerConfig::from_properties_text("ssl.key.password=hunter2\\u00");
    let errors = [config.validate().unwrap_err(), broken.validate().unwrap_err()];

    // A client secret is taken.
    assert_eq!(errors[0].problems().len(), 7);
    assert!(errors[0].problems().iter().all(|problem| problem.value == "[hidden]"), "{:?}", errors[0]);
    let shown = format!("{config:?} {config:#?} {broken:?} {errors:?} {} {}", errors[0], errors[1]);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(config.get("sasl.jaas.config"), None);
}

#[test]
fn debug_prints_what_is_in_force() {
    let shown = format!("{:?}", complete().linger(Duration::from_millis(77)));

    assert!(shown.contains(r#""linger.ms": "77""#), "{shown}");
    assert!(shown.contains(r#""acks": "all""#), "{shown}");
}

#[test]
fn an_error_is_an_ordinary_error() {
    fn takes<T: std::error::Error + Clone + Send + Sync + 'static>() {}

    takes::<ConfigError>();
}
