//! Runs in which the producer shows access tokens to brokers. What decides is the real login (`login/state.rs`); how long it takes
//! to fetch a token, and what comes of it, the run decides.

use std::time::{Duration, Instant};

use futures::FutureExt;

use super::super::rig::{Config, millis};
use super::run::{Event, Simulation};
use super::sasl::{self, USER};
use super::schedule::{Op, Sasl, Setup};
use crate::backoff::Backoff;
use crate::login::{Current, Fetched, LoginNews, LoginState, RefreshSettings, RefreshStep};
use crate::network::Frame;
use crate::token::{AccessToken, TokenError};

/// The producer's login, and who gives out its tokens.
pub(super) struct SimulatedLogin {
    state: LoginState<AccessToken>,
    current: Current<AccessToken>,
    /// The attempt under way, with its number.
    fetching: Option<(u64, Result<usize, TokenError>)>,
    fetches: u64,
    /// The last time for which a look was planned.
    timer: Option<Instant>,
    /// How long tokens last, if they end.
    lifetime: Option<Duration>,
    /// Those that were given out. The text of a token is its number.
    tokens: Vec<Token>,
    /// Until then none are given out, and whether that is said to be for good.
    away_until: Duration,
    is_permanent: bool,
    /// Until then they come so much later.
    late_until: Duration,
    delay: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    ends: Option<Duration>,
    /// It had ended when it came, so the producer cannot know whether its own clock is wrong.
    has_come_late: bool,
}

impl SimulatedLogin {
    /// Returns how the producer is configured, and its login if it has one.
    pub(super) fn prepare(setup: &Setup, base: Instant) -> (Config, Option<Self>) {
        let (mut config, login) = (setup.config(), Self::new(setup.sasl, base));
        if let Some((login, setup)) = login.as_ref().zip(setup.sasl) {
            config.sasl_mechanism = Some(sasl::with_tokens(setup, login.current.clone()));
        }
        (config, login)
    }

    fn new(setup: Option<Sasl>, base: Instant) -> Option<Self> {
        let lifetime = setup?.token_lifetime?;
        let current = Current::new();
        let settings = RefreshSettings {
            window_factor: 0.8,
            window_jitter: 0.05,
            min_period: millis(1000),
            buffer: millis(100),
            retry_backoff: Backoff::new(millis(100), millis(1000)),
        };
        Some(Self {
            state: LoginState::new("access token", current.clone(), settings, base),
            current,
            fetching: None,
            fetches: 0,
            timer: None,
            lifetime: (lifetime > 0).then(|| millis(lifetime)),
            tokens: Vec::new(),
            away_until: Duration::ZERO,
            is_permanent: false,
            late_until: Duration::ZERO,
            delay: Duration::ZERO,
        })
    }
}

impl Simulation {
    /// Does what the login's task does when it is polled.
    pub(super) fn log_in(&mut self) {
        if self.is_over || self.now < self.asleep_until {
            return;
        }
        let now = self.instant();
        loop {
            let Some(login) = &mut self.login else { return };
            let is_fetching = login.fetching.is_some();
            if !is_fetching && login.current.doubted().now_or_never().is_some() {
                login.state.handle_doubt(now);
            }
            match login.state.next(now) {
                RefreshStep::End => {
                    let news = login.state.handle_end();
                    self.tell_login(news);
                }
                RefreshStep::Fetch if !is_fetching => self.begin_fetch(),
                RefreshStep::Fetch => break,
                RefreshStep::Wait(_) => break,
            }
        }
        let Some(login) = &mut self.login else { return };
        let at = match login.state.next(now) {
            RefreshStep::Wait(until) if login.fetching.is_none() => until,
            _ => login.state.ends(),
        };
        if let Some(at) = at.filter(|at| login.timer != Some(*at)) {
            login.timer = Some(at);
            self.at(at - self.base, Event::LogIn);
        }
    }

    fn begin_fetch(&mut self) {
        let now = self.now;
        let noise = self.noise.micros(1000, 30_000);
        let Some(login) = &mut self.login else { return };
        let outcome = if login.away_until > now {
            Err(match login.is_permanent {
                true => TokenError::permanent("wrong secret"),
                false => TokenError::temporary("away"),
            })
        } else {
            let token = Token { ends: login.lifetime.map(|lifetime| now + lifetime), has_come_late: false };
            let number = login.tokens.len();
            login.tokens.push(token);
            for brokers in [&mut self.brokers, &mut self.controllers] {
                brokers.add_sasl_token(&number.to_string(), USER, token.ends);
            }
            Ok(number)
        };
        login.fetches += 1;
        let number = login.fetches;
        login.fetching = Some((number, outcome));
        let delay = if login.late_until > now { login.delay } else { Duration::ZERO };
        self.after(noise + delay, Event::Fetched(number));
    }

    /// An attempt to fetch a token has come to its end.
    pub(super) fn fetched(&mut self, number: u64) {
        if self.now < self.asleep_until {
            return self.at(self.asleep_until, Event::Fetched(number));
        }
        let (now, time) = (self.instant(), self.now);
        let random = self.noise.between(0, 999) as f64 / 1000.0;
        let Some(login) = self.login.as_mut().filter(|_| !self.is_over) else { return };
        let Some((_, outcome)) = login.fetching.take_if(|(under_way, _)| *under_way == number) else {
            return;
        };
        let news = match outcome {
            Ok(index) => {
                let token = &mut login.tokens[index];
                let lifetime = token.ends.map(|ends| ends.saturating_sub(time));
                token.has_come_late = lifetime.is_some_and(|lifetime| lifetime.is_zero());
                let value = AccessToken::new(index.to_string());
                Some(login.state.handle_fetched(Fetched { value, lifetime }, now, random))
            }
            Err(error) => login.state.handle_failed(&error, now, random),
        };
        self.tell_login(news);
    }

    fn tell_login(&mut self, news: Option<LoginNews>) {
        if let Some(news) = news {
            let now = self.instant();
            self.core.handle_login(&news, now);
            self.wake();
        }
    }

    /// The time has come to look, or has come while the process slept.
    pub(super) fn look_at_login(&mut self) {
        if self.now < self.asleep_until {
            self.at(self.asleep_until, Event::LogIn);
        }
    }

    /// No exchange waits for what is there.
    pub(super) fn check_waits(&mut self) {
        let is_there = self.login.as_ref().is_some_and(|login| login.current.get().is_some());
        if is_there && self.core.network().awaits_credentials() {
            self.violate("an exchange waits for a token although there is one".to_owned());
        }
    }

    /// No token is shown that the producer knows to have ended.
    pub(super) fn check_token(&mut self, frame: &Frame) {
        let Some(login) = &self.login else { return };
        let bytes = frame.segments.concat();
        let Some(at) = bytes.windows(BEARER.len()).position(|part| part == BEARER) else { return };
        let digits = bytes[at + BEARER.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        let Token { ends, has_come_late } = login.tokens[number];
        if !has_come_late && ends.is_some_and(|ends| ends <= self.now) {
            self.violate(format!("token {number} is shown, which ended at {ends:?}"));
        }
    }

    /// What goes wrong with tokens.
    pub(super) fn trouble_login(&mut self, op: Op) {
        let now = self.now;
        let Some(login) = &mut self.login else { return };
        match op {
            Op::HaltTokens { lasts, is_permanent } => {
                (login.away_until, login.is_permanent) = (now + millis(lasts), is_permanent);
            }
            Op::DelayTokens { delay, lasts } => {
                (login.delay, login.late_until) = (millis(delay), now + millis(lasts));
            }
            Op::RevokeTokens => {
                self.brokers.revoke_sasl_tokens();
                self.controllers.revoke_sasl_tokens();
            }
            _ => {}
        }
    }

    /// Ends what is wrong with tokens.
    pub(super) fn heal_login(&mut self) {
        let Some(login) = &mut self.login else { return };
        (login.away_until, login.late_until) = (Duration::ZERO, Duration::ZERO);
        if let Some((number, _)) = login.fetching {
            self.after(Duration::ZERO, Event::Fetched(number));
        }
    }
}

const BEARER: &[u8] = b"auth=Bearer ";
