//! Faults that a test orders: data that say which requests are hit, how often, and what happens to them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::Api;

/// Something that goes wrong with requests; see [`MockCluster::inject`](crate::MockCluster::inject).
///
/// A new fault hits the next request of any kind to any broker, once; the methods narrow that down or widen it.
/// Where several faults of the same kind fit a request, the one that was injected first is used.
///
/// # Examples
///
/// ```
/// use kafka_mock::{Api, Fault};
///
/// // The third and the fourth Produce request for partition 0 of "orders" get NOT_LEADER_OR_FOLLOWER.
/// let fault = Fault::error_code(6).api(Api::Produce).partition("orders", 0).skip(2).times(2);
/// # let _ = fault;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    action: Action,
    api: Option<Api>,
    broker: Option<i32>,
    topic: Option<String>,
    partition: Option<i32>,
    skip: u32,
    /// `None`: until the faults are cleared.
    left: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Delay(Duration),
    Error(InjectedError),
    Lose(Loss),
    Throttle(Duration),
}

/// How an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    DisconnectAfter,
    DisconnectBefore,
    DropResponse,
}

/// An error code to answer, and whether the request is carried out all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InjectedError {
    pub(crate) code: i16,
    pub(crate) carry_out: bool,
}

impl Fault {
    /// Answers with an error code of Kafka's protocol; the request is not carried out.
    ///
    /// The code goes where the kind of request has a place for it: into each partition (Produce, Fetch,
    /// ListOffsets), each topic (Metadata, CreateTopics, DeleteTopics), or the response (ApiVersions,
    /// InitProducerId). In Metadata, a fault for a partition puts it into that partition, and code 129
    /// (REBOOTSTRAP_REQUIRED) goes into the response from version 13 on.
    pub fn error_code(code: i16) -> Self {
        Self::new(Action::Error(InjectedError { code, carry_out: false }))
    }

    /// Carries out a Produce request and then answers with an error code all the same, as a broker does that
    /// appended the records but could not replicate them (NOT_ENOUGH_REPLICAS_AFTER_APPEND, 20, or
    /// REQUEST_TIMED_OUT, 7). With other kinds of requests this is [`error_code`](Self::error_code).
    pub fn error_code_after_append(code: i16) -> Self {
        Self::new(Action::Error(InjectedError { code, carry_out: true }))
    }

    /// Carries out the request at once and answers later.
    ///
    /// Answers on one connection keep their order, so those behind it wait too. The delays of requests that
    /// are on their way at the same time pass at the same time, as they would on a long line.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Action::Delay(delay))
    }

    /// Carries out the request and never answers it.
    ///
    /// The connection stays open, but nothing behind this request is carried out or answered either: a broker
    /// handles the requests of a connection one after the other, and this one is never done.
    pub fn drop_response() -> Self {
        Self::new(Action::Lose(Loss::DropResponse))
    }

    /// Carries out the request and closes the connection in place of an answer.
    ///
    /// Answers to earlier requests are still sent; requests behind it are not carried out.
    pub fn disconnect_after() -> Self {
        Self::new(Action::Lose(Loss::DisconnectAfter))
    }

    /// Closes the connection without carrying out the request.
    ///
    /// Answers to earlier requests are still sent; requests behind it are not carried out.
    pub fn disconnect_before() -> Self {
        Self::new(Action::Lose(Loss::DisconnectBefore))
    }

    /// Tells the client to wait that long before its next request (`throttle_time_ms`).
    ///
    /// The mock does not enforce it, so that a test can see whether the client obeys.
    pub fn throttle(time: Duration) -> Self {
        Self::new(Action::Throttle(time))
    }

    /// Hits only requests of this kind.
    pub fn api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Hits only requests to this broker.
    pub fn broker(mut self, broker: i32) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Hits only requests that name this topic; an error code goes only to this topic.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self.partition = None;
        self
    }

    /// Hits only requests that name this partition; an error code goes only to this partition.
    pub fn partition(mut self, topic: impl Into<String>, partition: i32) -> Self {
        self.topic = Some(topic.into());
        self.partition = Some(partition);
        self
    }

    /// Lets this many fitting requests pass unharmed first (default 0).
    pub fn skip(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Hits this many requests (default 1).
    pub fn times(mut self, requests: u32) -> Self {
        self.left = Some(requests);
        self
    }

    /// Hits every fitting request until [`clear_faults`](crate::MockCluster::clear_faults).
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }

    fn new(action: Action) -> Self {
        Self { action, api: None, broker: None, topic: None, partition: None, skip: 0, left: Some(1) }
    }

    fn fits(&self, api: Api, broker: i32, targets: &[Target]) -> bool {
        self.api.is_none_or(|wanted| wanted == api)
            && self.broker.is_none_or(|wanted| wanted == broker)
            && self.left != Some(0)
            && (self.topic.is_none() || targets.iter().any(|target| self.covers(target)))
    }

    fn covers(&self, target: &Target) -> bool {
        self.topic.as_ref().is_none_or(|topic| *topic == target.topic)
            && self.partition.is_none_or(|partition| target.partition == Some(partition))
    }
}

/// A topic or partition that a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
}

/// All faults of a cluster that have not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Oldest first; none with nothing left.
    faults: Vec<Fault>,
    delays: BTreeMap<(Option<i32>, Option<Api>), Duration>,
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn set_delay(&mut self, broker: Option<i32>, api: Option<Api>, delay: Duration) {
        if delay.is_zero() {
            self.delays.remove(&(broker, api));
        } else {
            self.delays.insert((broker, api), delay);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
        self.delays.clear();
    }

    /// Whether targets need not be worked out.
    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Decides what happens to a request, and counts the faults down.
    pub(crate) fn plan(&mut self, api: Api, broker: i32, targets: &[Target]) -> FaultPlan {
        let mut plan = FaultPlan { delay: self.standing_delay(api, broker), ..FaultPlan::default() };
        for fault in &mut self.faults {
            if !fault.fits(api, broker, targets) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if plan.take_up(fault, targets) {
                fault.left = fault.left.map(|left| left.saturating_sub(1));
            }
        }
        self.faults.retain(|fault| fault.left != Some(0));
        plan
    }

    fn standing_delay(&self, api: Api, broker: i32) -> Duration {
        let fits = |wanted: &(Option<i32>, Option<Api>)| {
            wanted.0.is_none_or(|wanted| wanted == broker) && wanted.1.is_none_or(|wanted| wanted == api)
        };
        self.delays
            .iter()
            .filter(|(wanted, _)| fits(wanted))
            .map(|(_, delay)| *delay)
            .max()
            .unwrap_or_default()
    }
}

/// What will happen to one request.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    pub(crate) delay: Duration,
    pub(crate) throttle: Option<Duration>,
    pub(crate) loss: Option<Loss>,
    /// For requests that are about no topic.
    request_error: Option<InjectedError>,
    errors: Vec<(Target, InjectedError)>,
    is_delayed_by_fault: bool,
}

impl FaultPlan {
    /// The error code for the whole response, 0 if there is none.
    pub(crate) fn request_error(&self) -> i16 {
        self.request_error.map_or(0, |error| error.code)
    }

    /// The error for a topic (partition `None`) or a partition.
    pub(crate) fn error(&self, topic: &str, partition: Option<i32>) -> Option<InjectedError> {
        let hit = |target: &Target| target.topic == topic && target.partition == partition;
        self.errors.iter().find(|(target, _)| hit(target)).map(|(_, error)| *error)
    }

    /// The error for a topic that is not to be carried out, 0 if there is none.
    pub(crate) fn topic_error(&self, topic: &str) -> i16 {
        self.error(topic, None).map_or(0, |error| error.code)
    }

    /// Any error that a topic or partition will get.
    pub(crate) fn has_error(&self, code: i16) -> bool {
        self.request_error() == code || self.errors.iter().any(|(_, error)| error.code == code)
    }

    pub(crate) fn throttle_time_ms(&self) -> i32 {
        self.throttle.map_or(0, |time| i32::try_from(time.as_millis()).unwrap_or(i32::MAX))
    }

    /// Returns false if an older fault of the same kind has the place.
    fn take_up(&mut self, fault: &Fault, targets: &[Target]) -> bool {
        match fault.action {
            Action::Delay(_) if self.is_delayed_by_fault => false,
            Action::Delay(delay) => {
                self.delay = self.delay.max(delay);
                self.is_delayed_by_fault = true;
                true
            }
            Action::Error(error) => self.take_up_error(fault, error, targets),
            Action::Lose(loss) => self.loss.is_none() && self.loss.replace(loss).is_none(),
            Action::Throttle(time) => self.throttle.is_none() && self.throttle.replace(time).is_none(),
        }
    }

    fn take_up_error(&mut self, fault: &Fault, error: InjectedError, targets: &[Target]) -> bool {
        if targets.is_empty() && self.request_error.is_none() {
            self.request_error = Some(error);
            return true;
        }
        let mut used = false;
        for target in targets {
            if fault.covers(target) && self.error(&target.topic, target.partition).is_none() {
                self.errors.push((target.clone(), error));
                used = true;
            }
        }
        used
    }
}
