//! What a SASL mechanism has to provide: the bytes to say to a broker. [`authentication`](super::authentication) puts them into
//! Kafka's frames. Each mechanism has a file in `sasl`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;

#[cfg(feature = "sasl")]
use crate::aws_credentials::AwsCredentials;
use crate::config::{Credentials, Mechanism};
use crate::login::Current;
use crate::metadata::Node;
use crate::token::AccessToken;

#[cfg(feature = "sasl")]
mod aws_msk_iam;
#[cfg(feature = "gssapi")]
pub(crate) mod gssapi;
mod oauth_bearer;
#[cfg(feature = "sasl")]
mod plain;
#[cfg(feature = "sasl")]
mod scram;

#[cfg(feature = "sasl")]
use self::aws_msk_iam::AwsMskIam;
#[cfg(feature = "gssapi")]
use self::gssapi::{Gssapi, SecurityContexts};
use self::oauth_bearer::OAuthBearer;
#[cfg(feature = "sasl")]
use self::plain::Plain;
#[cfg(feature = "sasl")]
use self::scram::{Scram, Sha256Hash, Sha512Hash};

/// Who the producer is, and how it proves that to brokers.
pub(crate) trait SaslMechanism: fmt::Debug + Send + Sync {
    /// Returns the name of the mechanism, as in `sasl.mechanism`.
    fn name(&self) -> Arc<str>;

    /// Returns what a broker refuses if it does not let the producer in.
    fn subject(&self) -> &'static str {
        "what sasl.jaas.config says"
    }

    /// Returns what an exchange waits for that does not go on (see [`SaslStep::Wait`]).
    fn awaited(&self) -> &'static str {
        self.subject()
    }

    /// Returns whether an exchange that would begin now could say its first words at once, and whether these are a secret.
    fn opening(&self) -> Opening {
        Opening::Later
    }

    /// Begins to authenticate, on a new connection or anew on one whose session ends. Credentials are those of this moment.
    fn begin(&self, broker: &Node, random: &mut StdRng) -> Box<dyn SaslExchange>;
}

/// The first words of a mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// They are not there yet, or take work, or the broker has to agree to the mechanism before it may hear them.
    Later,
    /// They tell nothing that a broker must not know unless it agrees.
    Public,
    /// They are the password or the token itself, or as good as that.
    Secret,
}

/// One authentication: bytes in, bytes out.
pub(crate) trait SaslExchange: fmt::Debug + Send {
    /// Takes in what the broker has said, and returns what to do next. At the first call `challenge` is empty.
    /// Returns [`Done`](SaslStep::Done) when the exchange is complete: the broker has accepted the producer, and has proved who it
    /// is if the mechanism demands it.
    ///
    /// # Errors
    ///
    /// Why the exchange cannot go on.
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, Arc<str>>;

    /// Does the next part of the work that an exchange has asked for by [`SaslStep::Work`], or looks whether there is by now what it
    /// has waited for by [`SaslStep::Wait`].
    ///
    /// # Errors
    ///
    /// Those of [`respond`](Self::respond).
    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        Err(out_of_turn())
    }

    /// Whether all is said, so that the broker lets the producer in if it accepts that. It refuses the producer by an error then, and
    /// not by words that the exchange has to answer.
    fn has_said_all(&self) -> bool {
        false
    }

    /// Takes in that the broker has refused the producer with this message. Returns what there is to add.
    fn refused(&mut self, message: &str) -> Option<Arc<str>> {
        let _ = message;
        None
    }
}

/// Ends an exchange that goes on after its end: `Done` would say that the broker has proved who it is.
fn out_of_turn() -> Arc<str> {
    Arc::from("the exchange goes on after its end")
}

/// What an exchange does next.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(not(any(test, feature = "sasl")), expect(dead_code, reason = "no mechanism says anything"))]
pub(crate) enum SaslStep {
    /// All is said: the broker is convinced, and has proved who it is if the mechanism has it do so.
    Done,
    /// It cannot go on, for a reason that may pass: the next attempt may do better.
    #[cfg_attr(not(feature = "gssapi"), expect(dead_code, reason = "only Kerberos is asked elsewhere"))]
    GiveUp(Arc<str>),
    /// It says this, which may be nothing, and waits for what the broker says to that.
    Say(Bytes),
    /// There are no credentials, or not yet what is made of them elsewhere. [`SaslExchange::work`] looks again once the sender hears
    /// of any that have come.
    Wait,
    /// It has more to compute than should be done in one go: others wait for the sender. [`SaslExchange::work`] does the next
    /// part, of about a millisecond.
    Work,
}

/// What is said may be a password.
impl fmt::Debug for SaslStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::GiveUp(_) => "GiveUp",
            Self::Say(_) => "Say([hidden])",
            Self::Wait => "Wait",
            Self::Work => "Work",
        })
    }
}

/// Returns a mechanism that takes a name and a password, if it is one, and the crate is built with it.
#[cfg(feature = "sasl")]
pub(crate) fn mechanism(mechanism: Mechanism, credentials: &Credentials) -> Option<Arc<dyn SaslMechanism>> {
    let credentials = credentials.clone();
    Some(match mechanism {
        Mechanism::AwsMskIam | Mechanism::Gssapi | Mechanism::OAuthBearer => return None,
        Mechanism::Plain => Arc::new(Plain::new(credentials)),
        Mechanism::ScramSha256 => Arc::new(Scram::<Sha256Hash>::new(credentials)),
        Mechanism::ScramSha512 => Arc::new(Scram::<Sha512Hash>::new(credentials)),
    })
}

/// Returns OAUTHBEARER with the tokens that come to `current`. `wall_clock` returns the milliseconds since 1970.
pub(crate) fn oauth_bearer(current: Current<AccessToken>, wall_clock: fn() -> i64) -> Arc<dyn SaslMechanism> {
    Arc::new(OAuthBearer::new(current, wall_clock))
}

/// Returns AWS_MSK_IAM with the credentials that come to `current`. `wall_clock` returns the milliseconds since 1970.
#[cfg(feature = "sasl")]
pub(crate) fn aws_msk_iam(
    current: Current<AwsCredentials>,
    region: Option<Arc<str>>,
    wall_clock: fn() -> i64,
) -> Arc<dyn SaslMechanism> {
    Arc::new(AwsMskIam::new(current, region, wall_clock))
}

/// Returns GSSAPI by contexts that come from elsewhere.
#[cfg(feature = "gssapi")]
pub(crate) fn gssapi(contexts: Arc<dyn SecurityContexts>) -> Arc<dyn SaslMechanism> {
    Arc::new(Gssapi::new(contexts))
}

/// Returns no mechanism. A configuration that asks for one is refused before.
#[cfg(not(feature = "sasl"))]
pub(crate) fn mechanism(_: Mechanism, _: &Credentials) -> Option<Arc<dyn SaslMechanism>> {
    None
}

#[cfg(all(test, feature = "sasl"))]
mod tests;
