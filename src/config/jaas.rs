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
use super::sasl::Credentials;
use crate::secret::Secret;

/// Reads a line. Either module serves every mechanism that needs a name and a password, as in Java.
pub(super) fn parse(text: &str) -> Result<Credentials, ConfigReason> {
    let mut tokens = Tokenizer { rest: text.chars().peekable() };
    let module = match tokens.next() {
        Token::End => return Err(invalid("names no login module")),
        Token::Text(module) => module,
        Token::Other(_) => return Err(invalid("must begin with the name of a login module")),
    };
    check_module(&module)?;
    match tokens.next() {
        Token::Text(flag) if CONTROL_FLAGS.iter().any(|known| flag.eq_ignore_ascii_case(known)) => {}
        _ => return Err(invalid("`required` must come after the login module")),
    }
    let options = Options::read(&mut tokens)?;
    if !matches!(tokens.next(), Token::End) {
        return Err(invalid("must name one login module only, and have nothing after the semicolon"));
    }
    options.into_credentials()
}

fn check_module(module: &str) -> Result<(), ConfigReason> {
    // Vendors put Kafka's classes into packages of their own.
    let class = module.rsplit('.').next().unwrap_or(module);
    match class {
        "PlainLoginModule" | "ScramLoginModule" => Ok(()),
        "Krb5LoginModule" | "OAuthBearerLoginModule" => {
            Err(ConfigReason::NotAvailable(format!("{class} is not available yet, {MODULES}")))
        }
        _ => Err(invalid(&format!("the login module is not known, {MODULES}"))),
    }
}

/// The options that matter here.
#[derive(Default)]
struct Options {
    username: Option<Zeroizing<String>>,
    password: Option<Zeroizing<String>>,
    is_token: bool,
}

impl Options {
    /// Reads up to the semicolon. Of an option that comes twice the last value counts, and others are passed over.
    fn read(tokens: &mut Tokenizer<'_>) -> Result<Self, ConfigReason> {
        let mut options = Self::default();
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
                (Token::Other('='), _) if is_known(&key) => {
                    let text = format!("the value of {} must be put in quotes", key.as_str());
                    return Err(invalid(&text));
                }
                _ => return Err(invalid("every option must have a value, in quotes: name=\"value\"")),
            };
            match key.as_str() {
                "username" => options.username = Some(value),
                "password" => options.password = Some(value),
                "tokenauth" => options.is_token = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
    }

    fn into_credentials(self) -> Result<Credentials, ConfigReason> {
        if self.is_token {
            let text = "delegation tokens are not available yet, leave out tokenauth";
            return Err(ConfigReason::NotAvailable(text.to_owned()));
        }
        let username = self.username.filter(|name| !name.is_empty());
        let username = username.ok_or_else(|| invalid("has no option username"))?;
        let password = self.password.filter(|password| !password.is_empty());
        let password = password.ok_or_else(|| invalid("has no option password"))?;
        Ok(Credentials { username: username.as_str().to_owned(), password: Secret::new(password.as_str()) })
    }
}

fn is_known(key: &str) -> bool {
    matches!(key, "username" | "password" | "tokenauth")
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

const CONTROL_FLAGS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];

const MODULES: &str = "must be org.apache.kafka.common.security.plain.PlainLoginModule or \
     org.apache.kafka.common.security.scram.ScramLoginModule";

#[cfg(test)]
mod tests;
