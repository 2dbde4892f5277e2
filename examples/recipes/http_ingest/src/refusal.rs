//! What a client is told of an event that was not acknowledged.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kafka_producer::{Disposition, ErrorCode, Persisted, SendError, SendErrorKind};

/// Seconds after which a client may try again.
const RETRY_AFTER: &str = "1";

/// Turns what the error says of itself into a status. Clients do not get its text, which names brokers; the producer's log has it.
pub(crate) fn refusal(error: &SendError) -> Response {
    match (error.persisted(), error.disposition()) {
        // No `Retry-After`: a client that sends it again may write it twice, so that is for the client to decide.
        (Persisted::Maybe, _) => (StatusCode::GATEWAY_TIMEOUT, "may have been written\n").into_response(),
        (Persisted::No, Disposition::FixRecord) if is_too_large(error) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "not written: too large\n").into_response()
        }
        (Persisted::No, Disposition::FixRecord) => {
            (StatusCode::BAD_REQUEST, "not written: the event cannot be sent as it is\n").into_response()
        }
        (Persisted::No, Disposition::Bug | Disposition::FixConfiguration) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "not written: the service is set up wrongly\n")
                .into_response()
        }
        // Memory is full, the leader cannot be reached, or this instance is about to end: another time, or another instance, will do.
        (Persisted::No, _) => {
            let headers = [(header::RETRY_AFTER, RETRY_AFTER)];
            (StatusCode::SERVICE_UNAVAILABLE, headers, "not written: send it again later\n").into_response()
        }
    }
}

fn is_too_large(error: &SendError) -> bool {
    let said = error.delivery_error().and_then(|error| error.error_code());
    matches!(error.kind(), SendErrorKind::TooLarge { .. })
        || matches!(said, Some(ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge))
}
