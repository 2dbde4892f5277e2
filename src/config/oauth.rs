//! Where access tokens for OAUTHBEARER come from: what the options of `OAuthBearerLoginModule` and other properties say together.

use std::path::PathBuf;

use super::sasl::Login;
use super::{Authentication, ConfigProblem, ConfigReason, ProducerSettings};
use crate::json::Json;
use crate::secret::{HIDDEN, Secret};
use crate::token::{SharedProvider, check_extension};

mod endpoint;

pub(super) use self::endpoint::{
    ABOUT_THE_GRANT, ALGORITHM, ASSERTION_FILE, CLAIM_ISS, CLIENT_ID, CLIENT_SECRET, KEY_FILE, PASSPHRASE,
    RETRIEVER, SCOPE, URL, URLENCODE,
};
pub(crate) use self::endpoint::{Assertion, ClientProof, Grant, SignedAssertion, TokenEndpoint};

/// The options of a login module as they stand, those that mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthOptions(Vec<(String, Secret)>);

impl OAuthOptions {
    /// Takes options. Of one that comes twice the last value counts.
    pub(super) fn new(options: impl Iterator<Item = (String, Secret)>) -> Result<Self, ConfigReason> {
        let mut kept = Self(Vec::new());
        for (name, value) in options {
            kept.0.retain(|(known, _)| *known != name);
            kept.0.push((name, value));
        }
        if kept.is_unsecured() {
            kept.unsecured()?;
        }
        Ok(kept)
    }

    /// Takes options of the typed way, which are checked with all else.
    pub(super) fn of(options: Vec<(String, Secret)>) -> Self {
        Self(options)
    }

    /// Returns the value of an option that is not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let option = self.0.iter().rev().find(|(known, _)| known == name);
        option.map(|(_, value)| value.expose()).filter(|value| !value.trim().is_empty())
    }

    /// Returns the options whose names begin like this, by the rest of their names.
    fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| {
            let rest = name.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
            Some((rest, value.expose()))
        })
    }

    fn is_unsecured(&self) -> bool {
        self.0.iter().any(|(name, _)| name.starts_with(UNSECURED))
    }

    /// Reads what Java's handler for unsecured tokens reads.
    fn unsecured(&self) -> Result<UnsecuredLogin, ConfigReason> {
        let lifetime = self.get("unsecuredLoginLifetimeSeconds").unwrap_or("3600").trim();
        let lifetime_s = lifetime.parse().ok().filter(|seconds| *seconds >= 0);
        let lifetime_s =
            lifetime_s.ok_or_else(|| invalid("unsecuredLoginLifetimeSeconds must be a whole number"))?;
        let mut claims = Vec::new();
        for (name, value) in self.with_prefix("unsecuredLoginStringClaim_") {
            claims.push((name.to_owned(), Json::String(value.to_owned())));
        }
        for (name, value) in self.with_prefix("unsecuredLoginNumberClaim_") {
            let number = Json::parse(value).ok().filter(|value| matches!(value, Json::Number(_)));
            let number = number
                .ok_or_else(|| invalid(&format!("unsecuredLoginNumberClaim_{name} must be a number")))?;
            claims.push((name.to_owned(), number));
        }
        for (name, value) in self.with_prefix("unsecuredLoginListClaim_") {
            claims.push((name.to_owned(), Json::Array(list(value))));
        }
        if let Some((name, _)) = claims.iter().find(|(name, _)| name == "iat" || name == "exp") {
            return Err(invalid(&format!("the claim {name} of unsecured tokens cannot be set")));
        }
        let principal = self.get("unsecuredLoginPrincipalClaimName").unwrap_or("sub").trim();
        let is_text = |value: &Json| matches!(value, Json::String(text) if !text.is_empty());
        if !claims.iter().any(|(name, value)| name == principal && is_text(value)) {
            let text =
                format!("has no option unsecuredLoginStringClaim_{principal} for the name of the user");
            return Err(invalid(&text));
        }
        let extensions = self.extensions("unsecuredLoginExtension_")?;
        Ok(UnsecuredLogin { lifetime_s, claims, extensions })
    }

    fn extensions(&self, prefix: &str) -> Result<Vec<(String, String)>, ConfigReason> {
        let mut extensions = Vec::new();
        for (name, value) in self.with_prefix(prefix) {
            check_extension(name, value).map_err(|fault| invalid(&fault))?;
            extensions.push((name.to_owned(), value.to_owned()));
        }
        Ok(extensions)
    }
}

/// Whether an option of the login module means something here. Of others not even the name is told.
pub(super) fn has_option(name: &str) -> bool {
    const NAMES: [&str; 3] = ["clientId", "clientSecret", "scope"];
    name.starts_with(UNSECURED)
        || name.starts_with(EXTENSION)
        || NAMES.contains(&name)
        || endpoint::tls_key(name).is_some()
}

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenOrigin {
    Endpoint(Box<TokenEndpoint>),
    /// A file that holds one, with what brokers are told beside it.
    File(PathBuf, Vec<(String, String)>),
    Provider(SharedProvider),
    Unsecured(UnsecuredLogin),
}

/// What is in tokens that prove nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsecuredLogin {
    pub(crate) lifetime_s: i64,
    /// In the order in which they are written.
    pub(crate) claims: Vec<(String, Json)>,
    pub(crate) extensions: Vec<(String, String)>,
}

impl ProducerSettings {
    /// Returns where tokens come from.
    pub(super) fn token_origin(&self) -> Result<TokenOrigin, ConfigProblem> {
        let problem = |reason| ConfigProblem::new("sasl.jaas.config", HIDDEN, reason);
        let none = OAuthOptions(Vec::new());
        let options = match &self.sasl_jaas_config.0 {
            Some(Login::Provider(provider)) => return Ok(TokenOrigin::Provider(provider.clone())),
            Some(Login::OAuth(options)) => options,
            _ => &none,
        };
        match self.text(URL) {
            Some(url) => endpoint::origin(self, options, url),
            None if options.is_unsecured() => {
                options.unsecured().map(TokenOrigin::Unsecured).map_err(problem)
            }
            None => Err(ConfigProblem::new(URL, "", ConfigReason::Missing)),
        }
    }
}

impl ProducerSettings {
    /// Says that what a token endpoint is told, and what it answers, can be read on the way, if that is so.
    pub(super) fn clear_endpoint(&self) -> Option<String> {
        let Ok(Some(Authentication::Token(TokenOrigin::Endpoint(endpoint)))) = self.authentication() else {
            return None;
        };
        let url = &endpoint.url;
        (!url.is_encrypted() && !url.is_loopback()).then(|| {
            format!(
                "{} is {url}: everyone on the way there can read how the producer shows who it is, and the access token; use https",
                URL
            )
        })
    }
}

/// Reads a list as Java does: its first character separates the items.
fn list(value: &str) -> Vec<Json> {
    let mut chars = value.chars();
    match chars.next() {
        Some(separator) if !chars.as_str().is_empty() => {
            chars.as_str().split(separator).map(|item| Json::String(item.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

fn invalid(text: &str) -> ConfigReason {
    ConfigReason::Invalid(text.to_owned())
}

const UNSECURED: &str = "unsecuredLogin";
pub(super) const EXTENSION: &str = "extension_";

#[cfg(test)]
mod tests;
