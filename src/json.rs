//! JSON (RFC 8259), as far as tokens and token endpoints need it.
//!
//! It is read whole, from a text whose length the caller has bounded. A crate would do more: five of them come with `serde_json`,
//! and the texts here are small, few, and without a type of ours that they would have to fit.

use std::fmt::{self, Write as _};

use zeroize::{Zeroize, Zeroizing};

/// A value. Numbers stay as they were written, since no calculation is done with most of them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Array(Vec<Self>),
    Bool(bool),
    Null,
    Number(String),
    /// In the order in which the members were written.
    Object(Vec<(String, Self)>),
    String(String),
}

/// Why a text is not JSON, without anything of the text: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("it goes on after its end, at byte {0}")]
    GoesOn(usize),
    #[error("it is not JSON at byte {0}")]
    Senseless(usize),
    #[error("it is nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// It is not JSON, or goes deeper than anything that is meant to be read here.
    pub(crate) fn parse(text: &str) -> Result<Self, JsonError> {
        let mut parser = Parser { text, position: 0 };
        let value = parser.value(0)?;
        parser.skip_blanks();
        if parser.position < text.len() {
            return Err(JsonError::GoesOn(parser.position));
        }
        Ok(value)
    }

    /// Returns the member of an object. Of a name that comes twice the last counts, as in Java.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Returns the text of a member that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a member that is a number. A fraction of seconds is allowed where dates are (RFC 7519).
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Self::Number(number) => number.parse().ok(),
            _ => None,
        }
    }
}

/// A text may be a token.
impl Drop for Json {
    fn drop(&mut self) {
        if let Self::String(text) = self {
            text.zeroize();
        }
    }
}

/// Tokens are written in JSON.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

/// Writes it without blanks.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Bool(value) => value.fmt(f),
            Self::Null => f.write_str("null"),
            Self::Number(number) => f.write_str(number),
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write!(f, "{}:{value}", Quoted(name))?;
                }
                f.write_char('}')
            }
            Self::String(text) => Quoted(text).fmt(f),
        }
    }
}

/// A text in quotes, with what must be escaped in it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\0'..='\x1f' => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

struct Parser<'a> {
    text: &'a str,
    /// At the border of a character.
    position: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.skip_blanks();
        match self.peek() {
            Some('"') => Ok(Json::String(self.string()?)),
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('-' | '0'..='9') => self.number(),
            _ if self.take("true") => Ok(Json::Bool(true)),
            _ if self.take("false") => Ok(Json::Bool(false)),
            _ if self.take("null") => Ok(Json::Null),
            _ => Err(self.senseless()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut members = Vec::new();
        self.expect("{")?;
        self.skip_blanks();
        if self.take("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_blanks();
            let name = self.string()?;
            self.skip_blanks();
            self.expect(":")?;
            members.push((name, self.value(depth + 1)?));
            self.skip_blanks();
            if self.take("}") {
                return Ok(Json::Object(members));
            }
            self.expect(",")?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.expect("[")?;
        self.skip_blanks();
        if self.take("]") {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take("]") {
                return Ok(Json::Array(items));
            }
            self.expect(",")?;
        }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.position;
        self.take("-");
        let is_zero = self.take("0");
        if !is_zero && self.digits() == 0 {
            return Err(self.senseless());
        }
        if self.take(".") && self.digits() == 0 {
            return Err(self.senseless());
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            if self.digits() == 0 {
                return Err(self.senseless());
            }
        }
        let number = self.text.get(start..self.position).unwrap_or_default();
        Ok(Json::Number(number.to_owned()))
    }

    fn digits(&mut self) -> usize {
        let start = self.position;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.position += 1;
        }
        self.position - start
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect("\"")?;
        // It becomes no longer than it is written, and what grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(self.length_in_quotes()));
        loop {
            let plain = self.rest().find(['"', '\\']).ok_or_else(|| self.senseless())?;
            let (before, _) = self.rest().split_at(plain);
            if before.contains(|c: char| c < ' ') {
                return Err(self.senseless());
            }
            text.push_str(before);
            self.position += plain;
            if self.take("\"") {
                return Ok(std::mem::take(&mut *text));
            }
            self.expect("\\")?;
            text.push(self.escaped()?);
        }
    }

    /// Returns the length of what comes before the next quote that is not escaped, or before the end.
    fn length_in_quotes(&self) -> usize {
        let mut is_escaped = false;
        let end = self.rest().bytes().position(|byte| {
            let is_end = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        });
        end.unwrap_or_else(|| self.rest().len())
    }

    fn escaped(&mut self) -> Result<char, JsonError> {
        let Some(c) = self.peek().filter(char::is_ascii) else { return Err(self.senseless()) };
        self.position += 1;
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.code_unit()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit).ok_or_else(|| self.senseless());
                }
                // A character beyond the first 65536 is written as two.
                self.expect("\\u")?;
                let low = self.code_unit()?;
                if !(0xdc00..0xe000).contains(&low) {
                    return Err(self.senseless());
                }
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(code).ok_or_else(|| self.senseless());
            }
            _ => return Err(self.senseless()),
        })
    }

    fn code_unit(&mut self) -> Result<u32, JsonError> {
        let digits =
            self.rest().get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let unit =
            digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(|| self.senseless())?;
        self.position += 4;
        Ok(unit)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.position += 1;
        }
    }

    fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.position += text.len();
        }
        is_next
    }

    fn expect(&mut self, text: &str) -> Result<(), JsonError> {
        if self.take(text) { Ok(()) } else { Err(self.senseless()) }
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn senseless(&self) -> JsonError {
        JsonError::Senseless(self.position)
    }
}

/// Tokens and the answers of token endpoints are three deep at most.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_are_read_and_written() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-12.5e+3",
            "\"\"",
            "[]",
            "{}",
            "[1,[2,\"x\"],{\"a\":null}]",
            "{\"access_token\":\"e30.e30.\",\"expires_in\":3600,\"scope\":[\"a\",\"b\"]}",
        ] {
            assert_eq!(Json::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn blanks_and_escapes_count_as_the_rfc_says() {
        let text = " { \"a\\n\\u00e4\\/\" :\r\n[ 1 ,\t\"\\ud834\\udd1e\\\"\\\\\" ] } ";
        let json = Json::parse(text).unwrap();

        let Some(Json::Array(items)) = json.get("a\n\u{e4}/") else { panic!("{json}") };
        assert!(items[1] == Json::String("\u{1d11e}\"\\".to_owned()));
        assert_eq!(Json::String("\u{1}\"\\\u{e4}".to_owned()).to_string(), "\"\\u0001\\\"\\\\\u{e4}\"");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "nul",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud834\"",
            "\"\\ud834\\u0041\"",
            "\"\n\"",
            "1 2",
            "{} x",
            "'a'",
            "\"\\\u{e4}\"",
        ] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
        assert_eq!(Json::parse(&"[".repeat(100_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn last_of_members_with_one_name_counts() {
        let json = Json::parse(r#"{"exp":1,"exp":2.5,"sub":"a"}"#).unwrap();

        assert_eq!(json.number("exp"), Some(2.5));
        assert_eq!((json.text("sub"), json.text("exp"), json.number("sub")), (Some("a"), None, None));
    }

    #[test]
    fn no_text_makes_it_panic_and_texts_come_back() {
        proptest::proptest!(|(text: String)| {
            let _ = Json::parse(&text);
            let written = Json::String(text.clone()).to_string();
            proptest::prop_assert!(Json::parse(&written) == Ok(Json::String(text)));
        });
        proptest::proptest!(|(text in r#"[\[\]{}":,\\u0-9a-f eE+.-]{0,40}"#)| {
            if let Ok(json) = Json::parse(&text) {
                proptest::prop_assert!(Json::parse(&json.to_string()) == Ok(json));
            }
        });
    }
}
