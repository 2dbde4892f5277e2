//! SCRAM (RFC 5802, with the hashes of RFC 7677 and with SHA-512): each side proves that it knows the password, and neither sends it.
//!
//! ```text
//!  producer                              broker
//!     n,,n=NAME,r=NONCE            ───▶              client-first
//!                                  ◀───  r=NONCE+,s=SALT,i=ITERATIONS    server-first
//!     c=biws,r=NONCE+,p=PROOF      ───▶              client-final
//!                                  ◀───  v=SIGNATURE                     server-final
//! ```
//!
//! The proof takes thousands of iterations of a hash, which are done in slices: between two of them the sender attends to the
//! other brokers. A thread of the runtime's would do, too, but there may be none to be had for long, its result would
//! have to find its way back to the connection, and the simulation could not repeat what happens. Each slice is about a
//! millisecond of work. The keys that come of it are kept for the next connection, since all brokers have the same salt for a
//! user, so the work is done once as a rule.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;

use super::{Opening, SaslExchange, SaslMechanism, SaslStep, out_of_turn};
use crate::base64;
use crate::config::Credentials;
use crate::metadata::Node;
use crate::planted::planted;

mod keys;
mod messages;

use self::keys::{Keys, Stretching};
pub(super) use self::keys::{ScramHash, Sha256Hash, Sha512Hash};
use self::messages::{ServerFinal, ServerFirst};

/// The mechanism, with the credentials of the producer.
#[derive(Debug)]
pub(super) struct Scram<H: ScramHash> {
    credentials: Credentials,
    kept: Kept<H>,
}

impl<H: ScramHash> Scram<H> {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, kept: Kept(Arc::new(Mutex::new(None))) }
    }
}

impl<H: ScramHash> SaslMechanism for Scram<H> {
    fn name(&self) -> Arc<str> {
        Arc::from(H::NAME)
    }

    /// The name of the user, and a nonce.
    fn opening(&self) -> Opening {
        Opening::Public
    }

    fn begin(&self, _: &Node, random: &mut StdRng) -> Box<dyn SaslExchange> {
        Box::new(self.begin_with(new_nonce(random)))
    }
}

impl<H: ScramHash> Scram<H> {
    fn begin_with(&self, nonce: String) -> ScramExchange<H> {
        ScramExchange {
            credentials: self.credentials.clone(),
            kept: Kept(Arc::clone(&self.kept.0)),
            nonce,
            state: State::Silent,
        }
    }
}

/// The keys that were computed last, with what they were computed from.
#[derive(Debug)]
struct Kept<H: ScramHash>(Arc<Mutex<Option<Known<H>>>>);

type Known<H> = (Salting, Keys<H>);

/// What a broker wants the password to be mixed with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Salting {
    salt: Vec<u8>,
    iterations: u32,
}

impl<H: ScramHash> Kept<H> {
    fn find(&self, salting: &Salting) -> Option<Keys<H>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(known, _)| known == salting).map(|(_, keys)| keys.clone())
    }

    fn put(&self, salting: Salting, keys: Keys<H>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((salting, keys));
    }
}

/// One exchange.
struct ScramExchange<H: ScramHash> {
    credentials: Credentials,
    kept: Kept<H>,
    nonce: String,
    state: State<H>,
}

enum State<H: ScramHash> {
    /// Nothing was said.
    Silent,
    /// The broker is to name salt and iterations.
    Introduced,
    /// The password is being stretched.
    Stretching { salting: Salting, stretching: Stretching<H>, conversation: Conversation },
    /// The broker is to show that it knows the password, too, by this signature.
    Proved { signature: Vec<u8> },
    /// All is said.
    Over,
}

/// What both sides prove that they have heard.
struct Conversation {
    server_first: String,
    /// The client's last message, as far as it can be written without the proof.
    client_final: String,
}

impl<H: ScramHash> SaslExchange for ScramExchange<H> {
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, Arc<str>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Silent => {
                self.state = State::Introduced;
                Ok(SaslStep::Say(format!("n,,{}", self.client_first()).into()))
            }
            State::Introduced => self.handle_server_first(challenge).map_err(|fault| explain::<H>(&fault)),
            State::Proved { signature } => handle_server_final::<H>(challenge, &signature),
            State::Stretching { .. } | State::Over => Err(out_of_turn()),
        }
    }

    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Stretching { salting, mut stretching, conversation } => {
                match stretching.go_on(SLICE) {
                    None => self.state = State::Stretching { salting, stretching, conversation },
                    Some(keys) => {
                        self.kept.put(salting, keys.clone());
                        return Ok(self.prove(&keys, conversation));
                    }
                }
                Ok(SaslStep::Work)
            }
            _ => Err(out_of_turn()),
        }
    }

    fn has_said_all(&self) -> bool {
        matches!(self.state, State::Proved { .. })
    }
}

impl<H: ScramHash> ScramExchange<H> {
    /// The first message without what comes before it for channel binding, which there is none of.
    fn client_first(&self) -> String {
        let extension = if self.credentials.is_token { ",tokenauth=true" } else { "" };
        format!("n={},r={}{extension}", messages::escape(&self.credentials.username), self.nonce)
    }

    fn handle_server_first(&mut self, challenge: &[u8]) -> Result<SaslStep, String> {
        let ServerFirst { text, nonce, salt, iterations } = ServerFirst::read(challenge, &self.nonce)?;
        // `biws` is "n,," in base64.
        let client_final = format!("c=biws,r={nonce}");
        let conversation = Conversation { server_first: text.to_owned(), client_final };
        let salting = Salting { salt, iterations };
        if let Some(keys) = self.kept.find(&salting) {
            return Ok(self.prove(&keys, conversation));
        }
        let stretching = Stretching::new(self.credentials.password.expose(), &salting.salt, iterations);
        self.state = State::Stretching { salting, stretching, conversation };
        Ok(SaslStep::Work)
    }

    fn prove(&mut self, keys: &Keys<H>, conversation: Conversation) -> SaslStep {
        let Conversation { server_first, client_final } = conversation;
        let heard = format!("{},{server_first},{client_final}", self.client_first());
        let (proof, signature) = keys.prove(heard.as_bytes());
        self.state = State::Proved { signature };
        SaslStep::Say(Bytes::from(format!("{client_final},p={}", base64::encode(&proof))))
    }
}

fn handle_server_final<H: ScramHash>(challenge: &[u8], signature: &[u8]) -> Result<SaslStep, Arc<str>> {
    match ServerFinal::read(challenge).map_err(|fault| explain::<H>(&fault))? {
        ServerFinal::Signature(theirs)
            if keys::are_equal(&theirs, signature) || planted!(SignatureNotChecked) =>
        {
            Ok(SaslStep::Done)
        }
        ServerFinal::Signature(_) => Err(format!(
            "{}: the broker cannot prove that it knows the password of the user, so it may not be who it seems",
            H::NAME
        )
        .into()),
        ServerFinal::Refusal(error) => {
            Err(format!("{}: the broker refuses the username or the password: {error}", H::NAME).into())
        }
    }
}

fn explain<H: ScramHash>(fault: &str) -> Arc<str> {
    format!("{}: {fault}", H::NAME).into()
}

/// The state holds what comes of the password.
impl<H: ScramHash> fmt::Debug for ScramExchange<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Silent => "Silent",
            State::Introduced => "Introduced",
            State::Stretching { .. } => "Stretching",
            State::Proved { .. } => "Proved",
            State::Over => "Over",
        };
        f.debug_struct("ScramExchange").field("state", &state).finish_non_exhaustive()
    }
}

fn new_nonce(random: &mut StdRng) -> String {
    (0..NONCE_LENGTH).map(|_| char::from(NONCE_DIGITS[random.random_range(0..NONCE_DIGITS.len())])).collect()
}

/// Iterations between two looks at the other brokers: a fraction of a millisecond.
const SLICE: u32 = 2048;

/// 130 bits and more, as Java's clients draw.
const NONCE_LENGTH: usize = 26;

const NONCE_DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests;
