//! Every key of Kafka 4.4.0, as Kafka prints its own table.

use super::complete;
use super::{Compression, Kind, ProducerConfig, Support, keys, messages};
use crate::config::{Sasl, SecurityProtocol};

/// One line of the table.
#[derive(Debug)]
struct Row {
    key: &'static str,
    java_type: &'static str,
    default: Option<&'static str>,
    range: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("../kafka-4.4.tsv").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let [key, java_type, default, range] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let default = Some(default).filter(|default| !["null", "required"].contains(default));
        Row { key, java_type, default, range }
    };
    lines.map(row).collect()
}

/// Problems of that one key, `bootstrap.servers` and other keys left aside.
fn problem(key: &str, value: &str) -> Option<String> {
    let config = ProducerConfig::new().property(key, value);
    config.problems.first().map(ToString::to_string)
}

/// The integers that a row allows at its ends, and those just beyond.
fn ends(row: &Row) -> Option<(Vec<i128>, Vec<i128>)> {
    let (least, most) = match row.java_type {
        "int" => (i128::from(i32::MIN), i128::from(i32::MAX)),
        "long" => (i128::from(i64::MIN), i128::from(i64::MAX)),
        "short" => (i128::from(i16::MIN), i128::from(i16::MAX)),
        _ => return None,
    };
    let range = row.range.split_once(']').map_or("", |(range, _)| range.trim_start_matches('['));
    let bounds: Vec<&str> = range.split(',').filter(|bound| *bound != "...").collect();
    let bound = |index: usize| bounds.get(index).and_then(|bound| bound.parse().ok());
    let (least, most) = (bound(0).unwrap_or(least), bound(1).unwrap_or(most));
    Some((vec![least, most], vec![least - 1, most + 1]))
}

#[test]
fn the_table_has_the_keys_of_kafka_and_no_others() {
    let mut ours: Vec<_> = keys::all().map(|key| key.name).collect();
    ours.sort_unstable();
    let theirs: Vec<_> = rows().iter().map(|row| row.key).collect();

    assert_eq!(theirs.len(), 120);
    assert_eq!(ours, theirs);
}

#[test]
fn types_and_defaults_are_those_of_kafka() {
    for row in rows() {
        let key = keys::find(row.key).unwrap();

        let java_type = match key.kind {
            Kind::Boolean => "boolean",
            Kind::Choice { .. } | Kind::Text => "string",
            Kind::Class => "class",
            Kind::Double { .. } => "double",
            Kind::List => "list",
            Kind::Number { width, .. } => &format!("{width:?}").to_lowercase(),
            Kind::Password => "password",
        };
        assert_eq!(java_type, row.java_type, "{}", row.key);
        assert_eq!(key.default, row.default, "{}", row.key);
    }
}

#[test]
fn supported_keys_have_the_default_of_kafka_in_force() {
    let config = ProducerConfig::new();

    for row in rows().iter().filter(|row| row.key != "bootstrap.servers") {
        if keys::find(row.key).unwrap().is_supported() {
            assert_eq!(config.get(row.key).as_deref(), row.default, "{}", row.key);
        }
    }
}

#[test]
fn the_default_of_a_supported_key_changes_nothing() {
    for row in rows() {
        let key = keys::find(row.key).unwrap();
        if let (true, Some(default)) = (key.is_supported(), row.default) {
            let config = ProducerConfig::new().property(row.key, default);

            assert_eq!(config.problems, [], "{}", row.key);
            assert_eq!(config.settings, ProducerConfig::new().settings, "{}", row.key);
        }
    }
}

#[test]
fn numbers_are_taken_up_to_their_ends_and_not_beyond() {
    let mut checked = 0;
    for row in rows() {
        let Some((within, beyond)) = ends(&row) else { continue };
        let supported = keys::find(row.key).unwrap().is_supported();
        for number in within.iter().filter(|_| supported) {
            // Negative times to wait mean nothing, though Kafka lets them pass.
            let times =
                ["socket.connection.setup.timeout", "sasl.login.retry.backoff", "transaction.timeout"];
            if *number < 0 && times.iter().any(|time| row.key.starts_with(time)) {
                continue;
            }
            assert_eq!(problem(row.key, &number.to_string()), None);
            checked += 1;
        }
        for number in beyond {
            assert!(problem(row.key, &number.to_string()).is_some(), "{} = {number}", row.key);
        }
        for text in ["", "x", "0x10", "1_000", "1e3", "1.5", "5 ms"] {
            assert!(problem(row.key, text).is_some(), "{} = {text:?}", row.key);
        }
    }
    assert!(checked > 40, "only {checked} ends were checked");
}

#[test]
fn choices_are_taken_as_kafka_writes_them() {
    for (key, good, bad) in [
        ("acks", &["all", "-1", "0", "1", " 1 "][..], &["ALL", "2", "", "+1", "leader"][..]),
        ("compression.type", &["none", "lz4", "lz4 "], &["LZ4", "GZIP", "brotli", ""]),
        ("metadata.recovery.strategy", &["none", "NONE", "Rebootstrap"], &["no", ""]),
        ("partitioner.ignore.keys", &["true", "FALSE", " True "], &["yes", "1", ""]),
        ("security.protocol", &["PLAINTEXT", "plaintext"], &["TLS", ""]),
        (
            "client.dns.lookup",
            &["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"],
            &["default", ""],
        ),
    ] {
        for value in good {
            assert_eq!(problem(key, value), None);
        }
        for value in bad {
            assert!(problem(key, value).is_some(), "{key} = {value:?}");
        }
    }
}

#[test]
fn keys_without_their_feature_take_what_happens_anyway_and_nothing_else() {
    let mut checked = 0;
    for key in keys::all() {
        let in_force = match key.support {
            Support::JavaOnly { in_force, .. } | Support::NotYet { in_force, .. } => in_force,
            Support::ByName { .. } | Support::Supported { .. } => continue,
        };

        assert_eq!(ProducerConfig::new().get(key.name).as_deref(), in_force);
        if let Some(value) = in_force {
            assert_eq!(problem(key.name, value), None);
        }
        for other in ["", "true", "1", "2", "4", "0.9", "INFO", "DEBUG", "SSL", "ES256", "anything"] {
            if in_force != Some(other) {
                assert!(problem(key.name, other).is_some(), "{} = {other:?}", key.name);
            }
        }
        checked += 1;
    }
    assert!(checked > 0);
}

/// At once, or when the producer is built.
fn is_refused(key: &str, value: &str) -> bool {
    let config = ProducerConfig::new().bootstrap_servers("kafka:9092").property(key, value);
    problem(key, value).is_some() || config.settle().is_err()
}

/// Kafka's defaults for these ask for something that does not exist here, so they cannot be taken; all others can.
#[test]
fn defaults_of_kafka_are_refused_only_where_they_cannot_be_honoured() {
    let refused: Vec<_> = rows()
        .iter()
        .filter(|row| row.default.is_some_and(|default| is_refused(row.key, default)))
        .map(|row| row.key)
        .collect();

    let has_telemetry = cfg!(feature = "telemetry");
    let expected: &[_] =
        if has_telemetry { &["metric.reporters"] } else { &["enable.metrics.push", "metric.reporters"] };
    assert_eq!(refused, expected);
}

#[test]
fn values_that_change_nothing_are_taken_and_printed() {
    for (key, value) in [
        ("buffer.memory.allocation.strategy", "INCREMENTAL"),
        ("metrics.num.samples", "7"),
        ("metrics.recording.level", "DEBUG"),
        ("metrics.sample.window.ms", "1000"),
        ("key.serializer", "org.apache.kafka.common.serialization.StringSerializer"),
        ("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer"),
    ] {
        assert_eq!(problem(key, value), None);
        assert_eq!(ProducerConfig::new().property(key, value).get(key).as_deref(), Some(value));
    }
    for row in rows() {
        let key = keys::find(row.key).unwrap();
        if matches!(key.support, Support::ByName { .. }) {
            assert_eq!(ProducerConfig::new().get(row.key).as_deref(), row.default, "{}", row.key);
            assert!(row.default.is_none_or(|default| problem(row.key, default).is_none()), "{}", row.key);
        }
    }
}

#[test]
fn missing_features_are_named() {
    for (key, value, message) in [
        (
            "transaction.two.phase.commit.enable",
            "true",
            "Kafka's own producers have no calls for two-phase commit, must be false or unset",
        ),
        ("sasl.login.class", "x", "this part of SASL is not available yet, leave it unset"),
        ("compression.lz4.level", "3", "other levels of lz4 are not available yet, must be 9 or unset"),
        ("compression.lz4.level", "18", "must be 1 to 17"),
        ("compression.gzip.level", "0", "must be -1 or 1 to 9"),
        ("compression.gzip.level", "high", "must be -1 or 1 to 9"),
        ("compression.zstd.level", "23", "must be -131072 to 22"),
        ("metrics.context.app", "x", "metrics contexts are not available yet, leave it unset"),
        (
            "partitioner.class",
            "P",
            "Java classes cannot be loaded, use the builder's `partitioner`; RoundRobinPartitioner, \
             DefaultPartitioner and UniformStickyPartitioner of Kafka are known",
        ),
    ] {
        let config = complete().property(key, value);

        assert_eq!(messages(&config), [format!("{key} = {value}: {message}")]);
    }
}

#[test]
fn codecs_are_taken_if_the_crate_is_built_with_them() {
    for (codec, compression, is_on) in [
        ("gzip", Compression::Gzip, cfg!(feature = "gzip")),
        ("snappy", Compression::Snappy, cfg!(feature = "snappy")),
        ("zstd", Compression::Zstd, cfg!(feature = "zstd")),
        ("lz4", Compression::Lz4, true),
    ] {
        let problem = format!(
            "compression.type = {codec}: needs kafka-producer to be built with its feature \"{codec}\""
        );
        let expected = if is_on { vec![] } else { vec![problem] };

        let by_name = complete().property("compression.type", codec);
        let typed = complete().compression(compression);

        assert_eq!((messages(&by_name), messages(&typed)), (expected.clone(), expected));
        if is_on {
            assert_eq!(typed.get("compression.type").as_deref(), Some(codec));
            assert_eq!(by_name, typed);
        }
    }
}

#[test]
fn sasl_is_taken_if_the_crate_is_built_with_it() {
    let line = "PlainLoginModule required username=\"a\" password=\"hunter2\";";
    let config = complete()
        .property("security.protocol", "sasl_plaintext")
        .property("sasl.mechanism", "PLAIN")
        .property("sasl.jaas.config", line);
    let typed =
        complete().security_protocol(SecurityProtocol::SaslPlaintext).sasl(Sasl::plain("a", "hunter2"));
    let keys = ["security.protocol", "sasl.mechanism", "sasl.jaas.config"];

    for config in [config, typed] {
        let problems = messages(&config);

        if cfg!(feature = "sasl") {
            assert_eq!(problems, [""; 0]);
            continue;
        }
        assert_eq!(problems.len(), 3, "{problems:?}");
        for (problem, key) in problems.iter().zip(keys) {
            assert!(problem.starts_with(key), "{problem}");
            assert!(
                problem.ends_with("needs kafka-producer to be built with its feature \"sasl\""),
                "{problem}"
            );
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
    assert_eq!(messages(&complete().property("sasl.mechanism", "GSSAPI")), [""; 0]);
}

#[test]
fn level_in_force_is_that_of_the_codec() {
    let config = complete().compression_gzip_level(1).compression_zstd_level(19);
    for (codec, level, is_on) in [
        ("gzip", 1, cfg!(feature = "gzip")),
        ("zstd", 19, cfg!(feature = "zstd")),
        ("lz4", 0, true),
        ("none", 0, true),
    ] {
        if is_on {
            let config = config.clone().property("compression.type", codec);
            assert_eq!(config.settle().unwrap().compression_level(), level, "{codec}");
        }
    }
}
