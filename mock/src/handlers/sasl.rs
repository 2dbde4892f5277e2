//! SaslHandshake and SaslAuthenticate: lets clients in, or not.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use kafka_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use kafka_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use kafka_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use kafka_protocol::protocol::StrBytes;

use crate::api::Api;
use crate::broker::Broker;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::sasl::{Session, Verdict};

impl Broker<'_> {
    pub(crate) fn sasl_handshake(
        &self,
        request: &SaslHandshakeRequest,
        version: i16,
        plan: &FaultPlan,
        session: &mut Session,
    ) -> SaslHandshakeResponse {
        let response = SaslHandshakeResponse::default();
        let Some(admission) = &self.state.settings.admission else {
            return response.with_error_code(code::ILLEGAL_SASL_STATE);
        };
        let offered =
            admission.mechanisms.iter().map(|mechanism| StrBytes::from_static_str(mechanism.name()));
        let response = response.with_mechanisms(offered.collect());
        match plan.request_error() {
            code::NONE if session.choose(admission, &request.mechanism, version == 0) => response,
            code::NONE => response.with_error_code(code::UNSUPPORTED_SASL_MECHANISM),
            error => {
                session.refuse();
                response.with_error_code(error)
            }
        }
    }

    pub(crate) fn sasl_authenticate(
        &self,
        request: &SaslAuthenticateRequest,
        plan: &FaultPlan,
        session: &mut Session,
    ) -> SaslAuthenticateResponse {
        let refuse = |code: i16, message: String| {
            let message = Some(StrBytes::from_string(message));
            SaslAuthenticateResponse::default().with_error_code(code).with_error_message(message)
        };
        if plan.request_error() != code::NONE {
            session.refuse();
            return refuse(plan.request_error(), "by order of a fault".to_owned());
        }
        let Some(admission) = &self.state.settings.admission else {
            return refuse(code::ILLEGAL_SASL_STATE, "there is no SASL".to_owned());
        };
        let response = SaslAuthenticateResponse::default();
        match session.hear(admission, &request.auth_bytes) {
            Verdict::Say(words) => response.with_auth_bytes(words),
            Verdict::Welcome(words) => {
                let is_wrong = plan.has_wrong_proof && !words.is_empty();
                let words = if is_wrong { WRONG_PROOF.into() } else { words };
                let lifetime = session.lifetime().unwrap_or_default();
                let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
                response.with_auth_bytes(words).with_session_lifetime_ms(lifetime)
            }
            Verdict::Refused(message) => refuse(code::SASL_AUTHENTICATION_FAILED, message),
            Verdict::OutOfTurn => refuse(
                code::ILLEGAL_SASL_STATE,
                "SaslAuthenticate request received after successful authentication".to_owned(),
            ),
        }
    }

    /// Takes in words of a mechanism that came without a header. Returns the answer with its length, or `None` if the client is
    /// refused: there are no words for that.
    pub(crate) fn sasl_words(&mut self, words: &[u8], session: &mut Session) -> Option<Bytes> {
        self.state.requests.count(Api::SaslAuthenticate, 0, self.id);
        let admission = self.state.settings.admission.as_ref()?;
        match session.hear(admission, words) {
            Verdict::Say(words) | Verdict::Welcome(words) => {
                let mut frame = BytesMut::with_capacity(4 + words.len());
                frame.put_u32(u32::try_from(words.len()).ok()?);
                frame.put(words);
                Some(frame.freeze())
            }
            Verdict::Refused(_) | Verdict::OutOfTurn => None,
        }
    }
}

/// By a broker that does not know the password.
const WRONG_PROOF: &[u8] = b"v=bm8gcHJvb2Ygb2Yga25vd2luZyBhbnl0aGluZw==";
