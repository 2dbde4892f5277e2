//! Rules between values, applied when a producer is built.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Acks;
use super::ProducerConfig;
use super::ProducerSettings;
use super::keys;
use super::property::Property;
use super::sasl::{Mechanism, NO_GSSAPI, NO_OTHER_MECHANISM};
use super::tls::StoreType;
use super::{ConfigError, ConfigProblem, ConfigReason};

use crate::log;
use crate::secret::Secret;

impl ProducerConfig {
    /// Returns the values in force, or everything that is wrong with them. Logs what it had to change, and gives the
    /// client a name of its own if it has none.
    pub(crate) fn settle(&self) -> Result<ProducerSettings, ConfigError> {
        let filled = self.filled_in();
        filled.check()?;
        filled.warn_of_changes();
        filled.doubtful_security().iter().for_each(|text| log::warn!("{text}"));
        let mut settings = filled.effective();
        if !self.is_explicit("client.id") {
            settings.client_id = match settings.transactional_id.as_str() {
                "" => format!("producer-{}", CLIENTS.fetch_add(1, Ordering::Relaxed).saturating_add(1)),
                id => format!("producer-{id}"),
            };
        }
        Ok(settings)
    }

    /// Applies the rules by which one value changes another.
    pub(super) fn effective(&self) -> ProducerSettings {
        let mut settings = self.settings.clone();
        settings.batch_size = settings.batch_size.max(1);
        settings.linger = settings.linger.min(LONGEST_INT);
        settings.linger_spares_awaited = !self.is_explicit("linger.ms");
        if self.is_explicit("reconnect.backoff.ms") && !self.is_explicit("reconnect.backoff.max.ms") {
            settings.reconnect_backoff_max = settings.reconnect_backoff;
        }
        settings.reconnect_backoff = settings.reconnect_backoff.min(settings.reconnect_backoff_max);
        settings.retry_backoff = settings.retry_backoff.min(settings.retry_backoff_max);
        settings.sasl_login_retry_backoff =
            settings.sasl_login_retry_backoff.min(settings.sasl_login_retry_backoff_max);
        settings.socket_connection_setup_timeout =
            settings.socket_connection_setup_timeout.min(settings.socket_connection_setup_timeout_max);
        settings.enable_idempotence &= settings.acks == Acks::All;
        if !self.is_explicit("delivery.timeout.ms") {
            settings.delivery_timeout = settings.delivery_timeout.max(least_delivery_timeout(&settings));
        }
        settings
    }

    fn warn_of_changes(&self) {
        let effective = self.effective();
        for key in keys::all().filter(|key| key.is_supported() && !QUIET.contains(&key.name)) {
            let (given, in_force) = (key.print(&self.settings), key.print(&effective));
            if given != in_force {
                log::warn!(
                    key = key.name,
                    given = given.unwrap_or_default(),
                    in_force = in_force.unwrap_or_default(),
                    "configuration value changed to agree with the others"
                );
            }
        }
    }

    /// Says what is set for a security that `security.protocol` does not ask for, and that secrets go to a token endpoint in clear.
    /// Java takes such values, too, but a password may go out in clear here though the user has set whom to trust.
    pub(super) fn doubtful_security(&self) -> Vec<String> {
        let ProducerSettings { sasl_jaas_config, security_protocol, tls, .. } = &self.settings;
        let stores = [
            ("ssl.keystore.certificate.chain", tls.keystore_certificate_chain.is_set()),
            ("ssl.keystore.location", tls.keystore_location.is_set()),
            ("ssl.truststore.certificates", tls.truststore_certificates.is_set()),
            ("ssl.truststore.location", tls.truststore_location.is_set()),
        ];
        let mut unused = Vec::new();
        for (key, _) in stores.iter().filter(|(_, is_set)| *is_set && !security_protocol.uses_tls()) {
            unused.push(format!(
                "{key} changes nothing and connections are not encrypted, because security.protocol is {security_protocol}"
            ));
        }
        unused.extend(self.settings.clear_endpoint());
        if sasl_jaas_config.0.is_some() && !security_protocol.uses_sasl() {
            unused.push(format!(
                "sasl.jaas.config changes nothing, because security.protocol is {security_protocol}"
            ));
        }
        unused
    }

    /// Finds the problems that take two values. A value that is wrong by itself is not blamed twice.
    pub(super) fn conflicts(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.settings.bootstrap.is_empty() && self.is_sound("bootstrap.servers") {
            problems.push(ConfigProblem::new("bootstrap.servers", "", ConfigReason::Missing));
        }
        problems.extend(self.batch_larger_than_buffer());
        problems.extend(self.delivery_timeout_too_short());
        problems.extend(self.rack_without_name());
        problems.extend(self.empty_transactional_id());
        problems.extend(self.against_idempotence());
        problems.extend(self.without_credentials());
        problems.extend(self.against_one_store());
        problems.extend(self.push_without_feature());
        problems
    }

    /// Kafka's Java client takes a buffer smaller than one batch, and then no record ever gets memory: each waits
    /// for `max.block.ms` and fails. Refusing it is our own rule.
    fn batch_larger_than_buffer(&self) -> Option<ConfigProblem> {
        let batch = self.settings.batch_size.max(1);
        let buffer = self.settings.buffer_memory;
        if batch <= buffer || !self.is_sound("batch.size") || !self.is_sound("buffer.memory") {
            return None;
        }
        // The user has to hear about a key that the user has set.
        if self.is_explicit("batch.size") {
            let text = format!("must be at most buffer.memory ({buffer})");
            return Some(self.conflict("batch.size", text));
        }
        let text = format!("must be at least batch.size ({batch})");
        Some(self.conflict("buffer.memory", text))
    }

    /// As in Java, where an empty id is refused.
    fn empty_transactional_id(&self) -> Option<ConfigProblem> {
        let is_empty = self.is_explicit("transactional.id") && self.settings.transactional_id.is_empty();
        let is_sound = self.is_sound("transactional.id") && !self.variables.contains_key("transactional.id");
        (is_empty && is_sound)
            .then(|| self.conflict("transactional.id", "must not be empty; leave it unset".to_owned()))
    }

    fn push_without_feature(&self) -> Option<ConfigProblem> {
        let key = "enable.metrics.push";
        let is_asked_for = self.is_explicit(key) && self.settings.enable_metrics_push && self.is_sound(key);
        let reason = ConfigReason::needs_feature("telemetry");
        (is_asked_for && !cfg!(feature = "telemetry")).then(|| ConfigProblem::new(key, "true", reason))
    }

    fn rack_without_name(&self) -> Option<ConfigProblem> {
        let is_missing = self.settings.partitioner_rack_aware && self.settings.client_rack.trim().is_empty();
        let is_unexplained = self.is_sound("client.rack") && !self.variables.contains_key("client.rack");
        (is_missing && is_unexplained)
            .then(|| self.conflict("partitioner.rack.aware", "needs client.rack".to_owned()))
    }

    fn delivery_timeout_too_short(&self) -> Option<ConfigProblem> {
        let settings = self.effective();
        let least = least_delivery_timeout(&settings);
        let sound =
            ["delivery.timeout.ms", "linger.ms", "request.timeout.ms"].iter().all(|key| self.is_sound(key));
        if settings.delivery_timeout >= least || !sound {
            return None;
        }
        let text = format!(
            "must be at least linger.ms + request.timeout.ms ({} + {})",
            settings.linger.print(),
            settings.request_timeout.print()
        );
        Some(self.conflict("delivery.timeout.ms", text))
    }

    /// Finds what cannot be had together with idempotence. Brokers remember the last five batches of a producer.
    ///
    /// Java switches idempotence off where it was not asked for, and says so in its log. Here only `acks` does that,
    /// for a user who sets it gives up safety knowingly; the others take an explicit "no".
    fn against_idempotence(&self) -> Vec<ConfigProblem> {
        let ProducerSettings {
            acks,
            enable_idempotence,
            max_in_flight_requests_per_connection: in_flight,
            retries,
            ..
        } = self.settings;
        let is_transactional = !self.settings.transactional_id.is_empty();
        let is_asked_for = self.is_explicit("enable.idempotence") && enable_idempotence;
        let is_in_force = enable_idempotence && (acks == Acks::All || is_asked_for);
        let rules = [
            ("acks", is_asked_for && acks != Acks::All, "must be all with enable.idempotence = true"),
            (
                "acks",
                is_transactional && !is_asked_for && acks != Acks::All,
                "must be all with transactional.id",
            ),
            (
                "enable.idempotence",
                is_transactional && !enable_idempotence,
                "must be true with transactional.id",
            ),
            ("retries", is_in_force && retries == 0, "must be at least 1 unless enable.idempotence is false"),
            (
                "max.in.flight.requests.per.connection",
                enable_idempotence && in_flight > 5,
                "must be 1 to 5 unless enable.idempotence is false",
            ),
        ];
        let broken = rules.into_iter().filter(|(key, is_broken, _)| *is_broken && self.is_sound(key));
        broken.map(|(key, _, text)| self.conflict(key, text.to_owned())).collect()
    }

    /// Finds what is missing to tell brokers who the producer is.
    fn without_credentials(&self) -> Vec<ConfigProblem> {
        let ProducerSettings { sasl_jaas_config, sasl_mechanism, security_protocol, .. } = &self.settings;
        let mut problems = Vec::new();
        if !security_protocol.uses_sasl() {
            return problems;
        }
        let mechanism = Mechanism::find(sasl_mechanism);
        let unavailable = match mechanism {
            None => Some(NO_OTHER_MECHANISM),
            Some(Mechanism::Gssapi) if !cfg!(feature = "gssapi") => Some(NO_GSSAPI),
            Some(_) => None,
        };
        if let Some(text) = unavailable.filter(|_| self.is_sound("sasl.mechanism")) {
            let reason = ConfigReason::NotAvailable(text.to_owned());
            problems.push(ConfigProblem::new("sasl.mechanism", sasl_mechanism, reason));
        }
        if !self.is_sound("sasl.jaas.config") {
            return problems;
        }
        let login = sasl_jaas_config.0.as_ref();
        let mismatch = login.zip(mechanism).and_then(|(login, mechanism)| login.mismatch(mechanism));
        if let Some(text) = mismatch {
            problems.push(self.conflict("sasl.jaas.config", text));
        } else if mechanism == Some(Mechanism::OAuthBearer) {
            // All that it needs may stand in other keys.
            problems.extend(self.settings.token_origin().err());
        } else if mechanism == Some(Mechanism::Gssapi) && login.is_some() {
            problems.extend(self.settings.kerberos().err());
        } else if login.is_none() {
            problems.push(ConfigProblem::new("sasl.jaas.config", "", ConfigReason::Missing));
        }
        problems
    }

    /// Finds what does not go together in `ssl.*`, as Java does.
    fn against_one_store(&self) -> Vec<ConfigProblem> {
        let tls = &self.settings.tls;
        let (chain, key) = (tls.keystore_certificate_chain.is_set(), tls.keystore_key.is_set());
        let (trusted, has_file) = (tls.truststore_certificates.is_set(), tls.truststore_location.is_set());
        let keystore = tls.keystore_location.is_set();
        let is_set = |secret: &Secret| !secret.expose().is_empty();
        let one_is_enough = "must be unset if ssl.keystore.location is set";
        let pem_has_none =
            "must be unset with PEM, which has no password (that of a key is ssl.key.password)";
        let rules = [
            ("ssl.keystore.certificate.chain", chain && keystore, one_is_enough),
            ("ssl.keystore.key", key && keystore, one_is_enough),
            (
                "ssl.keystore.key",
                chain && !key && !keystore,
                "must be set if ssl.keystore.certificate.chain is",
            ),
            (
                "ssl.keystore.certificate.chain",
                key && !chain && !keystore,
                "must be set if ssl.keystore.key is",
            ),
            (
                "ssl.truststore.certificates",
                trusted && has_file,
                "must be unset if ssl.truststore.location is set",
            ),
            (
                "ssl.keystore.password",
                is_set(&tls.keystore_password) && tls.keystore_type == StoreType::Pem,
                pem_has_none,
            ),
            (
                "ssl.truststore.password",
                is_set(&tls.truststore_password) && tls.truststore_type == StoreType::Pem,
                pem_has_none,
            ),
        ];
        let broken = rules.into_iter().filter(|(_, is_broken, _)| *is_broken);
        broken.map(|(key, _, text)| self.conflict(key, text.to_owned())).collect()
    }

    fn conflict(&self, key: &'static str, text: String) -> ConfigProblem {
        let value = keys::find(key).and_then(|key| key.print(&self.settings));
        ConfigProblem::new(key, &value.unwrap_or_default(), ConfigReason::Conflict(text))
    }
}

fn least_delivery_timeout(settings: &ProducerSettings) -> Duration {
    settings.linger.saturating_add(settings.request_timeout).min(LONGEST_INT)
}

/// The longest time that Kafka's type int holds.
const LONGEST_INT: Duration = Duration::from_millis(i32::MAX as u64);

/// How many clients got a name from us, in this process.
static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// Changes that need no warning: `batch.size = 0` asks for what happens, though in other words, and so does
/// `acks = 1`.
const QUIET: [&str; 2] = ["batch.size", "enable.idempotence"];
