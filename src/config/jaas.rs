//! Reads the value of `sasl.jaas.config`: one login module with its options.
//!
//! ```text
//! org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="alice-secret";
//! ```
//!
//! Java reads such lines with a `StreamTokenizer`, whose rules are followed here: quotes of both kinds, backslashes within them as
//! in C, comments of three kinds, and no numbers where a text is expected. No error repeats anything of what was read, for a
//! password without quotes may end up anywhere.

use std::iter::Peekable;
use std::str::Chars;

use zeroize::Zeroizing;

use super::ConfigReason;
use super::kerberos::{self, KerberosLogin};
use super::oauth::{self, OAuthOptions};
use super::sasl::{
    AWS_MODULE, Credentials, KERBEROS_MODULE, Login, OAUTH_MODULE, PLAIN_MODULE, SCRAM_MODULE,
};
use crate::aws_credentials::{AwsCredentials, AwsOrigin, AwsRole};
use crate::secret::Secret;

/// Reads a line. The modules for PLAIN and SCRAM serve every mechanism that needs a name and a password, as in Java.
pub(super) fn parse(text: &str) -> Result<Login, ConfigReason> {
    let mut tokens = Tokenizer { rest: text.chars().peekable() };
    let module = match tokens.next() {
        Token::End => return Err(invalid("names no login module")),
        Token::Text(module) => module,
        Token::Other(_) => return Err(invalid("must begin with the name of a login module")),
    };
    let module = Module::find(&module)?;
    match tokens.next() {
        Token::Text(flag) if CONTROL_FLAGS.iter().any(|known| flag.eq_ignore_ascii_case(known)) => {}
        _ => return Err(invalid("`required` must come after the login module")),
    }
    let options = Options::read(&mut tokens, module)?;
    if !matches!(tokens.next(), Token::End) {
        return Err(invalid("must name one login module only, and have nothing after the semicolon"));
    }
    match module {
        Module::Aws => options.into_aws(),
        Module::Kerberos => KerberosLogin::read(|name| options.get(name)).map(Login::Kerberos),
        Module::OAuth => options.into_oauth(),
        Module::Plain | Module::Scram => options.into_credentials(module),
    }
}

/// The modules that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    Aws,
    Kerberos,
    OAuth,
    Plain,
    Scram,
}

impl Module {
    fn find(name: &str) -> Result<Self, ConfigReason> {
        // Vendors put Kafka's classes into packages of their own.
        let class = name.rsplit('.').next().unwrap_or(name);
        match class {
            "IAMLoginModule" => Ok(Self::Aws),
            "Krb5LoginModule" => Ok(Self::Kerberos),
            "OAuthBearerLoginModule" => Ok(Self::OAuth),
            "PlainLoginModule" => Ok(Self::Plain),
            "ScramLoginModule" => Ok(Self::Scram),
            _ => Err(invalid(&format!(
                "the login module is not known, must be {PLAIN_MODULE}, {SCRAM_MODULE}, {OAUTH_MODULE}, {KERBEROS_MODULE} or {AWS_MODULE}"
            ))),
        }
    }

    /// Whether an option means something. Of others not even the name is told, since it may be a part of a password.
    fn has_option(self, name: &str) -> bool {
        match self {
            Self::Aws => AWS_OPTIONS.contains(&name),
            Self::Kerberos => kerberos::has_option(name),
            Self::OAuth => oauth::has_option(name),
            Self::Plain | Self::Scram => matches!(name, "username" | "password" | "tokenauth"),
        }
    }
}

/// The options that mean something, in their order.
struct Options(Vec<(String, Zeroizing<String>)>);

impl Options {
    /// Reads up to the semicolon, and passes over options that mean nothing.
    fn read(tokens: &mut Tokenizer<'_>, module: Module) -> Result<Self, ConfigReason> {
        let mut options = Self(Vec::new());
        loop {
            let key = match tokens.next() {
                Token::Other(';') => return Ok(options),
                Token::End => return Err(invalid("must end with a semicolon")),
                Token::Text(key) => key,
                Token::Other(_) => {
                    return Err(invalid("has a value that must be put in quotes, or a character too many"));
                }
            };
            let value = match (tokens.next(), tokens.next()) {
                (Token::Other('='), Token::Text(value)) => value,
                (Token::Other('='), _) if module.has_option(&key) => {
                    let text = format!("the value of {} must be put in quotes", key.as_str());
                    return Err(invalid(&text));
                }
                _ => return Err(invalid("every option must have a value, in quotes: name=\"value\"")),
            };
            if module.has_option(&key) {
                options.0.push((key.as_str().to_owned(), value));
            }
        }
    }

    /// Returns the value of an option. Of one that comes twice the last value counts.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn into_credentials(self, module: Module) -> Result<Login, ConfigReason> {
        let is_true = |value: &str| value.eq_ignore_ascii_case("true");
        // As in Java, the module for PLAIN does not look at it.
        let is_token = module == Module::Scram && self.get("tokenauth").is_some_and(is_true);
        let required = |name: &str| {
            let value = self.get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| invalid(&format!("has no option {name}")))
        };
        let (username, password) = (required("username")?, required("password")?);
        let (username, password) = (username.to_owned(), Secret::new(password));
        Ok(Login::Password(Credentials { username, password, is_token }))
    }

    fn into_aws(self) -> Result<Login, ConfigReason> {
        let set = |name: &str| self.get(name).filter(|value| !value.is_empty());
        let Some(arn) = set("awsRoleArn") else {
            return Ok(Login::Aws(AwsOrigin::Chain { profile: set("awsProfileName").map(str::to_owned) }));
        };
        if set("awsProfileName").is_some() {
            return Err(invalid("must have one of awsProfileName and awsRoleArn"));
        }
        if !cfg!(feature = "tls") {
            return Err(ConfigReason::needs_feature("tls"));
        }
        let owned = |name: &str| set(name).map(str::to_owned);
        let credentials = match (set("awsRoleAccessKeyId"), set("awsRoleSecretAccessKey")) {
            (Some(id), Some(secret)) => Some(match set("awsRoleSessionToken") {
                Some(token) => AwsCredentials::new(id, secret).session_token(token),
                None => AwsCredentials::new(id, secret),
            }),
            (None, None) => None,
            _ => {
                return Err(invalid(
                    "must have both awsRoleAccessKeyId and awsRoleSecretAccessKey, or neither",
                ));
            }
        };
        Ok(Login::Aws(AwsOrigin::Role(Box::new(AwsRole {
            arn: arn.to_owned(),
            session_name: owned("awsRoleSessionName"),
            external_id: owned("awsRoleExternalId"),
            region: owned("awsStsRegion"),
            credentials,
        }))))
    }

    fn into_oauth(self) -> Result<Login, ConfigReason> {
        let options = self.0.into_iter().map(|(name, value)| (name, Secret::new(value.as_str())));
        Ok(Login::OAuth(OAuthOptions::new(options)?))
    }
}

fn invalid(text: &str) -> ConfigReason {
    ConfigReason::Invalid(text.to_owned())
}

enum Token {
    End,
    /// A character that stands for itself, or `0` for a number, which is never what is looked for.
    Other(char),
    /// A word, or what was in quotes.
    Text(Zeroizing<String>),
}

/// `java.io.StreamTokenizer` as Kafka sets it up.
struct Tokenizer<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Tokenizer<'_> {
    fn next(&mut self) -> Token {
        loop {
            let Some(first) = self.rest.next() else { return Token::End };
            return match first {
                '\0'..=' ' => continue,
                '/' => {
                    self.skip_comment();
                    continue;
                }
                '"' | '\'' => Token::Text(self.quoted(first)),
                '0'..='9' | '.' | '-' => self.number(first),
                first if is_word(first) => Token::Text(self.word(first)),
                other => Token::Other(other),
            };
        }
    }

    /// Skips what comes after a slash: up to `*/` after `/*`, else the rest of the line.
    fn skip_comment(&mut self) {
        if self.rest.next_if_eq(&'*').is_none() {
            while self.rest.next_if(|next| !matches!(next, '\n' | '\r')).is_some() {}
            return;
        }
        let mut last = ' ';
        for next in self.rest.by_ref() {
            if (last, next) == ('*', '/') {
                return;
            }
            last = next;
        }
    }

    /// Java takes what begins like a number for one, even where it goes on otherwise.
    fn number(&mut self, first: char) -> Token {
        if first == '-' && !self.rest.peek().is_some_and(|next| next.is_ascii_digit() || *next == '.') {
            return Token::Other('-');
        }
        while self.rest.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
        Token::Other('0')
    }

    fn word(&mut self, first: char) -> Zeroizing<String> {
        let mut word = with_room();
        word.push(first);
        while let Some(next) =
            self.rest.next_if(|next| is_word(*next) || matches!(next, '0'..='9' | '.' | '-'))
        {
            word.push(next);
        }
        word
    }

    /// Reads up to the same quote, or to the end of the line.
    fn quoted(&mut self, quote: char) -> Zeroizing<String> {
        let mut text = with_room();
        loop {
            match self.rest.peek() {
                None | Some('\n' | '\r') => return text,
                Some(_) => {}
            }
            match self.rest.next() {
                Some('\\') => text.extend(self.escaped()),
                Some(next) if next != quote => text.push(next),
                _ => return text,
            }
        }
    }

    /// Reads what comes after a backslash.
    fn escaped(&mut self) -> Option<char> {
        let first = self.rest.next()?;
        let Some(mut value) = first.to_digit(8) else {
            return Some(match first {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                other => other,
            });
        };
        // \377 at most.
        for _ in 0..if first <= '3' { 2 } else { 1 } {
            let Some(digit) = self.rest.peek().and_then(|next| next.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.rest.next();
        }
        char::from_u32(value)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$' | '-') || c >= '\u{a0}'
}

/// A text that grows leaves copies of itself behind, which are not wiped. Few are longer than this.
fn with_room() -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(ROOM))
}

const ROOM: usize = 8192;

/// Those of `aws-msk-iam-auth` that say who the producer is. Those about retries and about logging change nothing here.
const AWS_OPTIONS: [&str; 8] = [
    "awsProfileName",
    "awsRoleAccessKeyId",
    "awsRoleArn",
    "awsRoleExternalId",
    "awsRoleSecretAccessKey",
    "awsRoleSessionName",
    "awsRoleSessionToken",
    "awsStsRegion",
];

const CONTROL_FLAGS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];

#[cfg(test)]
mod tests;
