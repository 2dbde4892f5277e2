//! What a broker says in SCRAM: `name=value`, separated by commas (RFC 5802, section 7).

use crate::base64;
use crate::wire::readable;

/// The name of a user, in which commas and equals signs mean nothing else.
pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// How the password is to be mixed.
#[derive(Debug)]
pub(super) struct ServerFirst<'a> {
    /// All of it.
    pub(super) text: &'a str,
    /// The client's, and more.
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl<'a> ServerFirst<'a> {
    /// Reads a message to a client with this nonce. Errors say what is wrong with it.
    pub(super) fn read(bytes: &'a [u8], client_nonce: &str) -> Result<Self, String> {
        let text = text(bytes)?;
        let mut attributes = text.split(',');
        let mut next = |name| attributes.next().and_then(|attribute| value(attribute, name));
        let nonce = next('r').ok_or("the broker's first message does not begin with a nonce (r=)")?;
        let salt = next('s').ok_or("the broker's first message has no salt (s=) after the nonce")?;
        let iterations =
            next('i').ok_or("the broker's first message has no iterations (i=) after the salt")?;

        if nonce.len() <= client_nonce.len() || !nonce.starts_with(client_nonce) {
            return Err("the broker answers another exchange: its nonce does not continue ours".to_owned());
        }
        let salt = base64::decode(salt).filter(|salt| !salt.is_empty());
        let salt = salt.ok_or("the broker's salt is no base64")?;
        if salt.len() > MAX_SALT {
            return Err(format!("the broker's salt has {} bytes; at most {MAX_SALT} are taken", salt.len()));
        }
        Ok(Self { text, nonce, salt, iterations: read_iterations(iterations)? })
    }
}

fn read_iterations(text: &str) -> Result<u32, String> {
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err("the broker's number of iterations is no number".to_owned());
    }
    match text.parse() {
        Ok(iterations) if (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) => Ok(iterations),
        Ok(iterations) if iterations < MIN_ITERATIONS => Err(format!(
            "the broker asks for {iterations} iterations; below {MIN_ITERATIONS} a password is not safe"
        )),
        _ => {
            let shown: String = text.chars().take(SHOWN_DIGITS).collect();
            let more = if shown.len() < text.len() { "…" } else { "" };
            Err(format!("the broker asks for {shown}{more} iterations; at most {MAX_ITERATIONS} are done"))
        }
    }
}

/// The broker's last words.
#[derive(Debug)]
pub(super) enum ServerFinal {
    Refusal(String),
    Signature(Vec<u8>),
}

impl ServerFinal {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let first = text(bytes)?.split(',').next().unwrap_or_default();
        if let Some(error) = value(first, 'e') {
            return Ok(Self::Refusal(readable(error)));
        }
        let signature = value(first, 'v').ok_or("the broker's last message has no signature (v=)")?;
        base64::decode(signature)
            .map(Self::Signature)
            .ok_or_else(|| "the broker's signature is no base64".to_owned())
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    if bytes.len() > MAX_MESSAGE {
        return Err(format!(
            "the broker's message has {} bytes; at most {MAX_MESSAGE} are taken",
            bytes.len()
        ));
    }
    std::str::from_utf8(bytes).map_err(|_| "the broker's message is no UTF-8".to_owned())
}

fn value(attribute: &str, name: char) -> Option<&str> {
    attribute.strip_prefix(name)?.strip_prefix('=')
}

/// RFC 7677 wants at least these, and so do brokers and Java's clients.
pub(super) const MIN_ITERATIONS: u32 = 4096;

/// A second of work or two. Brokers of Kafka store at most 16,384.
pub(super) const MAX_ITERATIONS: u32 = 1_000_000;

pub(super) const MAX_MESSAGE: usize = 8192;

pub(super) const MAX_SALT: usize = 1024;

const SHOWN_DIGITS: usize = 20;
