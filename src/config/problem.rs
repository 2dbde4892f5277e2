//! What is wrong with a configuration.

use std::fmt;
use std::sync::Arc;

use crate::secret::HIDDEN;

/// A configuration that no producer can be built from, with everything that is wrong with it.
///
/// It displays as one line if there is one problem, else with a line for each.
///
/// It never contains values of secret keys, such as passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Arc<[ConfigProblem]>,
}

impl ConfigError {
    /// Returns `Err` unless `problems` is empty.
    pub(crate) fn unless_none(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems: problems.into() }) }
    }

    /// Returns every problem: first those of single values in the order in which they were set, then those
    /// between values. There is at least one.
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl From<ConfigProblem> for ConfigError {
    fn from(problem: ConfigProblem) -> Self {
        Self { problems: [problem].into() }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid producer configuration:")?;
        if let [problem] = &*self.problems {
            return write!(f, " {problem}");
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The key as it was given; Kafka's key when a typed setter was used.
    pub key: String,
    /// The value as it was given, in Kafka's spelling; `[hidden]` when it is secret.
    pub value: String,
    /// What is wrong with it.
    pub reason: ConfigReason,
}

impl ConfigProblem {
    /// Describes a problem; the value is left out if the key says that it is secret.
    pub(crate) fn new(key: &str, value: &str, reason: ConfigReason) -> Self {
        let value = if is_secret(key) { HIDDEN } else { value };
        Self { key: key.to_owned(), value: value.to_owned(), reason }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let value = Quoted(&self.value);
        match &self.reason {
            ConfigReason::Conflict(text) | ConfigReason::Invalid(text) => {
                write!(f, "{key} = {value}: {text}")
            }
            ConfigReason::JavaOnly(text) | ConfigReason::NotAvailable(text) => {
                write!(f, "{key} = {value}: {text}")
            }
            ConfigReason::Missing => write!(f, "{key}: required"),
            ConfigReason::Unknown { note, suggestion } => match (note.as_str(), suggestion) {
                ("", None) => write!(f, "unknown key {key:?}"),
                ("", Some(known)) => write!(f, "unknown key {key:?}: did you mean {known:?}?"),
                (note, _) => write!(f, "unknown key {key:?}: {note}"),
            },
        }
    }
}

/// What is wrong with the value of a key, or with the key.
///
/// The texts finish the sentence `key = value: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigReason {
    /// The value contradicts the value of another key.
    Conflict(String),
    /// The value is not of the key's type, or out of its range.
    Invalid(String),
    /// The key makes sense to the Java client only; the text says what to use instead.
    JavaOnly(String),
    /// The key must be given and was not.
    Missing,
    /// Kafka knows the key or value, and this crate does not support it yet.
    NotAvailable(String),
    /// Kafka has no such key.
    Unknown {
        /// Where the key comes from, if it is known from elsewhere; else empty.
        note: String,
        /// The key of Kafka that was probably meant.
        suggestion: Option<&'static str>,
    },
}

impl ConfigReason {
    pub(crate) fn needs_feature(feature: &str) -> Self {
        Self::NotAvailable(format!("needs kafka-producer to be built with its feature \"{feature}\""))
    }
}

/// Prints a value plainly where that is unambiguous, else in quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = !self.0.is_empty() && !self.0.contains(|c: char| c.is_whitespace() || c.is_control());
        if plain { f.write_str(self.0) } else { write!(f, "{:?}", self.0) }
    }
}

/// Says whether the value of `key` must not be shown. Known keys are decided by their type. Unknown ones may be
/// misspelt: everything that looks like one for security counts as secret.
fn is_secret(key: &str) -> bool {
    if let Some(known) = super::keys::find(key) {
        return known.is_secret();
    }
    let key = key.to_ascii_lowercase();
    SUSPICIOUS.iter().any(|part| key.contains(part))
}

const SUSPICIOUS: [&str; 9] = ["pass", "pwd", "jaas", "secret", "token", "credential", "sasl", "ssl", "auth"];
