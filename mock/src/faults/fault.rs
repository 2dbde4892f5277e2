//! A fault as a test orders it.

use std::time::Duration;

use bytes::Bytes;

use super::action::{Action, Forgery, InjectedError, Loss, Pace, When};
use super::conditions::{Arrival, Conditions, Target};
use crate::api::Api;

/// Something that goes wrong with requests; see [`MockCluster::inject`](crate::MockCluster::inject).
///
/// A new fault hits the next request of any kind to any broker, once; the methods narrow that down or widen it.
/// Several faults may hit one request, if they are of different kinds: an error code, a delay, a throttle time, a
/// pace, a freeze, a leader that moves before and one that moves after, what is left out, one change of the bytes
/// of the answer (`shift_…`, `garble_response`, `repeat_response`, `replace_response`), and one loss (`drop_response`,
/// `disconnect_…`, `reset_…`, `cut_response`, `stall_response`). Of those of the same kind, the one that was
/// injected first is used, and the others wait for the next request.
///
/// A fault can be written as text, too; see [`FromStr`](#impl-FromStr-for-Fault).
///
/// # Examples
///
/// ```
/// use kafka_mock::{Api, Fault};
///
/// // The third and the fourth Produce request for partition 0 of "orders" get NOT_LEADER_OR_FOLLOWER.
/// let fault = Fault::error_code(6).api(Api::Produce).partition("orders", 0).skip(2).times(2);
/// assert_eq!("produce topic=orders partition=0 skip=2 times=2 error=6".parse(), Ok(fault));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    action: Action,
    conditions: Conditions,
    skip: u32,
    /// `None`: until the faults are cleared.
    left: Option<u32>,
}

/// What happens.
impl Fault {
    /// Answers with an error code of Kafka's protocol; the request is not carried out.
    ///
    /// The code goes where the kind of request has a place for it: into each partition (Produce, Fetch,
    /// ListOffsets, AddPartitionsToTxn, TxnOffsetCommit), each topic (Metadata, CreateTopics, DeleteTopics), or the response
    /// (ApiVersions, InitProducerId, FindCoordinator, AddOffsetsToTxn, EndTxn). If AddPartitionsToTxn gets an error for one partition, it
    /// adds none, and the others get OPERATION_NOT_ATTEMPTED (55). In Metadata, a fault for a partition puts it into that partition, and code 129
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

    /// Sends the answer `bytes` at a time, with a pause after each piece, as a very slow line would.
    ///
    /// Pieces of no bytes count as pieces of one.
    pub fn trickle(bytes: usize, pause: Duration) -> Self {
        Self::new(Action::Trickle(Pace { bytes: bytes.max(1), pause }))
    }

    /// Lets a client in by SCRAM with a proof that only a broker gives that does not know the password: the client must not believe
    /// it. Hits requests of the kind [`SaslAuthenticate`](crate::Api::SaslAuthenticate) that are the last of an exchange.
    ///
    /// Other faults of authentication are those of requests: with `api(Api::SaslAuthenticate)`, [`error_code`](Self::error_code)`(58)`
    /// refuses a client, or its renewal, and [`drop_response`](Self::drop_response) leaves the exchange half done.
    pub fn wrong_proof() -> Self {
        Self::new(Action::WrongProof)
    }

    /// Tells the client to wait that long before its next request (`throttle_time_ms`).
    ///
    /// The mock does not enforce it, so that a test can see whether the client obeys.
    pub fn throttle(time: Duration) -> Self {
        Self::new(Action::Throttle(time))
    }

    /// Lets the broker hang for a time, with all its connections, and carries out the request after that.
    ///
    /// Leaders stay where they are, as when a process is stopped and goes on.
    /// [`MockCluster::unfreeze`](crate::MockCluster::unfreeze) ends it early.
    pub fn freeze(time: Duration) -> Self {
        Self::new(Action::Freeze(time))
    }

    /// Moves the leader of the partitions that the request names, then carries out the request: a Produce request
    /// is refused by a broker that led a moment ago.
    ///
    /// Of a fault for a topic or a partition, only these move. `None` leaves the partitions without a leader, until
    /// [`MockCluster::set_leader`](crate::MockCluster::set_leader). A broker that is not in the cluster closes the
    /// connection ([`MockCluster::refusals`](crate::MockCluster::refusals)).
    pub fn move_leader_before(to: impl Into<Option<i32>>) -> Self {
        Self::new(Action::MoveLeader { to: to.into(), when: When::Before })
    }

    /// Carries out the request, then moves the leader as [`move_leader_before`](Self::move_leader_before) does: the
    /// answer is good, and what comes next is wrong here.
    pub fn move_leader_after(to: impl Into<Option<i32>>) -> Self {
        Self::new(Action::MoveLeader { to: to.into(), when: When::After })
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

    /// Carries out the request and resets the connection (TCP's RST) in place of an answer.
    ///
    /// Answers to earlier requests may be lost with it; requests behind it are not carried out.
    pub fn reset_after() -> Self {
        Self::new(Action::Lose(Loss::ResetAfter))
    }

    /// Resets the connection (TCP's RST) without carrying out the request.
    ///
    /// Answers to earlier requests may be lost with it; requests behind it are not carried out.
    pub fn reset_before() -> Self {
        Self::new(Action::Lose(Loss::ResetBefore))
    }

    /// Carries out the request, sends the first `bytes` of the answer and closes the connection.
    ///
    /// The count begins with the four bytes of the length. Requests behind this one are not carried out.
    pub fn cut_response(bytes: usize) -> Self {
        Self::new(Action::Lose(Loss::Cut(bytes)))
    }

    /// Carries out the request, sends the first `bytes` of the answer and then nothing more, on a connection that
    /// stays open.
    ///
    /// The count begins with the four bytes of the length. Requests behind this one are not carried out.
    pub fn stall_response(bytes: usize) -> Self {
        Self::new(Action::Lose(Loss::Stall(bytes)))
    }

    /// Carries out the request and answers with another correlation id: the right one plus this number.
    ///
    /// With 1 it is the id of the next request of most clients, which may be under way.
    pub fn shift_correlation_id(by: i32) -> Self {
        Self::new(Action::Forge(Forgery::CorrelationId(by)))
    }

    /// Carries out the request and adds this number to the length in front of the answer, which stays as it is.
    ///
    /// A client that believes a length that is too large waits for bytes that do not come, or takes them from the
    /// next answer.
    pub fn shift_length(by: i32) -> Self {
        Self::new(Action::Forge(Forgery::Length(by)))
    }

    /// Carries out the request and answers with the right length and correlation id, and behind them nonsense: the
    /// same for the same seed.
    pub fn garble_response(seed: u64) -> Self {
        Self::new(Action::Forge(Forgery::Garble(seed)))
    }

    /// Carries out the request and leaves topics and partitions out of the answer: those of the fault, or all.
    ///
    /// Only answers to Produce and Metadata obey. Metadata lacks the whole topic, or, with a fault for a partition,
    /// only that.
    pub fn leave_out() -> Self {
        Self::new(Action::LeaveOut)
    }

    /// Carries out the request and sends the answer twice.
    pub fn repeat_response() -> Self {
        Self::new(Action::Forge(Forgery::Repeat))
    }

    /// Carries out the request and sends these bytes in place of the answer and its length.
    pub fn replace_response(bytes: impl Into<Bytes>) -> Self {
        Self::new(Action::Forge(Forgery::Replace(bytes.into())))
    }
}

/// Which requests are hit, and how many.
impl Fault {
    /// Hits only requests of this kind.
    pub fn api(mut self, api: Api) -> Self {
        self.conditions.api = Some(api);
        self
    }

    /// Hits only requests to this broker.
    pub fn broker(mut self, broker: i32) -> Self {
        self.conditions.broker = Some(broker);
        self
    }

    /// Hits only requests that name this topic; an error code goes only to this topic.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.conditions.topic = Some(topic.into());
        self.conditions.partition = None;
        self
    }

    /// Hits only requests that name this partition; an error code goes only to this partition.
    pub fn partition(mut self, topic: impl Into<String>, partition: i32) -> Self {
        self.conditions.topic = Some(topic.into());
        self.conditions.partition = Some(partition);
        self
    }

    /// Hits only requests on this connection: 1 is the first that a broker ever accepted.
    ///
    /// Each broker counts its own connections.
    pub fn connection(mut self, number: u64) -> Self {
        self.conditions.connection = Some(number);
        self
    }

    /// Hits only this request of each connection: 1 is the first of any kind, which mostly is ApiVersions.
    pub fn request(mut self, number: u64) -> Self {
        self.conditions.request = Some(number);
        self
    }

    /// Lets this many fitting requests pass unharmed first (default 0), counted since the fault was injected.
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
        Self::with(action, Conditions::default(), 0, Some(1))
    }

    /// `times`: `None` for always.
    pub(super) fn with(action: Action, conditions: Conditions, skip: u32, times: Option<u32>) -> Self {
        Self { action, conditions, skip, left: times }
    }

    pub(super) fn action(&self) -> &Action {
        &self.action
    }

    pub(super) fn fits(&self, api: Api, broker: i32, arrival: Arrival, targets: &[Target]) -> bool {
        !self.is_used_up() && self.conditions.fit(api, broker, arrival, targets)
    }

    pub(super) fn covers(&self, target: &Target) -> bool {
        self.conditions.cover(target)
    }

    /// Lets a fitting request pass unharmed, if some are to pass yet.
    pub(super) fn lets_pass(&mut self) -> bool {
        let is_skipped = self.skip > 0;
        self.skip = self.skip.saturating_sub(1);
        is_skipped
    }

    /// A request was hit.
    pub(super) fn count_hit(&mut self) {
        self.left = self.left.map(|left| left.saturating_sub(1));
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.left == Some(0)
    }
}
