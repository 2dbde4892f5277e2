//! SyncGroup: tells a member what it reads; waits for the leader's decision.

use kafka_protocol::messages::sync_group_request::SyncGroupRequest;
use kafka_protocol::messages::sync_group_response::SyncGroupResponse;

use crate::broker::Broker;
use crate::faults::FaultPlan;
use crate::groups::{Sync, SyncAnswer, Ticket};
use crate::reaction::{Progress, Reaction};
use crate::reply::{optional_text, reply};
use crate::request::Request;

/// From here on both sides tell the protocol (KIP-559).
const FIRST_WITH_PROTOCOL: i16 = 5;

impl Broker<'_> {
    pub(crate) fn sync_group(
        &mut self,
        sync: &SyncGroupRequest,
        request: &Request,
        plan: &FaultPlan,
        progress: &mut Progress,
    ) -> Reaction {
        let ticket = match progress.ticket {
            Some(ticket) => ticket,
            None => match self.begin_sync(sync, plan) {
                Ok(ticket) => *progress.ticket.insert(ticket),
                Err(error) => {
                    let answer = SyncAnswer::failed(error);
                    return reply(request, plan, &response(answer, request.version, plan));
                }
            },
        };
        let now = self.state.now;
        let group = self.state.groups.classic(&sync.group_id, now);
        match group.take_sync(ticket) {
            Some(answer) => reply(request, plan, &response(answer, request.version, plan)),
            None => Reaction::Wait { until: group.next_deadline() },
        }
    }

    fn begin_sync(&mut self, sync: &SyncGroupRequest, plan: &FaultPlan) -> Result<Ticket, i16> {
        let group = &sync.group_id;
        self.check_group(group, plan)?;
        let assignments = sync.assignments.iter();
        let sync = Sync {
            member_id: sync.member_id.as_str().to_owned(),
            instance_id: sync.group_instance_id.as_deref().map(str::to_owned),
            generation: sync.generation_id,
            protocol_type: sync.protocol_type.as_deref().map(str::to_owned),
            protocol: sync.protocol_name.as_deref().map(str::to_owned),
            assignments: assignments
                .map(|given| (given.member_id.as_str().to_owned(), given.assignment.clone()))
                .collect(),
        };
        let now = self.state.now;
        Ok(self.state.groups.classic(group, now).sync(&sync, now))
    }
}

fn response(answer: SyncAnswer, version: i16, plan: &FaultPlan) -> SyncGroupResponse {
    let mut response =
        SyncGroupResponse::default().with_error_code(answer.error).with_assignment(answer.assignment);
    if version >= 1 {
        response = response.with_throttle_time_ms(plan.throttle_time_ms());
    }
    if version >= FIRST_WITH_PROTOCOL {
        return response
            .with_protocol_type(optional_text(answer.protocol_type))
            .with_protocol_name(optional_text(answer.protocol));
    }
    response
}
