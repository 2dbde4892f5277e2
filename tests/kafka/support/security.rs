//! What brokers are told about their listeners: who may come in, and how clients prove who they are.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::issuer::AUDIENCE;
use super::issuer::ISSUER;
use super::listener::Listener;
use super::listener::SHORT_SESSION_MS;
use super::version::Version;

/// The user that every broker with SASL knows, for each of the mechanisms.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "alice-hunter2";

/// Certificates and keys in PEM files, made by the script there.
pub(crate) const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../mock/certs");
pub(crate) const STORE_PASSWORD: &str = "store-hunter2";

/// A client's certificate and its key in one file of a cluster's directory.
pub(crate) const CLIENT_KEYSTORE: &str = "client.pem";

/// Brokers demand at least 4,096 iterations. Those of the two mechanisms differ, so that one cannot be taken for the other.
const SCRAM: [(&str, u32); 2] = [("SCRAM-SHA-256", 4_096), ("SCRAM-SHA-512", 8_192)];

const PLAIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM_MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

const KERBEROS_MODULE: &str = "com.sun.security.auth.module.Krb5LoginModule";

const TOKEN_MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
const TOKEN_VALIDATOR: &str =
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler";

/// The listeners of a cluster beside the plain one.
#[derive(Debug, Default)]
pub(crate) struct Security {
    pub(crate) listeners: Vec<Listener>,
    /// Where brokers get the key of the issuer of tokens; without, they believe what tokens say.
    pub(crate) jwks_url: Option<String>,
    pub(crate) kerberos: Option<Kerberos>,
}

/// Who brokers are for Kerberos.
#[derive(Debug, Clone)]
pub(crate) struct Kerberos {
    pub(crate) principal: String,
    pub(crate) keytab: PathBuf,
    pub(crate) krb5_conf: PathBuf,
}

impl Security {
    fn has_sasl(&self) -> bool {
        self.listeners.iter().any(|listener| listener.has_sasl())
    }

    /// Whether brokers of a version with such listeners check who has signed a token.
    pub(crate) fn wants_issuer(&self, version: Version) -> bool {
        self.has_sasl() && version.checks_tokens()
    }

    /// The entries of `listener.security.protocol.map` for these listeners, each behind a comma.
    pub(crate) fn protocols(&self) -> String {
        let entry = |listener: &Listener| format!(",{}:{}", listener.name(), listener.protocol());
        self.listeners.iter().map(entry).collect()
    }

    /// The arguments of the class `KeyStores` for the stores that the properties name, if there are any.
    pub(crate) fn store_arguments(&self, directory: &Path) -> Option<Vec<String>> {
        let mut arguments = [STORE_PASSWORD, CERTIFICATES, path(directory), "ca"].map(str::to_owned).to_vec();
        let names: BTreeSet<&str> =
            self.listeners.iter().filter(|one| one.is_encrypted()).map(|one| one.certificate()).collect();
        arguments.extend(names.iter().map(|name| (*name).to_owned()));
        (!names.is_empty()).then_some(arguments)
    }

    /// The properties of every broker.
    pub(crate) fn properties(&self, version: Version, directory: &Path) -> Vec<(String, String)> {
        let mut properties = self.sasl_properties(version);
        for listener in self.listeners.iter().filter(|listener| listener.is_encrypted()) {
            let prefix = listener.prefix();
            for (kind, name) in [("keystore", listener.certificate()), ("truststore", "ca")] {
                let store = directory.join(format!("{name}.p12"));
                properties.push((format!("{prefix}ssl.{kind}.location"), path(&store).to_owned()));
                properties.push((format!("{prefix}ssl.{kind}.password"), STORE_PASSWORD.to_owned()));
                properties.push((format!("{prefix}ssl.{kind}.type"), "PKCS12".to_owned()));
            }
            properties.push((format!("{prefix}ssl.key.password"), STORE_PASSWORD.to_owned()));
            let demanded = if listener.wants_certificate() { "required" } else { "none" };
            properties.push((format!("{prefix}ssl.client.auth"), demanded.to_owned()));
        }
        properties
    }

    fn sasl_properties(&self, version: Version) -> Vec<(String, String)> {
        let mut properties = Vec::new();
        if self.has_sasl() {
            // Kafka 1.0 prepares only for what stands here, whatever single listeners are told.
            let mut all = Listener::SaslPlaintext.mechanisms(version).join(",");
            if let Some(kerberos) = &self.kerberos {
                all += ",GSSAPI";
                properties.push(("sasl.kerberos.service.name".to_owned(), "kafka".to_owned()));
                // Kafka 1.0 cannot ask a present Java for its realm, so it does not know which users are its own.
                let realm = kerberos.principal.rsplit('@').next().expect("a principal of a realm");
                let rule = format!("RULE:[1:$1@$0](.*@{realm})s/@.*//");
                properties.push(("sasl.kerberos.principal.to.local.rules".to_owned(), rule));
            }
            properties.push(("sasl.enabled.mechanisms".to_owned(), all));
            // Those that Kafka 1.0 does not know, it takes in silence.
            for name in ["master", "secret"] {
                properties.push((format!("delegation.token.{name}.key"), "token-hunter2".to_owned()));
            }
        }
        if let Some(url) = &self.jwks_url {
            for (key, value) in [
                ("jwks.endpoint.url", url.as_str()),
                ("expected.audience", AUDIENCE),
                ("expected.issuer", ISSUER),
            ] {
                properties.push((format!("sasl.oauthbearer.{key}"), value.to_owned()));
            }
        }
        for listener in self.listeners.iter().filter(|listener| listener.has_sasl()) {
            let prefix = listener.prefix();
            let mechanisms = listener.mechanisms(version);
            properties.push((format!("{prefix}sasl.enabled.mechanisms"), mechanisms.join(",")));
            // Older brokers read these lines from a file only.
            for mechanism in mechanisms.iter().filter(|_| version != Version::V1_0_2) {
                let key = format!("{prefix}{}.sasl.jaas.config", mechanism.to_lowercase());
                properties.push((key, self.login_module(mechanism)));
            }
            if self.jwks_url.is_some() && mechanisms.contains(&"OAUTHBEARER") {
                let key = format!("{prefix}oauthbearer.sasl.server.callback.handler.class");
                properties.push((key, TOKEN_VALIDATOR.to_owned()));
            }
            if listener.has_short_sessions() {
                properties.push((format!("{prefix}connections.max.reauth.ms"), SHORT_SESSION_MS.to_string()));
            }
        }
        properties
    }

    /// Writes the files that the properties and the options of the JVM name.
    pub(crate) fn write_files(&self, directory: &Path) -> io::Result<()> {
        let mut text = "KafkaServer {\n".to_owned();
        for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
            writeln!(text, "  {}", self.login_module(mechanism)).expect("a String takes all");
        }
        if self.kerberos.is_some() {
            writeln!(text, "  {}", self.login_module("GSSAPI")).expect("a String takes all");
        }
        text.push_str("};\n");
        std::fs::write(directory.join("jaas.conf"), text)?;
        let parts = ["client.pem", "client.key"].map(|name| Path::new(CERTIFICATES).join(name));
        let [certificate, key] = parts.map(std::fs::read_to_string);
        std::fs::write(directory.join(CLIENT_KEYSTORE), certificate? + &key?)
    }

    /// Options of the brokers' JVM.
    pub(crate) fn java_options(&self, version: Version, directory: &Path) -> Vec<String> {
        let mut options = Vec::new();
        if self.has_sasl() && version == Version::V1_0_2 {
            options
                .push(format!("-Djava.security.auth.login.config={}", directory.join("jaas.conf").display()));
        }
        if let Some(kerberos) = &self.kerberos {
            options.push(format!("-Djava.security.krb5.conf={}", kerberos.krb5_conf.display()));
        }
        if let Some(url) = &self.jwks_url {
            options.push(format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={url}"));
        }
        options
    }

    /// Arguments for `StorageTool format` that make the users of SCRAM.
    pub(crate) fn format_arguments(&self) -> Vec<String> {
        if !self.has_sasl() {
            return Vec::new();
        }
        let user = |(mechanism, iterations)| {
            let credential = format!("[name={USER},iterations={iterations},password={PASSWORD}]");
            ["--add-scram".to_owned(), format!("{mechanism}={credential}")]
        };
        SCRAM.into_iter().flat_map(user).collect()
    }

    /// Arguments for `ConfigCommand` that make the users of SCRAM, if there are any.
    pub(crate) fn config_arguments(&self, zookeeper_port: u16) -> Option<Vec<String>> {
        let credential =
            |(mechanism, iterations)| format!("{mechanism}=[iterations={iterations},password={PASSWORD}]");
        let credentials: Vec<String> = SCRAM.into_iter().map(credential).collect();
        let zookeeper = format!("127.0.0.1:{zookeeper_port}");
        let arguments = ["--zookeeper", &zookeeper, "--alter", "--entity-type", "users", "--entity-name"];
        let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        arguments.extend([USER.to_owned(), "--add-config".to_owned(), credentials.join(",")]);
        self.has_sasl().then_some(arguments)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

impl Security {
    /// The broker's line for a mechanism.
    fn login_module(&self, mechanism: &str) -> String {
        match mechanism {
            "GSSAPI" => {
                let Some(Kerberos { principal, keytab, .. }) = &self.kerberos else { panic!("no KDC") };
                format!(
                    "{KERBEROS_MODULE} required useKeyTab=true storeKey=true keyTab=\"{}\" principal=\"{principal}\";",
                    path(keytab)
                )
            }
            "OAUTHBEARER" => format!("{TOKEN_MODULE} required;"),
            "PLAIN" => format!("{PLAIN_MODULE} required user_{USER}=\"{PASSWORD}\";"),
            _ => format!("{SCRAM_MODULE} required;"),
        }
    }
}
