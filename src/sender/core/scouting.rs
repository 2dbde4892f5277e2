//! A look ahead: who leads the topics that callers wait for, before the broker has said what it speaks.
//!
//! Requests can be made in the best version only once a new connection has its answer to ApiVersions. Every broker since
//! Kafka 0.11 answers Metadata in one old version, though, so that is asked along with ApiVersions. What it tells is too
//! little to work with (no ids of topics, no leader epochs) and is not taken in; but while the request that counts is under
//! way, the leaders are connected to. So the first record is acknowledged a round trip earlier.

use std::time::Instant;

use super::SenderCore;
use crate::network::NetworkRequest;
use crate::protocol::ApiKey;
use crate::protocol::messages::metadata::MetadataResponse;
use crate::sender::request::Purpose;
use crate::topic_partition::NodeId;
use crate::wire::Reader;

/// Whether to look ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scouting {
    /// It has served its end; possible again once there is metadata.
    Done,
    /// It came to nothing once, and maybe to the loss of the connection: whatever is at the other end does not like it.
    GivenUp,
    Possible,
    UnderWay,
}

impl SenderCore {
    /// Looks ahead if a node is just being asked for its versions and a caller waits for a topic.
    pub(super) fn send_scout(&mut self, node: NodeId, now: Instant) {
        if self.scouting != Scouting::Possible || !self.network.can_send_early(node) {
            return;
        }
        let Some(request) = self.metadata.scout_request() else { return };
        self.scouting = Scouting::UnderWay;
        self.counters.metadata_requests_sent.add(1);
        let sending = NetworkRequest {
            node,
            api_key: ApiKey::Metadata,
            purpose: Purpose::Scout,
            expects_response: true,
            timeout: self.settings.request_timeout,
        };
        self.network.send_early(sending, VERSION, now, |version, out| request.encode(out, version));
    }

    pub(super) fn allow_scouting(&mut self) {
        if self.scouting == Scouting::Done {
            self.scouting = Scouting::Possible;
        }
    }

    pub(super) fn handle_scout(&mut self, node: NodeId, version: i16, body: &[u8], now: Instant) {
        let asked = self.metadata.reads_topic();
        let response = match MetadataResponse::decode_asked(&mut Reader::new(body), version, asked) {
            Ok(response) => response,
            Err(error) => {
                self.scouting = Scouting::GivenUp;
                self.close_unreadable(node, ApiKey::Metadata, version, &error, now);
                return;
            }
        };
        self.scouting = Scouting::Done;
        if self.metadata.scout_request().is_none() {
            // The request that counts was answered before, by another broker.
            return;
        }
        let (nodes, leaders) = self.metadata.scouted(&response);
        if leaders.len() > MAX_LEADERS {
            return;
        }
        self.network.update_nodes(&nodes, now);
        for leader in leaders {
            self.network.connect(leader, now);
        }
    }
}

/// Spoken by Kafka 0.11 and all later brokers; the first that can ask without creating the topic.
const VERSION: i16 = 4;

/// Of a topic that is spread over more brokers than this, it is waited until it is known which of them get records.
const MAX_LEADERS: usize = 16;
