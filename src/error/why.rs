//! `Why`: what stood in the way of a batch when its time was over.

use std::sync::Arc;

use super::BrokerFailure;
use super::broker_report::{BrokerReport, BrokerState, Brokers, unreachable};

/// How those brokers fared that a batch waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// All that are known, since the leader was none of them.
    Brokers(Arc<[BrokerReport]>),
    Leader(BrokerReport),
}

impl Why {
    pub(crate) fn brokers(&self) -> &[BrokerReport] {
        match self {
            Self::Brokers(brokers) => brokers,
            Self::Leader(leader) => std::slice::from_ref(leader),
        }
    }

    /// Returns the failure that stood in the way, if one did.
    pub(crate) fn failure(&self) -> Option<&BrokerFailure> {
        match self {
            Self::Brokers(brokers) => {
                unreachable(brokers)?.iter().find_map(|broker| broker.last_failure.as_ref())
            }
            Self::Leader(leader) => leader.last_failure.as_ref(),
        }
    }

    /// Returns what stood in the way in words, if anything did.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Brokers(brokers) => no_broker(brokers),
            Self::Leader(leader) if leader.last_failure.is_some() || leader.throttled_for.is_some() => {
                Some(format!("leader {leader}"))
            }
            Self::Leader(_) => None,
        }
    }
}

/// Says that no broker can be reached, if that is so.
pub(crate) fn no_broker(brokers: &[BrokerReport]) -> Option<String> {
    unreachable(brokers).map(|brokers| format!("no broker can be reached ({})", Brokers(brokers)))
}

/// Says that no broker is connected, if that is so, and how they stand.
pub(crate) fn none_connected(brokers: &[BrokerReport]) -> Option<String> {
    let is_connected = |broker: &BrokerReport| broker.state == BrokerState::Connected;
    if brokers.iter().any(is_connected) {
        return None;
    }
    no_broker(brokers).or_else(|| Some(format!("no broker is connected so far ({})", Brokers(brokers))))
}
