//! Rules between values. The numbers are those of the list of rules of Kafka's own `ProducerConfig` and
//! `KafkaProducer` (4.4), in the order in which Kafka applies them.

use std::time::Duration;

use super::{ProducerConfig, complete, messages};
use crate::config::{Acks, Tls};
#[cfg(feature = "sasl")]
use crate::config::{Sasl, SecurityProtocol};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn bootstrap_servers_are_required() {
    assert_eq!(messages(&ProducerConfig::new()), ["bootstrap.servers: required"]);
    assert_eq!(
        messages(&ProducerConfig::new().bootstrap_servers("")),
        [r#"bootstrap.servers = "": must be a list of host:port without empty entries"#]
    );
}

#[test]
fn a_backoff_beyond_its_maximum_is_the_maximum() {
    let config = complete()
        .retry_backoff(ms(5000))
        .reconnect_backoff(ms(5001))
        .reconnect_backoff_max(ms(300))
        .socket_connection_setup_timeout(ms(40_000));

    let settings = config.settle().unwrap();

    assert_eq!((settings.retry_backoff, settings.retry_backoff_max), (ms(1000), ms(1000)));
    assert_eq!((settings.reconnect_backoff, settings.reconnect_backoff_max), (ms(300), ms(300)));
    assert_eq!(settings.socket_connection_setup_timeout, ms(30_000));
    assert_eq!(settings.socket_connection_setup_timeout_max, ms(30_000));
}

#[test]
fn the_reconnect_maximum_follows_the_base_if_only_the_base_is_set() {
    let only_base = complete().reconnect_backoff(ms(20)).settle().unwrap();
    let large_base = complete().property("reconnect.backoff.ms", "2000").settle().unwrap();
    let both = complete().reconnect_backoff(ms(20)).reconnect_backoff_max(ms(1000)).settle().unwrap();
    let neither = complete().settle().unwrap();

    assert_eq!((only_base.reconnect_backoff, only_base.reconnect_backoff_max), (ms(20), ms(20)));
    assert_eq!((large_base.reconnect_backoff, large_base.reconnect_backoff_max), (ms(2000), ms(2000)));
    assert_eq!((both.reconnect_backoff, both.reconnect_backoff_max), (ms(20), ms(1000)));
    assert_eq!((neither.reconnect_backoff, neither.reconnect_backoff_max), (ms(50), ms(1000)));
}

#[test]
fn more_than_five_in_flight_take_an_explicit_no_to_idempotence() {
    let six = complete().max_in_flight_requests_per_connection(6);

    assert_eq!(
        messages(&six),
        ["max.in.flight.requests.per.connection = 6: must be 1 to 5 unless enable.idempotence is false"]
    );
    assert_eq!(messages(&six.enable_idempotence(false)), [""; 0]);
    assert_eq!(messages(&complete().max_in_flight_requests_per_connection(5)), [""; 0]);
}

#[test]
fn idempotence_that_was_asked_for_takes_all_acks_and_retries() {
    let asked = || complete().enable_idempotence(true);

    assert_eq!(
        messages(&asked().acks(Acks::Leader)),
        ["acks = 1: must be all with enable.idempotence = true"]
    );
    assert_eq!(
        messages(&asked().retries(0)),
        ["retries = 0: must be at least 1 unless enable.idempotence is false"]
    );
    assert_eq!(messages(&asked()), [""; 0]);
}

#[test]
fn other_acks_switch_idempotence_off_unless_it_was_asked_for() {
    assert!(complete().settle().unwrap().enable_idempotence);
    assert!(!complete().acks(Acks::Leader).settle().unwrap().enable_idempotence);
    assert!(!complete().acks(Acks::None).retries(0).settle().unwrap().enable_idempotence);
    assert!(!complete().enable_idempotence(false).settle().unwrap().enable_idempotence);
}

#[test]
fn no_retries_take_an_explicit_no_to_idempotence() {
    assert_eq!(
        messages(&complete().retries(0)),
        ["retries = 0: must be at least 1 unless enable.idempotence is false"]
    );
    assert_eq!(messages(&complete().retries(0).enable_idempotence(false)), [""; 0]);
}

#[test]
fn clients_without_a_name_get_numbers() {
    let number = |config: ProducerConfig| -> u64 {
        let id = config.settle().unwrap().client_id;
        id.strip_prefix("producer-").unwrap().parse().unwrap()
    };

    let first = number(complete());
    let second = number(complete());

    assert!(first >= 1);
    assert!(second > first);
    assert_eq!(complete().client_id("me").settle().unwrap().client_id, "me");
    assert_eq!(complete().client_id("").settle().unwrap().client_id, "");
}

#[test]
fn transactional_clients_without_a_name_get_that_of_their_transactions() {
    let config = complete().transactional_id("payments");

    assert_eq!(config.settle().unwrap().client_id, "producer-payments");
    assert_eq!(config.client_id("me").settle().unwrap().client_id, "me");
}

#[test]
fn transactions_take_idempotence_with_all_that_it_needs() {
    let transactional = || complete().transactional_id("payments");

    let settings = transactional().settle().unwrap();
    assert!(settings.enable_idempotence);
    assert_eq!((settings.acks, settings.retries), (Acks::All, i32::MAX.unsigned_abs()));
    assert_eq!(
        messages(&transactional().acks(Acks::Leader)),
        ["acks = 1: must be all with transactional.id"]
    );
    assert_eq!(
        messages(&transactional().enable_idempotence(false)),
        ["enable.idempotence = false: must be true with transactional.id"]
    );
}

#[test]
fn an_explicit_delivery_timeout_must_cover_linger_and_one_request() {
    let config = complete().linger(ms(1000)).request_timeout(ms(2000));

    assert_eq!(messages(&config.clone().delivery_timeout(ms(3000))), [""; 0]);
    assert_eq!(
        messages(&config.clone().delivery_timeout(ms(2999))),
        ["delivery.timeout.ms = 2999: must be at least linger.ms + request.timeout.ms (1000 + 2000)"]
    );
    assert_eq!(messages(&config.property("delivery.timeout.ms", "2999")).len(), 1);
}

#[test]
fn a_default_delivery_timeout_grows_with_linger_and_request_timeout() {
    let config = complete().linger(ms(100_000)).request_timeout(ms(30_000));

    assert_eq!(config.settle().unwrap().delivery_timeout, ms(130_000));
    assert_eq!(config.get("delivery.timeout.ms").as_deref(), Some("130000"));
    assert_eq!(complete().settle().unwrap().delivery_timeout, ms(120_000));
}

#[test]
fn linger_and_delivery_timeout_end_at_the_largest_int() {
    let config = complete().property("linger.ms", "9223372036854775807").delivery_timeout(ms(2_147_483_647));

    let settings = config.settle().unwrap();

    assert_eq!(settings.linger, ms(2_147_483_647));
    assert_eq!(settings.delivery_timeout, ms(2_147_483_647));
}

#[test]
fn a_batch_of_size_zero_takes_one_byte() {
    assert_eq!(complete().batch_size(0).settle().unwrap().batch_size, 1);
}

#[test]
fn a_batch_must_fit_the_buffer() {
    let names_batch = complete().batch_size(2000).buffer_memory(1999);
    let names_buffer = complete().buffer_memory(16_383);
    let no_buffer = complete().batch_size(0).buffer_memory(0);

    assert_eq!(messages(&names_batch), ["batch.size = 2000: must be at most buffer.memory (1999)"]);
    assert_eq!(messages(&names_buffer), ["buffer.memory = 16383: must be at least batch.size (16384)"]);
    assert_eq!(messages(&no_buffer), ["batch.size = 0: must be at most buffer.memory (0)"]);
    assert_eq!(messages(&complete().batch_size(2000).buffer_memory(2000)), [""; 0]);
}

#[test]
fn a_request_may_be_larger_than_the_buffer() {
    assert_eq!(messages(&complete().max_request_size(2_000_000).buffer_memory(1_000_000)), [""; 0]);
}

#[test]
fn a_value_that_is_wrong_by_itself_is_not_blamed_twice() {
    let config = ProducerConfig::new()
        .bootstrap_servers("nowhere")
        .request_timeout(ms(500_000))
        .property("delivery.timeout.ms", "-1")
        .property("buffer.memory", "10")
        .property("batch.size", "x");

    let keys: Vec<_> =
        config.validate().unwrap_err().problems().iter().map(|problem| problem.key.clone()).collect();

    assert_eq!(keys, ["bootstrap.servers", "delivery.timeout.ms", "batch.size"]);
}

#[test]
fn nothing_is_settled_while_there_are_problems() {
    let config = complete().property("lingr.ms", "5");

    assert_eq!(config.settle().unwrap_err(), config.validate().unwrap_err());
}

#[test]
#[cfg(feature = "sasl")]
fn credentials_are_missed_where_brokers_ask_for_them() {
    let guarded = complete().security_protocol(SecurityProtocol::SaslPlaintext);
    let missing = "sasl.jaas.config: required";
    let needs_feature = "sasl.mechanism = GSSAPI: needs kafka-producer to be built with its feature \"gssapi\"; the other \
        mechanisms are AWS_MSK_IAM, OAUTHBEARER, PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512";
    let unknown = "sasl.mechanism = KERBEROS: is not known, must be AWS_MSK_IAM, GSSAPI, OAUTHBEARER, PLAIN, SCRAM-SHA-256 or \
        SCRAM-SHA-512";

    // Kafka's default.
    let gssapi = if cfg!(feature = "gssapi") { vec![missing] } else { vec![needs_feature, missing] };
    assert_eq!(messages(&guarded), gssapi);
    assert_eq!(messages(&guarded.clone().property("sasl.mechanism", "KERBEROS")), [unknown, missing]);
    assert_eq!(
        messages(&guarded.clone().property("sasl.mechanism", "PLAIN")),
        ["sasl.jaas.config: required"]
    );
    assert_eq!(messages(&guarded.sasl(Sasl::plain("alice", "hunter2"))), [""; 0]);
    assert_eq!(messages(&complete().property("sasl.mechanism", "OAUTHBEARER")), [""; 0]);
}

#[test]
#[cfg(feature = "sasl")]
fn login_module_must_suit_the_mechanism() {
    let guarded = |mechanism: &str, line: &str| {
        let config = complete().security_protocol(SecurityProtocol::SaslPlaintext);
        messages(&config.property("sasl.mechanism", mechanism).property("sasl.jaas.config", line))
    };
    let plain = "PlainLoginModule required username=alice password=hunter2;";
    let token = "OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=alice;";

    for (mechanism, line, module) in [
        ("OAUTHBEARER", plain, "oauthbearer.OAuthBearerLoginModule"),
        ("PLAIN", token, "plain.PlainLoginModule"),
        ("SCRAM-SHA-256", token, "scram.ScramLoginModule"),
    ] {
        let text = format!(
            "sasl.jaas.config = [hidden]: must name org.apache.kafka.common.security.{module} with sasl.mechanism = {mechanism}"
        );
        assert_eq!(guarded(mechanism, line), [text]);
    }
    assert_eq!(guarded("OAUTHBEARER", token), [""; 0]);
    assert_eq!(guarded("SCRAM-SHA-512", plain), [""; 0]);
}

#[test]
#[cfg(feature = "sasl")]
fn passwords_that_are_set_are_shown_nowhere() {
    let config = complete()
        .security_protocol(SecurityProtocol::SaslPlaintext)
        .property("sasl.mechanism", "SCRAM-SHA-512")
        .property("sasl.jaas.config", "ScramLoginModule required username=alice password=hunter2;");
    let settings = config.settle().unwrap();

    let shown =
        format!("{config:?} {config:#?} {settings:?} {settings:#?} {:?}", config.get("sasl.jaas.config"));

    assert!(shown.contains("alice") && shown.contains("[hidden]"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn rack_aware_partitioning_needs_a_rack() {
    let aware = complete().partitioner_rack_aware(true);

    let expected = ["partitioner.rack.aware = true: needs client.rack"];
    assert_eq!(messages(&aware), expected);
    assert_eq!(messages(&aware.clone().client_rack(" ")), expected);
    assert_eq!(messages(&aware.client_rack("a")), [""; 0]);
}

#[cfg(all(feature = "sasl", feature = "tls"))]
#[test]
fn security_that_is_set_and_not_asked_for_is_told() {
    let jaas = r#"org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="hunter2";"#;
    let config = |protocol: &str| {
        ProducerConfig::from_properties([
            ("bootstrap.servers", "b:1"),
            ("security.protocol", protocol),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", jaas),
            ("ssl.truststore.location", "/ca.pem"),
        ])
    };

    let told = config("PLAINTEXT").doubtful_security();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("ssl.truststore.location") && told[0].contains("not encrypted"), "{told:?}");
    assert!(told[1].contains("sasl.jaas.config") && !told[1].contains("hunter2"), "{told:?}");
    assert_eq!(config("SASL_PLAINTEXT").doubtful_security().len(), 1);
    assert_eq!(config("SASL_SSL").doubtful_security(), Vec::<String>::new());
    assert_eq!(ProducerConfig::new().doubtful_security(), Vec::<String>::new());
}

/// The authorities of the operating system must not stand in for one that is empty by mistake.
#[test]
fn stores_that_are_set_to_nothing_are_refused() {
    for key in [
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
        "ssl.keystore.location",
        "ssl.truststore.certificates",
        "ssl.truststore.location",
    ] {
        let config = ProducerConfig::from_properties([("bootstrap.servers", "b:1"), (key, " ")]);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("is empty"), "{error}");
    }
    let typed = [
        Tls::new().truststore_file(""),
        Tls::new().truststore_pem(""),
        Tls::new().keystore_file(""),
        Tls::new().keystore_pem("", ""),
    ];
    for tls in typed {
        let config = ProducerConfig::new().bootstrap_servers("b:1").tls(tls);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
    }
}
