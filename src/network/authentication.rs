//! Kafka's frames around a SASL exchange (KIP-43, KIP-152, KIP-368). The client asks the broker whether it takes the mechanism, and
//! then sends it the bytes of the exchange until the exchange is complete. These are requests like others, so the client can also
//! send them on a connection in use.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;

use crate::metadata::Node;
use crate::protocol::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use crate::protocol::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::wire::{EncodeError, Reader, Writer, readable};

use super::api_versions::ApiVersions;
use super::event::{AuthenticationError, DisconnectReason, MalformedResponse};
use super::sasl::{SaslExchange, SaslMechanism, SaslStep};

/// One authentication on one connection.
#[derive(Debug)]
pub(super) struct Authentication {
    /// `None` if the producer has no mechanism: then there is nothing to say.
    exchange: Option<Exchange>,
}

#[derive(Debug)]
struct Exchange {
    mechanism: Arc<str>,
    /// What a broker refuses that does not let the producer in.
    subject: &'static str,
    words: Box<dyn SaslExchange>,
    /// The version of SaslAuthenticate that both sides speak.
    version: i16,
    /// How long the session lasts, if the broker has set a limit.
    lifetime: Option<Duration>,
    is_waiting: bool,
}

/// What an authentication needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AuthenticationStep {
    /// An answer to a request, in this version.
    Ask(AuthenticationRequest, i16),
    /// Nothing: the broker knows who we are. If it has set a limit, this is how long.
    Done(Option<Duration>),
    /// Credentials: [`Authentication::work`] is to be called once some have come.
    Wait,
    /// Time to compute: [`Authentication::work`] is to be called once others had their turn.
    Work,
}

/// A request that belongs to an authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AuthenticationRequest {
    Authenticate(SaslAuthenticateRequest),
    Handshake(SaslHandshakeRequest),
}

impl Authentication {
    /// Begins to authenticate at a broker that speaks `versions`.
    ///
    /// # Errors
    ///
    /// The broker does not speak the frames that a mechanism needs.
    pub(super) fn begin(
        mechanism: Option<&dyn SaslMechanism>,
        broker: &Node,
        versions: &ApiVersions,
        random: &mut StdRng,
    ) -> Result<(Self, AuthenticationStep), DisconnectReason> {
        let Some(mechanism) = mechanism else {
            return Ok((Self { exchange: None }, AuthenticationStep::Done(None)));
        };
        let version = |api_key: ApiKey| {
            versions.version_for(api_key).ok_or(AuthenticationError::UnsupportedVersion(api_key))
        };
        let handshake = version(ApiKey::SaslHandshake)?;
        let exchange = Exchange {
            mechanism: mechanism.name(),
            subject: mechanism.subject(),
            words: mechanism.begin(broker, random),
            version: version(ApiKey::SaslAuthenticate)?,
            lifetime: None,
            is_waiting: false,
        };
        let request = SaslHandshakeRequest { mechanism: exchange.mechanism.as_ref().to_owned() };
        let step = AuthenticationStep::Ask(AuthenticationRequest::Handshake(request), handshake);
        Ok((Self { exchange: Some(exchange) }, step))
    }

    /// Takes in the answer to the request that was asked for last.
    ///
    /// # Errors
    ///
    /// The broker refuses us, or we refuse the broker, or the answer cannot be read.
    pub(super) fn handle_answer(
        &mut self,
        api_key: ApiKey,
        version: i16,
        body: &[u8],
    ) -> Result<AuthenticationStep, DisconnectReason> {
        let Some(exchange) = &mut self.exchange else { return Ok(AuthenticationStep::Done(None)) };
        let mut reader = Reader::new(body);
        if api_key == ApiKey::SaslHandshake {
            let response = SaslHandshakeResponse::decode(&mut reader, version)
                .map_err(|error| MalformedResponse::Unreadable(api_key, error))?;
            return exchange.handle_handshake(response);
        }
        let response = SaslAuthenticateResponse::decode(&mut reader, version)
            .map_err(|error| MalformedResponse::Unreadable(api_key, error))?;
        exchange.handle_words(response)
    }

    /// Whether there were no credentials when the mechanism looked for some last.
    pub(super) fn is_waiting(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_waiting)
    }

    /// Does the next part of what the mechanism has to compute, or looks for credentials again.
    ///
    /// # Errors
    ///
    /// The mechanism cannot go on.
    pub(super) fn work(&mut self) -> Result<AuthenticationStep, DisconnectReason> {
        let Some(exchange) = &mut self.exchange else { return Ok(AuthenticationStep::Done(None)) };
        let step = exchange.words.work();
        exchange.follow(step)
    }
}

impl Exchange {
    fn handle_handshake(
        &mut self,
        response: SaslHandshakeResponse,
    ) -> Result<AuthenticationStep, DisconnectReason> {
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => self.respond(&[]),
            code => {
                let offered = readable(&response.mechanisms.join(", ")).into();
                let mechanism = Arc::clone(&self.mechanism);
                Err(AuthenticationError::MechanismRefused { code, mechanism, offered }.into())
            }
        }
    }

    fn handle_words(
        &mut self,
        response: SaslAuthenticateResponse,
    ) -> Result<AuthenticationStep, DisconnectReason> {
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => {
                let lifetime = u64::try_from(response.session_lifetime_ms).ok().filter(|ms| *ms > 0);
                self.lifetime = lifetime.map(Duration::from_millis);
                self.respond(&response.auth_bytes)
            }
            code => {
                let message = response.error_message.filter(|message| !message.is_empty()).map(Into::into);
                let (mechanism, subject) = (Arc::clone(&self.mechanism), self.subject);
                let note = self.words.refused(message.as_deref().unwrap_or_default());
                Err(AuthenticationError::Refused { code, mechanism, subject, message, note }.into())
            }
        }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<AuthenticationStep, DisconnectReason> {
        let step = self.words.respond(challenge);
        self.follow(step)
    }

    fn follow(&mut self, step: Result<SaslStep, Arc<str>>) -> Result<AuthenticationStep, DisconnectReason> {
        self.is_waiting = matches!(step, Ok(SaslStep::Wait));
        Ok(match step.map_err(AuthenticationError::Exchange)? {
            SaslStep::Done => AuthenticationStep::Done(self.lifetime),
            SaslStep::Say(auth_bytes) => {
                let request = AuthenticationRequest::Authenticate(SaslAuthenticateRequest { auth_bytes });
                AuthenticationStep::Ask(request, self.version)
            }
            SaslStep::Wait => AuthenticationStep::Wait,
            SaslStep::Work => AuthenticationStep::Work,
        })
    }
}

impl AuthenticationRequest {
    pub(super) fn api_key(&self) -> ApiKey {
        match self {
            Self::Authenticate(_) => ApiKey::SaslAuthenticate,
            Self::Handshake(_) => ApiKey::SaslHandshake,
        }
    }

    pub(super) fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        match self {
            Self::Authenticate(request) => request.encode(out, version),
            Self::Handshake(request) => request.encode(out, version),
        }
    }
}

/// Returns how long after the beginning of a session to authenticate anew, for a `random` drawn from `[0, 1)`. `slowest` is how long
/// the broker lately took for an answer.
///
/// Java's clients do it at 85 to 95 % of the time that the broker allows, so that neither clocks nor many clients at once get in the
/// way. Short sessions need more: a broker closes the connection if it reads a request after the end of the session. So requests under way
/// must be read before, even if the broker stalls once more for as long as it did.
pub(super) fn renewal_delay(lifetime: Duration, slowest: Duration, random: f64) -> Duration {
    let latest = lifetime.mul_f64(0.85 + 0.1 * random);
    let reserve = slowest.saturating_mul(2).max(LEAST_RESERVE).min(lifetime).mul_f64(1.2 - 0.2 * random);
    let earliest = LEAST_INTERVAL.max(lifetime / 2);
    lifetime.saturating_sub(reserve).max(earliest).min(latest)
}

/// A broker that has just started stalls for this long.
const LEAST_RESERVE: Duration = Duration::from_millis(500);

/// Brokers of Kafka refuse to authenticate a client anew within a second of the last time (`KafkaChannel`).
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_renewed_before_requests_can_be_late() {
        let ms = Duration::from_millis;
        for (lifetime, slowest, random, expected) in [
            // As in Java: 85 to 95 %.
            (3_600_000, 40, 0.0, 3_060_000),
            (3_600_000, 40, 0.5, 3_240_000),
            (20_000, 40, 1.0, 19_000),
            // In time for a stall of the usual length.
            (2000, 40, 1.0, 1500),
            (2000, 40, 0.0, 1400),
            // In time for one like the last.
            (10_000, 2000, 1.0, 6000),
            // No earlier than the broker allows, and than is of any use.
            (2000, 5000, 1.0, 1000),
            (10_000, 60_000, 1.0, 5000),
            (1000, 40, 0.0, 850),
            (100, 40, 0.5, 90),
            (1, 0, 0.0, 0),
        ] {
            let delay = renewal_delay(ms(lifetime), ms(slowest), random);

            assert_eq!(delay.as_millis(), expected, "{lifetime} {slowest} {random}");
        }
        let longest = ms(i64::MAX.cast_unsigned());
        assert!(renewal_delay(longest, Duration::MAX, 0.0) <= longest);
    }
}
