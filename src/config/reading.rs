//! Configurations that are shared with programs in Java: their files, and taking back what is of no use here.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::{ConfigProblem, ConfigReason, ProducerConfig, providers};

impl ProducerConfig {
    /// Reads a `.properties` file as Java does, see [`from_properties_bytes`](Self::from_properties_bytes).
    ///
    /// A file that is shared with programs in Java may have keys that this crate refuses, such as `interceptor.classes`:
    /// [`remove`](Self::remove) takes them back.
    ///
    /// # Errors
    ///
    /// The file cannot be read. What is wrong with the properties is told by [`validate`](Self::validate) and when a producer is built.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use kafka_producer::{KafkaProducer, ProducerConfig};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = ProducerConfig::from_properties_file("/etc/kafka/producer.properties")?
    ///     .remove("interceptor.classes")
    ///     .remove("schema.registry.url");
    /// let producer = KafkaProducer::builder().config(config).build()?;
    /// # drop(producer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_properties_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self::from_properties_bytes(&Zeroizing::new(bytes))),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    /// Reads the bytes of a `.properties` file as Java does: each byte is a character of ISO-8859-1, and others are escaped (`\u20ac`).
    /// If the bytes begin with the byte order mark of UTF-8, they are in UTF-8. See [`from_properties_text`](Self::from_properties_text)
    /// for the syntax.
    ///
    /// ```
    /// use kafka_producer::ProducerConfig;
    ///
    /// let config = ProducerConfig::from_properties_bytes(b"client.id = caf\xe9");
    /// assert_eq!(config.get("client.id").as_deref(), Some("café"));
    /// ```
    #[must_use]
    pub fn from_properties_bytes(bytes: &[u8]) -> Self {
        Self::from_properties_text(&Zeroizing::new(decode(bytes)))
    }

    /// Takes back what was set for a key, by name or by a typed setter: its default counts again. What was wrong with the value, or with
    /// the key, is forgotten, too.
    ///
    /// ```
    /// use kafka_producer::ProducerConfig;
    ///
    /// let shared = "bootstrap.servers=localhost:9092\n\
    ///               schema.registry.url=http://localhost:8081\n\
    ///               partitioner.class=com.example.MyPartitioner\n\
    ///               transactional.id=of-another-program";
    /// let config = ProducerConfig::from_properties_text(shared)
    ///     .remove("schema.registry.url")
    ///     .remove("partitioner.class")
    ///     .remove("transactional.id");
    /// config.validate()?;
    /// assert_eq!(config.get("transactional.id"), None);
    /// # Ok::<(), kafka_producer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn remove(mut self, key: &str) -> Self {
        match key.strip_prefix(providers::PREFIX) {
            Some(provider) => drop(self.providers.remove(provider)),
            None => self.reset(key),
        }
        self
    }
}

impl ProducerConfig {
    /// Checks the class of a serializer against the one that the builder has.
    pub(crate) fn check_serializer(&mut self, part: &str, stands_for: impl FnOnce(&str) -> Option<bool>) {
        let key = format!("{part}.serializer");
        let class = self.filled_in().settings.text(&key).map(str::to_owned);
        let Some(class) = class else { return };
        if stands_for(&class) == Some(false) {
            let reason = ConfigReason::JavaOnly(format!(
                "Java classes cannot be loaded, and the builder's serializer for {part}s writes other bytes: use its \
                 `{part}_serializer`, or remove the property"
            ));
            self.problems.push(ConfigProblem::new(&key, &class, reason));
        }
    }
}

fn decode(bytes: &[u8]) -> String {
    match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => String::from_utf8_lossy(rest).into_owned(),
        None => bytes.iter().copied().map(char::from).collect(),
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Acks, keys};

    #[test]
    fn bytes_are_read_as_java_reads_them() {
        assert_eq!(decode(b"client.id=caf\xe9 \x80\n"), "client.id=caf\u{e9} \u{80}\n");
        assert_eq!(decode("client.id=café".as_bytes()), "client.id=cafÃ©");
        assert_eq!(decode("\u{feff}client.id=café".as_bytes()), "client.id=café");
        assert_eq!(decode(b""), "");
    }

    #[test]
    fn file_that_cannot_be_read_is_named() {
        let error = ProducerConfig::from_properties_file("no/such/file.properties").unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("no/such/file.properties: "), "{error}");
    }

    #[test]
    fn every_key_can_be_removed() {
        for key in keys::all() {
            for value in ["1", "x", "true", "all", "org.apache.kafka.clients.producer.RoundRobinPartitioner"]
            {
                let config = ProducerConfig::new().property(key.name, value).remove(key.name);

                assert_eq!(config, ProducerConfig::new(), "{} = {value}", key.name);
            }
        }
    }

    #[test]
    fn typed_values_variables_and_unknown_keys_are_removed() {
        let config = ProducerConfig::new()
            .acks(Acks::Leader)
            .linger(Duration::from_secs(3))
            .transactional_id("payments")
            .property("partitioner.class", "com.example.MyPartitioner")
            .property("client.id", "${env:NAME}")
            .property("config.providers.env.class", "x")
            .property("schema.registry.url", "http://localhost:8081");
        let removed = ["acks", "linger.ms", "transactional.id", "partitioner.class", "client.id"];
        let removed =
            removed.into_iter().chain(["config.providers.env.class", "schema.registry.url", "never.set"]);

        let config = removed.fold(config, |config, key| config.remove(key));

        assert_eq!(config, ProducerConfig::new());
    }

    #[test]
    fn class_of_a_serializer_may_stand_elsewhere() {
        let directory = std::env::temp_dir().join(format!("kafka-producer-class-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("class"), "com.example.Avro").unwrap();
        let mut config = ProducerConfig::new()
            .bootstrap_servers("localhost:9092")
            .property("config.providers", "files")
            .property("config.providers.files.class", DIRECTORY_PROVIDER)
            .property("value.serializer", format!("${{files:{}:class}}", directory.display()));
        config.validate().unwrap();

        config.check_serializer("value", |class| Some(class != "com.example.Avro"));

        let told = config.validate().unwrap_err().to_string();
        std::fs::remove_dir_all(directory).unwrap();
        assert!(told.contains("value.serializer = com.example.Avro: "), "{told}");
    }

    const DIRECTORY_PROVIDER: &str = "org.apache.kafka.common.config.provider.DirectoryConfigProvider";

    #[test]
    fn what_depends_on_a_value_that_was_set_follows_its_default_again() {
        let config =
            ProducerConfig::new().delivery_timeout(Duration::from_secs(1)).remove("delivery.timeout.ms");

        let config = config.request_timeout(Duration::from_secs(300));

        assert_eq!(config.get("delivery.timeout.ms").as_deref(), Some("300005"));
    }
}
