//! The addresses in `bootstrap.servers`.

use std::fmt;
use std::net::Ipv6Addr;

use super::ConfigReason;

/// The address of a broker as it was configured: nothing has been resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostPort {
    /// A host name, an IPv4 address or an IPv6 address without its brackets.
    pub(crate) host: String,
    /// Never 0.
    pub(crate) port: u16,
}

impl HostPort {
    /// Reads addresses separated by commas. As in Kafka, an address that is given twice is used once.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Self>, ConfigReason> {
        let mut servers = Vec::new();
        let mut faults = Vec::new();
        for entry in text.split(',').map(str::trim) {
            match Self::parse(entry) {
                Ok(server) if servers.contains(&server) => {
                    tracing::warn!(%server, "bootstrap server given more than once");
                }
                Ok(server) => servers.push(server),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(servers) } else { Err(ConfigReason::Invalid(faults.join(", "))) }
    }

    /// Reads `host:port`, `[IPv6]:port`, or one of them after `PLAINTEXT://`. The error is worded to follow the
    /// whole list.
    fn parse(entry: &str) -> Result<Self, String> {
        if entry.is_empty() {
            return Err("must be a list of host:port without empty entries".to_owned());
        }
        let address = match entry.split_once("://") {
            None => entry,
            Some((scheme, address)) if scheme.eq_ignore_ascii_case("PLAINTEXT") => address,
            Some(_) => return Err(format!("{entry:?} must begin with PLAINTEXT:// or no protocol at all")),
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(|| needs_port(entry))?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) if is_ipv6(inner) => inner,
            Some(_) => return Err(format!("{entry:?} must have an IPv6 address between its brackets")),
            // "[::1]" has colons as well, and no port.
            None if host.starts_with('[') => return Err(needs_port(entry)),
            None if host.contains(':') => {
                return Err(format!("{entry:?} must have its IPv6 address in brackets, as in [::1]:9092"));
            }
            None if is_name(host) => host,
            None => {
                return Err(format!("{entry:?} must have a host name of letters, digits, '.', '-' and '_'"));
            }
        };
        match port {
            "" => Err(needs_port(entry)),
            _ if !port.bytes().all(|byte| byte.is_ascii_digit()) => Err(needs_port(entry)),
            _ => match port.parse() {
                Ok(port) if port > 0 => Ok(Self { host: host.to_owned(), port }),
                _ => Err(format!("{entry:?} must have a port of 1 to 65535")),
            },
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn needs_port(entry: &str) -> String {
    format!("{entry:?} must be host:port, the port of 1 to 65535")
}

/// A zone may follow the address, as in `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok() && is_name(zone)
}

/// Looser than a DNS name: container networks resolve names with underscores.
fn is_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::HostPort;

    /// What Kafka's own ClientUtils (4.4.0) makes of these was read off by running it.
    #[test]
    fn addresses_that_kafka_takes_are_taken() {
        for (text, host, port) in [
            ("localhost:9092", "localhost", 9092),
            ("127.0.0.1:9092", "127.0.0.1", 9092),
            ("[::1]:9092", "::1", 9092),
            ("[fe80::1%eth0]:9092", "fe80::1%eth0", 9092),
            ("PLAINTEXT://localhost:9092", "localhost", 9092),
            ("plaintext://[::1]:9092", "::1", 9092),
            ("host_x:65535", "host_x", 65535),
            ("localhost:09092", "localhost", 9092),
        ] {
            let servers = HostPort::parse_list(text).unwrap();

            assert_eq!(servers, [HostPort { host: host.to_owned(), port }], "{text}");
        }
    }

    #[test]
    fn addresses_that_kafka_refuses_are_refused() {
        for text in [
            "",
            "localhost",
            "localhost:",
            "localhost:65536",
            "localhost:-1",
            "[::1]",
            "local host:9092",
            "localhost:9092/",
            "localhost: 9092",
            "loc@lhost:1",
            "exämple:1",
            "a:1,",
            "a:1,,b:2",
        ] {
            assert!(HostPort::parse_list(text).is_err(), "{text}");
        }
    }

    /// Kafka takes these and means something that nobody meant: port 0, this machine, or a guess where an IPv6
    /// address ends.
    #[test]
    fn ambiguous_addresses_are_refused() {
        for text in ["localhost:0", ":9092", "::1:9092", "[localhost]:9092", "SSL://localhost:9093", "a:+1"] {
            assert!(HostPort::parse_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_given_twice_are_used_once() {
        let servers = HostPort::parse_list("a:1, b:2 ,a:1").unwrap();

        let printed: Vec<_> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(printed, ["a:1", "b:2"]);
    }

    #[test]
    fn every_bad_address_of_a_list_is_named() {
        let super::ConfigReason::Invalid(text) = HostPort::parse_list("a,b:2,c:0").unwrap_err() else {
            panic!("another reason");
        };

        assert_eq!(
            text,
            r#""a" must be host:port, the port of 1 to 65535, "c:0" must have a port of 1 to 65535"#
        );
    }

    #[test]
    fn an_ipv6_address_is_printed_in_brackets() {
        let servers = HostPort::parse_list("[::1]:9092").unwrap();

        assert_eq!(servers[0].to_string(), "[::1]:9092");
    }
}
