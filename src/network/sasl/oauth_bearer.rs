//! OAUTHBEARER (RFC 7628, KIP-255): an access token, as it is.
//!
//! ```text
//!  n,,^Aauth=Bearer TOKEN^A[name=value^A]…^A     ───▶
//!                                                ◀───  nothing: it is accepted
//!                                                ◀───  {"status":"invalid_token",…}: it is not
//!  ^A                                            ───▶
//!                                                ◀───  the error that ends the connection
//! ```

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use super::{Opening, SaslExchange, SaslMechanism, SaslStep, out_of_turn};
use crate::config::Mechanism;
use crate::login::{Current, describe_token};
use crate::metadata::Node;
use crate::token::AccessToken;
use crate::wire::readable;

/// The mechanism, with the token in force.
#[derive(Debug)]
pub(super) struct OAuthBearer {
    current: Current<AccessToken>,
    /// Returns the milliseconds since 1970: tokens end.
    wall_clock: fn() -> i64,
}

impl OAuthBearer {
    pub(super) fn new(current: Current<AccessToken>, wall_clock: fn() -> i64) -> Self {
        Self { current, wall_clock }
    }
}

impl SaslMechanism for OAuthBearer {
    fn name(&self) -> Arc<str> {
        Arc::from(Mechanism::OAuthBearer.name())
    }

    fn subject(&self) -> &'static str {
        "the access token"
    }

    fn opening(&self) -> Opening {
        if self.current.get().is_some() { Opening::Secret } else { Opening::Later }
    }

    fn begin(&self, _: &Node, _: &mut StdRng) -> Box<dyn SaslExchange> {
        let (current, wall_clock) = (self.current.clone(), self.wall_clock);
        Box::new(OAuthBearerExchange { current, wall_clock, state: State::Silent })
    }
}

/// One exchange.
struct OAuthBearerExchange {
    current: Current<AccessToken>,
    wall_clock: fn() -> i64,
    state: State,
}

enum State {
    /// Nothing was said, for there may be no token.
    Silent,
    Said(Arc<AccessToken>),
    /// The broker does not accept the token.
    Refused {
        token: Arc<AccessToken>,
        words: String,
    },
    /// All is said.
    Over,
}

impl SaslExchange for OAuthBearerExchange {
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, Arc<str>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Silent => Ok(self.speak()),
            State::Said(_) if challenge.is_empty() => Ok(SaslStep::Done),
            State::Said(token) => {
                self.state = State::Refused { token, words: readable(&String::from_utf8_lossy(challenge)) };
                Ok(SaslStep::Say(Bytes::from_static(b"\x01")))
            }
            State::Refused { token, words } => {
                self.current.doubt(&token);
                let described = describe_token(token.value(), (self.wall_clock)());
                Err(format!("the broker refuses the access token: {words}; {described}").into())
            }
            State::Over => Err(out_of_turn()),
        }
    }

    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        match self.state {
            State::Silent => Ok(self.speak()),
            _ => Err(out_of_turn()),
        }
    }

    fn refused(&mut self, message: &str) -> Option<Arc<str>> {
        let (token, words) = match std::mem::replace(&mut self.state, State::Over) {
            State::Refused { token, words } => (token, words),
            State::Said(token) => (token, String::new()),
            State::Silent | State::Over => return None,
        };
        let is_over = self.current.doubt(&token);
        let described = describe_token(token.value(), (self.wall_clock)());
        // The provider knows it of tokens that do not say so.
        let is_told = !is_over || described.contains("has ended");
        let end = if is_told { "" } else { "it has ended by the clock of this machine" };
        // Kafka says the same twice.
        let words = if message.contains(&words) { "" } else { &words };
        let notes: Vec<_> = [words, &described, end].into_iter().filter(|note| !note.is_empty()).collect();
        Some(notes.join("; ").into())
    }
}

impl OAuthBearerExchange {
    fn speak(&mut self) -> SaslStep {
        let Some(token) = self.current.get() else {
            self.state = State::Silent;
            return SaslStep::Wait;
        };
        let message = first_message(&token);
        self.state = State::Said(token);
        SaslStep::Say(Bytes::from_owner(message))
    }
}

fn first_message(token: &AccessToken) -> Zeroizing<Vec<u8>> {
    let extensions = token.extensions().iter().flat_map(|(name, value)| [name, "=", value, "\x01"]);
    let parts = ["n,,\x01auth=Bearer ", token.value(), "\x01"].into_iter().chain(extensions).chain(["\x01"]);
    // What grows leaves copies behind.
    let length = parts.clone().map(str::len).sum();
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    parts.for_each(|part| message.extend_from_slice(part.as_bytes()));
    message
}

/// The state holds the token.
impl fmt::Debug for OAuthBearerExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Silent => "Silent",
            State::Said(_) => "Said",
            State::Refused { .. } => "Refused",
            State::Over => "Over",
        };
        f.debug_struct("OAuthBearerExchange").field("state", &state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::topic_partition::NodeId;

    fn exchange(current: &Current<AccessToken>) -> Box<dyn SaslExchange> {
        let node = Node::new(NodeId(1), "kafka", 9092);
        OAuthBearer::new(current.clone(), || 0).begin(&node, &mut StdRng::seed_from_u64(7))
    }

    fn with(token: AccessToken) -> Current<AccessToken> {
        let current = Current::new();
        current.put_for_test(token);
        current
    }

    fn say(text: &'static str) -> Result<SaslStep, Arc<str>> {
        Ok(SaslStep::Say(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn token_is_said_as_java_says_it() {
        let token =
            AccessToken::new("e30.e30.").extension("traceId", "1 2").extension("logicalCluster", "lkc");
        let mut exchange = exchange(&with(token));

        let said = exchange.respond(&[]);

        assert_eq!(said, say("n,,\x01auth=Bearer e30.e30.\x01logicalCluster=lkc\x01traceId=1 2\x01\x01"));
        assert_eq!(exchange.respond(&[]), Ok(SaslStep::Done));
        let mut bare = self::exchange(&with(AccessToken::new("t")));
        assert_eq!(bare.respond(&[]), say("n,,\x01auth=Bearer t\x01\x01"));
    }

    #[test]
    fn exchange_waits_until_there_is_a_token() {
        let current = Current::new();
        let mut exchange = exchange(&current);

        assert_eq!(exchange.respond(&[]), Ok(SaslStep::Wait));
        assert_eq!(exchange.work(), Ok(SaslStep::Wait));
        current.put_for_test(AccessToken::new("t"));

        assert_eq!(exchange.work(), say("n,,\x01auth=Bearer t\x01\x01"));
    }

    #[test]
    fn refusal_is_acknowledged_and_told_with_the_words_of_the_broker() {
        let refuse = |words: &[u8], message| {
            let mut exchange = exchange(&with(AccessToken::new("t")));
            exchange.respond(&[]).unwrap();
            assert_eq!(exchange.respond(words), say("\x01"));
            exchange.refused(message)
        };

        let words = "{\"status\":\"invalid_token\"}";
        let opaque = "the token is no JWT, so only who gave it out knows when it ends and for whom it is";
        assert_eq!(refuse(words.as_bytes(), "no").unwrap(), format!("{words}; {opaque}").into());
        assert_eq!(refuse(words.as_bytes(), words).as_deref(), Some(opaque), "it has said so");
        assert_eq!(refuse(b"no\n", "").unwrap(), format!("no ; {opaque}").into());
        assert_eq!(refuse(&[b'x'; 5000], "").unwrap().chars().count(), 1001 + 2 + opaque.len());
    }

    #[test]
    fn broker_that_goes_on_after_its_refusal_is_not_believed() {
        let mut exchange = exchange(&with(AccessToken::new("t")));
        exchange.respond(&[]).unwrap();
        exchange.respond(b"{\"status\":\"expired\"}").unwrap();

        let error = exchange.respond(&[]).unwrap_err();

        assert!(
            error.starts_with(
                "the broker refuses the access token: {\"status\":\"expired\"}; the token is no JWT"
            ),
            "{error}"
        );
    }

    #[test]
    fn token_is_shown_nowhere() {
        let current = with(AccessToken::new("hunter2"));
        let mut exchange = exchange(&current);
        let said = exchange.respond(&[]);

        let shown = format!("{current:?} {exchange:?} {exchange:#?} {said:?} {:?}", current.get());

        assert!(shown.contains("[hidden]"), "the test looks at something");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
