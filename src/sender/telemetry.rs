//! `Telemetry`: pushes metrics to brokers whose operators ask for them (KIP-714).
//!
//! ```text
//!   AskAt ──► Asking ──► PushAt ──► Pushing ──► PushAt      one request at a time
//!     ▲          │          ▲          │
//!     │          └─ nothing │          └─ the subscription is another one, or a push is refused ──► AskAt
//!     └──── is wanted ◄─────┘
//!
//!   Off: no broker offers it, or one has refused it for good; or the producer ends, and the last push is done.
//! ```
//!
//! It sends to brokers that are connected in any case, and to none in place of records: without such a broker it waits for the next
//! event. Whatever goes wrong here concerns neither records nor connections.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::log;
use crate::metrics::Metrics;
use crate::network::FailureReason;
use crate::protocol::messages::get_telemetry_subscriptions::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use crate::protocol::messages::push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::sender::effects::{Effect, Effects};
use crate::sender::nodes::Nodes;
use crate::sender::request::{Body, Purpose, RequestOutcome};
use crate::sender::timer::{Timer, Wait};
use crate::topic_partition::NodeId;
use crate::wire::{Reader, Uuid};

mod instance;
mod payload;
mod subscription;

pub(crate) use self::instance::{Instance, Known};
use self::payload::Payload;
use self::subscription::Subscription;

/// Where the producer stands with its telemetry.
#[derive(Debug)]
pub(crate) struct Telemetry {
    state: State,
    settings: TelemetrySettings,
    /// What callers see. It has the id as soon as a broker has given one; that id stays.
    instance: Instance,
    /// What brokers want, as far as they have said.
    subscription: Option<Subscription>,
    payload: Payload,
    /// The broker that was asked last, which is asked again while it can be.
    node: Option<NodeId>,
    /// Requests in a row that were lost.
    losses: u32,
    has_pushed: bool,
    /// Until when the last push may take, once the producer ends.
    ends: Option<Instant>,
    next_question: u64,
    random: StdRng,
}

/// What the machine must know of the producer.
#[derive(Debug, Clone, Default)]
pub(crate) struct TelemetrySettings {
    /// What brokers are told of the producer, with names of KIP-714.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) seed: u64,
}

#[derive(Debug)]
enum State {
    AskAt(Instant),
    Asking(TelemetryQuestion),
    PushAt(Instant),
    Pushing(TelemetryQuestion, Pushed),
    Off,
}

/// What is under way.
#[derive(Debug)]
struct Pushed {
    metrics: Box<Metrics>,
    is_last: bool,
}

/// Tells a request from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TelemetryQuestion(u64);

/// What the machine asks when it has something to push.
pub(super) trait Measure {
    fn metrics(&self) -> Metrics;

    /// In milliseconds since 1970.
    fn wall_clock(&self) -> i64;
}

/// Brokers that name no interval get this one, as Java's producer has it.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
/// A close waits so long at most for the last push.
const LAST_PUSH: Duration = Duration::from_secs(1);
/// After the first request that is lost. It doubles.
const PAUSE_AFTER_LOSS: Duration = Duration::from_secs(1);

impl Telemetry {
    pub(super) fn new(settings: TelemetrySettings, instance: Instance, now: Instant) -> Self {
        Self {
            state: State::AskAt(now),
            instance,
            subscription: None,
            payload: Payload::new(now),
            node: None,
            losses: 0,
            has_pushed: false,
            ends: None,
            next_question: 0,
            random: StdRng::seed_from_u64(settings.seed),
            settings,
        }
    }

    /// Asks or pushes, if that is due and a broker can take it.
    pub(super) fn next_request(
        &mut self,
        nodes: &mut Nodes<'_>,
        measure: &impl Measure,
        now: Instant,
        effects: &mut Effects,
    ) {
        self.payload.note_wall_clock(measure.wall_clock(), now);
        if self.ends.is_some_and(|ends| now >= ends) {
            return self.switch_off("the last push has taken too long");
        }
        let api_key = match self.state {
            State::AskAt(at) if now >= at => ApiKey::GetTelemetrySubscriptions,
            State::PushAt(at) if now >= at => ApiKey::PushTelemetry,
            _ => return,
        };
        let Some(node) = self.choose(api_key, nodes, now) else {
            if self.ends.is_some() {
                self.switch_off("no broker takes the last push");
            }
            return;
        };
        let question = TelemetryQuestion(self.next_question);
        self.next_question += 1;
        let body = match api_key {
            ApiKey::PushTelemetry => self.push(question, measure, now),
            _ => Some(self.ask(question)),
        };
        if let Some(body) = body {
            self.node = Some(node);
            effects.push(Effect::Send { node, purpose: Purpose::Telemetry(question), body });
        }
    }

    /// Takes in what has become of a request.
    pub(super) fn handle_outcome(
        &mut self,
        question: TelemetryQuestion,
        outcome: RequestOutcome,
        now: Instant,
    ) {
        match std::mem::replace(&mut self.state, State::Off) {
            State::Asking(asked) if asked == question => self.handle_subscription(outcome, now),
            State::Pushing(asked, pushed) if asked == question => self.handle_pushed(pushed, outcome, now),
            // It comes from a cluster that was left meanwhile.
            other => self.state = other,
        }
    }

    /// Begins anew, because the brokers are others. The id stays.
    pub(super) fn handle_other_cluster(&mut self, now: Instant) {
        if !matches!(self.state, State::Off) {
            self.subscription = None;
            self.state = if self.ends.is_some() { State::Off } else { State::AskAt(now) };
        }
    }

    /// Pushes once more if brokers want metrics, since the producer ends.
    pub(super) fn handle_end(&mut self, now: Instant) {
        if self.ends.is_some() {
            return;
        }
        self.ends = Some(now + LAST_PUSH);
        match self.state {
            State::PushAt(_) => self.state = State::PushAt(now),
            State::Pushing(..) | State::Off => {}
            State::AskAt(_) | State::Asking(_) => self.switch_off("the producer ends"),
        }
    }

    /// Whether there is nothing left to push at the end.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, State::Off)
    }

    /// Returns until when the machine waits. What is due and cannot be sent waits for an event.
    pub(super) fn timeout(&self, now: Instant) -> Option<(Wait, Timer)> {
        let at = match (&self.state, self.ends) {
            (State::Off, _) => return None,
            // Whether the last push is due or under way.
            (State::PushAt(at), Some(_)) => *at,
            (_, Some(ends)) => ends,
            (State::AskAt(at) | State::PushAt(at), None) if now < *at => *at,
            _ => return None,
        };
        Some((Wait::Until(at), Timer::Telemetry))
    }

    /// Returns a broker that is connected and takes the request now.
    fn choose(&mut self, api_key: ApiKey, nodes: &mut Nodes<'_>, now: Instant) -> Option<NodeId> {
        let is_fit =
            |node: &NodeId| nodes.can_send(*node, now) && nodes.version_for(*node, api_key).is_some();
        if let Some(node) = self.node.filter(is_fit) {
            return Some(node);
        }
        let chosen = nodes.least_loaded(api_key, now);
        // Entries of `bootstrap.servers` may be controllers.
        if chosen.incapable.is_some_and(|node| node.0 >= 0) {
            self.switch_off("no broker offers it");
            return None;
        }
        chosen.node.filter(|node| node.0 >= 0 && nodes.can_send(*node, now))
    }

    fn ask(&mut self, question: TelemetryQuestion) -> Body {
        self.state = State::Asking(question);
        let client_instance_id = self.instance.id().unwrap_or(Uuid::ZERO);
        Body::GetTelemetrySubscriptions(GetTelemetrySubscriptionsRequest { client_instance_id })
    }

    /// Returns nothing if what there is to push is larger than brokers take.
    fn push(&mut self, question: TelemetryQuestion, measure: &impl Measure, now: Instant) -> Option<Body> {
        let (subscription, client_instance_id) = (self.subscription.as_ref()?, self.instance.id()?);
        let (is_last, metrics) = (self.ends.is_some(), Box::new(measure.metrics()));
        let encoded = self.payload.encode(&metrics, &self.settings.attributes, subscription, now);
        let Some((compression_type, bytes)) = encoded else {
            log::debug!(max_bytes = subscription.max_bytes, "telemetry is too large to be pushed");
            self.push_later(now);
            return None;
        };
        self.state = State::Pushing(question, Pushed { metrics, is_last });
        Some(Body::PushTelemetry(PushTelemetryRequest {
            client_instance_id,
            subscription_id: subscription.id,
            terminating: is_last,
            compression_type,
            metrics: Bytes::from(bytes),
        }))
    }

    fn handle_subscription(&mut self, outcome: RequestOutcome, now: Instant) {
        if self.ends.is_some() {
            return self.switch_off("the producer ends");
        }
        let response = match outcome {
            RequestOutcome::Answered { version, body } => {
                GetTelemetrySubscriptionsResponse::decode(&mut Reader::new(&body), version)
            }
            RequestOutcome::Failed { reason: FailureReason::UnsupportedVersion(_), .. } => {
                return self.switch_off("the broker does not offer it");
            }
            RequestOutcome::Failed { .. } | RequestOutcome::Written => {
                self.losses = self.losses.saturating_add(1);
                return self.ask_later(self.pause_after_loss(), now);
            }
        };
        let Ok(response) = response else { return self.switch_off("the broker's answer cannot be read") };
        self.losses = 0;
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => self.subscribe(response, now),
            code if code == ErrorCode::ThrottlingQuotaExceeded || code.is_retriable() => {
                self.ask_later(self.interval(), now);
            }
            code => self.refuse(code),
        }
    }

    fn subscribe(&mut self, response: GetTelemetrySubscriptionsResponse, now: Instant) {
        self.instance.set_id(response.client_instance_id);
        let subscription = Subscription::from(response);
        log::debug!(?subscription, "telemetry");
        let interval = subscription.interval;
        let is_empty = subscription.is_empty() || self.instance.id().is_none();
        self.payload.note_subscription(&subscription);
        self.subscription = Some(subscription);
        if is_empty {
            return self.ask_later(interval, now);
        }
        // So that clients that were started together do not push together.
        let share = if self.has_pushed { 1.0 } else { self.random.random_range(0.5..1.5) };
        self.state = State::PushAt(now + interval.mul_f64(share));
    }

    fn handle_pushed(&mut self, pushed: Pushed, outcome: RequestOutcome, now: Instant) {
        let code = match outcome {
            RequestOutcome::Answered { version, body } => {
                self.losses = 0;
                match PushTelemetryResponse::decode(&mut Reader::new(&body), version) {
                    Ok(response) => Ok(ErrorCode::from(response.error_code)),
                    Err(_) => return self.switch_off("the broker's answer cannot be read"),
                }
            }
            RequestOutcome::Failed { reason: FailureReason::UnsupportedVersion(_), .. } => {
                return self.switch_off("the broker does not offer it");
            }
            RequestOutcome::Failed { on_wire, .. } => Err(on_wire),
            RequestOutcome::Written => Err(true),
        };
        if code == Ok(ErrorCode::None) || code == Err(true) {
            // What the broker may have counted is not told again.
            self.payload.note_pushed(pushed.metrics, now);
            self.has_pushed = true;
        }
        if pushed.is_last {
            return self.switch_off("the last push is done");
        }
        if self.ends.is_some() {
            self.state = State::PushAt(now);
            return;
        }
        match code {
            Ok(ErrorCode::None) => self.push_later(now),
            Ok(ErrorCode::UnknownSubscriptionId) => self.ask_later(Duration::ZERO, now),
            Ok(ErrorCode::UnsupportedCompressionType) => {
                self.payload.note_refused_codec();
                self.ask_later(Duration::ZERO, now);
            }
            Ok(ErrorCode::TelemetryTooLarge) => {
                self.payload.note_too_large();
                self.ask_later(self.interval(), now);
            }
            Ok(code) if code == ErrorCode::ThrottlingQuotaExceeded || code.is_retriable() => {
                self.ask_later(self.interval(), now);
            }
            Ok(code) => self.refuse(code),
            Err(_) => {
                self.losses = self.losses.saturating_add(1);
                self.push_later(now);
            }
        }
    }

    fn push_later(&mut self, now: Instant) {
        if self.ends.is_some() {
            return self.switch_off("the last push is too large");
        }
        let pause = if self.losses > 0 { self.pause_after_loss() } else { Duration::ZERO };
        self.state = State::PushAt(now + self.interval().max(pause));
    }

    fn ask_later(&mut self, pause: Duration, now: Instant) {
        self.state = State::AskAt(now + pause);
    }

    fn interval(&self) -> Duration {
        self.subscription.as_ref().map_or(DEFAULT_INTERVAL, |subscription| subscription.interval)
    }

    fn pause_after_loss(&self) -> Duration {
        let doubled = PAUSE_AFTER_LOSS * (1 << self.losses.saturating_sub(1).min(10));
        doubled.min(DEFAULT_INTERVAL)
    }

    fn refuse(&mut self, code: ErrorCode) {
        log::warn!(%code, "a broker refuses telemetry; no more is pushed");
        self.switch_off("a broker refuses it");
    }

    fn switch_off(&mut self, reason: &'static str) {
        log::debug!(reason, "telemetry ends");
        self.state = State::Off;
        self.instance.note_off();
    }
}

#[cfg(test)]
mod tests;
