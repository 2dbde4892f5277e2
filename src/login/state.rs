//! [`LoginState`]: what is in force, when to fetch, and what follows from what has come of it. Pure: the task in `login.rs` does the
//! fetching, and has the clock.

use std::time::Instant;

use super::current::Current;
use super::schedule::{RefreshSchedule, RefreshSettings, RefreshStep};
use super::{Fetched, LoginNews};
use crate::log;
use crate::planted::planted;
use crate::token::TokenError;
use crate::wire::readable;

/// What a login knows.
#[derive(Debug)]
pub(crate) struct LoginState<T> {
    /// What it fetches, to follow the word "no".
    name: &'static str,
    current: Current<T>,
    schedule: RefreshSchedule,
    /// Why the last attempt failed; `None` if it did not. Each cause is logged once.
    fault: Option<TokenError>,
    /// Whether what came last had ended by the clock of this machine. That is logged once, too.
    has_come_late: bool,
}

impl<T> LoginState<T> {
    pub(crate) fn new(
        name: &'static str,
        current: Current<T>,
        settings: RefreshSettings,
        now: Instant,
    ) -> Self {
        let schedule = RefreshSchedule::new(settings, now);
        Self { name, current, schedule, fault: None, has_come_late: false }
    }

    /// Returns what to do now.
    pub(crate) fn next(&self, now: Instant) -> RefreshStep {
        self.schedule.next(now)
    }

    /// Returns when what is in force ends, if it does.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.schedule.ends()
    }

    /// Credentials have come. `random` is drawn from `[0, 1)`. Returns what to tell.
    pub(crate) fn handle_fetched(
        &mut self,
        Fetched { value, lifetime }: Fetched<T>,
        now: Instant,
        random: f64,
    ) -> LoginNews {
        let name = self.name;
        if self.fault.take().is_some() {
            log::info!("there is {name} again");
        }
        let is_over = lifetime.is_some_and(|lifetime| lifetime.is_zero());
        if is_over && !self.has_come_late {
            // The clock of this machine may be wrong, and brokers go by their own.
            log::warn!("{name} that has just come has ended already by the clock of this machine");
        } else {
            log::debug!(?lifetime, is_over, "{name} has come");
        }
        self.has_come_late = is_over;
        self.schedule.handle_fetched(lifetime, now, random);
        self.current.put(value, is_over);
        LoginNews::Came
    }

    /// None have come. `random` is drawn from `[0, 1)`. Returns what to tell.
    pub(crate) fn handle_failed(
        &mut self,
        error: &TokenError,
        now: Instant,
        random: f64,
    ) -> Option<LoginNews> {
        let name = self.name;
        let cause = readable(&error.to_string());
        if self.fault.as_ref() != Some(error) {
            log::warn!(%cause, "no {name}; the producer keeps trying");
            self.fault = Some(error.clone());
        }
        if self.schedule.next(now) == RefreshStep::End {
            self.end();
        }
        self.schedule.handle_failed(now, random);
        self.news()
    }

    /// What there was has ended, and nothing has come in its place. Returns what to tell.
    pub(crate) fn handle_end(&mut self) -> Option<LoginNews> {
        self.end();
        self.news()
    }

    /// An exchange has found that a broker does not accept what is in force.
    pub(crate) fn handle_doubt(&mut self, now: Instant) {
        self.schedule.doubt(now);
    }

    fn end(&mut self) {
        self.schedule.handle_end();
        if !planted!(EndedTokenInForce) {
            self.current.end();
        }
    }

    fn news(&self) -> Option<LoginNews> {
        let fault = self.fault.as_ref().filter(|_| self.current.get().is_none())?;
        let cause = format!("no {}: {}", self.name, readable(&fault.to_string()));
        Some(LoginNews::None { cause: cause.into(), is_permanent: fault.is_permanent() })
    }
}
