//! The values of the records: made once, shared by all.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::properties::Failure;

/// Gives out payloads; clones go their own ways.
#[derive(Debug, Clone)]
pub(crate) struct Payloads {
    /// Never empty.
    payloads: Arc<[Bytes]>,
    random: SmallRng,
}

impl Payloads {
    /// One payload of capital letters, the same in every run.
    pub(crate) fn of_size(bytes: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(0);
        let payload: Bytes = (0..bytes).map(|_| random.random_range(b'A'..=b'Z')).collect();
        Self { payloads: [payload].into(), random }
    }

    /// All payloads of a file. An empty one at its very end counts as none.
    pub(crate) fn from_file(path: &Path, delimiter: &str) -> Result<Self, Failure> {
        let name = path.display();
        let content = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
        let delimiter = unescape(delimiter)?;
        let payloads: Arc<[Bytes]> = split(&content.into(), &delimiter).into();
        if payloads.is_empty() {
            return Err(format!("{name} holds no payloads").into());
        }
        println!("Read {} payloads from {name}", payloads.len());
        Ok(Self { payloads, random: SmallRng::seed_from_u64(0) })
    }

    pub(crate) fn next_payload(&mut self) -> Bytes {
        let index = match self.payloads.len() {
            1 => 0,
            many => self.random.random_range(..many),
        };
        self.payloads.get(index).cloned().unwrap_or_default()
    }
}

fn split(content: &Bytes, delimiter: &[u8]) -> Vec<Bytes> {
    let mut payloads = Vec::new();
    let mut begin = 0;
    while let Some(rest) = content.get(begin..) {
        let found = rest.windows(delimiter.len()).position(|window| window == delimiter);
        let Some(length) = found else {
            if !rest.is_empty() {
                payloads.push(content.slice(begin..));
            }
            break;
        };
        payloads.push(content.slice(begin..begin + length));
        begin += length + delimiter.len();
    }
    payloads
}

fn unescape(text: &str) -> Result<Vec<u8>, Failure> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('0') => '\0',
                Some('\\') => '\\',
                _ => return Err(format!("the delimiter {text:?} has an unknown escape").into()),
            },
            other => other,
        });
    }
    if plain.is_empty() {
        return Err("the delimiter is empty".into());
    }
    Ok(plain.into_bytes())
}
