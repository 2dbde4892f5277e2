//! [`ProducerConfig`] out of what the crate `serde` reads: files of settings, the environment (feature `serde`).

use std::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_core::{Deserialize, de};
use zeroize::Zeroize;

use super::{ProducerConfig, keys};

/// Reads a map of Kafka's property names. What is wrong with them is told by [`ProducerConfig::validate`] and when a producer is built, all
/// at once.
///
/// - Values may be text, numbers or booleans. A list is joined by commas (`bootstrap.servers`). A value that is null is left out.
/// - Names may have underscores in place of dots, as in variables of the environment (`linger_ms`).
/// - Maps may be nested, as TOML reads `linger.ms = 20`: their names are joined by dots.
///
/// If a key comes twice, the last value counts.
///
/// ```
/// use kafka_producer::ProducerConfig;
///
/// let config: ProducerConfig = serde_json::from_str(
///     r#"{ "bootstrap.servers": ["kafka-1:9092", "kafka-2:9092"], "linger_ms": 20, "enable": { "idempotence": true } }"#,
/// )?;
/// assert_eq!(config.get("bootstrap.servers").as_deref(), Some("kafka-1:9092,kafka-2:9092"));
/// assert_eq!(config.get("linger.ms").as_deref(), Some("20"));
/// # Ok::<(), serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for ProducerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut config = Self::new();
        deserializer.deserialize_map(Properties { config: &mut config, prefix: "" })?;
        Ok(config)
    }
}

/// Reads a map whose names continue a prefix.
struct Properties<'a> {
    config: &'a mut ProducerConfig,
    prefix: &'a str,
}

impl<'de> Visitor<'de> for Properties<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of Kafka's property names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let name = match self.prefix {
                "" => name,
                prefix => format!("{prefix}.{name}"),
            };
            map.next_value_seed(Property { config: &mut *self.config, name: &name })?;
        }
        Ok(())
    }
}

/// Reads what stands behind a name.
struct Property<'a> {
    config: &'a mut ProducerConfig,
    name: &'a str,
}

impl Property<'_> {
    fn set(self, mut value: String) {
        self.config.set_property(&in_kafkas_spelling(self.name), &value);
        // It may have been a password.
        value.zeroize();
    }
}

impl<'de> DeserializeSeed<'de> for Property<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Property<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text, a number, a boolean or a list of these for {}", self.name)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.set(value.to_string());
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.set(value.to_string());
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.set(value.to_string());
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.set(value.to_string());
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.set(value.to_owned());
        Ok(())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<(), E> {
        self.set(value);
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        while let Some(Item(item)) = seq.next_element()? {
            items.push(item);
        }
        self.set(items.join(","));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        Properties { config: self.config, prefix: self.name }.visit_map(map)
    }
}

/// One of a list.
struct Item(String);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number or a boolean")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Item, E> {
                Ok(Item(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Item, E> {
                Ok(Item(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Item, E> {
                Ok(Item(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Item, E> {
                Ok(Item(value.to_string()))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Item, E> {
                Ok(Item(value.to_owned()))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}

/// Returns the name with dots in place of underscores, unless it is a key as it is.
fn in_kafkas_spelling(name: &str) -> String {
    let dotted = name.replace('_', ".");
    let is_meant = dotted != name && keys::find(name).is_none() && keys::find(&dotted).is_some();
    if is_meant { dotted } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ProducerConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn values_of_all_kinds_are_read_as_kafka_writes_them() {
        let config = read(
            r#"{
                "bootstrap.servers": ["a:1", "b:2"], "acks": 1, "linger.ms": "7", "enable.idempotence": false,
                "retries": 5, "client.rack": null, "compression": { "type": "lz4" }, "batch": { "size": 100 },
                "sasl.login.refresh.window.factor": 0.5
            }"#,
        );

        let expected = ProducerConfig::from_properties([
            ("bootstrap.servers", "a:1,b:2"),
            ("acks", "1"),
            ("linger.ms", "7"),
            ("enable.idempotence", "false"),
            ("retries", "5"),
            ("compression.type", "lz4"),
            ("batch.size", "100"),
            ("sasl.login.refresh.window.factor", "0.5"),
        ]);
        assert_eq!(config, expected);
    }

    #[test]
    fn underscores_stand_for_dots() {
        let config =
            read(r#"{ "bootstrap_servers": "a:1", "linger_ms": "20", "delivery_timeout_ms": 60000 }"#);

        config.validate().unwrap();
        assert_eq!(config.get("linger.ms").as_deref(), Some("20"));
        assert_eq!(config.get("delivery.timeout.ms").as_deref(), Some("60000"));
    }

    #[test]
    fn what_is_wrong_is_told_when_the_configuration_is_checked() {
        let config = read(
            r#"{ "bootstrap.servers": "a:1", "linger": 20, "batch_sizes": 1, "acks": true, "retries": 1.5 }"#,
        );

        let error = config.validate().unwrap_err();

        let told: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
        let expected = [
            r#"unknown key "linger": did you mean "linger.ms"?"#,
            r#"unknown key "batch_sizes": did you mean "batch.size"?"#,
            "acks = true: must be all, -1, 0 or 1",
            "retries = 1.5: must be a whole number, at least 0",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_no_property_is_refused_at_once() {
        let error = serde_json::from_str::<ProducerConfig>(r#"["linger.ms"]"#).unwrap_err().to_string();
        assert!(error.contains("a map of Kafka's property names"), "{error}");

        let error = serde_json::from_str::<ProducerConfig>(r#"{ "acks": [{}] }"#).unwrap_err().to_string();
        assert!(error.contains("expected text, a number or a boolean"), "{error}");
    }

    #[test]
    fn last_value_of_a_key_counts() {
        let config = read(r#"{ "linger.ms": 1, "linger_ms": 2, "linger": { "ms": 3 } }"#);

        assert_eq!(config.get("linger.ms").as_deref(), Some("3"));
    }
}
