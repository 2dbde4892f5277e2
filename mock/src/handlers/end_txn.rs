//! EndTxn: commits or aborts a transaction.

use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::end_txn_request::EndTxnRequest;
use kafka_protocol::messages::end_txn_response::EndTxnResponse;

use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::transactions::{Identity, Outcome, Protocol};

/// From here on the end of a transaction raises the epoch, which the answer tells (KIP-890).
const FIRST_WITH_EPOCH: i16 = 5;

/// Producers of older versions do not know PRODUCER_FENCED.
const FIRST_WITH_FENCED: i16 = 2;

impl Broker<'_> {
    pub(crate) fn end_txn(
        &mut self,
        request: &EndTxnRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> EndTxnResponse {
        let response = EndTxnResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        match self.end(request, version, plan) {
            Ok(next) if version >= FIRST_WITH_EPOCH => {
                response.with_producer_id(ProducerId(next.producer_id)).with_producer_epoch(next.epoch)
            }
            Ok(_) => response,
            Err(code::PRODUCER_FENCED) if version < FIRST_WITH_FENCED => {
                response.with_error_code(code::INVALID_PRODUCER_EPOCH)
            }
            Err(error) => response.with_error_code(error),
        }
    }

    fn end(&mut self, request: &EndTxnRequest, version: i16, plan: &FaultPlan) -> Result<Identity, i16> {
        if plan.request_error() != code::NONE {
            return Err(plan.request_error());
        }
        let id = &request.transactional_id;
        self.check_transaction(id)?;
        let producer = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
        let outcome = if request.committed { Outcome::Commit } else { Outcome::Abort };
        let protocol = if version >= FIRST_WITH_EPOCH { Protocol::V2 } else { Protocol::V1 };
        self.state.end_transaction(id, producer, outcome, protocol)
    }
}
