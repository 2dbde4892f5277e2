//! `Account`: how one broker has fared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::HostPort;
use crate::error::{BrokerFailure, BrokerReport, BrokerState, ConnectionStep, SharedError, Spent};
use crate::network::DisconnectReason;
use crate::topic_partition::NodeId;

/// Where a broker is, in one form for all that are the same place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    host: Arc<str>,
    port: u16,
}

/// What is kept of a broker.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// `None` as long as only an entry of `bootstrap.servers` leads to it.
    node: Option<NodeId>,
    address: HostPort,
    pub(super) state: BrokerState,
    failing: Option<Failing>,
    /// Whether the log was told that it fails.
    is_told: bool,
    throttled_until: Option<Instant>,
}

/// Failures in a row.
#[derive(Debug, Clone)]
struct Failing {
    since: Instant,
    count: u32,
    step: ConnectionStep,
    text: Arc<str>,
    source: Option<SharedError>,
    /// When the last was.
    at: Instant,
}

impl Place {
    pub(super) fn of(address: &HostPort) -> Self {
        let host = address.host();
        let has_capitals = host.bytes().any(|byte| byte.is_ascii_uppercase());
        let host = if has_capitals { host.to_ascii_lowercase().into() } else { Arc::clone(host) };
        Self { host, port: address.port() }
    }
}

impl Account {
    pub(super) fn new(address: &HostPort) -> Self {
        Self {
            node: None,
            address: address.clone(),
            state: BrokerState::Unused,
            failing: None,
            is_told: false,
            throttled_until: None,
        }
    }

    /// Takes in under which id the broker is known.
    pub(super) fn name(&mut self, node: NodeId) {
        if node.0 >= 0 {
            self.node = Some(node);
        }
    }

    pub(super) fn fail(&mut self, step: ConnectionStep, reason: &DisconnectReason, now: Instant) {
        let (since, count) = self.failing.as_ref().map_or((now, 0), |failing| (failing.since, failing.count));
        let (text, source) = (reason.words(), reason.shared_source());
        let count = count.saturating_add(1);
        self.failing = Some(Failing { since, count, step, text, source, at: now });
    }

    /// Takes in that the log is told of it.
    pub(super) fn tell(&mut self) {
        self.is_told = true;
    }

    /// The broker is of use again. Returns what there is to say of that, if the log was told that it fails.
    pub(super) fn recover(&mut self, now: Instant) -> Option<String> {
        let Failing { since, count, .. } = self.failing.take()?;
        let after = Spent(now.saturating_duration_since(since));
        let attempts = if count == 1 { "attempt" } else { "attempts" };
        std::mem::take(&mut self.is_told).then(|| {
            format!("connected to broker {} again after {after}, {count} {attempts}", self.describe())
        })
    }

    /// The broker is connected at last, which the log was told to be late. Returns what there is to say of that.
    pub(super) fn come_late(&mut self, after: Duration) -> String {
        self.is_told = false;
        format!("connected to broker {} after {}", self.describe(), Spent(after))
    }

    pub(super) fn throttle(&mut self, until: Instant) {
        self.throttled_until = self.throttled_until.max(Some(until));
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Says which broker it is, for a person.
    pub(super) fn describe(&self) -> String {
        match self.node {
            Some(node) => format!("{node} ({})", self.address),
            None => self.address.to_string(),
        }
    }

    /// Whether there is nothing to be said of the broker.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_failing() && matches!(self.state, BrokerState::Disconnected | BrokerState::Unused)
    }

    /// Whether it is not known by this id so far.
    pub(super) fn is_to_be_named(&self, node: NodeId) -> bool {
        node.0 >= 0 && self.node != Some(node)
    }

    pub(super) fn report(&self, now: Instant) -> BrokerReport {
        let failing = self.failing.as_ref();
        let ago = |time| now.saturating_duration_since(time);
        let left = self.throttled_until.map(|until| until.saturating_duration_since(now));
        BrokerReport {
            node: self.node,
            host: Arc::clone(self.address.host()),
            port: self.address.port(),
            state: self.state,
            failures: failing.map_or(0, |failing| failing.count),
            failing_for: failing.map(|failing| ago(failing.since)),
            last_failure: failing.map(|failing| {
                let (text, source) = (Arc::clone(&failing.text), failing.source.clone());
                BrokerFailure::new(failing.step, text, ago(failing.at), source)
            }),
            throttled_for: left.filter(|left| !left.is_zero()),
        }
    }
}

/// Returns how brokers have fared: `leader` first, then those that tell most.
pub(super) fn reports(
    accounts: &BTreeMap<Place, Account>,
    leader: Option<&Place>,
    now: Instant,
) -> Vec<BrokerReport> {
    let mut reports: Vec<_> = accounts
        .iter()
        .map(|(place, account)| {
            let report = account.report(now);
            // What came furthest before it failed is nearest to working.
            let step = report.last_failure.as_ref().map(|failure| failure.step);
            let is_unused = report.state == BrokerState::Unused;
            ((Some(place) != leader, step.is_none(), std::cmp::Reverse(step), is_unused), report)
        })
        .collect();
    reports.sort_by_key(|(order, _)| *order);
    reports.into_iter().map(|(_, report)| report).collect()
}
