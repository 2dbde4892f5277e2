//! Addresses of brokers: those in `bootstrap.servers`, and those that brokers advertise.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use super::ConfigReason;

use crate::log;

/// The address of a broker as it was configured or advertised: nothing has been resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostPort {
    /// A host name, an IPv4 address, or an IPv6 address without brackets and in its shortest form: brackets are for
    /// telling the host from the port, and a resolver takes them for part of a name.
    host: Arc<str>,
    port: u16,
}

impl HostPort {
    pub(crate) fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        let host = host.into();
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let bare = inner.filter(|inner| is_ipv6(inner)).unwrap_or(&host);
        let shortest = bare.parse::<Ipv6Addr>().map(|address| address.to_string());
        let host = match shortest.as_deref().unwrap_or(bare) {
            unchanged if *unchanged == *host => host,
            other => Arc::from(other),
        };
        Self { host, port }
    }

    /// Reads what a broker advertises, unless nothing can be reached there.
    pub(crate) fn from_wire(host: &str, port: i32) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
        Some(Self::new(host, port)).filter(|address| !address.host.is_empty())
    }

    pub(crate) fn host(&self) -> &Arc<str> {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether both are the same place. Case does not matter in host names.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        // It is asked for with each request, and nearly always of names that are the same to the letter.
        self.port == other.port && (self.host == other.host || self.host.eq_ignore_ascii_case(&other.host))
    }

    /// Reads addresses separated by commas. As in Kafka, an address that is given twice is used once.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Self>, ConfigReason> {
        let mut servers = Vec::new();
        let mut faults = Vec::new();
        for entry in text.split(',').map(str::trim) {
            match Self::parse(entry) {
                Ok(server) if servers.contains(&server) => {
                    log::warn!(%server, "bootstrap server given more than once");
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
                Ok(port) if port > 0 => Ok(Self::new(host, port)),
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

            let found: Vec<_> = servers.iter().map(|server| (&**server.host(), server.port())).collect();
            assert_eq!(found, [(host, port)], "{text}");
        }
    }

    /// Brokers send what stands in `advertised.listeners`.
    #[test]
    fn advertised_ipv6_addresses_are_those_of_the_configuration() {
        let configured = HostPort::parse_list("[::1]:9092").unwrap();

        for advertised in ["[::1]", "::1", "0:0:0:0:0:0:0:1", "[0::1]"] {
            assert_eq!(HostPort::from_wire(advertised, 9092), Some(configured[0].clone()), "{advertised}");
        }
        let zoned = HostPort::from_wire("[fe80::1%eth0]", 9092).unwrap();
        assert_eq!(&**zoned.host(), "fe80::1%eth0");
    }

    #[test]
    fn advertised_names_are_taken_as_they_are() {
        for name in ["kafka-1", "10.0.0.1", "[kafka]", "[", "]", "[]"] {
            assert_eq!(&**HostPort::from_wire(name, 9092).unwrap().host(), name);
        }
        for (host, port) in [("", 9092), ("kafka", 0), ("kafka", -1), ("kafka", 65_536)] {
            assert_eq!(HostPort::from_wire(host, port), None, "{host}:{port}");
        }
    }

    #[test]
    fn case_does_not_tell_places_apart_but_the_port_does() {
        let address = |host, port| HostPort::new(host, port);

        assert!(address("Kafka-1", 9092).is_same_place(&address("kafka-1", 9092)));
        assert!(!address("kafka-1", 9093).is_same_place(&address("kafka-1", 9092)));
        assert!(!address("kafka-2", 9092).is_same_place(&address("kafka-1", 9092)));
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

    /// Kafka takes these and means something that the user did not mean: port 0, this machine, or a guess where an IPv6
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
