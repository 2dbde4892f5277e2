//! `Refusals`: which brokers refuse the producer and why, and why there are no credentials to show to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::network::DisconnectReason;
use crate::topic_partition::NodeId;

/// What stands between the producer and brokers that can be reached.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Why brokers refuse the producer, as far as the last attempt to connect to each of them ended with that.
    by_node: BTreeMap<NodeId, Arc<str>>,
    lack: Option<Lack>,
}

/// Why there are no credentials.
#[derive(Debug)]
struct Lack {
    cause: Arc<str>,
    /// Waiting does not help.
    is_permanent: bool,
}

impl Refusals {
    /// Takes in how a connection to a broker ended, or the attempt at one. `broker` describes the broker.
    pub(super) fn handle_end(&mut self, node: NodeId, broker: &str, reason: &DisconnectReason) {
        if reason.is_refusal() {
            self.by_node.insert(node, Arc::from(format!("broker {broker}: {reason}")));
        } else {
            self.by_node.remove(&node);
        }
    }

    /// Takes in that a broker accepts the producer.
    pub(super) fn handle_ready(&mut self, node: NodeId) {
        self.by_node.remove(&node);
    }

    /// Forgets brokers that are not there any more.
    pub(super) fn retain(&mut self, is_known: impl Fn(NodeId) -> bool) {
        self.by_node.retain(|node, _| is_known(*node));
    }

    /// Takes in that there are no credentials.
    pub(super) fn note_lack(&mut self, cause: &Arc<str>, is_permanent: bool) {
        self.lack = Some(Lack { cause: Arc::clone(cause), is_permanent });
    }

    /// Takes in that there are credentials.
    pub(super) fn note_credentials(&mut self) {
        self.lack = None;
    }

    /// Returns why there are no credentials, if that may pass.
    pub(super) fn passing_lack(&self) -> Option<&Arc<str>> {
        self.lack.as_ref().filter(|lack| !lack.is_permanent).map(|lack| &lack.cause)
    }

    /// Returns why a broker does not get requests, if only another configuration helps.
    pub(super) fn of(&self, node: NodeId, is_ready: bool) -> Option<Arc<str>> {
        // A broker that has accepted the producer needs no other credentials until its session ends.
        let lack = self.lack.as_ref().filter(|lack| lack.is_permanent && !is_ready);
        self.by_node.get(&node).or_else(|| lack.map(|lack| &lack.cause)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::AuthenticationError;

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    fn refusal(text: &str) -> DisconnectReason {
        AuthenticationError::exchange(text).into()
    }

    #[test]
    fn lack_of_credentials_is_not_the_fault_of_a_broker_that_has_accepted_the_producer() {
        let mut refusals = Refusals::default();
        refusals.note_lack(&Arc::from("no token"), true);

        assert_eq!(refusals.of(ONE, true), None);
        assert_eq!(refusals.of(ONE, false).as_deref(), Some("no token"));

        refusals.handle_end(ONE, "one", &refusal("no"));
        assert!(refusals.of(ONE, false).is_some_and(|reason| reason.contains("broker one")));
        refusals.note_credentials();
        assert_eq!(refusals.of(TWO, false), None);
    }

    #[test]
    fn lack_that_may_pass_is_no_refusal() {
        let mut refusals = Refusals::default();
        refusals.note_lack(&Arc::from("no token yet"), false);

        assert_eq!(refusals.of(ONE, false), None);
        assert_eq!(refusals.passing_lack().map(|cause| &**cause), Some("no token yet"));
    }

    #[test]
    fn brokers_that_have_gone_are_forgotten() {
        let mut refusals = Refusals::default();
        refusals.handle_end(ONE, "one", &refusal("no"));

        refusals.retain(|node| node != ONE);

        assert_eq!(refusals.of(ONE, false), None);
    }
}
