//! Access tokens (OAUTHBEARER, RFC 7628): which ones let a client in, and what clients say beside them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a broker makes of an access token, see [`MockClusterBuilder::sasl_token_check`](crate::MockClusterBuilder::sasl_token_check).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MockToken {
    pub(crate) user: String,
    pub(crate) lifetime: Option<Duration>,
    /// When it ends, on the clock of a simulation.
    pub(crate) ends: Option<Duration>,
}

impl MockToken {
    /// A token of this user, that does not end.
    pub fn of(user: impl Into<String>) -> Self {
        Self { user: user.into(), lifetime: None, ends: None }
    }

    /// Has the token end at this time, on the clock of a simulation.
    pub(crate) fn ending_at(mut self, ends: Option<Duration>) -> Self {
        self.ends = ends;
        self
    }

    /// Has the token end so long from now. The session of the client ends with it.
    pub fn ends_after(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }
}

/// Which tokens let a client in.
#[derive(Clone, Default)]
pub(crate) struct AccessTokens {
    known: BTreeMap<String, MockToken>,
    check: Option<Arc<Check>>,
}

type Check = dyn Fn(&str, &BTreeMap<String, String>) -> Result<MockToken, String> + Send + Sync;

impl AccessTokens {
    pub(crate) fn insert(&mut self, text: String, token: MockToken) {
        self.known.insert(text, token);
    }

    pub(crate) fn remove(&mut self, text: &str) {
        self.known.remove(text);
    }

    pub(crate) fn set_check(&mut self, check: Arc<Check>) {
        self.check = Some(check);
    }

    /// Forgets all tokens.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// Returns what a token is, or what to say to the client.
    pub(crate) fn judge(&self, first: &FirstMessage<'_>, now: Duration) -> Result<MockToken, String> {
        let refusal = || Err("{\"status\":\"invalid_token\"}".to_owned());
        if let Some(token) = self.known.get(first.token) {
            let Some(ends) = token.ends else { return Ok(token.clone()) };
            return if ends <= now { refusal() } else { Ok(token.clone().ends_after(ends - now)) };
        }
        self.check.as_ref().map_or_else(refusal, |check| check(first.token, &first.extensions))
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

/// What a client says first.
pub(crate) struct FirstMessage<'a> {
    token: &'a str,
    extensions: BTreeMap<String, String>,
}

impl<'a> FirstMessage<'a> {
    pub(crate) fn read(words: &'a [u8]) -> Option<Self> {
        let words = std::str::from_utf8(words).ok()?;
        let pairs = words.strip_prefix("n,,\x01")?.strip_suffix("\x01\x01")?;
        let mut token = None;
        let mut extensions = BTreeMap::new();
        for pair in pairs.split('\x01') {
            match pair.split_once('=')? {
                ("auth", value) => token = Some(value.strip_prefix("Bearer ")?),
                (name, value) => {
                    extensions.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Some(Self { token: token?, extensions })
    }
}
