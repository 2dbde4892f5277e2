//! How the producer gets tickets of Kerberos: the options of Java's login module, and the keys that begin with `sasl.kerberos.`.

use std::path::PathBuf;
use std::time::Duration;

use super::sasl::Login;
use super::settings::ProducerSettings;
use super::{ConfigProblem, ConfigReason};

/// What a line for `Krb5LoginModule` or the typed setter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KerberosLogin {
    pub(crate) origin: TicketOrigin,
    /// In place of `sasl.kerberos.service.name`.
    pub(crate) service_name: Option<String>,
}

/// Where tickets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TicketOrigin {
    /// Something else puts them there, and maybe renews them.
    Cache {
        /// `None`: that of the process.
        cache: Option<String>,
        /// `None`: whose they are.
        principal: Option<String>,
    },
    /// A file with the key of the principal, by which the producer gets them.
    Keytab {
        principal: String,
        /// `None`: that of the machine.
        keytab: Option<PathBuf>,
    },
}

/// All that GSSAPI needs to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kerberos {
    pub(crate) origin: TicketOrigin,
    /// Who brokers are: the first part of their principals.
    pub(crate) service: String,
    /// The program that gets tickets.
    pub(crate) kinit: PathBuf,
    /// The part of a ticket's lifetime after which the next one is got, and the most that is added to that at random.
    pub(crate) window_factor: f64,
    pub(crate) window_jitter: f64,
    /// The least time between two logins.
    pub(crate) min_period: Duration,
}

impl KerberosLogin {
    /// Reads the options of the login module. `get` returns the value of an option, if it is set.
    pub(super) fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, ConfigReason> {
        let text = |name: &str| get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        let is_true = |name: &str| get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        for (name, reason) in REFUSED {
            if is_true(name) {
                return Err(invalid(&format!("{name} must be false: {reason}")));
            }
        }
        if get("isInitiator").is_some() && !is_true("isInitiator") {
            return Err(invalid("isInitiator must be true: a producer asks for tickets"));
        }
        if get("useKeytab").is_some() || get("credsType").is_some() {
            let reason = "has options of IBM's module; set useKeyTab=\"true\", keyTab and principal, or useTicketCache=\"true\"";
            return Err(invalid(reason));
        }
        // As Java's module refuses them.
        for (name, needed) in
            [("keyTab", "useKeyTab"), ("ticketCache", "useTicketCache"), ("renewTGT", "useTicketCache")]
        {
            let is_set = if name == "renewTGT" { is_true(name) } else { text(name).is_some() };
            if is_set && !is_true(needed) {
                return Err(invalid(&format!("{name} needs {needed}=\"true\"")));
            }
        }
        let principal = text("principal");
        let origin = match (is_true("useKeyTab"), is_true("useTicketCache")) {
            (true, _) => {
                let keytab = text("keyTab").map(|path| PathBuf::from(without_type(&path)));
                let principal = principal.ok_or_else(|| invalid("has no option principal for useKeyTab"))?;
                TicketOrigin::Keytab { principal, keytab }
            }
            (false, true) => TicketOrigin::Cache { cache: text("ticketCache"), principal },
            (false, false) => {
                return Err(invalid(
                    "must say where tickets come from: useKeyTab=\"true\" with keyTab and principal, or useTicketCache=\"true\"",
                ));
            }
        };
        Ok(Self { origin, service_name: text("serviceName") })
    }
}

/// Whether an option of the login module means something here. Of others not even the name is told.
pub(super) fn has_option(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "credsType",
        "isInitiator",
        "keyTab",
        "principal",
        "renewTGT",
        "serviceName",
        "ticketCache",
        "useKeyTab",
        "useKeytab",
        "useTicketCache",
    ];
    NAMES.contains(&name) || REFUSED.iter().any(|(refused, _)| *refused == name)
}

/// The type in front of the path of a keytab is the only one that there is.
fn without_type(path: &str) -> &str {
    path.strip_prefix("FILE:").unwrap_or(path)
}

/// Options that cannot be true. Those for debugging and for prompts change nothing (`debug`, `doNotPrompt`, `storeKey`, `storePass`,
/// `clearPass`), nor does `refreshKrb5Config`: the library reads `krb5.conf` for each context.
const REFUSED: [(&str, &str); 2] = [
    ("tryFirstPass", "there is no other login module that has a password"),
    ("useFirstPass", "there is no other login module that has a password"),
];

impl ProducerSettings {
    /// Returns what GSSAPI needs to know, if `sasl.jaas.config` is about that.
    pub(super) fn kerberos(&self) -> Result<Option<Kerberos>, ConfigProblem> {
        let Some(Login::Kerberos(login)) = &self.sasl_jaas_config.0 else { return Ok(None) };
        let number = |key, default: f64| {
            self.text(key)
                .and_then(|text| text.trim().parse().ok())
                .filter(|value: &f64| value.is_finite())
                .unwrap_or(default)
        };
        let min_period =
            self.text(MIN_PERIOD).and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(60_000);
        Ok(Some(Kerberos {
            origin: login.origin.clone(),
            service: self.kerberos_service(login)?,
            kinit: self.kinit()?,
            window_factor: number("sasl.kerberos.ticket.renew.window.factor", 0.8).clamp(0.0, 1.0),
            window_jitter: number("sasl.kerberos.ticket.renew.jitter", 0.05).clamp(0.0, 1.0),
            min_period: Duration::from_millis(u64::try_from(min_period).unwrap_or(0)),
        }))
    }

    fn kerberos_service(&self, login: &KerberosLogin) -> Result<String, ConfigProblem> {
        let key = self.text(SERVICE).map(str::trim);
        let option = login.service_name.as_deref().map(str::trim);
        if option == Some("") {
            let text = "serviceName must be the first part of the principals of brokers, such as kafka";
            return Err(ConfigProblem::new("sasl.jaas.config", "", invalid(text)));
        }
        let service = match (option, key) {
            (None, None) => return Err(ConfigProblem::new(SERVICE, "", ConfigReason::Missing)),
            (Some(option), Some(key)) if option != key => {
                let text = format!("must be serviceName in sasl.jaas.config, which is {option:?}");
                return Err(ConfigProblem::new(SERVICE, key, ConfigReason::Conflict(text)));
            }
            (Some(name), _) | (None, Some(name)) => name,
        };
        if service.contains(['/', '@']) {
            let text =
                "must be the first part of the principals of brokers, such as kafka of kafka/broker@REALM";
            return Err(ConfigProblem::new(SERVICE, service, invalid(text)));
        }
        Ok(service.to_owned())
    }

    fn kinit(&self) -> Result<PathBuf, ConfigProblem> {
        let kinit = self.text(KINIT).unwrap_or("/usr/bin/kinit");
        if kinit.contains("%{") {
            let text = "must be the path of a program as in Java; it is called with -k, -t, and a principal";
            return Err(ConfigProblem::new(KINIT, kinit, invalid(text)));
        }
        Ok(PathBuf::from(kinit))
    }
}

fn invalid(text: &str) -> ConfigReason {
    ConfigReason::Invalid(text.to_owned())
}

const KINIT: &str = "sasl.kerberos.kinit.cmd";
const MIN_PERIOD: &str = "sasl.kerberos.min.time.before.relogin";
pub(super) const SERVICE: &str = "sasl.kerberos.service.name";

#[cfg(all(test, feature = "gssapi"))]
mod tests;
