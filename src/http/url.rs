//! [`Url`]: where a server is, and what to ask it for (RFC 3986, for `http` and `https`).

use std::fmt;
use std::net::IpAddr;

use crate::secret::HIDDEN;
use crate::wire::readable;

/// An address of the web. It has no name and password, and no fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    is_encrypted: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// The path and the query, of visible ASCII characters.
    target: String,
}

impl Url {
    /// Reads a text. What it says is wrong finishes the sentence "key = value: ".
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must have visible ASCII characters only");
        }
        let (scheme, rest) = text.split_once("://").ok_or("must begin with https://, http:// or file:")?;
        let is_encrypted = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("must begin with https://, http:// or file:"),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err("must have no name and password in it");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or("must have a bracket after an IPv6 address")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| "must have an IPv6 address in brackets")?;
                match rest.strip_prefix(':') {
                    None if !rest.is_empty() => {
                        return Err("must have a port after an IPv6 address, or nothing");
                    }
                    port => (host, port),
                }
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err("must have the name of a host");
        }
        let port = match port {
            None | Some("") => {
                if is_encrypted {
                    443
                } else {
                    80
                }
            }
            Some(port) => {
                port.parse().ok().filter(|port| *port > 0).ok_or("must have a port from 1 to 65535")?
            }
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { is_encrypted, host: host.to_owned(), port, target })
    }

    /// Returns a text that may be an address as it can be shown: without what stands in front of the host, and without the query.
    pub(crate) fn without_secrets(text: &str) -> String {
        let without_query = |text: &str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
        let Some((before, host)) = text.rsplit_once('@') else { return readable(&without_query(text)) };
        // What is no scheme may be a part of the name or of the password.
        let scheme = before.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
        let scheme = scheme.map_or_else(String::new, |(scheme, _)| format!("{scheme}://"));
        if before.contains(['?', '#']) {
            // Of a password with such a character, or of a query with an `@`, a part would be shown as the host or the path.
            return format!("{scheme}{HIDDEN}");
        }
        readable(&format!("{scheme}{HIDDEN}@{}", without_query(host)))
    }

    /// Whether the host is this machine itself, by an address or by the name that always means it.
    pub(crate) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        address.map_or_else(|_| self.host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Returns host and port as they stand in requests.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let is_usual = self.port == if self.is_encrypted { 443 } else { 80 };
        if is_usual { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns about how long it is as a text.
    pub(crate) fn len(&self) -> usize {
        self.host.len() + self.target.len() + 16
    }
}

/// Leaves the query out, which may hold a secret.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        for (text, is_encrypted, host, port, target, shown) in [
            ("http://a", false, "a", 80, "/", "http://a/"),
            ("HTTPS://a.b/c/d?e=f#g", true, "a.b", 443, "/c/d?e=f", "https://a.b/c/d"),
            ("https://a:8443?x", true, "a", 8443, "/?x", "https://a:8443/"),
            ("http://[::1]:80/t", false, "::1", 80, "/t", "http://[::1]/t"),
            ("http://[::1]/t", false, "::1", 80, "/t", "http://[::1]/t"),
            ("http://127.0.0.1:1/", false, "127.0.0.1", 1, "/", "http://127.0.0.1:1/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.is_encrypted(), url.host(), url.port(), url.target()),
                (is_encrypted, host, port, target)
            );
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (text, shown) in [
            ("https://user:hunter2@idp/token", "https://[hidden]@idp/token"),
            ("https://user:hunt@er2@idp/token", "https://[hidden]@idp/token"),
            ("user:hunter2@idp", "[hidden]@idp"),
            ("user:hunter2://x@idp", "[hidden]@idp"),
            ("user:hunter2@http://x@idp", "[hidden]@idp"),
            ("https://idp/token?secret=hunter2", "https://idp/token"),
            ("idp/token#hunter2@x", "[hidden]"),
            ("https://user:hunt#er2@idp/token", "https://[hidden]"),
            ("https://user:hunter2?x@idp/token", "https://[hidden]"),
            ("https://idp/token?secret=hunter2@x", "https://[hidden]"),
            ("https://user:hunter2@idp/token?secret=hunter2", "https://[hidden]@idp/token"),
            ("ftp://idp\n", "ftp://idp "),
        ] {
            assert_eq!(Url::without_secrets(text), shown);
        }
    }

    #[test]
    fn this_machine_is_known_by_its_addresses_and_its_name() {
        for (text, expected) in [
            ("http://127.0.0.1:8080/", true),
            ("http://127.1.2.3/", true),
            ("http://[::1]/", true),
            ("http://LocalHost/", true),
            ("http://localhost.example/", false),
            ("http://10.0.0.1/", false),
            ("http://169.254.169.254/", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "a",
            "a.b/c",
            "ftp://a",
            "http://",
            "http:///x",
            "http://:80",
            "http://a:0",
            "http://a:65536",
            "http://a:x",
            "http://u:p@a/",
            "http://a b/",
            "http://a/\r\nx",
            "http://\u{e4}/",
            "http://[::1",
            "http://[a]/",
            "http://[::1]x/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
