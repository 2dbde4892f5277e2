//! What a broker does with a request: pure and synchronous, one request in, one reaction out.
//!
//! A request takes three steps. [`Request::decode`] needs no state. [`Broker::receive`] counts the request, refuses what the broker
//! does not offer and takes up the faults that are due. [`Broker::answer`] has a handler carry it out; it is called again for a request
//! that waited. Each kind of request has a file in `handlers`, which this file alone knows.

use crate::api::Api;
use crate::broker::Broker;
use crate::error::MockError;
use crate::faults::{Arrival, FaultPlan, LeaderMove, Loss, Target};
use crate::handlers::{add_partitions_to_txn, create_topics, list_offsets, offset_commit, offset_fetch};
use crate::reaction::{Progress, Reaction};
use crate::reply::reply;
use crate::request::{Body, Request};
use crate::sasl::Session;

impl Broker<'_> {
    /// Takes in a request; `None` if the connection is to be closed.
    pub(crate) fn receive(
        &mut self,
        request: &Request,
        arrival: Arrival,
        session: &Session,
    ) -> Option<FaultPlan> {
        // Connections are closed a moment after a broker went down.
        if !self.state.is_up(self.id) {
            return None;
        }
        // What a client has sent ahead of the refusal is not read.
        if session.is_refused() {
            return None;
        }
        let (api, version) = (request.api, request.version);
        self.state.requests.count(api, version, self.id);
        if api != Api::ApiVersions && !self.state.versions.offers(api, version) {
            if api == Api::SaslHandshake && self.state.settings.admission.is_some() {
                // Clients may ask ahead of the answer to ApiVersions.
                return None;
            }
            self.state.refuse(format!("{api:?} requests of version {version} are not offered"));
            return None;
        }
        if let Some(reason) = self.obstacle(api, session) {
            self.state.refuse(format!("{api:?} request: {reason}"));
            return None;
        }
        let targets = if self.state.faults.is_empty() { Vec::new() } else { self.targets(request) };
        let plan = self.state.faults.plan(api, self.id, arrival, &targets);
        self.move_leaders(&plan.moves_before)?;
        Some(plan)
    }

    /// Says why a client is not let in that has said of itself what it has.
    fn obstacle(&self, api: Api, session: &Session) -> Option<&'static str> {
        self.state.settings.admission.as_ref()?;
        if api.is_for_strangers() { None } else { session.obstacle() }
    }

    /// Carries out a request. One that waits is carried out several times, with the same progress.
    pub(crate) fn answer(
        &mut self,
        request: &Request,
        plan: &FaultPlan,
        session: &mut Session,
        progress: &mut Progress,
    ) -> Reaction {
        let is_unheard = matches!(plan.loss, Some(Loss::DisconnectBefore | Loss::ResetBefore));
        if !self.state.is_up(self.id) || is_unheard {
            return Reaction::Close;
        }
        let version = request.version;
        let reaction = match &request.body {
            Body::AddOffsetsToTxn(body) => {
                reply(request, plan, &self.add_offsets_to_txn(body, version, plan))
            }
            Body::AddPartitionsToTxn(body) => {
                reply(request, plan, &self.add_partitions_to_txn(body, version, plan))
            }
            Body::ApiVersions(intended) => self.api_versions(request, Some(intended), plan),
            Body::UnknownApiVersions => self.api_versions(request, None, plan),
            Body::CreateTopics(body) => reply(request, plan, &self.create_topics(body, version, plan)),
            Body::DeleteTopics(body) => reply(request, plan, &self.delete_topics(body, version, plan)),
            Body::EndTxn(body) => reply(request, plan, &self.end_txn(body, version, plan)),
            Body::Fetch(body) => self.fetch(body, request, plan, progress.since),
            Body::FindCoordinator(body) => reply(request, plan, &self.find_coordinator(body, version, plan)),
            Body::GetTelemetrySubscriptions(body) => {
                reply(request, plan, &self.get_telemetry_subscriptions(body, plan))
            }
            Body::Heartbeat(body) => reply(request, plan, &self.heartbeat(body, version, plan)),
            Body::InitProducerId(body) => reply(request, plan, &self.init_producer_id(body, version, plan)),
            Body::JoinGroup(body) => self.join_group(body, request, plan, progress),
            Body::LeaveGroup(body) => reply(request, plan, &self.leave_group(body, version, plan)),
            Body::ListOffsets(body) => reply(request, plan, &self.list_offsets(body, version, plan)),
            Body::Metadata(body) => reply(request, plan, &self.metadata(body, version, plan)),
            Body::OffsetCommit(body) => reply(request, plan, &self.offset_commit(body, version, plan)),
            Body::OffsetFetch(body) => reply(request, plan, &self.offset_fetch(body, version, plan)),
            Body::Produce(body) => self.produce(body, request, plan),
            Body::PushTelemetry(body) => reply(request, plan, &self.push_telemetry(body, plan)),
            Body::SaslAuthenticate(body) => {
                reply(request, plan, &self.sasl_authenticate(body, plan, session))
            }
            Body::SaslHandshake(body) => {
                reply(request, plan, &self.sasl_handshake(body, version, plan, session))
            }
            Body::SyncGroup(body) => self.sync_group(body, request, plan, progress),
            Body::TxnOffsetCommit(body) => self.txn_offset_commit(body, request, plan),
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

    /// Topics and partitions that a request is about, for faults that choose by them.
    fn targets(&self, request: &Request) -> Vec<Target> {
        match &request.body {
            Body::AddOffsetsToTxn(_)
            | Body::ApiVersions(_)
            | Body::EndTxn(_)
            | Body::FindCoordinator(_)
            | Body::GetTelemetrySubscriptions(_)
            | Body::Heartbeat(_)
            | Body::InitProducerId(_)
            | Body::JoinGroup(_)
            | Body::LeaveGroup(_)
            | Body::PushTelemetry(_)
            | Body::SaslAuthenticate(_)
            | Body::SaslHandshake(_)
            | Body::SyncGroup(_)
            | Body::UnknownApiVersions => Vec::new(),
            Body::AddPartitionsToTxn(body) => add_partitions_to_txn::targets(body),
            Body::CreateTopics(body) => create_topics::targets(body),
            Body::DeleteTopics(body) => self.delete_topics_targets(body, request.version),
            Body::Fetch(body) => self.fetch_targets(body, request.version),
            Body::ListOffsets(body) => list_offsets::targets(body),
            Body::Metadata(body) => self.metadata_targets(body, request.version),
            Body::OffsetCommit(body) => offset_commit::targets(body),
            Body::OffsetFetch(body) => offset_fetch::targets(body),
            Body::Produce(body) => self.produce_targets(body),
            Body::TxnOffsetCommit(body) => self.txn_offset_commit_targets(body),
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
        if !moves.is_empty() {
            self.state.write_markers_at_once();
        }
        Some(())
    }
}
