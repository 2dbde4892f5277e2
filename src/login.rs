//! Credentials that come from outside and end, such as access tokens: who fetches them, when, and where exchanges find them.
//!
//! Exchanges are pure, so fetching happens here, in one task for each producer, which ends with the producer:
//!
//! ```text
//!   Schedule (pure) ──fetch now──▶ Source ── token, or why there is none ──▶ Schedule
//!                                                  │
//!                      exchanges ◀── Current ◀─────┤
//!                      the sender ◀── LoginWatcher ┘
//! ```
//!
//! An exchange that finds nothing waits, and goes on when the sender hears that credentials have come.

use std::fmt;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use rand::RngExt;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::fence::{Thrown, fenced};
use crate::log;
use crate::token::TokenError;
use crate::wire::readable;

mod current;
mod jwt;
mod schedule;
mod tokens;
mod unsecured;

pub(crate) use self::current::Current;
pub(crate) use self::jwt::describe as describe_token;
pub(crate) use self::schedule::RefreshSettings;
use self::schedule::{Next, Schedule};
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
    /// There is nothing that brokers would accept. `is_permanent` if waiting does not help.
    None { cause: Arc<str>, is_permanent: bool },
}

/// Fetches credentials again and again.
pub(crate) struct Login<T> {
    source: Box<dyn Source<T>>,
    current: Current<T>,
    schedule: Schedule,
    watcher: Arc<dyn LoginWatcher>,
    /// Why the last attempt failed; `None` if it did not. Each cause is logged once.
    fault: Option<TokenError>,
}

impl<T> Login<T> {
    pub(crate) fn new(
        source: Box<dyn Source<T>>,
        current: Current<T>,
        settings: RefreshSettings,
        watcher: Arc<dyn LoginWatcher>,
    ) -> Self {
        let schedule = Schedule::new(settings, clock::now());
        Self { source, current, schedule, watcher, fault: None }
    }

    /// Never comes to an end by itself.
    pub(crate) async fn run(mut self) {
        loop {
            match self.schedule.next(clock::now()) {
                Next::Fetch => self.fetch().await,
                Next::End => self.end(),
                Next::Wait(until) => {
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = self.current.doubted() => self.schedule.doubt(clock::now()),
                    }
                }
            }
        }
    }

    async fn fetch(&mut self) {
        let result = {
            // The call itself may panic, too.
            let fetching = AssertUnwindSafe(async { self.source.fetch().await }).catch_unwind();
            let mut fetching = Box::pin(timeout(MAX_FETCH, fetching));
            let mut ends = self.schedule.ends();
            let result = loop {
                tokio::select! {
                    result = &mut fetching => break result,
                    () = sleep_until(ends) => {
                        self.current.end();
                        ends = None;
                    }
                }
            };
            // The code of others, which was given up, may panic once more.
            let _ = fenced(|| drop(fetching));
            match result {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(TokenError::temporary(format_args!(
                    "the provider panicked: {}",
                    Thrown::from(panic).message()
                ))),
                Err(_) => Err(TokenError::temporary(format_args!("none came for {} s", MAX_FETCH.as_secs()))),
            }
        };
        match result {
            Ok(fetched) => self.take(fetched),
            Err(error) => self.fail(&error),
        }
    }

    fn take(&mut self, Fetched { value, lifetime }: Fetched<T>) {
        let name = self.source.name();
        if self.fault.take().is_some() {
            log::info!("there is {name} again");
        }
        let is_over = lifetime.is_some_and(|lifetime| lifetime.is_zero());
        if is_over {
            // The clock of this machine may be wrong, and brokers go by their own.
            log::warn!("{name} that has just come has ended already by the clock of this machine");
        } else {
            log::debug!(?lifetime, "{name} has come");
        }
        self.schedule.handle_fetched(lifetime, clock::now(), rand::rng().random());
        self.current.put(value, is_over);
        self.watcher.note(LoginNews::Came);
    }

    fn fail(&mut self, error: &TokenError) {
        let name = self.source.name();
        let cause = readable(&error.to_string());
        if self.fault.as_ref() != Some(error) {
            log::warn!(%cause, "no {name}; the producer keeps trying");
            self.fault = Some(error.clone());
        }
        let now = clock::now();
        if matches!(self.schedule.next(now), Next::End) {
            self.end();
        }
        self.schedule.handle_failed(now, rand::rng().random());
        self.tell();
    }

    /// What there was has ended, and nothing has come in its place.
    fn end(&mut self) {
        self.schedule.handle_end();
        self.current.end();
        self.tell();
    }

    fn tell(&self) {
        let Some(fault) = self.fault.as_ref().filter(|_| self.current.get().is_none()) else { return };
        let cause = format!("no {}: {}", self.source.name(), readable(&fault.to_string()));
        self.watcher.note(LoginNews::None { cause: cause.into(), is_permanent: fault.is_permanent() });
    }
}

impl<T> fmt::Debug for Login<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("source", &self.source).finish_non_exhaustive()
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
