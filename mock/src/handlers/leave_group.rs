//! LeaveGroup: members go, and the others join anew.

use kafka_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;

/// From here on several members may leave at once (KIP-345).
const FIRST_WITH_MEMBERS: i16 = 3;

impl Broker<'_> {
    pub(crate) fn leave_group(
        &mut self,
        leave: &LeaveGroupRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> LeaveGroupResponse {
        let mut response = LeaveGroupResponse::default();
        if version >= 1 {
            response = response.with_throttle_time_ms(plan.throttle_time_ms());
        }
        if let Err(error) = self.check_group(&leave.group_id, plan) {
            return response.with_error_code(error);
        }
        if version < FIRST_WITH_MEMBERS {
            let only = MemberIdentity::default().with_member_id(leave.member_id.clone());
            return response.with_error_code(self.dismiss(&leave.group_id, &only));
        }
        let members = leave.members.iter().map(|member| {
            MemberResponse::default()
                .with_member_id(member.member_id.clone())
                .with_group_instance_id(member.group_instance_id.clone())
                .with_error_code(self.dismiss(&leave.group_id, member))
        });
        response.with_members(members.collect())
    }

    fn dismiss(&mut self, group: &str, member: &MemberIdentity) -> i16 {
        let now = self.state.now;
        let group = self.state.groups.classic(group, now);
        let left = group.leave(&member.member_id, member.group_instance_id.as_deref(), now);
        left.err().unwrap_or(code::NONE)
    }
}
