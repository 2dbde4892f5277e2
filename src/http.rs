//! HTTP/1.1 (RFC 9112), as much as token endpoints need: one request on a connection, and its answer. Pure: bytes in, bytes out.
//!
//! Redirects are not followed, nothing is compressed or kept, and whatever is longer than it has reason to be is refused. A crate for
//! the whole of it would bring a pool of connections and TLS of its own.

use std::fmt::Write as _;

use zeroize::Zeroizing;

mod answer;
mod url;

pub(crate) use self::answer::{Answer, AnswerReader, HttpError};
pub(crate) use self::url::Url;

/// What is asked of a server.
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a Url,
    /// Names and values without line breaks.
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: &'a str,
}

impl Request<'_> {
    /// Returns the bytes of the request, which may hold secrets.
    ///
    /// # Errors
    ///
    /// A header has a character that would be taken for its end.
    pub(crate) fn encode(&self) -> Result<Zeroizing<String>, HttpError> {
        let Self { method, url, headers, body } = self;
        let length: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        // What grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(length + body.len() + url.len() + 256));
        // Writing to a string does not fail.
        let _ = write!(text, "{method} {} HTTP/1.1\r\nHost: {}\r\n", url.target(), url.authority());
        for (name, value) in *headers {
            if value.contains(|c: char| c.is_control()) {
                return Err(HttpError::Header(name));
            }
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "Connection: close\r\n");
        if !body.is_empty() {
            let _ = write!(text, "Content-Length: {}\r\n", body.len());
        }
        text.push_str("\r\n");
        text.push_str(body);
        Ok(text)
    }
}

/// Writes names and values as forms have them (`application/x-www-form-urlencoded`), like Java's `URLEncoder`.
pub(crate) fn encode_form(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let length: usize = pairs.iter().map(|(name, value)| (name.len() + value.len()) * 3 + 2).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        push_encoded(&mut text, name);
        text.push('=');
        push_encoded(&mut text, value);
    }
    text
}

/// Writes a text as forms have it.
pub(crate) fn encode_for_form(value: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 3));
    push_encoded(&mut text, value);
    text
}

fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                text.push(char::from(byte));
            }
            b' ' => text.push('+'),
            byte => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_written_with_what_it_must_have() {
        let url = Url::parse("http://idp.example:8080/token?tenant=1").unwrap();
        let headers = [("Accept", "application/json")];

        let request = Request { method: "POST", url: &url, headers: &headers, body: "a=b" }.encode().unwrap();

        assert_eq!(
            request.as_str(),
            "POST /token?tenant=1 HTTP/1.1\r\nHost: idp.example:8080\r\nAccept: application/json\r\n\
             Connection: close\r\nContent-Length: 3\r\n\r\na=b"
        );
        let forged = [("Authorization", "x\r\nHost: y")];
        let request = Request { method: "GET", url: &url, headers: &forged, body: "" };
        assert_eq!(request.encode().unwrap_err(), HttpError::Header("Authorization"));
    }

    /// What Java's `URLEncoder` makes of it.
    #[test]
    fn forms_are_encoded_as_in_java() {
        let form = encode_form(&[("scope", "a b&c=d/\u{e4}*-_.~+"), ("x", "")]);

        assert_eq!(form.as_str(), "scope=a+b%26c%3Dd%2F%C3%A4*-_.%7E%2B&x=");
    }
}
