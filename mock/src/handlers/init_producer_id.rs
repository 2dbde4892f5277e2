//! InitProducerId: hands out ids; what the request says of an id it had before changes nothing, as in Kafka.

use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;

impl Broker<'_> {
    pub(crate) fn init_producer_id(
        &mut self,
        request: &InitProducerIdRequest,
        plan: &FaultPlan,
    ) -> InitProducerIdResponse {
        let response = InitProducerIdResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        let error = match &request.transactional_id {
            _ if plan.request_error() != code::NONE => plan.request_error(),
            // No coordinator: the mock serves no transactions.
            Some(_) => code::NOT_COORDINATOR,
            None => code::NONE,
        };
        if error != code::NONE {
            return response.with_error_code(error).with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
        }
        response.with_producer_id(ProducerId(self.state.next_producer_id())).with_producer_epoch(0)
    }
}
