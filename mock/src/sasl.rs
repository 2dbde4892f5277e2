//! Who may connect, and what a broker says in PLAIN (RFC 4616), SCRAM (RFC 5802) and OAUTHBEARER (RFC 7628): pure, one connection at a time.
//!
//! Written apart from any client, so that a client that is tested against it cannot share its mistakes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hmac::Hmac;
use hmac::digest::{Digest, FixedOutput, KeyInit, Update};
use sha2::{Sha256, Sha512};

use crate::access_tokens::{AccessTokens, FirstMessage};
use crate::aws;
use crate::topic::random_u64;

/// A way in which clients can say who they are, see [`MockClusterBuilder::sasl_user`](crate::MockClusterBuilder::sasl_user).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// A request that is signed with an access key of AWS.
    AwsMskIam,
    /// An access token.
    OAuthBearer,
    /// Name and password as they are.
    Plain,
    /// A proof of knowing the password, with SHA-256.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// Every mechanism that the mock offers.
    pub const ALL: [Self; 5] =
        [Self::AwsMskIam, Self::OAuthBearer, Self::Plain, Self::ScramSha256, Self::ScramSha512];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AwsMskIam => "AWS_MSK_IAM",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::ScramSha512 => Sha512::digest(bytes).to_vec(),
            _ => Sha256::digest(bytes).to_vec(),
        }
    }

    fn sign(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Self::ScramSha512 => sign::<Hmac<Sha512>>(key, text),
            _ => sign::<Hmac<Sha256>>(key, text),
        }
    }

    /// Returns the key that comes of a password. Those that came lately are kept: it takes long to compute them.
    fn stretch(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        static KEPT: Mutex<BTreeMap<Stretching, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let stretching = (self, password.to_vec(), salt.to_vec(), iterations);
        let known = KEPT.lock().unwrap_or_else(PoisonError::into_inner).get(&stretching).cloned();
        if let Some(key) = known {
            return key;
        }
        let key = self.stretch_anew(password, salt, iterations);
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(stretching, key.clone());
        key
    }

    fn stretch_anew(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut key = vec![0; self.hash(b"").len()];
        // Fails for keys of no length only.
        let _ = match self {
            Self::ScramSha512 => pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, iterations, &mut key),
            _ => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, iterations, &mut key),
        };
        key
    }
}

fn sign<M: KeyInit + Update + FixedOutput>(key: &[u8], text: &[u8]) -> Vec<u8> {
    let Ok(mut signer) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    signer.update(text);
    signer.finalize_fixed().to_vec()
}

/// What a key comes of: mechanism, password, salt and iterations.
type Stretching = (SaslMechanism, Vec<u8>, Vec<u8>, u32);

/// Keys of so many passwords are kept.
const MOST_KEPT: usize = 64;

/// What clients must say to be let in.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) mechanisms: Vec<SaslMechanism>,
    /// Passwords by name.
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) tokens: AccessTokens,
    /// Secrets of AWS by the ids of their keys.
    pub(crate) aws_keys: BTreeMap<String, String>,
    pub(crate) iterations: u32,
    /// Whether the words of a mechanism come without headers, as before Kafka 1.0.
    pub(crate) is_without_headers: bool,
    /// How long a client counts as authenticated (`connections.max.reauth.ms`).
    pub(crate) session_lifetime: Option<Duration>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            mechanisms: SaslMechanism::ALL.to_vec(),
            users: BTreeMap::new(),
            tokens: AccessTokens::default(),
            aws_keys: BTreeMap::new(),
            iterations: 4096,
            is_without_headers: false,
            session_lifetime: None,
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("mechanisms", &self.mechanisms).finish_non_exhaustive()
    }
}

/// What a connection has said of who it is.
#[derive(Debug, Default)]
pub(crate) struct Session {
    user: Option<String>,
    /// As the shell has told it, from whenever it counts.
    now: Duration,
    ends: Option<Duration>,
    is_refused: bool,
    /// Whether the words of the mechanism come without headers.
    is_without_headers: bool,
    exchange: Exchange,
    /// How long the session lasts that has begun last.
    lifetime: Option<Duration>,
}

#[derive(Default)]
enum Exchange {
    #[default]
    None,
    Chosen(SaslMechanism),
    /// The client has an access token that is not accepted, and is to say that it has heard so.
    Declined(String),
    Proving {
        mechanism: SaslMechanism,
        user: String,
        password: String,
        iterations: u32,
        nonce: String,
        heard: String,
    },
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

/// What a broker says to a client that authenticates.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is let in if there is nothing more to say, and this is the last thing to say.
    Say(Bytes),
    /// It is let in.
    Welcome(Bytes),
    Refused(String),
    /// There was no handshake.
    OutOfTurn,
}

impl Session {
    /// Takes in what time it is.
    pub(crate) fn set_time(&mut self, now: Duration) {
        self.now = now;
    }

    /// Says why a request that is not about authentication is not carried out.
    pub(crate) fn obstacle(&self) -> Option<&'static str> {
        if self.user.is_none() {
            Some("the client has not authenticated")
        } else if self.ends.is_some_and(|ends| ends < self.now) {
            Some("the session of the client has ended")
        } else {
            None
        }
    }

    /// Whether the client has said who it is, and is not about to say it again.
    pub(crate) fn is_let_in(&self) -> bool {
        self.user.is_some() && !self.is_refused && matches!(self.exchange, Exchange::None)
    }

    /// The client is refused.
    pub(crate) fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Whether the client was refused, so that its connection is of no use any more.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Whether the next frame has words of a mechanism, and no header.
    pub(crate) fn awaits_words(&self) -> bool {
        self.is_without_headers && !self.is_refused && !matches!(self.exchange, Exchange::None)
    }

    /// Returns whether the mechanism is offered, for an exchange in requests or without headers.
    pub(crate) fn choose(&mut self, admission: &Admission, name: &str, is_without_headers: bool) -> bool {
        self.is_without_headers = is_without_headers;
        let chosen = admission.mechanisms.iter().find(|mechanism| mechanism.name() == name);
        self.exchange = chosen.map_or(Exchange::None, |mechanism| Exchange::Chosen(*mechanism));
        self.is_refused |= chosen.is_none();
        chosen.is_some()
    }

    /// Returns how long the session lasts that has begun last.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    pub(crate) fn hear(&mut self, admission: &Admission, words: &[u8]) -> Verdict {
        self.lifetime = admission.session_lifetime;
        let verdict = match std::mem::take(&mut self.exchange) {
            Exchange::None => Verdict::OutOfTurn,
            Exchange::Chosen(SaslMechanism::AwsMskIam) => match aws::judge(words, &admission.aws_keys) {
                Ok(id) => self.welcome(&id, r#"{"version":"2020_10_22","request-id":"mock"}"#.into()),
                Err(reason) => Verdict::Refused(reason),
            },
            Exchange::Chosen(SaslMechanism::OAuthBearer) => self.hear_token(admission, words),
            Exchange::Declined(reason) => Verdict::Refused(reason),
            Exchange::Chosen(SaslMechanism::Plain) => self.hear_plain(admission, words),
            Exchange::Chosen(mechanism) => self.hear_first(mechanism, admission, words),
            Exchange::Proving { mechanism, user, password, iterations, nonce, heard } => {
                let key = mechanism.stretch(password.as_bytes(), salt_of(&user).as_bytes(), iterations);
                match check_proof(mechanism, &key, &nonce, &heard, words) {
                    Some(signature) => self.welcome(&user, signature.into()),
                    None => refusal_by_scram(mechanism),
                }
            }
        };
        match verdict {
            Verdict::Welcome(_) => {
                self.ends = self.lifetime.map(|lifetime| self.now + lifetime);
            }
            Verdict::Refused(_) | Verdict::OutOfTurn => self.is_refused = true,
            Verdict::Say(_) => {}
        }
        verdict
    }

    fn hear_token(&mut self, admission: &Admission, words: &[u8]) -> Verdict {
        let Some(first) = FirstMessage::read(words) else {
            return Verdict::Refused("Invalid OAUTHBEARER client first message".to_owned());
        };
        match admission.tokens.judge(&first, self.now) {
            Ok(token) => {
                // Kafka ends the session with the token, or sooner.
                self.lifetime = [self.lifetime, token.lifetime].into_iter().flatten().min();
                self.welcome(&token.user, Bytes::new())
            }
            Err(reason) => {
                self.exchange = Exchange::Declined(reason.clone());
                Verdict::Say(reason.into())
            }
        }
    }

    fn hear_plain(&mut self, admission: &Admission, words: &[u8]) -> Verdict {
        let parts: Vec<_> = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let [_, user, password] = &parts[..] else {
            return Verdict::Refused("Invalid SASL/PLAIN response: expected 3 tokens".to_owned());
        };
        if admission.users.get(user.as_ref()).is_some_and(|known| known == password.as_ref()) {
            return self.welcome(user, Bytes::new());
        }
        Verdict::Refused("Authentication failed: Invalid username or password".to_owned())
    }

    fn hear_first(&mut self, mechanism: SaslMechanism, admission: &Admission, words: &[u8]) -> Verdict {
        let words = String::from_utf8_lossy(words);
        let Some(bare) = words.strip_prefix("n,,") else { return refusal_by_scram(mechanism) };
        let user = attribute(bare, "n=").unwrap_or_default().replace("=2C", ",").replace("=3D", "=");
        let (Some(password), Some(nonce)) = (admission.users.get(&user), attribute(bare, "r=")) else {
            return refusal_by_scram(mechanism);
        };
        let nonce = format!("{nonce}{:016x}", random_u64());
        let iterations = admission.iterations;
        let first = format!("r={nonce},s={},i={iterations}", base64(salt_of(&user).as_bytes()));
        let heard = format!("{bare},{first}");
        let password = password.clone();
        // The key takes long to compute, and is needed only if the client goes on.
        self.exchange = Exchange::Proving { mechanism, user, password, iterations, nonce, heard };
        Verdict::Say(first.into())
    }

    fn welcome(&mut self, user: &str, words: Bytes) -> Verdict {
        match &self.user {
            Some(known) if known != user => {
                let text =
                    format!("Cannot change principals during re-authentication from {known} to {user}");
                Verdict::Refused(text)
            }
            _ => {
                self.user = Some(user.to_owned());
                Verdict::Welcome(words)
            }
        }
    }
}

fn salt_of(user: &str) -> String {
    format!("salt of {user}")
}

/// Returns the broker's own proof if the client's is right.
fn check_proof(
    mechanism: SaslMechanism,
    key: &[u8],
    nonce: &str,
    heard: &str,
    words: &[u8],
) -> Option<String> {
    let words = std::str::from_utf8(words).ok()?;
    let (without_proof, proof) = words.rsplit_once(",p=")?;
    if without_proof != format!("c=biws,r={nonce}") {
        return None;
    }
    let heard = format!("{heard},{without_proof}");
    let client_key = mechanism.sign(key, b"Client Key");
    let signature = mechanism.sign(&mechanism.hash(&client_key), heard.as_bytes());
    let expected: Vec<_> = client_key.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
    let server_key = mechanism.sign(key, b"Server Key");
    let own = mechanism.sign(&server_key, heard.as_bytes());
    (base64(&expected) == proof).then(|| format!("v={}", base64(&own)))
}

fn refusal_by_scram(mechanism: SaslMechanism) -> Verdict {
    Verdict::Refused(format!(
        "Authentication failed during authentication due to invalid credentials with SASL mechanism {}",
        mechanism.name()
    ))
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|attribute| attribute.strip_prefix(name))
}

/// Standard base64 with padding; the mock never has to read any.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index: usize| usize::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
