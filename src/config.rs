//! Configuration: typed values with Kafka's names, defaults and rules.
//!
//! [`ProducerConfig`] is what users fill, by typed setters or by Kafka's property names. `keys` is the table behind
//! the names, `validate` has the rules between values, [`ProducerSettings`] is what the rest of the crate gets.

mod acks;
mod bootstrap_servers;
#[cfg(feature = "serde")]
mod deserialize;
mod foreign;
mod gzip_level;
mod host_port;
mod jaas;
mod kerberos;
mod keys;
mod kind;
mod metadata_recovery_strategy;
mod oauth;
mod oidc;
mod partitioner_class;
mod problem;
mod properties_text;
mod property;
mod providers;
mod reading;
mod sasl;
mod security_keys;
mod setters;
mod settings;
mod share;
mod suggest;
#[cfg(test)]
mod tests;
mod tls;
mod tls_keys;
mod tls_versions;
mod validate;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use crate::protocol::compression::Compression;
pub use acks::Acks;
pub use bootstrap_servers::BootstrapServers;
pub(crate) use gzip_level::GzipLevel;
pub(crate) use host_port::HostPort;
#[cfg(feature = "gssapi")]
pub(crate) use kerberos::{Kerberos, TicketOrigin};
pub use metadata_recovery_strategy::MetadataRecoveryStrategy;
pub(crate) use oauth::{
    Assertion, ClientProof, Grant, SignedAssertion, TokenEndpoint, TokenOrigin, UnsecuredLogin,
};
pub use oidc::{Oidc, OidcAssertion, OidcSignature};
pub(crate) use partitioner_class::PartitionerClass;
pub use problem::{ConfigError, ConfigProblem, ConfigReason};
pub(crate) use sasl::{Credentials, Mechanism};
pub use sasl::{Sasl, SecurityProtocol};
pub(crate) use setters::config_setters;
pub(crate) use settings::{Authentication, ProducerSettings};
pub(crate) use share::Share;
pub use tls::Tls;
#[cfg(feature = "tls")]
pub(crate) use tls::TlsSettings;
pub use tls_versions::TlsVersion;

use property::Property;
use providers::Providers;
use zeroize::Zeroize;

use crate::secret::{HIDDEN, Secret};

/// The configuration of a producer; the defaults are those of Apache Kafka 4.4.
///
/// Set values by typed setters or by Kafka's property names, or both: the last value for a key counts. Setting a value never
/// fails. [`validate`](Self::validate) and the building of a producer find everything that is wrong with the values, and
/// report it in one error that names the keys.
///
/// ```
/// use std::time::Duration;
///
/// use kafka_producer::{Acks, Compression, ProducerConfig};
///
/// let typed = ProducerConfig::new()
///     .bootstrap_servers("kafka-1:9092,kafka-2:9092")
///     .acks(Acks::All)
///     .compression(Compression::Lz4)
///     .linger(Duration::from_millis(20));
///
/// let by_name = ProducerConfig::from_properties([
///     ("bootstrap.servers", "kafka-1:9092,kafka-2:9092"),
///     ("acks", "all"),
///     ("compression.type", "lz4"),
///     ("linger.ms", "20"),
/// ]);
///
/// assert_eq!(typed, by_name);
/// # typed.validate()?;
/// # Ok::<(), kafka_producer::ConfigError>(())
/// ```
///
/// Unlike the Java client, which logs keys that it does not know and goes on, this crate refuses them:
///
/// ```
/// use kafka_producer::ProducerConfig;
///
/// let config = ProducerConfig::new()
///     .bootstrap_servers("localhost:9092")
///     .property("linger", "20")
///     .property("batch.size", "-1");
///
/// let error = config.validate().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid producer configuration:\n  \
///      unknown key \"linger\": did you mean \"linger.ms\"?\n  \
///      batch.size = -1: must be at least 0"
/// );
/// ```
///
/// # Values from elsewhere
///
/// As in Java, `config.providers` takes values out of files and the environment when the producer is built. `FileConfigProvider`,
/// `DirectoryConfigProvider` and `EnvVarConfigProvider` are here; what they cannot read is refused.
///
/// ```text
/// config.providers=file
/// config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
/// ssl.key.password=${file:/etc/kafka/secrets.properties:key.password}
/// ```
///
/// # Properties
///
#[doc = include_str!("config/properties.md")]
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProducerConfig {
    settings: ProducerSettings,
    /// The keys that were set, to a good value or not. Some rules treat defaults differently.
    explicit: BTreeSet<&'static str>,
    /// At most one for each key, that of the last value.
    problems: Vec<ConfigProblem>,
    /// Values with variables for `config.providers`, to be read when the configuration is checked.
    variables: BTreeMap<&'static str, Secret>,
    /// What is said of the providers, by what follows `config.providers.`.
    providers: BTreeMap<String, String>,
}

impl ProducerConfig {
    /// Returns a configuration with nothing but defaults. It lacks `bootstrap.servers`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads properties by Kafka's names. If a key comes twice, the last value counts.
    ///
    /// ```
    /// use kafka_producer::ProducerConfig;
    ///
    /// let config = ProducerConfig::from_properties([("linger.ms", "20")]);
    /// assert_eq!(config.get("linger.ms").as_deref(), Some("20"));
    /// ```
    #[must_use]
    pub fn from_properties<K, V>(properties: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        Self::new().properties(properties)
    }

    /// Reads the text of a `.properties` file, in the syntax of `java.util.Properties`: `key=value`, `key: value` or
    /// `key value`, comments after `#` or `!` at the beginning of a line, a backslash for escapes (`\t`, `\u00e4`) and at
    /// the end of a line that continues. If a key comes twice, the last value counts.
    /// [`from_properties_file`](Self::from_properties_file) reads a file.
    ///
    /// ```
    /// use kafka_producer::ProducerConfig;
    ///
    /// let config = ProducerConfig::from_properties_text(
    ///     "# for the nightly job
    ///      bootstrap.servers = kafka-1:9092, \\
    ///                          kafka-2:9092
    ///      linger.ms = 100",
    /// );
    /// assert_eq!(config.get("bootstrap.servers").as_deref(), Some("kafka-1:9092,kafka-2:9092"));
    /// # config.validate()?;
    /// # Ok::<(), kafka_producer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn from_properties_text(text: &str) -> Self {
        let mut config = Self::new();
        for mut entry in properties_text::parse(text) {
            match entry.fault {
                None => config.set_property(&entry.key, &entry.value),
                Some(fault) => config.report(&entry.key, &entry.value, ConfigReason::Invalid(fault)),
            }
            // It may have been a password.
            entry.value.zeroize();
        }
        config
    }

    config_setters!();

    /// Checks all values, singly and against each other.
    ///
    /// Values from `config.providers` are read for that, and again when a producer is built.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] lists everything that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.filled_in().check()
    }

    /// Returns the value in force for one of Kafka's keys, as Kafka writes it.
    ///
    /// Returns `None` if there is no value or Kafka has no such key. If one value changes another (`delivery.timeout.ms` grows
    /// with `linger.ms`, unless it is set), it returns the changed value. `client.id` is empty until you set it or a producer
    /// is built. A time that you set by a typed setter may have a fraction. Variables for `config.providers` stay as they are.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kafka_producer::ProducerConfig;
    ///
    /// let config = ProducerConfig::new().request_timeout(Duration::from_secs(300));
    /// assert_eq!(config.get("linger.ms").as_deref(), Some("5"));
    /// assert_eq!(config.get("delivery.timeout.ms").as_deref(), Some("300005"));
    /// assert_eq!(config.get("transactional.id"), None);
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        match (self.variables.get(key), keys::find(key)) {
            (Some(_), Some(key)) if key.is_secret() => Some(HIDDEN.to_owned()),
            (Some(text), _) => Some(text.expose().to_owned()),
            (None, _) => self.effective().get(key),
        }
    }

    /// Sets a value of the right type, whose range is still to be checked.
    pub(crate) fn set<T: Property>(
        &mut self,
        key: &str,
        value: T,
        field: fn(&mut ProducerSettings) -> &mut T,
    ) {
        let Some(key) = keys::find(key) else {
            debug_assert!(false, "setter for unknown key {key}");
            return;
        };
        self.forget(key.name);
        self.explicit.insert(key.name);
        match key.check_feature().and_then(|()| value.check(&key.kind)) {
            Ok(()) => *field(&mut self.settings) = value,
            Err(reason) => self.problems.push(ConfigProblem::new(key.name, &value.print(), reason)),
        }
    }

    pub(crate) fn set_sasl(&mut self, sasl: Sasl) {
        let (mechanism, jaas_config, properties) = sasl.into_parts();
        self.set("sasl.mechanism", mechanism, |settings| &mut settings.sasl_mechanism);
        self.set("sasl.jaas.config", jaas_config, |settings| &mut settings.sasl_jaas_config);
        if !properties.is_empty() {
            self.set_oidc(&properties);
        }
    }

    pub(crate) fn set_tls(&mut self, tls: Tls) {
        let tls = tls.into_settings();
        #[cfg(feature = "tls")]
        {
            self.settings.tls.client_config = tls.client_config;
        }
        self.settings.tls.reload_interval = tls.reload_interval;
        self.set("ssl.cipher.suites", tls.cipher_suites, |settings| &mut settings.tls.cipher_suites);
        self.set("ssl.enabled.protocols", tls.enabled_protocols, |settings| {
            &mut settings.tls.enabled_protocols
        });
        self.set("ssl.endpoint.identification.algorithm", tls.endpoint_identification, |settings| {
            &mut settings.tls.endpoint_identification
        });
        self.set("ssl.key.password", tls.key_password, |settings| &mut settings.tls.key_password);
        self.set("ssl.keystore.certificate.chain", tls.keystore_certificate_chain, |settings| {
            &mut settings.tls.keystore_certificate_chain
        });
        self.set("ssl.keystore.key", tls.keystore_key, |settings| &mut settings.tls.keystore_key);
        self.set("ssl.keystore.location", tls.keystore_location, |settings| {
            &mut settings.tls.keystore_location
        });
        self.set("ssl.keystore.password", tls.keystore_password, |settings| {
            &mut settings.tls.keystore_password
        });
        self.set("ssl.keystore.type", tls.keystore_type, |settings| &mut settings.tls.keystore_type);
        self.set("ssl.protocol", tls.protocol, |settings| &mut settings.tls.protocol);
        self.set("ssl.truststore.certificates", tls.truststore_certificates, |settings| {
            &mut settings.tls.truststore_certificates
        });
        self.set("ssl.truststore.location", tls.truststore_location, |settings| {
            &mut settings.tls.truststore_location
        });
        self.set("ssl.truststore.password", tls.truststore_password, |settings| {
            &mut settings.tls.truststore_password
        });
        self.set("ssl.truststore.type", tls.truststore_type, |settings| &mut settings.tls.truststore_type);
    }

    pub(crate) fn set_property(&mut self, name: &str, value: &str) {
        if let Some(provider) = name.strip_prefix(providers::PREFIX) {
            self.providers.insert(provider.to_owned(), value.trim().to_owned());
            return;
        }
        let Some(key) = keys::find(name) else {
            let reason = match name.strip_prefix("metrics.context.") {
                Some(_) => ConfigReason::NotAvailable(
                    "metrics contexts are not available yet, leave it unset".into(),
                ),
                None => suggest::explain(name),
            };
            self.report(name, value, reason);
            return;
        };
        if providers::has_variable(value) {
            self.forget(key.name);
            self.explicit.insert(key.name);
            self.variables.insert(key.name, Secret::new(value));
        } else {
            self.set_literal(key.name, value);
        }
    }

    /// Sets a value that is meant to the letter, with nothing that would be a variable.
    fn set_literal(&mut self, name: &str, value: &str) {
        let Some(key) = keys::find(name) else {
            debug_assert!(false, "unknown key {name}");
            return;
        };
        self.forget(key.name);
        self.explicit.insert(key.name);
        if let Err(reason) = key.parse(&mut self.settings, value) {
            self.problems.push(ConfigProblem::new(key.name, value, reason));
        }
    }

    /// Lets go of a value that was set.
    fn reset(&mut self, name: &str) {
        self.forget(name);
        if self.explicit.remove(name)
            && let Some(key) = keys::find(name)
        {
            key.reset(&mut self.settings);
        }
    }

    /// Returns the same configuration with values in the place of variables.
    fn filled_in(&self) -> Cow<'_, Self> {
        let listed = self.settings.get("config.providers").unwrap_or_default();
        if self.variables.is_empty() && listed.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut filled = self.clone();
        let providers = match Providers::new(&listed, &self.providers) {
            Ok(providers) => providers,
            Err(problems) => {
                filled.problems.extend(problems);
                return Cow::Owned(filled);
            }
        };
        for (name, text) in std::mem::take(&mut filled.variables) {
            let Some(key) = keys::find(name) else { continue };
            let result = providers.fill_in(text.expose()).map_err(ConfigReason::Invalid);
            let result = result.and_then(|value| {
                let result = key.parse(&mut filled.settings, &value);
                // The reason may quote the value.
                result.map_err(
                    |reason| if *value == *text.expose() { reason } else { key.without_value(reason) },
                )
            });
            if let Err(reason) = result {
                filled.problems.push(ConfigProblem::new(name, text.expose(), reason));
            }
        }
        Cow::Owned(filled)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut problems = self.problems.clone();
        problems.extend(self.conflicts());
        ConfigError::unless_none(problems)
    }

    fn report(&mut self, key: &str, value: &str, reason: ConfigReason) {
        self.forget(key);
        self.problems.push(ConfigProblem::new(key, value, reason));
    }

    /// A good value replaces an earlier bad one, with its problem.
    fn forget(&mut self, key: &str) {
        self.variables.remove(key);
        self.problems.retain(|problem| problem.key != key);
    }

    fn is_explicit(&self, key: &str) -> bool {
        self.explicit.contains(key)
    }

    fn is_sound(&self, key: &str) -> bool {
        self.problems.iter().all(|problem| problem.key != key)
    }
}

/// Prints the values in force by Kafka's names. Secrets are left out.
impl fmt::Debug for ProducerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let supported = keys::all().filter(|key| key.is_supported());
        f.write_str("ProducerConfig ")?;
        f.debug_map()
            .entries(supported.map(|key| (key.name, self.get(key.name).unwrap_or_default())))
            .entries(self.problems.iter().map(|problem| ("problem", problem.to_string())))
            .finish()
    }
}
