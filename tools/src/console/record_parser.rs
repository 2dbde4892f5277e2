//! Turns lines into records, as Kafka's `LineMessageReader` does, but bytes stay bytes: nothing need be UTF-8.

use bytes::Bytes;
use kafka_producer::{Header, ProducerRecord, Topic};

/// How lines are taken apart.
#[derive(Debug)]
pub(crate) struct RecordParser {
    topic: Topic,
    parse_key: bool,
    key_separator: Bytes,
    parse_headers: bool,
    headers_delimiter: Bytes,
    headers_separator: Bytes,
    headers_key_separator: Bytes,
    null_marker: Option<Bytes>,
    ignore_error: bool,
}

impl RecordParser {
    /// Takes the properties of the reader, each `key=value`.
    pub(crate) fn new(topic: Topic, properties: &[String]) -> Result<Self, String> {
        let mut parser = Self {
            topic,
            parse_key: false,
            key_separator: Bytes::from_static(b"\t"),
            parse_headers: false,
            headers_delimiter: Bytes::from_static(b"\t"),
            headers_separator: Bytes::from_static(b","),
            headers_key_separator: Bytes::from_static(b":"),
            null_marker: None,
            ignore_error: false,
        };
        for property in properties {
            let (key, value) = property
                .split_once('=')
                .ok_or_else(|| format!("{property:?} is not of the form key=value"))?;
            parser.set(key, value)?;
        }
        Ok(parser)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "parse.key" => self.parse_key = boolean(key, value)?,
            "parse.headers" => self.parse_headers = boolean(key, value)?,
            "ignore.error" => self.ignore_error = boolean(key, value)?,
            "key.separator" => self.key_separator = separator(key, value)?,
            "headers.delimiter" => self.headers_delimiter = separator(key, value)?,
            "headers.separator" => self.headers_separator = separator(key, value)?,
            "headers.key.separator" => self.headers_key_separator = separator(key, value)?,
            "null.marker" => self.null_marker = Some(Bytes::from(value.to_owned())),
            _ => return Err(format!("the reader has no property {key}")),
        }
        Ok(())
    }

    /// Makes a record of a line. Its parts share the line's memory.
    pub(crate) fn parse(&self, line: &Bytes) -> Result<ProducerRecord, String> {
        let mut record = ProducerRecord::to(&self.topic);
        let mut rest = line.clone();
        if self.parse_headers {
            let (headers, behind) = self.split(&rest, &self.headers_delimiter, "headers.delimiter")?;
            rest = behind;
            if let Some(headers) = headers.and_then(|headers| self.unless_null(headers)) {
                record.headers = self.headers(&headers)?.into();
            }
        }
        if self.parse_key {
            let (key, behind) = self.split(&rest, &self.key_separator, "key.separator")?;
            rest = behind;
            record.key = key.and_then(|key| self.unless_null(key));
        }
        record.value = self.unless_null(rest);
        Ok(record)
    }

    /// Cuts `text` at the first `separator`. Without one it is an error, or all is the second part.
    fn split(&self, text: &Bytes, separator: &Bytes, name: &str) -> Result<(Option<Bytes>, Bytes), String> {
        match find(text, separator) {
            Some(at) => Ok((Some(text.slice(..at)), text.slice(at + separator.len()..))),
            None if self.ignore_error => Ok((None, text.clone())),
            None => Err(format!("there is no {name} {:?}", String::from_utf8_lossy(separator))),
        }
    }

    fn headers(&self, text: &Bytes) -> Result<Vec<Header>, String> {
        let mut pairs = Vec::new();
        let mut rest = text.clone();
        while let Some(at) = find(&rest, &self.headers_separator) {
            pairs.push(rest.slice(..at));
            rest = rest.slice(at + self.headers_separator.len()..);
        }
        // A separator at the end ends the last header, and begins none.
        if pairs.is_empty() || !rest.is_empty() {
            pairs.push(rest);
        }
        pairs.iter().map(|pair| self.header(pair)).collect()
    }

    fn header(&self, pair: &Bytes) -> Result<Header, String> {
        let (name, value) = match find(pair, &self.headers_key_separator) {
            Some(at) => {
                (pair.slice(..at), self.unless_null(pair.slice(at + self.headers_key_separator.len()..)))
            }
            None if self.ignore_error => (pair.clone(), None),
            None => {
                let separator = String::from_utf8_lossy(&self.headers_key_separator);
                return Err(format!("there is no headers.key.separator {separator:?} in a header"));
            }
        };
        if self.null_marker.as_ref() == Some(&name) {
            return Err("the name of a header is the null.marker, and names cannot be null".to_owned());
        }
        let name = String::from_utf8(name.into()).map_err(|_| "the name of a header is not UTF-8")?;
        Ok(Header::new(name, value))
    }

    fn unless_null(&self, part: Bytes) -> Option<Bytes> {
        Some(part).filter(|part| self.null_marker.as_ref() != Some(part))
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{key} must be true or false, not {value:?}")),
    }
}

fn separator(key: &str, value: &str) -> Result<Bytes, String> {
    match value {
        "" => Err(format!("{key} must not be empty")),
        _ => Ok(Bytes::from(value.to_owned())),
    }
}

fn find(text: &[u8], separator: &[u8]) -> Option<usize> {
    text.windows(separator.len()).position(|window| window == separator)
}
