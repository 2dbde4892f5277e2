//! JSON (RFC 8259), as far as tokens and token endpoints need it. `serde_json` reads and writes it; the values are ours, since they are wiped,
//! keep the order of members, and have no place in `Debug`.
//!
//! It is read whole, from a text whose length the caller has bounded. `serde_json` bounds the depth.

use std::fmt;

use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_core::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Number;
use zeroize::Zeroize;

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Array(Vec<Self>),
    Bool(bool),
    Null,
    Number(Number),
    /// In the order in which the members were written.
    Object(Vec<(String, Self)>),
    String(String),
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// It is not JSON, or goes deeper than anything that is meant to be read here. What is said has nothing of the text in it, which
    /// may be secret: only what is missing, and where.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
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
            Self::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// Writes it without blanks, behind what `bytes` have. They do not grow if they have room.
    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        // Neither a vector nor names that are texts can fail.
        let _ = serde_json::to_writer(bytes, self);
    }
}

/// Writes it without blanks.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes);
        f.write_str(&String::from_utf8_lossy(&bytes))
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

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Array(items) => serializer.collect_seq(items),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Null => serializer.serialize_unit(),
            Self::Number(number) => number.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Self::String(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes whatever comes.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

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
            "-12.5",
            "18446744073709551615",
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
        assert_eq!(Json::parse("-12.5e+3").unwrap().to_string(), "-12500.0");
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
        assert!(Json::parse(&"[".repeat(100_000)).unwrap_err().to_string().contains("recursion limit"));
    }

    #[test]
    fn what_is_wrong_is_told_without_anything_of_the_text() {
        for (text, said) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("<html>hunter2", "expected value at line 1 column 1"),
            ("{\"token\":\"hunter2\",}", "trailing comma at line 1 column 20"),
            ("{\"token\":\"hunter2\"} x", "trailing characters at line 1 column 21"),
            ("{\"token\":hunter2}", "expected value at line 1 column 10"),
            ("[1e999]", "number out of range at line 1 column 6"),
        ] {
            assert_eq!(Json::parse(text).unwrap_err().to_string(), said, "{text}");
        }
        proptest::proptest!(|(before in "[\\[{\":,0-9a-z]{0,6}", after in ".{0,6}")| {
            if let Err(error) = Json::parse(&format!("{before}hunter2{after}")) {
                proptest::prop_assert!(!error.to_string().contains("hunter2"), "{error}");
            }
        });
    }

    #[test]
    fn members_keep_their_order_and_room_is_not_left() {
        let text = r#"{"z":1,"a":{"y":true,"b":"x"},"m":null}"#;
        let mut bytes = Vec::with_capacity(text.len());
        let before = bytes.as_ptr();

        Json::parse(text).unwrap().write_to(&mut bytes);

        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
        assert_eq!(bytes.as_ptr(), before);
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
            proptest::prop_assert!(Json::parse(&written).unwrap() == Json::String(text));
        });
        proptest::proptest!(|(text in r#"[\[\]{}":,\\u0-9a-f eE+.-]{0,40}"#)| {
            if let Ok(json) = Json::parse(&text) {
                proptest::prop_assert!(Json::parse(&json.to_string()).unwrap() == json);
            }
        });
    }
}
