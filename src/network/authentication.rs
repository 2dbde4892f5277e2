//! Kafka's frames around a SASL exchange (KIP-43, KIP-152, KIP-368). The client asks the broker whether it takes the mechanism, and
//! then sends it the bytes of the exchange until the exchange is complete. These are requests like others, so the client can also
//! send them on a connection in use. Brokers without SaslAuthenticate (before Kafka 1.0) take the bytes as they are, each message behind
//! its length.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;

use crate::metadata::Node;
use crate::planted::planted;
use crate::protocol::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use crate::protocol::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::wire::{EncodeError, Reader, Writer, readable};

use super::api_versions::ApiVersions;
use super::event::{AuthenticationError, DisconnectReason, MalformedResponse};
use super::sasl::{SaslExchange, SaslMechanism, SaslStep};

/// One authentication on one connection.
#[derive(Debug)]
pub(super) struct ConnectionAuthentication(Course);

#[derive(Debug)]
enum Course {
    Exchange(Exchange),
    /// The producer has no mechanism: there is nothing to say.
    Nothing,
    /// The producer has no mechanism, and asks whether the broker demands one.
    Probe,
}

/// How the words of a mechanism are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Behind their length, with nothing around them.
    Plain,
    /// In this version of SaslAuthenticate.
    Requests(i16),
}

#[derive(Debug)]
struct Exchange {
    mechanism: Arc<str>,
    /// What a broker refuses that does not let the producer in.
    subject: &'static str,
    /// What the mechanism waits for if `is_waiting`.
    awaited: &'static str,
    words: Box<dyn SaslExchange>,
    framing: Framing,
    progress: Progress,
    /// Whether the broker has answered words.
    has_heard: bool,
    /// Whether there was a session before on the same connection.
    is_renewal: bool,
    /// How long the session lasts, if the broker has set a limit.
    lifetime: Option<Duration>,
    is_waiting: bool,
}

/// How far the broker was asked, and how far it has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It was asked nothing.
    Silent,
    /// It is to say whether it takes the mechanism.
    Proposed,
    /// The same, and the exchange has begun: words of it may be under way.
    Introduced,
    /// It takes the mechanism: every answer is one to words.
    Agreed,
}

/// What an authentication needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AuthenticationStep {
    /// An answer to a request, in this version.
    Ask(AuthenticationRequest, i16),
    /// An answer to what was asked before, or a call of [`ConnectionAuthentication::work`] for which the exchange waits.
    Attend,
    /// Nothing: the broker knows who we are. If it has set a limit, this is how long.
    Done(Option<Duration>),
    /// An answer to the bytes of this, which are sent as they are. See [`ConnectionAuthentication::handle_words`].
    Say(SaslAuthenticateRequest),
    /// Credentials: [`ConnectionAuthentication::work`] is to be called once some have come.
    Wait,
    /// Time to compute: [`ConnectionAuthentication::work`] is to be called once others had their turn.
    Work,
}

/// A request that belongs to an authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AuthenticationRequest {
    Authenticate(SaslAuthenticateRequest),
    Handshake(SaslHandshakeRequest),
}

impl ConnectionAuthentication {
    /// Begins to authenticate at a broker. Nothing is said until [`go_ahead`](Self::go_ahead) or [`negotiate`](Self::negotiate) is
    /// called.
    pub(super) fn begin(
        mechanism: &dyn SaslMechanism,
        broker: &Node,
        is_renewal: bool,
        random: &mut StdRng,
    ) -> Self {
        Self(Course::Exchange(Exchange {
            mechanism: mechanism.name(),
            subject: mechanism.subject(),
            awaited: mechanism.awaited(),
            words: mechanism.begin(broker, random),
            framing: Framing::Plain,
            progress: Progress::Silent,
            has_heard: false,
            is_renewal,
            lifetime: None,
            is_waiting: false,
        }))
    }

    /// Begins with a broker that is not told who we are.
    pub(super) fn begin_with_nothing() -> Self {
        Self(Course::Nothing)
    }

    /// Begins with a broker that is not told who we are, and that may have ended the last connection for that reason.
    pub(super) fn begin_with_a_probe() -> Self {
        Self(Course::Probe)
    }

    /// Returns what the broker may be asked before it has answered the last question, if there is something. `first_words` is the
    /// version of SaslAuthenticate in which it may hear the first words before it has agreed to the mechanism, if it may.
    ///
    /// # Errors
    ///
    /// The mechanism cannot go on.
    pub(super) fn go_ahead(
        &mut self,
        first_words: Option<i16>,
    ) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        match &mut self.0 {
            Course::Exchange(exchange) => exchange.go_ahead(first_words),
            Course::Nothing | Course::Probe => Ok(None),
        }
    }

    /// Takes in what the broker speaks.
    ///
    /// # Errors
    ///
    /// The broker does not speak the frames that a mechanism needs, or not those in which it was asked already.
    pub(super) fn negotiate(
        &mut self,
        versions: &ApiVersions,
    ) -> Result<AuthenticationStep, DisconnectReason> {
        let handshake = versions.version_for(ApiKey::SaslHandshake);
        match (&mut self.0, handshake) {
            // Any mechanism will do: brokers without SASL refuse the request as such, others name what they offer.
            (Course::Probe, Some(version)) => Ok(ask_for("PLAIN", version)),
            (Course::Nothing | Course::Probe, _) => Ok(AuthenticationStep::Done(None)),
            (Course::Exchange(exchange), Some(handshake)) => {
                exchange.negotiate(handshake, versions.version_for(ApiKey::SaslAuthenticate))
            }
            (Course::Exchange(_), None) => {
                Err(AuthenticationError::UnsupportedVersion(ApiKey::SaslHandshake).into())
            }
        }
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
        let unreadable = |error| MalformedResponse::Unreadable(api_key, error);
        let mut reader = Reader::new(body);
        match &mut self.0 {
            Course::Nothing => Err(out_of_turn()),
            Course::Exchange(exchange) if api_key == ApiKey::SaslAuthenticate => {
                let response = SaslAuthenticateResponse::decode(&mut reader, version).map_err(unreadable)?;
                exchange.handle_response(response)
            }
            Course::Exchange(exchange) => {
                let response = SaslHandshakeResponse::decode(&mut reader, version).map_err(unreadable)?;
                exchange.handle_handshake(response)
            }
            Course::Probe => {
                let response = SaslHandshakeResponse::decode(&mut reader, version).map_err(unreadable)?;
                handle_probe(response)
            }
        }
    }

    /// Takes in what the broker says to the bytes that were said last.
    ///
    /// # Errors
    ///
    /// The mechanism has no answer to it.
    pub(super) fn handle_words(&mut self, words: &[u8]) -> Result<AuthenticationStep, DisconnectReason> {
        match &mut self.0 {
            Course::Exchange(exchange) => exchange.respond(words),
            Course::Nothing | Course::Probe => Err(out_of_turn()),
        }
    }

    /// Returns the name of the mechanism, if there is one.
    pub(super) fn mechanism(&self) -> Option<&Arc<str>> {
        match &self.0 {
            Course::Exchange(exchange) => Some(&exchange.mechanism),
            Course::Nothing | Course::Probe => None,
        }
    }

    /// Returns what the mechanism waits for, if there was none when it looked last.
    pub(super) fn awaited(&self) -> Option<&'static str> {
        match &self.0 {
            Course::Exchange(exchange) => exchange.is_waiting.then_some(exchange.awaited),
            Course::Nothing | Course::Probe => None,
        }
    }

    /// Whether the broker has agreed to the mechanism, and has still to answer the first words.
    pub(super) fn awaits_first_words(&self) -> bool {
        matches!(&self.0, Course::Exchange(exchange) if exchange.progress == Progress::Agreed && !exchange.has_heard)
    }

    /// Returns the version of SaslAuthenticate in which words are said.
    pub(super) fn words_version(&self) -> Option<i16> {
        match &self.0 {
            Course::Exchange(Exchange { framing: Framing::Requests(version), .. }) => Some(*version),
            Course::Exchange(_) | Course::Nothing | Course::Probe => None,
        }
    }

    /// Whether all is said, so that the next answer lets the producer in unless the broker refuses it.
    pub(super) fn has_said_all(&self) -> bool {
        match &self.0 {
            Course::Exchange(exchange) => {
                let is_heard = matches!(exchange.framing, Framing::Requests(_));
                exchange.progress == Progress::Agreed && is_heard && exchange.words.has_said_all()
            }
            Course::Nothing | Course::Probe => false,
        }
    }

    /// Does the next part of what the mechanism has to compute, or looks for credentials again.
    ///
    /// # Errors
    ///
    /// The mechanism cannot go on.
    pub(super) fn work(&mut self) -> Result<AuthenticationStep, DisconnectReason> {
        match &mut self.0 {
            Course::Exchange(exchange) => {
                let step = exchange.words.work();
                exchange.follow(step)
            }
            Course::Nothing | Course::Probe => Err(out_of_turn()),
        }
    }
}

/// There is nothing to say and nothing to compute for these. `Done` would let requests through.
fn out_of_turn() -> DisconnectReason {
    AuthenticationError::exchange("there is no exchange that could go on").into()
}

fn ask_for(mechanism: &str, version: i16) -> AuthenticationStep {
    let request = SaslHandshakeRequest { mechanism: mechanism.to_owned() };
    AuthenticationStep::Ask(AuthenticationRequest::Handshake(request), version)
}

fn handle_probe(response: SaslHandshakeResponse) -> Result<AuthenticationStep, DisconnectReason> {
    match ErrorCode::from(response.error_code) {
        ErrorCode::None | ErrorCode::UnsupportedSaslMechanism => {
            Err(AuthenticationError::Demanded { offered: offer(&response) }.into())
        }
        _ => Ok(AuthenticationStep::Done(None)),
    }
}

fn offer(response: &SaslHandshakeResponse) -> Arc<str> {
    readable(&response.mechanisms.join(", ")).into()
}

impl Exchange {
    fn go_ahead(&mut self, first_words: Option<i16>) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        match (self.progress, first_words) {
            (Progress::Silent, _) => {
                self.progress = Progress::Proposed;
                Ok(Some(ask_for(&self.mechanism, EARLY_HANDSHAKE)))
            }
            (Progress::Proposed, Some(version)) => {
                self.progress = Progress::Introduced;
                // What the broker speaks is known if it has said so meanwhile.
                let spoken = match self.framing {
                    Framing::Requests(spoken) => version.min(spoken),
                    Framing::Plain => version,
                };
                self.framing = Framing::Requests(spoken);
                self.respond(&[]).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn negotiate(
        &mut self,
        handshake: i16,
        authenticate: Option<i16>,
    ) -> Result<AuthenticationStep, DisconnectReason> {
        let framing = match authenticate {
            Some(version) if handshake > 0 => Framing::Requests(version),
            _ => Framing::Plain,
        };
        match (self.progress, framing) {
            (Progress::Silent, _) => {
                self.progress = Progress::Proposed;
                self.framing = framing;
                let version = if framing == Framing::Plain { 0 } else { handshake };
                Ok(ask_for(&self.mechanism, version))
            }
            (_, Framing::Plain) => Err(DisconnectReason::AskedTooEarly),
            (Progress::Proposed, Framing::Requests(version)) => {
                self.framing = Framing::Requests(version);
                Ok(AuthenticationStep::Attend)
            }
            // The words have gone in a version that the broker does not speak.
            (Progress::Introduced | Progress::Agreed, spoken) if is_later(self.framing, spoken) => {
                Err(DisconnectReason::AskedTooEarly)
            }
            (Progress::Introduced | Progress::Agreed, Framing::Requests(_)) => Ok(AuthenticationStep::Attend),
        }
    }

    fn handle_handshake(
        &mut self,
        response: SaslHandshakeResponse,
    ) -> Result<AuthenticationStep, DisconnectReason> {
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => match std::mem::replace(&mut self.progress, Progress::Agreed) {
                Progress::Proposed => self.respond(&[]),
                Progress::Introduced if planted!(ConsentTakenForWelcome) => self.respond(&[]),
                Progress::Introduced => Ok(AuthenticationStep::Attend),
                Progress::Silent | Progress::Agreed => Err(out_of_turn()),
            },
            ErrorCode::UnsupportedVersion if self.framing == Framing::Plain => {
                Err(AuthenticationError::UnsupportedVersion(ApiKey::SaslAuthenticate).into())
            }
            code => {
                let offered = offer(&response);
                let mechanism = Arc::clone(&self.mechanism);
                Err(AuthenticationError::MechanismRefused { code, mechanism, offered }.into())
            }
        }
    }

    fn handle_response(
        &mut self,
        response: SaslAuthenticateResponse,
    ) -> Result<AuthenticationStep, DisconnectReason> {
        match ErrorCode::from(response.error_code) {
            _ if self.progress != Progress::Agreed => Err(out_of_turn()),
            ErrorCode::None => {
                self.has_heard = true;
                let lifetime = u64::try_from(response.session_lifetime_ms).ok().filter(|ms| *ms > 0);
                self.lifetime = lifetime.map(Duration::from_millis);
                self.respond(&response.auth_bytes)
            }
            code => {
                let message = response.error_message.filter(|message| !message.is_empty()).map(Into::into);
                let (mechanism, subject) = (Arc::clone(&self.mechanism), self.subject);
                let is_renewal = self.is_renewal;
                let note = self.words.refused(message.as_deref().unwrap_or_default());
                Err(AuthenticationError::Refused { code, mechanism, subject, message, note, is_renewal }
                    .into())
            }
        }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<AuthenticationStep, DisconnectReason> {
        if challenge.len() > MAX_WORDS {
            let length = challenge.len();
            let text = format!("the broker's message has {length} bytes; at most {MAX_WORDS} are taken");
            return Err(AuthenticationError::exchange(&text).into());
        }
        let step = self.words.respond(challenge);
        self.follow(step)
    }

    fn follow(&mut self, step: Result<SaslStep, Arc<str>>) -> Result<AuthenticationStep, DisconnectReason> {
        self.is_waiting = matches!(step, Ok(SaslStep::Wait));
        Ok(match step.map_err(|reason| AuthenticationError::exchange(&reason))? {
            SaslStep::Done => AuthenticationStep::Done(self.lifetime),
            SaslStep::GiveUp(cause) => return Err(DisconnectReason::AuthenticationGivenUp(cause)),
            SaslStep::Say(auth_bytes) => {
                let request = SaslAuthenticateRequest { auth_bytes };
                match self.framing {
                    Framing::Plain => AuthenticationStep::Say(request),
                    Framing::Requests(version) => {
                        AuthenticationStep::Ask(AuthenticationRequest::Authenticate(request), version)
                    }
                }
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

fn is_later(framing: Framing, other: Framing) -> bool {
    matches!((framing, other), (Framing::Requests(version), Framing::Requests(spoken)) if version > spoken)
}

/// The version of SaslHandshake after which words come in SaslAuthenticate. All brokers since Kafka 1.0 speak it.
const EARLY_HANDSHAKE: i16 = 1;

/// Brokers take no more from clients (`sasl.server.max.receive.size`).
const MAX_WORDS: usize = 524_288;

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
