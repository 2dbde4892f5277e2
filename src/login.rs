//! Credentials that come from outside and end, such as access tokens: who fetches them, when, and where exchanges find them.
//!
//! Exchanges are pure, so fetching happens here, in one task for each producer, which ends with the producer:
//!
//! ```text
//!   LoginState (pure) ──fetch now──▶ Source ── token, or why there is none ──▶ LoginState
//!                                                    │
//!                        exchanges ◀── Current ◀─────┤
//!                        the sender ◀── LoginWatcher ┘
//! ```
//!
//! An exchange that finds nothing waits, and goes on when the sender hears that credentials have come.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use rand::RngExt;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::fence::{Fenced, Thrown, fenced};
use crate::token::TokenError;

mod current;
mod jwt;
mod schedule;
mod state;
mod tokens;
mod unsecured;

pub(crate) use self::current::Current;
pub(crate) use self::jwt::describe as describe_token;
pub(crate) use self::schedule::{RefreshSettings, RefreshStep};
pub(crate) use self::state::LoginState;
pub(crate) use self::tokens::{tokens, unsecured_tokens};

/// Where credentials come from.
pub(crate) trait Source<T>: fmt::Debug + Send + Sync {
    /// Returns what it is about, to follow the word "no".
    fn name(&self) -> &'static str;

    fn fetch(&self) -> Fetching<'_, T>;
}

/// Credentials under way.
pub(crate) type Fetching<'a, T> = Pin<Box<dyn Future<Output = Result<Fetched<T>, TokenError>> + Send + 'a>>;

/// Credentials that have come.
#[derive(Debug)]
pub(crate) struct Fetched<T> {
    pub(crate) value: T,
    /// `None` if it is not known when they end, or if they never do.
    pub(crate) lifetime: Option<Duration>,
}

/// Is told what comes of fetching. A call upwards: the sender implements it.
pub(crate) trait LoginWatcher: Send + Sync {
    fn note(&self, news: LoginNews);
}

/// What has come of fetching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginNews {
    /// Exchanges that wait may go on.
    Came,
    /// The same, for what an exchange waits for beside credentials has come.
    #[cfg_attr(not(feature = "gssapi"), expect(dead_code, reason = "only Kerberos is asked elsewhere"))]
    GoOn,
    /// There is nothing that brokers would accept. `is_permanent` if waiting does not help.
    None { cause: Arc<str>, is_permanent: bool },
}

/// Fetches credentials again and again.
pub(crate) struct LoginTask<T> {
    source: Box<dyn Source<T>>,
    current: Current<T>,
    state: LoginState<T>,
    watcher: Arc<dyn LoginWatcher>,
}

impl<T> LoginTask<T> {
    pub(crate) fn new(
        source: Box<dyn Source<T>>,
        current: Current<T>,
        settings: RefreshSettings,
        watcher: Arc<dyn LoginWatcher>,
    ) -> Self {
        let state = LoginState::new(source.name(), current.clone(), settings, clock::now());
        Self { source, current, state, watcher }
    }

    /// Never comes to an end by itself.
    pub(crate) async fn run(mut self) {
        loop {
            let Err(panic) = AssertUnwindSafe(self.go_on()).catch_unwind().await;
            // Exchanges would wait for ever, and callers would never hear why.
            let message = Thrown::from(panic).message();
            let error = TokenError::permanent(format_args!("the login panicked: {message}"));
            if let Some(news) = self.state.handle_failed(&error, clock::now(), rand::rng().random()) {
                let _ = fenced(|| self.watcher.note(news));
            }
        }
    }

    async fn go_on(&mut self) -> Infallible {
        loop {
            let news = match self.state.next(clock::now()) {
                RefreshStep::Fetch => self.fetch().await,
                RefreshStep::End => self.state.handle_end(),
                RefreshStep::Wait(until) => {
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = self.current.doubted() => self.state.handle_doubt(clock::now()),
                    }
                    None
                }
            };
            if let Some(news) = news {
                self.watcher.note(news);
            }
        }
    }

    async fn fetch(&mut self) -> Option<LoginNews> {
        let Self { source, state, watcher, .. } = self;
        let result = {
            // The call itself may panic, too, and what it returns when it is dropped.
            let fetching = AssertUnwindSafe(async { source.fetch().await }).catch_unwind();
            let mut fetching = Fenced::new(Box::pin(timeout(MAX_FETCH, fetching)));
            loop {
                let ends = state.ends();
                tokio::select! {
                    result = poll_fn(|cx| fetching.get_mut().as_mut().poll(cx)) => break result,
                    () = sleep_until(ends) => {
                        if let Some(news) = state.handle_end() {
                            watcher.note(news);
                        }
                    }
                }
            }
        };
        let result = match result {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                let message = Thrown::from(panic).message();
                Err(TokenError::temporary(format_args!("the provider panicked: {message}")))
            }
            Err(_) => Err(TokenError::temporary(format_args!(
                "none came within {} s, the most that an attempt takes",
                MAX_FETCH.as_secs()
            ))),
        };
        let (now, random) = (clock::now(), rand::rng().random());
        match result {
            Ok(fetched) => Some(state.handle_fetched(fetched, now, random)),
            Err(error) => state.handle_failed(&error, now, random),
        }
    }
}

impl<T> fmt::Debug for LoginTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginTask").field("source", &self.source).finish_non_exhaustive()
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep(at.saturating_duration_since(clock::now())).await,
        None => pending().await,
    }
}

/// The longest time for an attempt, whatever it waits for. Then the producer begins another.
const MAX_FETCH: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
