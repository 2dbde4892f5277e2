//! Every key of Kafka's producer, and what this crate makes of it.
//!
//! This table drives the reading of properties, what [`ProducerConfig::get`](super::ProducerConfig::get) prints, the
//! suggestions for unknown keys and the table in the documentation.

use super::ConfigReason;
use super::ProducerSettings;
use super::kind::Kind;
use super::kind::Width::{Int, Long};
use super::property::Property;
use super::security_keys::SECURITY_KEYS;
use super::tls_keys::TLS_KEYS;

/// One key of Kafka's configuration.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Kafka's default in Kafka's spelling; `None` if there is none.
    pub(crate) default: Option<&'static str>,
    pub(crate) support: Support,
}

/// What this crate makes of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Support {
    /// The value can be set by name only, and is printed as it was given.
    ByName {
        /// All that are taken; empty: all of the key's kind.
        takes: &'static [&'static str],
        /// What it does, for the documentation.
        #[cfg_attr(not(test), expect(dead_code, reason = "for the test that writes the documented table"))]
        effect: &'static str,
        /// Why other values are not taken; the text finishes the sentence "key = value: ".
        refusal: &'static str,
    },
    /// Only the Java client can do this; the text finishes the sentence "key = value: ".
    JavaOnly {
        instead: &'static str,
        /// The only value that is taken, since it asks for what happens anyway.
        in_force: Option<&'static str>,
    },
    /// The thing that the key is about does not exist yet.
    NotYet {
        /// With its verb, as in "transactions are".
        what: &'static str,
        /// The only value that is taken, since it asks for what happens anyway.
        in_force: Option<&'static str>,
    },
    /// The key has a field in [`ProducerSettings`].
    Supported {
        /// The name of the typed setter.
        setter: &'static str,
        parse: fn(&mut ProducerSettings, &str, &Kind) -> Result<(), ConfigReason>,
        print: fn(&ProducerSettings) -> String,
        /// Brings the default back.
        reset: fn(&mut ProducerSettings),
    },
}

impl Key {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        support: Support,
    ) -> Self {
        Self { name, kind, default, support }
    }

    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    pub(crate) const fn is_supported(&self) -> bool {
        matches!(self.support, Support::Supported { .. })
    }

    /// Says why values of the key are refused, whatever they are but the one in force. `None` if it takes values.
    pub(crate) fn refusal(&self) -> Option<ConfigReason> {
        match self.support {
            Support::ByName { .. } | Support::Supported { .. } => None,
            Support::JavaOnly { instead, .. } => Some(ConfigReason::JavaOnly(instead.to_owned())),
            Support::NotYet { what, in_force } => Some(ConfigReason::NotAvailable(match in_force {
                None => format!("{what} not available yet, leave it unset"),
                Some("") => format!("{what} not available yet, must be empty or unset"),
                Some(value) => format!("{what} not available yet, must be {value} or unset"),
            })),
        }
    }

    /// Reads a value as Kafka writes it into `settings`.
    pub(crate) fn parse(&self, settings: &mut ProducerSettings, text: &str) -> Result<(), ConfigReason> {
        // As Kafka does: everything up to the space character counts as blank.
        let text = text.trim_matches(|c| c <= ' ');
        let in_force = match self.support {
            Support::ByName { takes, refusal, .. } => {
                self.kind.validate(text)?;
                if !takes.is_empty() && !takes.contains(&text) {
                    return Err(ConfigReason::JavaOnly(refusal.to_owned()));
                }
                if !self.default.is_some_and(|default| self.kind.same(default, text)) {
                    self.check_feature()?;
                }
                settings.keep_by_name(self, text);
                return Ok(());
            }
            Support::Supported { setter, parse, .. } => {
                // What changes nothing is taken anyway.
                if !self.default.is_some_and(|default| self.kind.same(default, text)) {
                    self.check_feature()?;
                }
                return parse(settings, text, &self.kind)
                    .map_err(|reason| self.with_setter(reason, text, setter));
            }
            Support::JavaOnly { in_force, .. } | Support::NotYet { in_force, .. } => in_force,
        };
        self.kind.validate(text)?;
        if in_force.is_some_and(|value| self.kind.same(value, text)) {
            return Ok(());
        }
        self.refusal().map_or(Ok(()), Err)
    }

    /// Names the setter that takes what is refused here: Kafka's times are whole milliseconds.
    fn with_setter(&self, reason: ConfigReason, text: &str, setter: &str) -> ConfigReason {
        let is_fraction =
            || text.parse::<f64>().is_ok_and(|number| number.is_finite() && number.fract() != 0.0);
        match reason {
            ConfigReason::Invalid(why) if self.name.ends_with(".ms") && is_fraction() => {
                ConfigReason::Invalid(format!("{why}; the setter `{setter}` takes fractions"))
            }
            reason => reason,
        }
    }

    /// Brings the default back.
    pub(crate) fn reset(&self, settings: &mut ProducerSettings) {
        match self.support {
            Support::ByName { .. } => settings.forget_by_name(self),
            Support::JavaOnly { .. } | Support::NotYet { .. } => {}
            Support::Supported { reset, .. } => reset(settings),
        }
    }

    /// Checks that the crate is built with what the key is about. Values say for themselves if only some of them need a feature.
    pub(crate) fn check_feature(&self) -> Result<(), ConfigReason> {
        if self.name.starts_with("sasl.") && !cfg!(feature = "sasl") {
            return Err(ConfigReason::needs_feature("sasl"));
        }
        if self.name.starts_with("sasl.kerberos.") && !cfg!(feature = "gssapi") {
            return Err(ConfigReason::needs_feature("gssapi"));
        }
        Ok(())
    }

    /// Returns what is wrong with a value that must not be quoted.
    pub(crate) fn without_value(&self, reason: ConfigReason) -> ConfigReason {
        match (reason, self.kind.range()) {
            (ConfigReason::Invalid(_), range) if range == "any" => {
                ConfigReason::Invalid("what it stands for is no value of this key".to_owned())
            }
            (ConfigReason::Invalid(_), range) => {
                ConfigReason::Invalid(format!("what it stands for must be {range}"))
            }
            (reason, _) => reason,
        }
    }

    /// Prints the value in force as Kafka writes it.
    pub(crate) fn print(&self, settings: &ProducerSettings) -> Option<String> {
        match self.support {
            Support::ByName { .. } => settings.kept_by_name(self),
            Support::JavaOnly { in_force, .. } | Support::NotYet { in_force, .. } => {
                in_force.map(str::to_owned)
            }
            Support::Supported { print, .. } => {
                Some(print(settings)).filter(|text| !(self.default.is_none() && text.is_empty()))
            }
        }
    }
}

/// Every key, those about security last.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    PRODUCER_KEYS.iter().chain(SECURITY_KEYS).chain(TLS_KEYS)
}

pub(crate) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

macro_rules! supported {
    ($setter:ident) => {
        supported!($setter => $setter)
    };
    ($setter:ident => $field:ident $(. $part:ident)?) => {
        Support::Supported {
            setter: stringify!($setter),
            parse: |settings, text, kind| {
                settings.$field$(.$part)? = Property::parse(text, kind)?;
                Ok(())
            },
            print: |settings| settings.$field$(.$part)?.print(),
            reset: |settings| settings.$field$(.$part)? = $crate::config::ProducerSettings::default().$field$(.$part)?,
        }
    };
}

/// For keys without a typed setter: they are set by [`property`](super::ProducerConfig::property).
macro_rules! supported_by_name {
    ($field:ident) => {
        supported!(property => $field)
    };
}

pub(super) use {supported, supported_by_name};

pub(super) const fn by_name(effect: &'static str) -> Support {
    Support::ByName { takes: &[], effect, refusal: "" }
}

const fn java_only(instead: &'static str, in_force: Option<&'static str>) -> Support {
    Support::JavaOnly { instead, in_force }
}

const fn not_yet(what: &'static str, in_force: Option<&'static str>) -> Support {
    Support::NotYet { what, in_force }
}

const ACKS: Kind = Kind::Choice { any_case: false, of: &["all", "-1", "0", "1"] };
const ALLOCATION: Kind = Kind::Choice { any_case: true, of: &["full", "incremental"] };
const CODECS: Kind = Kind::Choice { any_case: false, of: &["none", "gzip", "snappy", "lz4", "zstd"] };
const DNS_LOOKUP: Kind =
    Kind::Choice { any_case: false, of: &["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"] };
const RECORDING: Kind = Kind::Choice { any_case: false, of: &["INFO", "DEBUG", "TRACE"] };
const RECOVERY: Kind = Kind::Choice { any_case: true, of: &["rebootstrap", "none"] };

const INT: Kind = Kind::at_least(0, Int);
const LONG: Kind = Kind::at_least(0, Long);
/// For socket buffers, where -1 leaves the size to the operating system.
const BUFFER: Kind = Kind::at_least(-1, Int);

const INTERCEPTORS: &str = "Java classes cannot be loaded, use the builder's `interceptor`";
const SERIALIZER: &str = "the builder's serializer decides; a class of Kafka's that writes other bytes is refused when the producer is built";
const METRICS: &str = "changes nothing: metrics are counters here, not samples";
const TWO_PHASE: &str = "Kafka's own producers have no calls for two-phase commit, must be false or unset";

/// In alphabetical order. Kafka has no lower bound for the two connection setup timeouts: 0 is ours, since a
/// negative time means nothing.
#[rustfmt::skip]
static PRODUCER_KEYS: [Key; 52] = [
    Key::new("acks", ACKS, Some("all"), supported!(acks)),
    Key::new("batch.size", INT, Some("16384"), supported!(batch_size)),
    Key::new("bootstrap.resolve.timeout.ms", LONG, Some("0"), supported!(bootstrap_resolve_timeout)),
    Key::new("bootstrap.servers", Kind::List, None, supported!(bootstrap_servers => bootstrap)),
    Key::new("buffer.memory", LONG, Some("33554432"), supported!(buffer_memory)),
    Key::new("buffer.memory.allocation.strategy", ALLOCATION, Some("full"), by_name("changes nothing: batches take memory as they grow in any case")),
    Key::new("client.dns.lookup", DNS_LOOKUP, Some("use_all_dns_ips"), by_name("with `resolve_canonical_bootstrap_servers_only` each address of `bootstrap.servers` is connected to by the name that its domain has for it")),
    Key::new("client.id", Kind::Text, Some(""), supported!(client_id)),
    Key::new("client.rack", Kind::Text, Some(""), supported!(client_rack)),
    Key::new("compression.gzip.level", Kind::within(-1, 9, Int), Some("-1"), supported!(compression_gzip_level)),
    Key::new("compression.lz4.level", Kind::within(1, 17, Int), Some("9"), not_yet("other levels of lz4 are", Some("9"))),
    Key::new("compression.type", CODECS, Some("none"), supported!(compression)),
    Key::new("compression.zstd.level", Kind::within(-131_072, 22, Int), Some("3"), supported!(compression_zstd_level)),
    Key::new("config.providers", Kind::List, Some(""), by_name("names where values may come from, see above")),
    Key::new("connections.max.idle.ms", Kind::any(Long), Some("540000"), supported!(connections_max_idle)),
    Key::new("delivery.timeout.ms", INT, Some("120000"), supported!(delivery_timeout)),
    Key::new("enable.idempotence", Kind::Boolean, Some("true"), supported!(enable_idempotence)),
    Key::new("enable.metrics.push", Kind::Boolean, Some("true"), supported!(enable_metrics_push)),
    Key::new("interceptor.classes", Kind::List, Some(""), java_only(INTERCEPTORS, Some(""))),
    Key::new("key.serializer", Kind::Class, None, by_name(SERIALIZER)),
    Key::new("linger.ms", LONG, Some("5"), supported!(linger)),
    Key::new("max.block.ms", LONG, Some("60000"), supported!(max_block)),
    Key::new("max.in.flight.requests.per.connection", Kind::at_least(1, Int), Some("5"), supported!(max_in_flight_requests_per_connection)),
    Key::new("max.request.size", INT, Some("1048576"), supported!(max_request_size)),
    Key::new("metadata.cluster.check.enable", Kind::Boolean, Some("true"), supported!(metadata_cluster_check)),
    Key::new("metadata.max.age.ms", LONG, Some("300000"), supported!(metadata_max_age)),
    Key::new("metadata.max.idle.ms", Kind::at_least(5000, Long), Some("300000"), supported!(metadata_max_idle)),
    Key::new("metadata.recovery.rebootstrap.trigger.ms", LONG, Some("300000"), supported!(metadata_recovery_rebootstrap_trigger)),
    Key::new("metadata.recovery.strategy", RECOVERY, Some("rebootstrap"), supported!(metadata_recovery_strategy)),
    Key::new("metric.reporters", Kind::List, Some("org.apache.kafka.common.metrics.JmxReporter"), java_only("Java classes cannot be loaded, must be empty or unset", Some(""))),
    Key::new("metrics.num.samples", Kind::at_least(1, Int), Some("2"), by_name(METRICS)),
    Key::new("metrics.recording.level", RECORDING, Some("INFO"), by_name(METRICS)),
    Key::new("metrics.sample.window.ms", LONG, Some("30000"), by_name(METRICS)),
    Key::new("partitioner.adaptive.partitioning.enable", Kind::Boolean, Some("true"), supported!(partitioner_adaptive_partitioning)),
    Key::new("partitioner.availability.timeout.ms", LONG, Some("0"), supported!(partitioner_availability_timeout)),
    Key::new("partitioner.class", Kind::Class, None, supported!(partitioner_class)),
    Key::new("partitioner.ignore.keys", Kind::Boolean, Some("false"), supported!(partitioner_ignore_keys)),
    Key::new("partitioner.rack.aware", Kind::Boolean, Some("false"), supported!(partitioner_rack_aware)),
    Key::new("receive.buffer.bytes", BUFFER, Some("32768"), supported!(receive_buffer)),
    Key::new("reconnect.backoff.max.ms", LONG, Some("1000"), supported!(reconnect_backoff_max)),
    Key::new("reconnect.backoff.ms", LONG, Some("50"), supported!(reconnect_backoff)),
    Key::new("request.timeout.ms", INT, Some("30000"), supported!(request_timeout)),
    Key::new("retries", INT, Some("2147483647"), supported!(retries)),
    Key::new("retry.backoff.max.ms", LONG, Some("1000"), supported!(retry_backoff_max)),
    Key::new("retry.backoff.ms", LONG, Some("100"), supported!(retry_backoff)),
    Key::new("send.buffer.bytes", BUFFER, Some("131072"), supported!(send_buffer)),
    Key::new("socket.connection.setup.timeout.max.ms", LONG, Some("30000"), supported!(socket_connection_setup_timeout_max)),
    Key::new("socket.connection.setup.timeout.ms", LONG, Some("10000"), supported!(socket_connection_setup_timeout)),
    Key::new("transaction.timeout.ms", Kind::any(Int), Some("60000"), supported!(transaction_timeout)),
    Key::new("transaction.two.phase.commit.enable", Kind::Boolean, Some("false"), java_only(TWO_PHASE, Some("false"))),
    Key::new("transactional.id", Kind::Text, None, supported!(transactional_id)),
    Key::new("value.serializer", Kind::Class, None, by_name(SERIALIZER)),
];
