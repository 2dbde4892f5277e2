//! Brokers that want to know who the producer is: the mechanism of the producer, and what may be sent on a connection when.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use kafka_mock::Api;
use kafka_mock::sans_io::Brokers;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::rig::millis;
use super::line::Line;
use super::run::Simulation;
use super::schedule::Sasl;
use crate::config::{Credentials, Mechanism};
use crate::login::Current;
use crate::metadata::Node;
use crate::network::sasl::{self, Opening, SaslExchange, SaslMechanism, SaslStep};
use crate::network::{ConnectionId, Frame};
use crate::secret::Secret;
use crate::token::AccessToken;
use crate::topic_partition::NodeId;

pub(super) const USER: &str = "alice";
pub(super) const PASSWORD: &str = "alice-secret";

/// Has brokers let in the producer only.
pub(super) fn demand(brokers: &mut Brokers, sasl: Option<Sasl>) {
    if let Some(Sasl { is_old, lifetime, .. }) = sasl {
        let lifetime = (lifetime > 0).then(|| millis(lifetime));
        brokers.demand_sasl(USER, PASSWORD, lifetime, is_old);
        if is_old {
            brokers.set_api_versions(Api::ApiVersions, 0, 1).unwrap();
        }
    }
}

/// Returns what the producer proves with who it is. To compute the keys of SCRAM takes long, so all runs share them, and the work of
/// a run is for show.
pub(super) fn mechanism(setup: Sasl) -> Arc<dyn SaslMechanism> {
    static PLAIN: OnceLock<Arc<dyn SaslMechanism>> = OnceLock::new();
    static SCRAM: OnceLock<Arc<dyn SaslMechanism>> = OnceLock::new();
    let inner = match setup.is_scram {
        false => PLAIN.get_or_init(|| real(Mechanism::Plain)),
        true => SCRAM.get_or_init(|| {
            let scram = real(Mechanism::ScramSha256);
            compute_keys(&*scram);
            scram
        }),
    };
    Arc::new(Laborious { inner: Arc::clone(inner), parts: setup.parts })
}

/// The same by the tokens that come to `current`.
pub(super) fn with_tokens(setup: Sasl, current: Current<AccessToken>) -> Arc<dyn SaslMechanism> {
    Arc::new(Laborious { inner: sasl::oauth_bearer(current, || 0), parts: setup.parts })
}

fn real(mechanism: Mechanism) -> Arc<dyn SaslMechanism> {
    let password = Secret::new(PASSWORD);
    let credentials = Credentials { username: USER.to_owned(), password, is_token: false };
    sasl::mechanism(mechanism, &credentials).expect("the feature is on in tests")
}

/// With the salt of the mock's brokers.
fn compute_keys(scram: &dyn SaslMechanism) {
    let mut exchange = scram.begin(&Node::new(NodeId(0), "broker", 9092), &mut StdRng::seed_from_u64(7));
    let SaslStep::Say(first) = exchange.respond(&[]).unwrap() else { panic!("it says nothing") };
    let first = String::from_utf8(first.to_vec()).unwrap();
    let (_, nonce) = first.rsplit_once("r=").unwrap();
    // "salt of alice"
    let answer = format!("r={nonce}more,s=c2FsdCBvZiBhbGljZQ==,i=4096");
    let mut step = exchange.respond(answer.as_bytes()).unwrap();
    while step == SaslStep::Work {
        step = exchange.work().unwrap();
    }
}

/// Another mechanism, which has something to compute before each word.
#[derive(Debug)]
struct Laborious {
    inner: Arc<dyn SaslMechanism>,
    parts: u32,
}

impl SaslMechanism for Laborious {
    fn name(&self) -> Arc<str> {
        self.inner.name()
    }

    fn subject(&self) -> &'static str {
        self.inner.subject()
    }

    fn opening(&self) -> Opening {
        self.inner.opening()
    }

    fn begin(&self, broker: &Node, random: &mut StdRng) -> Box<dyn SaslExchange> {
        Box::new(Labor { inner: self.inner.begin(broker, random), parts: self.parts, left: 0, said: None })
    }
}

#[derive(Debug)]
struct Labor {
    inner: Box<dyn SaslExchange>,
    parts: u32,
    left: u32,
    said: Option<Bytes>,
}

impl SaslExchange for Labor {
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, Arc<str>> {
        let step = self.inner.respond(challenge)?;
        Ok(self.delay(step))
    }

    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        if self.left == 0 {
            // It has waited for a token.
            let step = self.inner.work()?;
            return Ok(self.delay(step));
        }
        self.left -= 1;
        match self.left {
            0 => Ok(self.said.take().map_or(SaslStep::Done, SaslStep::Say)),
            _ => Ok(SaslStep::Work),
        }
    }

    fn has_said_all(&self) -> bool {
        self.said.is_none() && self.inner.has_said_all()
    }

    fn refused(&mut self, message: &str) -> Option<Arc<str>> {
        self.inner.refused(message)
    }
}

impl Labor {
    fn delay(&mut self, step: SaslStep) -> SaslStep {
        match step {
            // A token that it has taken may end while it computes.
            SaslStep::Say(word) if self.parts > 0 => {
                (self.left, self.said) = (self.parts, Some(word));
                SaslStep::Work
            }
            step => step,
        }
    }
}

/// What a connection has come to, as the producer knows.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Between the handshake and the last word of the broker.
    is_renewed: bool,
    /// The broker has let the producer in before.
    is_known: bool,
    /// Requests with words of the mechanism since the last handshake.
    words: usize,
    /// The broker has shown that it does not know the password.
    is_imposter: bool,
    /// Requests that were not answered so far.
    unanswered: usize,
    /// The end of the session, if it has one: no earlier than the broker has it end.
    ends: Option<Duration>,
}

impl Simulation {
    /// Whether a frame only says who the producer is.
    pub(super) fn is_for_entry(&self, id: ConnectionId, frame: &Frame) -> bool {
        matches!(self.api_of(id, frame), Some(None | Some(Api::SaslAuthenticate | Api::SaslHandshake)))
    }

    /// Returns the kind of a request, or `None` in place of one for words of a mechanism. `None` without SASL.
    fn api_of(&self, id: ConnectionId, frame: &Frame) -> Option<Option<Api>> {
        let setup = self.setup.sasl?;
        let are_words = setup.is_old && self.lines.get(&id)?.admission.is_renewed;
        let bytes: Vec<u8> = frame.segments.pieces().flatten().copied().take(6).collect();
        let api = bytes.get(4..6).map(|api| i16::from_be_bytes([api[0], api[1]]));
        Some(api.and_then(Api::from_key).filter(|_| !are_words))
    }

    /// The producer sends something: nothing but words while it says who it is, nothing after its session, and nothing to a broker
    /// that has not proved who it is.
    pub(super) fn check_admission(&mut self, id: ConnectionId, frame: &Frame) {
        let Some(api) = self.api_of(id, frame) else { return };
        let Some(setup) = self.setup.sasl else { return };
        let now = self.now;
        let Some(line) = self.lines.get_mut(&id) else { return };
        let admission = &mut line.admission;
        let what = match api {
            Some(Api::SaslHandshake) if admission.unanswered > 0 => {
                Some(format!("a session is renewed with {} requests under way", admission.unanswered))
            }
            Some(Api::SaslHandshake) => {
                admission.is_renewed = true;
                admission.words = 0;
                None
            }
            Some(Api::SaslAuthenticate) => {
                admission.words += 1;
                None
            }
            // Another peer that hears it learns nothing of records.
            Some(Api::Metadata) if admission.is_renewed && admission.is_last_said(setup) => {
                admission.unanswered += 1;
                None
            }
            None | Some(Api::ApiVersions) => None,
            Some(_) if admission.is_imposter => {
                Some("a broker that does not know the password is believed".to_owned())
            }
            Some(api) if admission.is_renewed => {
                Some(format!("{api:?} is sent in the middle of an authentication"))
            }
            Some(api) if admission.ends.is_some_and(|ends| ends < now) => {
                Some(format!("{api:?} is sent after the end of the session"))
            }
            Some(api) => {
                admission.unanswered += usize::from(api != Api::Produce || self.setup.acks != 0);
                None
            }
        };
        if let Some(what) = what {
            self.violate(what);
        }
    }

    /// A broker answers, with this frame unless it is damaged.
    pub(super) fn note_admission(&mut self, id: ConnectionId, frame: &[u8], (api, _): (i16, i16)) {
        if self.setup.sasl.is_none() {
            return;
        }
        let Some(line) = self.lines.get_mut(&id) else { return };
        let admission = &mut line.admission;
        match Api::from_key(api) {
            Some(Api::SaslAuthenticate) => {
                admission.is_imposter |= frame.windows(WRONG_PROOF.len()).any(|part| part == WRONG_PROOF);
                if line.client.is_let_in() {
                    // One that is about to end is told as one without an end, as Kafka's brokers do.
                    let lifetime = line.client.session_lifetime().filter(|lifetime| *lifetime >= millis(1));
                    line.welcomes.push_back((line.sent + frame.len(), lifetime));
                }
            }
            Some(Api::ApiVersions | Api::SaslHandshake) => {}
            _ => admission.unanswered = admission.unanswered.saturating_sub(1),
        }
    }
}

impl Admission {
    /// Whether a broker to which the producer is new has heard all that it can say, so that it says yes or no next.
    fn is_last_said(&self, setup: Sasl) -> bool {
        let all = if setup.is_scram { 2 } else { 1 };
        !self.is_known && setup.token_lifetime.is_none() && self.words == all
    }
}

impl Line {
    /// The producer has heard more of what the broker says.
    pub(super) fn hear_welcome(&mut self, now: Duration) {
        while let Some((at, lifetime)) = self.welcomes.front().copied()
            && at <= self.heard
        {
            self.welcomes.pop_front();
            self.admission.is_renewed = false;
            self.admission.is_known = true;
            self.admission.ends = lifetime.map(|lifetime| now + lifetime);
        }
    }
}

/// As of the mock.
const WRONG_PROOF: &[u8] = b"v=bm8gcHJvb2Y";
