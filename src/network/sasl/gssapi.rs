//! GSSAPI (RFC 4752), which is Kerberos: tokens by which each side learns who the other is, and then the choice of a layer of
//! security for what follows, which is none.
//!
//! ```text
//!  producer                                          broker
//!     token                                    ───▶
//!                                              ◀───  token
//!     nothing, for the context is complete     ───▶
//!                                              ◀───  wrapped: the layers that there are, and a size
//!     wrapped: no layer, no size, no other name ──▶
//!                                              ◀───  nothing: it is accepted
//! ```
//!
//! What makes and reads tokens may block for long: it reads files, and asks a server of Kerberos for a ticket. So an exchange only
//! asks for that by [`SecurityContext`], waits, and goes on when the sender hears that there is an answer. This file decides what to
//! ask and what to make of the answer.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;

use super::{SaslExchange, SaslMechanism, SaslStep, out_of_turn};
use crate::config::Mechanism;
use crate::metadata::Node;
use crate::wire::readable;

/// Who the producer is, for every broker.
pub(crate) trait SecurityContexts: fmt::Debug + Send + Sync {
    /// Begins with a broker of this name. `None` if there is no ticket.
    fn begin(&self, host: &str) -> Option<Box<dyn SecurityContext>>;
}

/// Who the producer is, for one broker. Nothing here blocks: questions are answered elsewhere, one at a time, and the sender is told
/// when one is.
pub(crate) trait SecurityContext: fmt::Debug + Send {
    /// Asks what `answer` returns later.
    fn ask(&mut self, question: Question);

    /// Takes the answer to the last question, if there is one by now.
    fn answer(&mut self) -> Option<Result<Answer, ContextFault>>;

    /// Takes in that the broker refuses the ticket. Returns who the producer says that it is, and to whom.
    fn refused(&mut self) -> Arc<str>;
}

/// What an exchange wants to have done.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// The next token, after this one of the broker's (`GSS_Init_sec_context`).
    Token(Option<Bytes>),
    /// What is in this (`GSS_Unwrap`).
    Unwrap(Bytes),
    /// This, so that the broker notices if it is changed on the way (`GSS_Wrap`).
    Wrap(Bytes),
}

/// What has been done.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Message(Bytes),
    /// The next token, which may be empty if the context `is_complete`.
    Token {
        token: Bytes,
        is_complete: bool,
    },
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContextFault {
    pub(crate) text: Arc<str>,
    /// Whether another attempt may do better.
    pub(crate) may_pass: bool,
}

/// The mechanism.
#[derive(Debug)]
pub(super) struct Gssapi {
    contexts: Arc<dyn SecurityContexts>,
}

impl Gssapi {
    pub(super) fn new(contexts: Arc<dyn SecurityContexts>) -> Self {
        Self { contexts }
    }
}

impl SaslMechanism for Gssapi {
    fn name(&self) -> Arc<str> {
        Arc::from(Mechanism::Gssapi.name())
    }

    fn subject(&self) -> &'static str {
        "the Kerberos ticket"
    }

    fn awaited(&self) -> &'static str {
        "the Kerberos ticket (from a KDC that may hang or be out of reach)"
    }

    fn begin(&self, broker: &Node, _: &mut StdRng) -> Box<dyn SaslExchange> {
        let host = Arc::clone(broker.address().host());
        let contexts = Arc::clone(&self.contexts);
        Box::new(GssapiExchange { contexts, host, context: None, rounds: 0, state: State::Silent })
    }
}

/// One exchange.
#[derive(Debug)]
struct GssapiExchange {
    contexts: Arc<dyn SecurityContexts>,
    host: Arc<str>,
    /// `None` until there is a ticket.
    context: Option<Box<dyn SecurityContext>>,
    /// Tokens of the producer's.
    rounds: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was said, for there may be no ticket.
    Silent,
    /// The next token of the producer's is being made.
    MakingToken,
    /// The broker is to say its token.
    AwaitingToken,
    /// The context is complete, and the broker is to say which layers there are.
    AwaitingLayers,
    /// What the broker has said is being unwrapped.
    Unwrapping,
    /// What the producer says to that is being wrapped.
    Wrapping,
    /// The broker is to say that this is all.
    AwaitingEnd,
    /// All is said, or it came to nothing.
    Over,
}

impl SaslExchange for GssapiExchange {
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, Arc<str>> {
        let challenge = Bytes::copy_from_slice(challenge);
        match std::mem::replace(&mut self.state, State::Over) {
            State::Silent => self.begin(),
            State::AwaitingToken if challenge.is_empty() => Err(fault("the broker leaves out its token")),
            State::AwaitingToken => self.ask(State::MakingToken, Question::Token(Some(challenge))),
            State::AwaitingLayers => self.ask(State::Unwrapping, Question::Unwrap(challenge)),
            State::AwaitingEnd if challenge.is_empty() => Ok(SaslStep::Done),
            _ => Err(out_of_turn()),
        }
    }

    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        match self.state {
            State::Silent => self.begin(),
            State::MakingToken | State::Unwrapping | State::Wrapping => self.look(),
            _ => Err(out_of_turn()),
        }
    }

    fn refused(&mut self, _: &str) -> Option<Arc<str>> {
        self.state = State::Over;
        self.context.take().map(|mut context| context.refused())
    }
}

impl GssapiExchange {
    fn begin(&mut self) -> Result<SaslStep, Arc<str>> {
        self.context = self.contexts.begin(&self.host);
        if self.context.is_none() {
            self.state = State::Silent;
            return Ok(SaslStep::Wait);
        }
        self.ask(State::MakingToken, Question::Token(None))
    }

    fn ask(&mut self, state: State, question: Question) -> Result<SaslStep, Arc<str>> {
        let Some(context) = &mut self.context else { return Err(out_of_turn()) };
        context.ask(question);
        self.state = state;
        self.look()
    }

    /// Goes on if there is an answer.
    fn look(&mut self) -> Result<SaslStep, Arc<str>> {
        let Some(context) = &mut self.context else { return Err(out_of_turn()) };
        let Some(answer) = context.answer() else { return Ok(SaslStep::Wait) };
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, answer) {
            (_, Err(ContextFault { text, may_pass: true })) => Ok(SaslStep::GiveUp(text)),
            (_, Err(ContextFault { text, may_pass: false })) => Err(text),
            (State::MakingToken, Ok(Answer::Token { token, is_complete })) => {
                self.rounds += 1;
                if self.rounds > MAX_ROUNDS {
                    return Err(fault(&format!("no end after {MAX_ROUNDS} tokens")));
                }
                self.state = if is_complete { State::AwaitingLayers } else { State::AwaitingToken };
                Ok(SaslStep::Say(token))
            }
            (State::Unwrapping, Ok(Answer::Message(layers))) => {
                let choice = choose_layer(&layers)?;
                self.ask(State::Wrapping, Question::Wrap(choice))
            }
            (State::Wrapping, Ok(Answer::Message(choice))) => {
                self.state = State::AwaitingEnd;
                Ok(SaslStep::Say(choice))
            }
            _ => Err(out_of_turn()),
        }
    }
}

/// Chooses none of the layers of security that a broker has: Kafka's frames have no place for any. No name follows, so the producer
/// is for the broker who the ticket says.
fn choose_layer(layers: &[u8]) -> Result<Bytes, Arc<str>> {
    let [layers, _, _, _] = *layers else {
        let length = layers.len();
        return Err(fault(&format!(
            "the broker names its layers of security in {length} bytes in place of 4"
        )));
    };
    if layers & NO_LAYER == 0 {
        let text = "the broker demands a layer of security beneath its frames, which Kafka does not have";
        return Err(fault(text));
    }
    Ok(Bytes::from_static(&[NO_LAYER, 0, 0, 0]))
}

fn fault(text: &str) -> Arc<str> {
    format!("{}: {}", Mechanism::Gssapi.name(), readable(text)).into()
}

/// The bit for a connection that is not changed by the mechanism.
const NO_LAYER: u8 = 1;

/// Kerberos takes two. A broker must not be able to go on for ever.
const MAX_ROUNDS: u32 = 8;

/// They are tokens.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token([hidden])",
            Self::Unwrap(_) => "Unwrap([hidden])",
            Self::Wrap(_) => "Wrap([hidden])",
        })
    }
}

/// They are tokens.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(_) => f.write_str("Message([hidden])"),
            Self::Token { is_complete, .. } => {
                f.debug_struct("Token").field("is_complete", is_complete).finish_non_exhaustive()
            }
        }
    }
}

#[cfg(test)]
mod tests;
