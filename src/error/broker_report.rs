//! How brokers have fared, as errors and health tell it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SharedError;
use super::spent::Spent;
use crate::topic_partition::NodeId;

/// How a broker has fared with the producer of late.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerReport {
    /// The id of the broker. `None` if the producer knows only its entry in `bootstrap.servers`.
    pub node: Option<NodeId>,
    /// The host name or address at which the producer reaches it, without brackets.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
    /// How the connection stands.
    pub state: BrokerState,
    /// Attempts and connections in a row that came to nothing: none of them brought an answer to a request.
    pub failures: u32,
    /// The time since the first of them failed.
    pub failing_for: Option<Duration>,
    /// What the last of them failed with.
    pub last_failure: Option<BrokerFailure>,
    /// What is left of the time for which the broker wants to be left alone, because the producer is above a quota.
    pub throttled_for: Option<Duration>,
}

/// How the connection to a broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BrokerState {
    /// There is a connection that takes requests.
    Connected,
    /// A connection is being made.
    Connecting(ConnectionStep),
    /// There was a connection, or an attempt at one, and there is none now.
    Disconnected,
    /// The producer has not needed the broker yet.
    Unused,
}

/// How far a connection is, or was when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConnectionStep {
    /// The name is looked up, and a connection is made, and encrypted if it has to be.
    Connect,
    /// The broker is asked what it speaks.
    ApiVersions,
    /// The broker is told who the producer is.
    Authentication,
    /// The connection takes requests.
    Ready,
}

/// Why a connection to a broker came to nothing. [`source`](std::error::Error::source) is what the system said of it, if it said
/// anything.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BrokerFailure {
    /// How far the connection was.
    pub step: ConnectionStep,
    /// The cause, in a few words, such as `connection refused`.
    pub text: Arc<str>,
    /// How long ago it was.
    pub ago: Duration,
    source: Option<SharedError>,
}

/// Several brokers in one line: the first two are spelt out, and the others counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brokers<'a>(pub(crate) &'a [BrokerReport]);

impl BrokerFailure {
    pub(crate) fn new(
        step: ConnectionStep,
        text: Arc<str>,
        ago: Duration,
        source: Option<SharedError>,
    ) -> Self {
        Self { step, text, ago, source }
    }
}

/// What the system said, and how long ago it was, do not count.
impl PartialEq for BrokerFailure {
    fn eq(&self, other: &Self) -> bool {
        self.step == other.step && self.text == other.text
    }
}

impl Eq for BrokerFailure {}

impl fmt::Display for BrokerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "while {}: {}", self.step, self.text)
    }
}

impl StdError for BrokerFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| -> &(dyn StdError + 'static) { source })
    }
}

impl fmt::Display for ConnectionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::ApiVersions => "asking for ApiVersions",
            Self::Authentication => "authenticating",
            Self::Ready => "in use",
        })
    }
}

impl fmt::Display for BrokerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Connecting(ConnectionStep::Connect) => f.write_str("connecting"),
            Self::Connecting(ConnectionStep::ApiVersions) => {
                f.write_str("connected, no answer to ApiVersions yet")
            }
            Self::Connecting(ConnectionStep::Authentication) => f.write_str("authenticating"),
            Self::Connecting(ConnectionStep::Ready) => f.write_str("about to be ready"),
            Self::Disconnected => f.write_str("not connected"),
            Self::Unused => f.write_str("not needed yet"),
        }
    }
}

/// Returns the brokers if none of them takes requests, and some have failed.
pub(crate) fn unreachable(brokers: &[BrokerReport]) -> Option<&[BrokerReport]> {
    let is_connected = |broker: &BrokerReport| broker.state == BrokerState::Connected;
    let is_unreachable =
        !brokers.iter().any(is_connected) && brokers.iter().any(|broker| broker.last_failure.is_some());
    is_unreachable.then_some(brokers)
}

/// Returns the failure that stands first, as the source of an error.
pub(crate) fn leading_failure(brokers: &[BrokerReport]) -> Option<&(dyn StdError + 'static)> {
    let failure = brokers.iter().find_map(|broker| broker.last_failure.as_ref())?;
    Some(failure)
}

/// The address, and the last failure or else how the broker stands.
impl fmt::Display for BrokerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}: ", self.host, self.port)?,
            false => write!(f, "{}:{}: ", self.host, self.port)?,
        }
        match &self.last_failure {
            Some(failure) => f.write_str(&failure.text)?,
            None => self.state.fmt(f)?,
        }
        if let Some(failing_for) = self.failing_for.filter(|_| self.failures > 1) {
            write!(f, ", {} attempts in {}", self.failures, Spent(failing_for))?;
        }
        if let Some(left) = self.throttled_for {
            write!(f, ", throttled by its quota for another {}", Spent(left))?;
        }
        Ok(())
    }
}

impl fmt::Display for Brokers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, broker) in self.0.iter().take(SPELT_OUT).enumerate() {
            write!(f, "{}{broker}", if index == 0 { "" } else { "; " })?;
        }
        match self.0.len().saturating_sub(SPELT_OUT) {
            0 => Ok(()),
            others => write!(f, "; and {others} more"),
        }
    }
}

/// An error has to stay a line.
const SPELT_OUT: usize = 2;

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn report(port: u16) -> BrokerReport {
        BrokerReport {
            node: None,
            host: Arc::from("127.0.0.1"),
            port,
            state: BrokerState::Unused,
            failures: 0,
            failing_for: None,
            last_failure: None,
            throttled_for: None,
        }
    }

    fn refused(port: u16, failures: u32) -> BrokerReport {
        let system = io::Error::from_raw_os_error(111);
        let ago = Duration::from_millis(300);
        let text = Arc::from("connection refused");
        let failure = BrokerFailure::new(ConnectionStep::Connect, text, ago, Some(Arc::new(system)));
        BrokerReport {
            state: BrokerState::Disconnected,
            failures,
            failing_for: Some(Duration::from_secs(12)),
            last_failure: Some(failure),
            ..report(port)
        }
    }

    #[test]
    fn report_tells_the_cause_and_how_often() {
        assert_eq!(refused(9092, 1).to_string(), "127.0.0.1:9092: connection refused");
        assert_eq!(refused(9092, 23).to_string(), "127.0.0.1:9092: connection refused, 23 attempts in 12 s");
    }

    #[test]
    fn report_without_a_failure_tells_the_state() {
        let connected = BrokerReport { state: BrokerState::Connected, ..report(9092) };
        let throttled =
            BrokerReport { throttled_for: Some(Duration::from_millis(3000)), ..connected.clone() };

        assert_eq!(report(9092).to_string(), "127.0.0.1:9092: not needed yet");
        assert_eq!(connected.to_string(), "127.0.0.1:9092: connected");
        assert_eq!(
            throttled.to_string(),
            "127.0.0.1:9092: connected, throttled by its quota for another 3 s"
        );
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets() {
        let report = BrokerReport { host: Arc::from("::1"), ..report(9092) };

        assert_eq!(report.to_string(), "[::1]:9092: not needed yet");
    }

    #[test]
    fn at_most_two_brokers_are_spelt_out() {
        let reports: Vec<_> = (1..=4).map(|port| refused(port, 1)).collect();

        assert_eq!(Brokers(&reports[..0]).to_string(), "");
        assert_eq!(
            Brokers(&reports[..2]).to_string(),
            "127.0.0.1:1: connection refused; 127.0.0.1:2: connection refused"
        );
        assert_eq!(
            Brokers(&reports).to_string(),
            "127.0.0.1:1: connection refused; 127.0.0.1:2: connection refused; and 2 more"
        );
    }

    #[test]
    fn source_of_a_failure_is_what_the_system_said() {
        let failure = refused(9092, 1).last_failure.unwrap();

        assert_eq!(failure.to_string(), "while connecting: connection refused");
        assert_eq!(failure.source().unwrap().to_string(), io::Error::from_raw_os_error(111).to_string());
    }

    #[test]
    fn brokers_are_unreachable_if_none_is_connected_and_some_have_failed() {
        let connected = BrokerReport { state: BrokerState::Connected, ..report(1) };

        assert_eq!(unreachable(&[]), None);
        assert_eq!(unreachable(&[report(1)]), None);
        assert_eq!(unreachable(&[refused(2, 1), connected]), None);
        let brokers = [report(1), refused(2, 1)];
        assert_eq!(unreachable(&brokers), Some(&brokers[..]));
        assert_eq!(leading_failure(&brokers).unwrap().to_string(), "while connecting: connection refused");
    }

    #[test]
    fn every_step_and_state_has_words() {
        for step in [
            ConnectionStep::Connect,
            ConnectionStep::ApiVersions,
            ConnectionStep::Authentication,
            ConnectionStep::Ready,
        ] {
            assert!(!step.to_string().is_empty());
            assert!(!BrokerState::Connecting(step).to_string().is_empty());
        }
        assert_eq!(BrokerState::Disconnected.to_string(), "not connected");
    }
}
