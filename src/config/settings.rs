//! The values that the rest of the crate works with.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Acks;
use super::Compression;
use super::GzipLevel;
use super::HostPort;
use super::MetadataRecoveryStrategy;
use super::PartitionerClass;
use super::SecurityProtocol;
use super::Share;
use super::kerberos::Kerberos;
use super::keys::{self, Key};
use super::oauth::TokenOrigin;
use super::sasl::{Credentials, JaasConfig, Login, Mechanism};
use super::tls::TlsSettings;
use super::{ConfigProblem, ConfigReason};
use crate::aws_credentials::AwsOrigin;
use crate::secret::Secret;

/// The value of every supported property. What [`ProducerConfig::settle`](super::ProducerConfig::settle) returns
/// has passed every check; each field says what that means for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProducerSettings {
    pub(crate) acks: Acks,
    /// At least 1, at most `buffer_memory`.
    pub(crate) batch_size: usize,
    /// Zero: no limit.
    pub(crate) bootstrap_resolve_timeout: Duration,
    /// Not empty, no address twice.
    pub(crate) bootstrap: Vec<HostPort>,
    pub(crate) buffer_memory: usize,
    /// At most 32767 bytes; empty only if the caller wants it so.
    pub(crate) client_id: String,
    /// Empty if there is none.
    pub(crate) client_rack: String,
    /// One that the crate is built with.
    pub(crate) compression: Compression,
    pub(crate) compression_gzip_level: GzipLevel,
    /// -131072 to 22.
    pub(crate) compression_zstd_level: i32,
    /// `None`: connections are never closed for being idle.
    pub(crate) connections_max_idle: Option<Duration>,
    /// At least `linger` + `request_timeout`, unless that is more than 2147483647 ms.
    pub(crate) delivery_timeout: Duration,
    /// False with `acks` other than all.
    pub(crate) enable_idempotence: bool,
    /// Means nothing without the feature `telemetry`.
    pub(crate) enable_metrics_push: bool,
    /// At most 2147483647 ms. May be finer than a millisecond.
    pub(crate) linger: Duration,
    /// True unless `linger.ms` was set: it does not hold up batches whose records are all awaited.
    pub(crate) linger_spares_awaited: bool,
    pub(crate) max_block: Duration,
    /// At least 1.
    pub(crate) max_in_flight_requests_per_connection: usize,
    pub(crate) max_request_size: usize,
    pub(crate) metadata_cluster_check: bool,
    pub(crate) metadata_max_age: Duration,
    /// At least 5 s.
    pub(crate) metadata_max_idle: Duration,
    pub(crate) metadata_recovery_rebootstrap_trigger: Duration,
    pub(crate) metadata_recovery_strategy: MetadataRecoveryStrategy,
    pub(crate) partitioner_adaptive_partitioning: bool,
    /// Zero: brokers are never passed over for being slow.
    pub(crate) partitioner_availability_timeout: Duration,
    pub(crate) partitioner_class: PartitionerClass,
    pub(crate) partitioner_ignore_keys: bool,
    /// Only with a `client_rack`.
    pub(crate) partitioner_rack_aware: bool,
    /// `None` leaves it to the operating system.
    pub(crate) receive_buffer: Option<usize>,
    /// At most `reconnect_backoff_max`. Equal to it: the backoff is a constant, without jitter.
    pub(crate) reconnect_backoff: Duration,
    pub(crate) reconnect_backoff_max: Duration,
    pub(crate) request_timeout: Duration,
    /// At most 2147483647, which means that only `delivery_timeout` ends the retries.
    pub(crate) retries: u32,
    /// At most `retry_backoff_max`. Equal to it: the backoff is a constant, without jitter.
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
    pub(crate) sasl_assertion_passphrase: Secret,
    pub(crate) sasl_client_secret: Secret,
    pub(crate) sasl_jaas_config: JaasConfig,
    /// In seconds, as Kafka has it.
    pub(crate) sasl_login_refresh_buffer_s: u32,
    /// In seconds, as Kafka has it.
    pub(crate) sasl_login_refresh_min_period_s: u32,
    /// 0.5 to 1.
    pub(crate) sasl_login_refresh_window_factor: Share,
    /// 0 to 0.25.
    pub(crate) sasl_login_refresh_window_jitter: Share,
    /// At most `sasl_login_retry_backoff_max`. Equal to it: the backoff is a constant, without jitter.
    pub(crate) sasl_login_retry_backoff: Duration,
    pub(crate) sasl_login_retry_backoff_max: Duration,
    /// One that exists here, if brokers are to be told who the producer is.
    pub(crate) sasl_mechanism: String,
    pub(crate) security_protocol: SecurityProtocol,
    /// `None` leaves it to the operating system.
    pub(crate) send_buffer: Option<usize>,
    /// At most `socket_connection_setup_timeout_max`. Equal to it: the timeout is a constant, without jitter.
    pub(crate) socket_connection_setup_timeout: Duration,
    pub(crate) socket_connection_setup_timeout_max: Duration,
    pub(crate) tls: TlsSettings,
    pub(crate) transaction_timeout: Duration,
    /// Empty: the producer is not transactional.
    pub(crate) transactional_id: String,
    /// The values of keys that can be set by name only, where they differ from the default.
    by_name: BTreeMap<&'static str, String>,
}

impl ProducerSettings {
    /// Returns the value for one of Kafka's keys, as Kafka writes it.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        keys::find(key)?.print(self)
    }

    pub(super) fn keep_by_name(&mut self, key: &Key, value: &str) {
        if key.default.is_some_and(|default| key.kind.same(default, value)) {
            self.by_name.remove(key.name);
        } else {
            self.by_name.insert(key.name, value.to_owned());
        }
    }

    pub(super) fn forget_by_name(&mut self, key: &Key) {
        self.by_name.remove(key.name);
    }

    /// Returns the value of a key without a field, if it is set and not blank.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.by_name.get(key).map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    /// Whether brokers are known by the names of the addresses in `bootstrap.servers`, not by what stands there.
    pub(crate) fn wants_canonical_names(&self) -> bool {
        self.text("client.dns.lookup") == Some("resolve_canonical_bootstrap_servers_only")
    }

    pub(super) fn kept_by_name(&self, key: &Key) -> Option<String> {
        self.by_name.get(key.name).cloned().or_else(|| key.default.map(str::to_owned))
    }

    /// Returns how the producer tells brokers who it is. `None` only if it has not to.
    ///
    /// # Errors
    ///
    /// The configuration does not say it. Validation refuses that before.
    pub(crate) fn authentication(&self) -> Result<Option<Authentication>, ConfigProblem> {
        if !self.security_protocol.uses_sasl() {
            return Ok(None);
        }
        let incomplete = || ConfigProblem::new("sasl.jaas.config", "", ConfigReason::Missing);
        let mechanism = Mechanism::find(&self.sasl_mechanism).ok_or_else(|| {
            ConfigProblem::new(
                "sasl.mechanism",
                &self.sasl_mechanism,
                ConfigReason::Invalid("is not known".to_owned()),
            )
        })?;
        Ok(Some(match (mechanism, self.sasl_jaas_config.0.clone()) {
            (Mechanism::AwsMskIam, Some(Login::Aws(origin))) => Authentication::Aws(origin),
            (Mechanism::Gssapi, _) => Authentication::Kerberos(self.kerberos()?.ok_or_else(incomplete)?),
            (Mechanism::OAuthBearer, _) => Authentication::Token(self.token_origin()?),
            (mechanism, Some(Login::Password(credentials))) => {
                Authentication::Password(mechanism, credentials)
            }
            _ => return Err(incomplete()),
        }))
    }

    /// Returns the level for the codec in force; 0 if it has none.
    pub(crate) fn compression_level(&self) -> i32 {
        match self.compression {
            Compression::Gzip => self.compression_gzip_level.0,
            Compression::Zstd => self.compression_zstd_level,
            Compression::Lz4 | Compression::None | Compression::Snappy => 0,
        }
    }
}

/// What the producer tells brokers about itself.
#[derive(Debug)]
pub(crate) enum Authentication {
    /// By AWS_MSK_IAM.
    #[cfg_attr(not(feature = "sasl"), expect(dead_code, reason = "there is no mechanism for it"))]
    Aws(AwsOrigin),
    /// By GSSAPI.
    #[cfg_attr(not(feature = "gssapi"), expect(dead_code, reason = "there is no mechanism for it"))]
    Kerberos(Kerberos),
    Password(Mechanism, Credentials),
    /// By OAUTHBEARER.
    Token(TokenOrigin),
}

/// The defaults of Apache Kafka 4.4.
impl Default for ProducerSettings {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            batch_size: 16_384,
            bootstrap_resolve_timeout: Duration::ZERO,
            bootstrap: Vec::new(),
            buffer_memory: 32 * 1024 * 1024,
            client_id: String::new(),
            client_rack: String::new(),
            compression: Compression::None,
            compression_gzip_level: GzipLevel(-1),
            compression_zstd_level: 3,
            connections_max_idle: Some(Duration::from_secs(540)),
            delivery_timeout: Duration::from_secs(120),
            enable_idempotence: true,
            enable_metrics_push: true,
            linger: Duration::from_millis(5),
            linger_spares_awaited: true,
            max_block: Duration::from_secs(60),
            max_in_flight_requests_per_connection: 5,
            max_request_size: 1024 * 1024,
            metadata_cluster_check: true,
            metadata_max_age: Duration::from_secs(300),
            metadata_max_idle: Duration::from_secs(300),
            metadata_recovery_rebootstrap_trigger: Duration::from_secs(300),
            metadata_recovery_strategy: MetadataRecoveryStrategy::Rebootstrap,
            partitioner_adaptive_partitioning: true,
            partitioner_availability_timeout: Duration::ZERO,
            partitioner_class: PartitionerClass::BuiltIn,
            partitioner_ignore_keys: false,
            partitioner_rack_aware: false,
            receive_buffer: Some(32 * 1024),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            request_timeout: Duration::from_secs(30),
            retries: i32::MAX.unsigned_abs(),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            sasl_assertion_passphrase: Secret::default(),
            sasl_client_secret: Secret::default(),
            sasl_jaas_config: JaasConfig::default(),
            sasl_login_refresh_buffer_s: 300,
            sasl_login_refresh_min_period_s: 60,
            sasl_login_refresh_window_factor: Share(0.8),
            sasl_login_refresh_window_jitter: Share(0.05),
            sasl_login_retry_backoff: Duration::from_millis(100),
            sasl_login_retry_backoff_max: Duration::from_secs(10),
            sasl_mechanism: "GSSAPI".to_owned(),
            security_protocol: SecurityProtocol::Plaintext,
            send_buffer: Some(128 * 1024),
            socket_connection_setup_timeout: Duration::from_secs(10),
            socket_connection_setup_timeout_max: Duration::from_secs(30),
            tls: TlsSettings::default(),
            transaction_timeout: Duration::from_secs(60),
            transactional_id: String::new(),
            by_name: BTreeMap::new(),
        }
    }
}
