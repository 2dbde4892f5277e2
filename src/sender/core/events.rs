//! Events go to the machine that they are for: the one that has made the request, or the one that minds connections.

use std::time::Instant;

use super::SenderCore;
use crate::log;
use crate::login::LoginNews;
use crate::network::{NetworkEvent, Remark};
use crate::sender::nodes::Nodes;
use crate::sender::request::{Purpose, RequestOutcome};
use crate::sender::topology::BootstrapNews;
use crate::sender::transactions::TransactionVersion;
use crate::topic_partition::NodeId;

impl SenderCore {
    /// Takes in what brokers have answered, and which connections came and went.
    pub(crate) fn handle_network_events(&mut self, now: Instant) {
        while let Some(remark) = self.network.poll_remark() {
            self.handle_remark(remark, now);
        }
        while let Some(event) = self.network.poll_event() {
            self.schedule.note_news();
            match event {
                NetworkEvent::Ready { node, address } => {
                    self.count_connection();
                    self.brokers.handle_ready(node, &address, now);
                    let nodes = Nodes::new(&mut self.network);
                    self.topology.handle_ready(node, &nodes, &mut self.effects);
                    if let Some(transactions) = &mut self.transactions {
                        let version = TransactionVersion::of(self.network.transaction_version());
                        transactions.note_finalized(version, &mut self.effects);
                    }
                }
                NetworkEvent::Disconnected { node, address, step, reason, unanswered } => {
                    let client_id = &*self.settings.client_id;
                    log::debug!(client_id, %node, %address, %step, unanswered, %reason, "disconnected");
                    self.brokers.handle_end(node, &address, step, unanswered, &reason, now);
                    self.count_lost_connection(step, &reason);
                    if let Some(transactions) = &mut self.transactions {
                        transactions.handle_lost_connection(node);
                    }
                    // That the sender let go of a connection says nothing about the cluster.
                    if !reason.is_release() {
                        let mut nodes = Nodes::new(&mut self.network);
                        let effects = &mut self.effects;
                        self.topology.handle_lost_connection(node, &reason, &mut nodes, now, effects);
                    }
                }
                NetworkEvent::Failed { node, purpose, reason, on_wire } => {
                    self.note_in_flight(node);
                    self.end_request(node, purpose, RequestOutcome::Failed { reason, on_wire }, now);
                }
                NetworkEvent::Response { node, purpose, version, body, latency, .. } => {
                    self.count_answer(node, latency);
                    self.brokers.handle_answer(node, now);
                    self.end_request(node, purpose, RequestOutcome::Answered { version, body }, now);
                }
                NetworkEvent::Written { node, purpose } => {
                    self.note_in_flight(node);
                    self.end_request(node, purpose, RequestOutcome::Written, now);
                }
            }
            self.act(now);
        }
    }

    fn handle_remark(&mut self, remark: Remark, now: Instant) {
        match remark {
            Remark::Step { node, address, step } => self.brokers.handle_step(node, &address, step, now),
            Remark::Throttled { node, address, pause, until } => {
                self.count_throttle(node, pause);
                self.brokers.handle_throttle(node, &address, until, now);
            }
        }
    }

    /// Takes in what has come of fetching credentials.
    pub(crate) fn handle_login(&mut self, news: &LoginNews, now: Instant) {
        match news {
            LoginNews::Came => {
                self.topology.note_credentials();
                self.network.handle_credentials(now);
            }
            LoginNews::GoOn => self.network.handle_credentials(now),
            LoginNews::None { cause, is_permanent } => {
                let mut nodes = Nodes::new(&mut self.network);
                self.topology.note_no_credentials(cause, *is_permanent, &mut nodes, now, &mut self.effects);
            }
        }
        self.act(now);
    }

    /// Takes in what has come of looking for the names of brokers.
    pub(crate) fn handle_bootstrap(&mut self, news: BootstrapNews, now: Instant) {
        self.topology.handle_bootstrap(news, now, &mut self.effects);
        self.act(now);
    }

    /// Hands what has become of a request to the machine that has made it.
    fn end_request(&mut self, node: NodeId, purpose: Purpose, outcome: RequestOutcome, now: Instant) {
        let effects = &mut self.effects;
        match purpose {
            Purpose::Numbering(question) => {
                let nodes = Nodes::new(&mut self.network);
                self.numbering.handle_outcome(question, node, outcome, &nodes, now, effects);
            }
            Purpose::Settlement(sent) => self.handle_produce(node, sent, outcome, now),
            #[cfg(feature = "telemetry")]
            Purpose::Telemetry(question) => self.handle_telemetry(question, outcome, now),
            Purpose::Topology(question) => {
                self.topology.handle_outcome(question, node, outcome, now, effects);
            }
            Purpose::Transactions(question) => {
                if let Some(transactions) = &mut self.transactions {
                    transactions.handle_outcome(question, node, outcome, now, effects);
                }
            }
        }
    }
}
