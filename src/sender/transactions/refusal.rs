//! What it says of a transactional producer that a leader refuses its records.

use crate::error::{DeliveryErrorKind, TransactionErrorKind};
use crate::protocol::{ApiKey, ErrorCode};

/// What the refusal of records says of their producer.
pub(super) enum Refusal {
    /// It cannot go on.
    Final(TransactionErrorKind),
    /// Its epoch is an old one. The answer to the abort tells whether another producer has the transactional id.
    OfEpoch(TransactionErrorKind),
}

/// Whether records were refused because the producer is not the one that has the id any more, or may not have it.
pub(super) fn refusal_of_producer(kind: &TransactionErrorKind) -> Option<Refusal> {
    let TransactionErrorKind::RecordsFailed { reason, topic_partition, .. } = kind else { return None };
    let DeliveryErrorKind::Broker { code, message } = &**reason else { return None };
    let call = ApiKey::Produce.name();
    let broker = |is_final| {
        let said = message.as_ref().map_or_else(String::new, |said| format!(": {said}"));
        let message = Some(format!("{topic_partition}{said}"));
        TransactionErrorKind::Broker { call, code: *code, message, is_final }
    };
    match code {
        ErrorCode::ProducerFenced => Some(Refusal::Final(TransactionErrorKind::Fenced { code: *code, call })),
        ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::InvalidProducerIdMapping
        | ErrorCode::TransactionalIdAuthorizationFailed => Some(Refusal::Final(broker(true))),
        ErrorCode::InvalidProducerEpoch => Some(Refusal::OfEpoch(broker(false))),
        _ => None,
    }
}
