//! The table in the documentation is written from the table of keys.

use std::fmt::Write as _;

use super::{Kind, Support, keys};
use crate::config::GzipLevel;

/// Run with `KAFKA_PRODUCER_BLESS=1` to write the file anew.
#[test]
fn the_documented_table_is_up_to_date() {
    let expected = markdown();
    if std::env::var_os("KAFKA_PRODUCER_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/properties.md");
        std::fs::write(path, &expected).unwrap();
    }

    let written = include_str!("../properties.md");

    assert!(written == expected, "src/config/properties.md differs from the table of keys");
}

fn markdown() -> String {
    let mut text = String::from("| Key | Setter | Default | Must be |\n|---|---|---|---|\n");
    for key in keys::all() {
        if let Support::Supported { setter, .. } = key.support {
            let name = key.name;
            let default = match key.default {
                None if name == "bootstrap.servers" => "required".to_owned(),
                None => "none".to_owned(),
                Some("") => "empty".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let range = match name {
                "bootstrap.servers" => "host:port, separated by commas".to_owned(),
                "client.id" | "client.rack" => "at most 32767 bytes".to_owned(),
                "compression.gzip.level" => GzipLevel::RANGE.to_owned(),
                "compression.type" => {
                    format!("{} (gzip, snappy and zstd with the feature of that name)", key.kind.range())
                }
                "sasl.jaas.config" => {
                    "a line for PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule, Krb5LoginModule or IAMLoginModule"
                        .to_owned()
                }
                "sasl.mechanism" => {
                    "AWS_MSK_IAM, GSSAPI, OAUTHBEARER, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 where it counts"
                        .to_owned()
                }
                "security.protocol" => {
                    format!("{} (those with SSL need the feature `tls`)", key.kind.range())
                }
                "ssl.cipher.suites" => {
                    "names of cipher suites, separated by commas; empty for all".to_owned()
                }
                "ssl.enabled.protocols" => "TLSv1.2, TLSv1.3 or both".to_owned(),
                "ssl.endpoint.identification.algorithm" => {
                    "https, or empty, which is dangerous: names are not checked then".to_owned()
                }
                "ssl.keystore.type" | "ssl.truststore.type" => "PEM, PKCS12 or JKS".to_owned(),
                "partitioner.class" => {
                    "RoundRobinPartitioner or another of Kafka's, with its package".to_owned()
                }
                "ssl.protocol" => "TLS, TLSv1.2 or TLSv1.3, which changes nothing".to_owned(),
                "connections.max.idle.ms" => "any, negative for never".to_owned(),
                _ => key.kind.range(),
            };
            writeln!(text, "| `{name}` | [`{setter}`](Self::{setter}) | {default} | {range} |").unwrap();
        }
    }
    write_keys_without_setter(&mut text);
    write_other_keys(&mut text);
    text
}

fn write_keys_without_setter(text: &mut String) {
    text.push_str(
        "\nThese can be set by name only:\n\n| Key | Default | Must be | Effect |\n|---|---|---|---|\n",
    );
    for key in keys::all() {
        if let Support::ByName { takes, effect, .. } = key.support {
            let default = match key.default {
                None => "none".to_owned(),
                Some("") => "empty".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let classes = takes.iter().filter_map(|class| class.rsplit('.').next());
            let range = match takes {
                [] if key.kind == Kind::List => "names, separated by commas".to_owned(),
                [] => key.kind.range(),
                _ => format!("{}, with the package", classes.collect::<Vec<_>>().join(", ")),
            };
            writeln!(text, "| `{}` | {default} | {range} | {effect} |", key.name).unwrap();
        }
    }
}

fn write_other_keys(text: &mut String) {
    text.push_str(concat!(
        "\nKafka's other keys are known, and refused with the reason unless the value asks for what happens anyway. ",
        "All others that begin with `sasl.` take only Kafka's defaults; the rest are these:\n\n",
        "| Key | Takes only | Because |\n|---|---|---|\n"
    ));
    for key in keys::all().filter(|key| !key.name.starts_with("sasl.")) {
        let (in_force, because) = match key.support {
            Support::JavaOnly { instead, in_force } => (in_force, instead.to_owned()),
            Support::NotYet { what, in_force } => (in_force, format!("{what} not available yet")),
            Support::ByName { .. } | Support::Supported { .. } => continue,
        };
        let taken = match in_force {
            None => "nothing".to_owned(),
            Some("") => "an empty list".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        writeln!(text, "| `{}` | {taken} | {because} |", key.name).unwrap();
    }
}
