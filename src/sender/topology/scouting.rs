//! A look ahead: who leads the topics that callers wait for, before the broker has said what it speaks.
//!
//! Requests can be made in the best version only once a new connection has its answer to ApiVersions. Every broker since
//! Kafka 0.11 answers Metadata in one old version, though, so the sender asks in that version along with ApiVersions. The answer
//! tells too little to work with (no ids of topics, no leader epochs), so metadata does not take it in. But the sender learns
//! the leaders from it, and connects to them while the request that counts is under way. So the first record is acknowledged a
//! round trip earlier. A broker that has to be told who the producer is gets this request along with the last word of that.

use std::time::Instant;

use super::{MetadataQuestion, Topology};
use crate::protocol::messages::metadata::MetadataResponse;
use crate::sender::effects::{Effect, Effects};
use crate::sender::nodes::Nodes;
use crate::sender::request::{Body, Purpose};
use crate::topic_partition::NodeId;

/// Whether to look ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scouting {
    /// It has served its end; possible again once there is metadata.
    Done,
    /// It came to nothing once, and maybe to the loss of the connection: the peer does not take it.
    GivenUp,
    Possible,
    UnderWay,
}

impl Scouting {
    pub(super) fn allow(&mut self) {
        if *self == Self::Done {
            *self = Self::Possible;
        }
    }

    pub(super) fn give_up(&mut self) {
        *self = Self::GivenUp;
    }
}

impl Topology {
    /// Looks ahead if a node is just being asked for its versions, or told who the producer is, and a caller waits for a topic.
    pub(super) fn scout(&mut self, node: NodeId, nodes: &Nodes<'_>, now: Instant, effects: &mut Effects) {
        if self.scouting != Scouting::Possible || !nodes.can_send_early(node, now) {
            return;
        }
        let Some(request) = self.metadata.scout_request() else { return };
        self.scouting = Scouting::UnderWay;
        self.counters.metadata_requests_sent.add(1);
        let purpose = Purpose::Topology(MetadataQuestion::Scout);
        effects.push(Effect::SendEarly { node, purpose, body: Body::Metadata(request), version: VERSION });
    }

    /// Takes in what a look ahead has found.
    pub(super) fn handle_scout(&mut self, response: &MetadataResponse, effects: &mut Effects) {
        self.scouting = Scouting::Done;
        if self.metadata.scout_request().is_none() {
            // The request that counts was answered before, by another broker.
            return;
        }
        let (nodes, leaders) = self.metadata.scouted(response);
        if leaders.len() > MAX_LEADERS {
            return;
        }
        effects.push(Effect::KnowNodes { cluster_id: response.cluster_id.clone(), nodes });
        leaders.into_iter().for_each(|leader| effects.push(Effect::Connect(leader)));
    }
}

/// Spoken by Kafka 0.11 and all later brokers; the first that can ask without creating the topic.
const VERSION: i16 = 4;

/// If a topic is spread over more brokers than this, the sender connects once it knows which of them get records.
const MAX_LEADERS: usize = 16;
