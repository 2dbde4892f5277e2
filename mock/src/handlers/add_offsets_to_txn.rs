//! AddOffsetsToTxn: makes the offsets of a group part of a transaction.

use kafka_protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use kafka_protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;

use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::transactions::{Identity, Participant};

/// Producers of older versions do not know PRODUCER_FENCED.
const FIRST_WITH_FENCED: i16 = 2;

impl Broker<'_> {
    pub(crate) fn add_offsets_to_txn(
        &mut self,
        request: &AddOffsetsToTxnRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> AddOffsetsToTxnResponse {
        let error = match self.add_offsets(request, plan) {
            Ok(()) => code::NONE,
            Err(code::PRODUCER_FENCED) if version < FIRST_WITH_FENCED => code::INVALID_PRODUCER_EPOCH,
            Err(error) => error,
        };
        AddOffsetsToTxnResponse::default()
            .with_throttle_time_ms(plan.throttle_time_ms())
            .with_error_code(error)
    }

    fn add_offsets(&mut self, request: &AddOffsetsToTxnRequest, plan: &FaultPlan) -> Result<(), i16> {
        if plan.request_error() != code::NONE {
            return Err(plan.request_error());
        }
        let id = &request.transactional_id;
        self.check_transaction(id)?;
        let producer = Identity { producer_id: request.producer_id.0, epoch: request.producer_epoch };
        let group = Participant::Group(request.group_id.as_str().to_owned());
        let now = self.state.now;
        self.state.transactions.add(id, producer, &[group], now)
    }
}
