//! InitProducerId: hands out ids, and epochs to transactional producers. What a producer without transactions says of an id it had
//! before changes nothing, as in Kafka.

use std::time::Duration;

use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::transactions::Identity;

/// Producers of older versions do not know PRODUCER_FENCED.
const FIRST_WITH_FENCED: i16 = 4;

impl Broker<'_> {
    pub(crate) fn init_producer_id(
        &mut self,
        request: &InitProducerIdRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> InitProducerIdResponse {
        let response = InitProducerIdResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        match self.identity_for(request, plan) {
            Ok(given) => {
                response.with_producer_id(ProducerId(given.producer_id)).with_producer_epoch(given.epoch)
            }
            Err(error) => {
                let is_unknown = error == code::PRODUCER_FENCED && version < FIRST_WITH_FENCED;
                let error = if is_unknown { code::INVALID_PRODUCER_EPOCH } else { error };
                response.with_error_code(error).with_producer_id(ProducerId(-1)).with_producer_epoch(-1)
            }
        }
    }

    fn identity_for(&mut self, request: &InitProducerIdRequest, plan: &FaultPlan) -> Result<Identity, i16> {
        if plan.request_error() != code::NONE {
            return Err(plan.request_error());
        }
        let known = match (request.producer_id.0, request.producer_epoch) {
            (-1, -1) => None,
            (-1, _) | (_, -1) => return Err(code::INVALID_REQUEST),
            (producer_id, epoch) => Some(Identity { producer_id, epoch }),
        };
        let Some(id) = &request.transactional_id else {
            return Ok(Identity { producer_id: self.state.next_producer_id(), epoch: 0 });
        };
        let id = id.as_str();
        let timeout = u64::try_from(request.transaction_timeout_ms).unwrap_or(0);
        self.check_transaction(id)?;
        self.state.init_transactions(id, Duration::from_millis(timeout), known)
    }
}
