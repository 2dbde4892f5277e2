//! JoinGroup: makes a client a member of a group; waits for the other members.

use std::time::Duration;

use kafka_protocol::messages::join_group_request::JoinGroupRequest;
use kafka_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};

use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::groups::{Join, JoinAnswer, Ticket};
use crate::reaction::{Progress, Reaction};
use crate::reply::{optional_text, reply, text};
use crate::request::Request;

/// From here on members may have an instance id (KIP-345).
const FIRST_WITH_INSTANCES: i16 = 5;

/// From here on a new member comes twice (KIP-394).
const FIRST_WITH_KNOWN_IDS: i16 = 4;

/// From here on the answer tells the protocol type (KIP-559), and there need not be a protocol.
const FIRST_WITH_PROTOCOL_TYPE: i16 = 7;

/// From here on a leader can be told to decide nothing (KIP-814).
const FIRST_WITH_SKIPPING: i16 = 9;

impl Broker<'_> {
    pub(crate) fn join_group(
        &mut self,
        join: &JoinGroupRequest,
        request: &Request,
        plan: &FaultPlan,
        progress: &mut Progress,
    ) -> Reaction {
        let ticket = match progress.ticket {
            Some(ticket) => ticket,
            None => match self.begin_join(join, request, plan) {
                Ok(ticket) => *progress.ticket.insert(ticket),
                Err(error) => {
                    let answer = JoinAnswer::failed(error, &join.member_id);
                    return reply(request, plan, &response(answer, request.version, plan));
                }
            },
        };
        let now = self.state.now;
        let group = self.state.groups.classic(&join.group_id, now);
        match group.take_join(ticket) {
            Some(answer) => reply(request, plan, &response(answer, request.version, plan)),
            None => Reaction::Wait { until: group.next_deadline() },
        }
    }

    fn begin_join(
        &mut self,
        join: &JoinGroupRequest,
        request: &Request,
        plan: &FaultPlan,
    ) -> Result<Ticket, i16> {
        let group = &join.group_id;
        self.check_group(group, plan)?;
        let session_timeout = duration(join.session_timeout_ms);
        if !self.state.groups.session_timeouts.contains(&session_timeout) {
            return Err(code::INVALID_SESSION_TIMEOUT);
        }
        let client_id = request.client_id.as_deref().unwrap_or_default();
        let instance_id = join.group_instance_id.as_deref();
        let rebalance_timeout =
            if request.version == 0 { session_timeout } else { duration(join.rebalance_timeout_ms) };
        let protocols = join.protocols.iter();
        let join = Join {
            member_id: join.member_id.as_str().to_owned(),
            new_id: self.state.groups.new_member_id(instance_id.unwrap_or(client_id)),
            instance_id: instance_id.map(str::to_owned),
            client_id: client_id.to_owned(),
            session_timeout,
            rebalance_timeout,
            protocol_type: join.protocol_type.as_str().to_owned(),
            protocols: protocols
                .map(|protocol| (protocol.name.as_str().to_owned(), protocol.metadata.clone()))
                .collect(),
            must_know_its_id: request.version >= FIRST_WITH_KNOWN_IDS,
            can_skip_assignment: request.version >= FIRST_WITH_SKIPPING,
            initial_delay: self.state.groups.initial_delay,
        };
        let now = self.state.now;
        Ok(self.state.groups.classic(group, now).join(&join, now))
    }
}

fn response(answer: JoinAnswer, version: i16, plan: &FaultPlan) -> JoinGroupResponse {
    let members = answer.members.into_iter().map(|member| {
        let instance_id = member.instance_id.filter(|_| version >= FIRST_WITH_INSTANCES);
        JoinGroupResponseMember::default()
            .with_member_id(text(member.id))
            .with_group_instance_id(optional_text(instance_id))
            .with_metadata(member.metadata)
    });
    let mut response = JoinGroupResponse::default()
        .with_error_code(answer.error)
        .with_generation_id(answer.generation)
        .with_protocol_name(optional_text(answer.protocol))
        .with_leader(text(answer.leader))
        .with_member_id(text(answer.member_id))
        .with_members(members.collect());
    if version >= 2 {
        response = response.with_throttle_time_ms(plan.throttle_time_ms());
    }
    if version >= FIRST_WITH_SKIPPING {
        response = response.with_skip_assignment(answer.skips_assignment);
    }
    if version >= FIRST_WITH_PROTOCOL_TYPE {
        return response.with_protocol_type(optional_text(answer.protocol_type));
    }
    let protocol = response.protocol_name.take().unwrap_or_default();
    response.with_protocol_name(Some(protocol))
}

fn duration(milliseconds: i32) -> Duration {
    Duration::from_millis(milliseconds.try_into().unwrap_or(0))
}
