//! Heartbeat: a member says that it lives, and hears whether it must join anew.

use kafka_protocol::messages::heartbeat_request::HeartbeatRequest;
use kafka_protocol::messages::heartbeat_response::HeartbeatResponse;

use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;

impl Broker<'_> {
    pub(crate) fn heartbeat(
        &mut self,
        beat: &HeartbeatRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> HeartbeatResponse {
        let error = self.take_heartbeat(beat, plan).err().unwrap_or(code::NONE);
        let response = HeartbeatResponse::default().with_error_code(error);
        if version >= 1 { response.with_throttle_time_ms(plan.throttle_time_ms()) } else { response }
    }

    fn take_heartbeat(&mut self, beat: &HeartbeatRequest, plan: &FaultPlan) -> Result<(), i16> {
        self.check_group(&beat.group_id, plan)?;
        let now = self.state.now;
        let group = self.state.groups.classic(&beat.group_id, now);
        group.heartbeat(&beat.member_id, beat.group_instance_id.as_deref(), beat.generation_id, now)
    }
}
