//! `config.providers`: values that stand in files or in the environment, as Java's own providers read them.
//!
//! A value may contain variables, `${provider:path:key}` or `${provider:key}`. The properties that name the providers may come before
//! it or after it, so the values are put in when a configuration is checked, not when it is set.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use super::properties_text;
use super::{ConfigProblem, ConfigReason};
use crate::secret_file;

/// The providers of a configuration, by the names that it gives them.
#[derive(Debug)]
pub(crate) struct Providers(BTreeMap<String, Provider>);

#[derive(Debug)]
enum Provider {
    /// Each value is the text of a file.
    Directory(AllowedPaths),
    Environment(Option<NamePattern>),
    /// Values are those of a `.properties` file.
    File(AllowedPaths),
}

/// The directories and files that may be read (`allowed.paths`); empty: all.
#[derive(Debug)]
struct AllowedPaths(Vec<PathBuf>);

/// What names of variables must look like (`allowlist.pattern`): names joined by `|`, in which `.*` stands for anything.
#[derive(Debug)]
struct NamePattern(Vec<String>);

/// One variable in a value.
#[derive(Debug, PartialEq, Eq)]
struct Variable<'a> {
    provider: &'a str,
    path: &'a str,
    key: &'a str,
}

/// A piece of a value.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    Variable(Variable<'a>),
}

/// What begins the keys about providers.
pub(crate) const PREFIX: &str = "config.providers.";

/// The longest file that is read.
const MAX_FILE_LEN: usize = 1024 * 1024;

const NO_OTHER_PROVIDER: &str = "Java classes cannot be loaded, but FileConfigProvider, DirectoryConfigProvider and \
     EnvVarConfigProvider of org.apache.kafka.common.config.provider are here";

/// Whether a value contains what may be a variable.
pub(crate) fn has_variable(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece, Piece::Variable(_)))
}

impl Providers {
    /// Makes the providers that are listed. `properties` are those that begin with [`PREFIX`], without it.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(crate) fn new(
        listed: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let (mut providers, mut problems) = (BTreeMap::new(), Vec::new());
        for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let class = format!("{name}.class");
            match properties.get(&class) {
                None => {
                    problems.push(ConfigProblem::new(&format!("{PREFIX}{class}"), "", ConfigReason::Missing));
                }
                Some(value) => match Provider::new(value, name, properties) {
                    Ok(provider) => drop(providers.insert(name.to_owned(), provider)),
                    Err((key, value, reason)) => {
                        problems.push(ConfigProblem::new(&format!("{PREFIX}{key}"), &value, reason));
                    }
                },
            }
        }
        if problems.is_empty() { Ok(Self(providers)) } else { Err(problems) }
    }

    /// Puts values in the place of variables. Without providers everything is taken to the letter.
    ///
    /// # Errors
    ///
    /// Which variable has no value, and why; the text never contains one.
    pub(crate) fn fill_in(&self, text: &str) -> Result<Zeroizing<String>, String> {
        let mut filled = Zeroizing::new(String::with_capacity(text.len()));
        if self.0.is_empty() {
            filled.push_str(text);
            return Ok(filled);
        }
        for piece in pieces(text) {
            match piece {
                Piece::Plain(plain) => filled.push_str(plain),
                Piece::Variable(variable) => {
                    let value = self.read(&variable)?;
                    // Growing would leave a copy behind.
                    let mut longer =
                        Zeroizing::new(String::with_capacity(filled.len() + value.len() + text.len()));
                    longer.push_str(&filled);
                    longer.push_str(&value);
                    filled = longer;
                }
            }
        }
        Ok(filled)
    }

    fn read(&self, variable: &Variable<'_>) -> Result<Zeroizing<String>, String> {
        let Variable { provider, path, key } = *variable;
        let Some(known) = self.0.get(provider) else {
            return Err(format!("config.providers has no {provider:?}"));
        };
        match known {
            Provider::Directory(allowed) => read_directory(allowed, path, key),
            Provider::Environment(pattern) => read_environment(pattern.as_ref(), path, key),
            Provider::File(allowed) => read_file(allowed, path, key),
        }
    }
}

impl Provider {
    /// Returns the key, its value and what is wrong with it if there is no provider.
    fn new(
        class: &str,
        name: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self, (String, String, ConfigReason)> {
        let parameter = |parameter: &str| {
            let key = format!("{name}.param.{parameter}");
            properties.get(&key).map(|value| (key, value.clone()))
        };
        let allowed = || match parameter("allowed.paths") {
            None => Ok(AllowedPaths(Vec::new())),
            Some((key, value)) => AllowedPaths::parse(&value).map_err(|reason| (key, value, reason)),
        };
        match class {
            "org.apache.kafka.common.config.provider.DirectoryConfigProvider" => {
                allowed().map(Self::Directory)
            }
            "org.apache.kafka.common.config.provider.FileConfigProvider" => allowed().map(Self::File),
            "org.apache.kafka.common.config.provider.EnvVarConfigProvider" => {
                let pattern = parameter("allowlist.pattern");
                let pattern = pattern
                    .map(|(key, value)| NamePattern::parse(&value).map_err(|reason| (key, value, reason)));
                Ok(Self::Environment(pattern.transpose()?))
            }
            _ => {
                let reason = ConfigReason::JavaOnly(NO_OTHER_PROVIDER.to_owned());
                Err((format!("{name}.class"), class.to_owned(), reason))
            }
        }
    }
}

impl AllowedPaths {
    fn parse(text: &str) -> Result<Self, ConfigReason> {
        let paths = text.split(',').map(str::trim).map(PathBuf::from);
        let paths: Vec<_> = paths.collect();
        if paths.iter().all(|path| path.is_absolute()) {
            return Ok(Self(paths));
        }
        Err(ConfigReason::Invalid("must be absolute paths, separated by commas".to_owned()))
    }

    /// Checks a path by its letters, as Java does: links are followed later.
    fn check(&self, path: &str) -> Result<PathBuf, String> {
        let path = PathBuf::from(path);
        let is_plain = |path: &Path| path.components().all(|part| !matches!(part, Component::ParentDir));
        let is_allowed =
            self.0.is_empty() || (is_plain(&path) && self.0.iter().any(|allowed| path.starts_with(allowed)));
        if is_allowed { Ok(path) } else { Err(format!("{} is not in allowed.paths", path.display())) }
    }
}

impl NamePattern {
    fn parse(text: &str) -> Result<Self, ConfigReason> {
        let names: Vec<_> = text.split('|').map(str::to_owned).collect();
        let is_name = |name: &String| {
            name.split(".*").all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        };
        if names.iter().all(is_name) {
            return Ok(Self(names));
        }
        let text = "must consist of names joined by |, in which .* stands for anything: other patterns are not available";
        Err(ConfigReason::NotAvailable(text.to_owned()))
    }

    fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once(".*") else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once(".*").map_or((None, rest), |(middle, last)| (Some(middle), last));
    for part in middle.into_iter().flat_map(|middle| middle.split(".*")) {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

/// Splits a value as Java's pattern does: what stands between `${` and the next `}` is a variable if it contains a colon.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut plain_from, mut at) = (Vec::new(), 0, 0);
    while let Some(start) = text[at..].find("${").map(|start| start + at) {
        let Some(end) = text[start..].find('}').map(|end| end + start) else { break };
        let inner = &text[start + 2..end];
        let Some((provider, rest)) = inner.split_once(':') else {
            at = start + 2;
            continue;
        };
        let (path, key) = rest.split_once(':').unwrap_or(("", rest));
        pieces.push(Piece::Plain(&text[plain_from..start]));
        pieces.push(Piece::Variable(Variable { provider, path, key }));
        plain_from = end + 1;
        at = plain_from;
    }
    pieces.push(Piece::Plain(&text[plain_from..]));
    pieces.retain(|piece| *piece != Piece::Plain(""));
    pieces
}

fn read_environment(
    pattern: Option<&NamePattern>,
    path: &str,
    key: &str,
) -> Result<Zeroizing<String>, String> {
    if !path.is_empty() {
        return Err(format!("the environment has no paths, but {path:?} is one"));
    }
    if pattern.is_some_and(|pattern| !pattern.matches(key)) {
        return Err(format!("the environment variable {key} does not match allowlist.pattern"));
    }
    match std::env::var(key) {
        Ok(value) => Ok(Zeroizing::new(value)),
        Err(std::env::VarError::NotPresent) => Err(format!("the environment variable {key} is not set")),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(format!("the environment variable {key} is not Unicode"))
        }
    }
}

fn read_file(allowed: &AllowedPaths, path: &str, key: &str) -> Result<Zeroizing<String>, String> {
    let text = read_text(&allowed.check(path)?)?;
    let mut found = None;
    for mut entry in properties_text::parse(&text) {
        match entry.fault {
            None if entry.key == key => found = Some(Zeroizing::new(entry.value)),
            _ => entry.value.zeroize(),
        }
    }
    found.ok_or_else(|| format!("{path} has no key {key:?}"))
}

fn read_directory(allowed: &AllowedPaths, path: &str, key: &str) -> Result<Zeroizing<String>, String> {
    let directory = allowed.check(path)?;
    let mut parts = Path::new(key).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == key) {
        return Err(format!("{key:?} is not the name of a file in {path}"));
    }
    read_text(&directory.join(key))
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let fault = |error| format!("{} cannot be read: {error}", path.display());
    secret_file::read_text(path, MAX_FILE_LEN).map_err(fault)
}

#[cfg(test)]
mod tests;
