//! From a response to the frame of an answer.

use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::faults::FaultPlan;
use crate::reaction::Reaction;
use crate::request::Request;

pub(crate) fn reply<T: Encodable>(request: &Request, plan: &FaultPlan, response: &T) -> Reaction {
    reply_in_version(request, plan, response, request.version)
}

pub(crate) fn reply_in_version<T: Encodable>(
    request: &Request,
    plan: &FaultPlan,
    response: &T,
    version: i16,
) -> Reaction {
    let mut body = BytesMut::new();
    if let Err(error) = response.encode(&mut body, version) {
        tracing::error!(api = ?request.api, version, %error, "mock cannot encode its own answer");
        return Reaction::Close;
    }
    frame(request, plan, &body, version)
}

/// Sends a body that is encoded already.
pub(crate) fn reply_bytes(request: &Request, plan: &FaultPlan, body: &[u8]) -> Reaction {
    frame(request, plan, body, request.version)
}

fn frame(request: &Request, plan: &FaultPlan, body: &[u8], version: i16) -> Reaction {
    let mut frame = BytesMut::with_capacity(body.len() + 9);
    frame.put_i32(0); // length, known at the end
    frame.put_i32(request.correlation_id);
    if request.api.has_flexible_response_header(version) {
        frame.put_u8(0); // no tags
    }
    frame.put_slice(body);
    let length = u32::try_from(frame.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(place) = frame.first_chunk_mut::<4>() {
        *place = length.to_be_bytes();
    }
    Reaction::Reply { frame: frame.freeze(), delay: plan.delay }
}

pub(crate) fn text(text: String) -> StrBytes {
    StrBytes::from_string(text)
}

pub(crate) fn optional_text(text: Option<String>) -> Option<StrBytes> {
    text.map(StrBytes::from_string)
}
