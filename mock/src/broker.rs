//! What a broker does with a request: pure and synchronous, one request in, one reaction out.
//!
//! A request takes three steps. [`Request::decode`] needs no state. [`receive`] counts the request, refuses what
//! the broker does not offer and takes up the faults that are due. [`answer`] carries it out; it is called again
//! for a Fetch that waited for records.

mod api_versions;
mod create_topics;
mod delete_topics;
mod fetch;
mod init_producer_id;
mod list_offsets;
mod metadata;
pub(crate) mod produce;

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;

use crate::api::Api;
use crate::error::MockError;
use crate::faults::{FaultPlan, LeaderMove, Loss, Target};
use crate::request::{Body, Request, TopicRef};
use crate::state::ClusterState;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Close the connection once earlier answers are out.
    Close,
    /// Answer nothing and do not go on with this connection, but leave it open.
    Hang,
    /// Send this frame, this long after the request came.
    Reply { frame: Bytes, delay: Duration },
    /// The client expects no answer.
    Silence,
    /// There are too few records; ask again when there are more or this time is over.
    Wait { at_most: Duration },
}

/// A broker of a cluster, borrowed together with everything that all brokers share.
pub(crate) struct Broker<'a> {
    pub(crate) state: &'a mut ClusterState,
    pub(crate) id: i32,
}

impl Broker<'_> {
    /// Takes in a request; `None` if the connection is to be closed.
    pub(crate) fn receive(&mut self, request: &Request) -> Option<FaultPlan> {
        // Connections are closed a moment after a broker went down.
        if !self.state.is_up(self.id) {
            return None;
        }
        let (api, version) = (request.api, request.version);
        self.state.requests.count(api, version, self.id);
        if api != Api::ApiVersions && !self.state.versions.offers(api, version) {
            self.state.refuse(format!("{api:?} requests of version {version} are not offered"));
            return None;
        }
        let targets = if self.state.faults.is_empty() { Vec::new() } else { self.targets(request) };
        let plan = self.state.faults.plan(api, self.id, request.arrival, &targets);
        self.move_leaders(&plan.moves_before)?;
        Some(plan)
    }

    /// Carries out a request; `is_last_call` says that a Fetch may not wait any longer.
    pub(crate) fn answer(&mut self, request: &Request, plan: &FaultPlan, is_last_call: bool) -> Reaction {
        let is_unheard = matches!(plan.loss, Some(Loss::DisconnectBefore | Loss::ResetBefore));
        if !self.state.is_up(self.id) || is_unheard {
            return Reaction::Close;
        }
        let reaction = match &request.body {
            Body::ApiVersions | Body::UnknownApiVersions => self.api_versions(request, plan),
            Body::CreateTopics(body) => {
                reply(request, plan, &self.create_topics(body, request.version, plan))
            }
            Body::DeleteTopics(body) => {
                reply(request, plan, &self.delete_topics(body, request.version, plan))
            }
            Body::Fetch(body) => self.fetch(body, request, plan, is_last_call),
            Body::InitProducerId(body) => reply(request, plan, &self.init_producer_id(body, plan)),
            Body::ListOffsets(body) => reply(request, plan, &self.list_offsets(body, request.version, plan)),
            Body::Metadata(body) => reply(request, plan, &self.metadata(body, request.version, plan)),
            Body::Produce(body) => self.produce(body, request, plan),
        };
        self.conclude(plan, reaction)
    }

    /// Does what faults want once a request is carried out: moves leaders, loses the answer.
    pub(crate) fn conclude(&mut self, plan: &FaultPlan, reaction: Reaction) -> Reaction {
        if matches!(reaction, Reaction::Wait { .. }) {
            return reaction;
        }
        if self.move_leaders(&plan.moves_after).is_none() {
            return Reaction::Close;
        }
        match plan.loss {
            Some(Loss::DropResponse) => Reaction::Hang,
            Some(Loss::DisconnectAfter | Loss::DisconnectBefore | Loss::ResetAfter | Loss::ResetBefore) => {
                Reaction::Close
            }
            Some(Loss::Cut(_) | Loss::Stall(_)) | None => reaction,
        }
    }

    /// Moves leaders as faults want it; `None` if one is to move to a broker that is not there. Partitions that do
    /// not exist are left out.
    fn move_leaders(&mut self, moves: &[LeaderMove]) -> Option<()> {
        for LeaderMove { topic, partition, to } in moves {
            if let Err(error @ MockError::UnknownBroker { .. }) =
                self.state.set_leader(topic, *partition, *to)
            {
                self.state.refuse(format!("a fault moves the leader of {topic}-{partition}: {error}"));
                return None;
            }
        }
        Some(())
    }

    /// Topics and partitions that a request is about, for faults that choose by them.
    fn targets(&self, request: &Request) -> Vec<Target> {
        match &request.body {
            Body::ApiVersions | Body::InitProducerId(_) | Body::UnknownApiVersions => Vec::new(),
            Body::CreateTopics(body) => create_topics::targets(body),
            Body::DeleteTopics(body) => self.delete_topics_targets(body, request.version),
            Body::Fetch(body) => self.fetch_targets(body, request.version),
            Body::ListOffsets(body) => list_offsets::targets(body),
            Body::Metadata(body) => self.metadata_targets(body, request.version),
            Body::Produce(body) => self.produce_targets(body),
        }
    }

    /// Name of a topic that a request names somehow; `None` for an id that is not known.
    fn name_of(&self, topic: &TopicRef) -> Option<String> {
        match topic {
            TopicRef::Id(id) => self.state.name_of(*id).map(str::to_owned),
            TopicRef::Name(name) => Some(name.clone()),
        }
    }
}

/// Name of the host in every answer: the mock listens on loopback only.
const HOST: &str = "127.0.0.1";

fn reply<T: Encodable>(request: &Request, plan: &FaultPlan, response: &T) -> Reaction {
    reply_in_version(request, plan, response, request.version)
}

fn reply_in_version<T: Encodable>(
    request: &Request,
    plan: &FaultPlan,
    response: &T,
    version: i16,
) -> Reaction {
    let mut frame = BytesMut::new();
    frame.put_i32(0); // length, known at the end
    frame.put_i32(request.correlation_id);
    if request.api.has_flexible_response_header(version) {
        frame.put_u8(0); // no tags
    }
    if let Err(error) = response.encode(&mut frame, version) {
        tracing::error!(api = ?request.api, version, %error, "mock cannot encode its own answer");
        return Reaction::Close;
    }
    let length = u32::try_from(frame.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(place) = frame.first_chunk_mut::<4>() {
        *place = length.to_be_bytes();
    }
    Reaction::Reply { frame: frame.freeze(), delay: plan.delay }
}
