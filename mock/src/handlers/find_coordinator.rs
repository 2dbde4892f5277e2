//! FindCoordinator: which broker coordinates a transactional id or a group.

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::{Broker, HOST};
use crate::coordinators::Coordinated;
use crate::error::code;
use crate::faults::FaultPlan;

/// From here on a request asks for several coordinators (KIP-699).
const FIRST_WITH_KEYS: i16 = 4;

impl Broker<'_> {
    pub(crate) fn find_coordinator(
        &mut self,
        request: &FindCoordinatorRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> FindCoordinatorResponse {
        let mut response = FindCoordinatorResponse::default();
        if version >= 1 {
            response = response.with_throttle_time_ms(plan.throttle_time_ms());
        }
        if version >= FIRST_WITH_KEYS {
            let keys = request.coordinator_keys.iter();
            let found = keys.map(|key| self.find(request.key_type, key, plan).with_key(key.clone()));
            return response.with_coordinators(found.collect());
        }
        let found = self.find(request.key_type, &request.key, plan);
        let response = response
            .with_error_code(found.error_code)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port);
        if version >= 1 { response.with_error_message(found.error_message) } else { response }
    }

    fn find(&mut self, key_type: i8, key: &str, plan: &FaultPlan) -> Coordinator {
        match self.find_node(key_type, key, plan) {
            Ok((id, port)) => Coordinator::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str(HOST))
                .with_port(port.into()),
            Err((error, message)) => Coordinator::default()
                .with_error_code(error)
                .with_error_message(Some(StrBytes::from_static_str(message)))
                .with_node_id(BrokerId(-1))
                .with_port(-1),
        }
    }

    fn find_node(
        &mut self,
        key_type: i8,
        key: &str,
        plan: &FaultPlan,
    ) -> Result<(i32, u16), (i16, &'static str)> {
        if plan.request_error() != code::NONE {
            return Err((plan.request_error(), "injected by the test"));
        }
        let what = Coordinated::of_key(key_type, key)
            .ok_or((code::INVALID_REQUEST, "the mock coordinates groups and transactions only"))?;
        let place = self.state.coordinator_of(&what);
        let node = place.broker.and_then(|id| Some((id, self.state.node(id).ok()?.port)));
        node.ok_or((code::COORDINATOR_NOT_AVAILABLE, "no broker is up"))
    }
}
