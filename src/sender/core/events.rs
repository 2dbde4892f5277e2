//! Events go to the machine that they are for: the one that has made the request, or the one that minds connections.

use std::time::Instant;

use super::SenderCore;
use crate::log;
use crate::network::NetworkEvent;
use crate::sender::nodes::Nodes;
use crate::sender::request::Purpose;

impl SenderCore {
    /// Takes in what brokers have answered, and which connections came and went.
    pub(crate) fn handle_network_events(&mut self, now: Instant) {
        while let Some(event) = self.network.poll_event() {
            self.schedule.note_news();
            match event {
                NetworkEvent::Ready { node } => {
                    self.counters.connections_created.add(1);
                    let nodes = Nodes::new(&mut self.network);
                    self.topology.handle_ready(node, &nodes, &mut self.effects);
                }
                NetworkEvent::Disconnected { node, reason, .. } => {
                    log::debug!(%node, %reason, "disconnected");
                    // What we closed ourselves says nothing about the cluster.
                    if !reason.is_release() {
                        let mut nodes = Nodes::new(&mut self.network);
                        let effects = &mut self.effects;
                        self.topology.handle_lost_connection(node, &reason, &mut nodes, now, effects);
                    }
                }
                NetworkEvent::Written { purpose: Purpose::Settlement(sent), .. } => {
                    self.handle_written(&sent, now);
                }
                NetworkEvent::Written { purpose: Purpose::Topology(question), .. } => {
                    self.topology.handle_failure(question, now);
                }
                NetworkEvent::Written { purpose: Purpose::Numbering(_), .. } => {}
                NetworkEvent::Response { node, purpose, version, body, .. } => match purpose {
                    Purpose::Topology(question) => {
                        let effects = &mut self.effects;
                        self.topology.handle_response(question, node, version, &body, now, effects);
                    }
                    Purpose::Settlement(sent) => self.handle_produce(node, sent, version, &body, now),
                    Purpose::Numbering(question) => {
                        let effects = &mut self.effects;
                        self.numbering.handle_response(question, node, version, &body, now, effects);
                    }
                },
                NetworkEvent::Failed { purpose: Purpose::Topology(question), .. } => {
                    self.topology.handle_failure(question, now);
                }
                NetworkEvent::Failed { node, purpose: Purpose::Numbering(question), reason, .. } => {
                    let nodes = Nodes::new(&mut self.network);
                    self.numbering.handle_failure(question, node, &reason, &nodes, now, &mut self.effects);
                }
                NetworkEvent::Failed { purpose: Purpose::Settlement(sent), reason, on_wire, .. } => {
                    self.handle_produce_failure(&sent, &reason, on_wire, now);
                }
            }
            self.act(now);
        }
    }
}
