//! The connection to one node: which states there are, and what leads from one to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::ConnectionStep;
use crate::metadata::Node;
use crate::planted::planted;

use super::api_versions::ApiVersions;
use super::authentication::{AuthenticationStep, ConnectionAuthentication, renewal_delay};
use super::connection_history::ConnectionHistory;
use super::correlation_ids::CorrelationIds;
use super::event::{AuthenticationError, ConnectionId, DisconnectReason};

/// How the connection to one node stands, and what is remembered of those before it.
#[derive(Debug)]
pub(super) struct NodeConnection {
    /// Where the node was when the connection was asked for.
    address: Node,
    state: ConnectionState,
    history: ConnectionHistory,
}

/// ```text
///  ┌────────────▶ Disconnected ◀───── lost, or released by the client itself: from every state
///  │                   │ connecting
///  │              Connecting            TCP, and TLS: by the transport
///  │                   │ connected
///  │              Negotiating           ApiVersions; what comes next may be asked along with it
///  │                   │ authenticating
///  │   ┌────────▶ Authenticating        SaslHandshake, SaslAuthenticate; without a mechanism nothing
///  │   │               │ authenticated
///  │   │             Ready              requests and answers
///  │   │               │ end_session, retire
///  │   └────────── Draining             answers only
///  │ session ended     │ retired
///  └───────────────────┘
/// ```
#[derive(Debug)]
enum ConnectionState {
    /// There is no connection, and none is being made.
    Disconnected { since: Instant, backoff: Duration },
    /// The transport was asked for a connection.
    Connecting { id: ConnectionId, deadline: Option<Instant> },
    /// Connected, but it is not known yet what the broker speaks. The client may tell it already who we are.
    Negotiating { link: Link, early: Option<UnderWay>, deadline: Option<Instant> },
    /// The client tells the broker who we are: for the first time, or again because a session ends.
    Authenticating {
        established: Established,
        under_way: UnderWay,
        is_first: bool,
        /// For all of it. The first authentication has what is left of the time for the attempt.
        deadline: Option<Instant>,
    },
    /// Requests may be sent, until the session ends if it does.
    Ready { established: Established, session: Option<Session> },
    /// Requests under way are answered, and no others are sent.
    Draining { established: Established, then: AfterDraining },
}

/// An authentication that has begun.
#[derive(Debug)]
struct UnderWay {
    authentication: ConnectionAuthentication,
    /// When the client asked something last. No session can have begun before that.
    asked_at: Instant,
    /// When the client goes on with what the exchange has to compute.
    works_at: Option<Instant>,
    /// When the client asks what it may ask ahead of answers.
    goes_ahead_at: Option<Instant>,
    ahead: Ahead,
    /// Whether it has asked something so.
    was_hasty: bool,
}

/// How the client asks ahead of answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ahead {
    /// Between two questions.
    pub(super) pause: Duration,
    /// The broker was told of which cluster it is taken to be.
    pub(super) is_told: bool,
}

/// What comes when nothing is under way any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterDraining {
    Authenticate,
    Close,
}

/// What a connection has from its first byte to its last.
#[derive(Debug)]
struct Link {
    id: ConnectionId,
    correlation_ids: CorrelationIds,
}

/// A connection whose broker has said what it speaks.
#[derive(Debug)]
struct Established {
    link: Link,
    versions: ApiVersions,
    /// The last time that bytes came or went, or should have gone.
    last_activity: Instant,
    latency: Latency,
    /// Whether the broker has answered more than the questions of the handshake.
    has_answered: bool,
}

/// A time for which the broker knows who we are.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// It cannot have begun earlier.
    since: Instant,
    lifetime: Duration,
    /// Drawn from `[0, 1)`, for when to renew it.
    random: f64,
}

/// How long the broker took for answers: the slowest of this session and of the one before.
#[derive(Debug, Clone, Copy, Default)]
struct Latency {
    slowest: Duration,
    slowest_before: Duration,
}

/// What happens to a connection.
impl NodeConnection {
    pub(super) fn new(address: Node, now: Instant) -> Self {
        let state = ConnectionState::Disconnected { since: now, backoff: Duration::ZERO };
        Self { address, state, history: ConnectionHistory::new(now) }
    }

    /// An attempt begins. Returns how many there were before.
    pub(super) fn connecting(&mut self, id: ConnectionId, timeout: Duration, now: Instant) -> usize {
        self.state = ConnectionState::Connecting { id, deadline: now.checked_add(timeout) };
        self.history.attempt(now)
    }

    /// The transport has a connection. Returns whether an attempt was under way.
    pub(super) fn connected(&mut self) -> bool {
        let ConnectionState::Connecting { id, deadline } = self.state else { return false };
        let link = Link { id, correlation_ids: CorrelationIds::new() };
        self.state = ConnectionState::Negotiating { link, early: None, deadline };
        true
    }

    /// The client has asked the broker what it speaks, and may go ahead with an authentication after a pause.
    pub(super) fn prepared(&mut self, authentication: ConnectionAuthentication, ahead: Ahead, now: Instant) {
        if let ConnectionState::Negotiating { early, .. } = &mut self.state {
            let goes_ahead_at = now.checked_add(ahead.pause);
            *early = Some(UnderWay { goes_ahead_at, ahead, ..UnderWay::new(authentication, now) });
        }
    }

    /// The client waits for each answer after all.
    pub(super) fn forget_prepared(&mut self) {
        if let ConnectionState::Negotiating { early, .. } = &mut self.state {
            *early = None;
        }
    }

    /// Asks what may be asked ahead of answers. `first_words` returns the version in which the broker may hear the first words of the
    /// mechanism, if it may; it is told whether the broker has still to say that it is of the cluster that it is taken to be of.
    ///
    /// # Errors
    ///
    /// The authentication has failed.
    pub(super) fn go_ahead(
        &mut self,
        first_words: impl FnOnce(bool) -> Option<i16>,
        now: Instant,
    ) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        let is_negotiating = self.is_negotiating();
        let Some(under_way) = self.under_way_mut() else { return Ok(None) };
        under_way.goes_ahead_at = None;
        let first_words = first_words(is_negotiating && under_way.ahead.is_told);
        let step = under_way.authentication.go_ahead(first_words)?;
        if step.is_some() {
            under_way.goes_ahead_at = now.checked_add(under_way.ahead.pause);
            under_way.was_hasty = true;
        }
        Ok(step)
    }

    /// The client has asked something else ahead of an answer.
    pub(super) fn went_ahead(&mut self) {
        if let Some(under_way) = self.under_way_mut() {
            under_way.was_hasty = true;
        }
    }

    /// The broker has said what it speaks, or has answered the last request of a session that ends. The client now tells it who we
    /// are, or goes on with that; `begin` begins. If the connection was ready before, that may take `renewal_timeout`. Returns what
    /// the authentication needs next.
    ///
    /// # Errors
    ///
    /// It has failed.
    pub(super) fn authenticating(
        &mut self,
        versions: ApiVersions,
        begin: impl FnOnce() -> ConnectionAuthentication,
        renewal_timeout: Duration,
        now: Instant,
    ) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        self.change(|state| match state {
            ConnectionState::Negotiating { link, early, deadline } => {
                let latency = Latency::default();
                let established =
                    Established { link, versions, last_activity: now, latency, has_answered: false };
                let under_way = early.unwrap_or_else(|| UnderWay::new(begin(), now));
                ConnectionState::Authenticating { established, under_way, is_first: true, deadline }
            }
            ConnectionState::Draining { established, .. } => ConnectionState::Authenticating {
                established,
                under_way: UnderWay::new(begin(), now),
                is_first: false,
                deadline: now.checked_add(renewal_timeout),
            },
            state => state,
        });
        match &mut self.state {
            ConnectionState::Authenticating { established, under_way, .. } => {
                if !under_way.was_hasty {
                    // Each answer came in time for the next question so far.
                    under_way.goes_ahead_at = None;
                }
                under_way.authentication.negotiate(&established.versions).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Returns why the broker has closed the connection, if more can be said than that it has.
    pub(super) fn handle_closed(
        &mut self,
        is_word_unanswered: bool,
        is_request_unanswered: bool,
    ) -> Option<AuthenticationError> {
        match &self.state {
            ConnectionState::Authenticating { under_way, .. } if is_word_unanswered => {
                let mechanism = Arc::clone(under_way.authentication.mechanism()?);
                let is_second = self.history.closed_unanswered();
                is_second.then_some(AuthenticationError::ClosedUnanswered { mechanism })
            }
            ConnectionState::Ready { established, .. } | ConnectionState::Draining { established, .. } => {
                self.history.closed(is_request_unanswered && !established.has_answered);
                None
            }
            _ => None,
        }
    }

    /// Returns the authentication that is under way.
    pub(super) fn authentication_mut(&mut self) -> Option<&mut ConnectionAuthentication> {
        self.under_way_mut().map(|under_way| &mut under_way.authentication)
    }

    /// Whether an authentication waits for credentials.
    pub(super) fn awaits_credentials(&self) -> bool {
        self.under_way().is_some_and(|under_way| under_way.authentication.awaited().is_some())
    }

    /// The client asks something for the authentication.
    pub(super) fn asked(&mut self, now: Instant) {
        if let Some(under_way) = self.under_way_mut() {
            under_way.asked_at = now;
        }
    }

    /// The broker has answered a request, after so long.
    pub(super) fn answered(&mut self, after: Duration) {
        if let ConnectionState::Ready { established, .. } | ConnectionState::Draining { established, .. } =
            &mut self.state
        {
            let slowest = &mut established.latency.slowest;
            *slowest = (*slowest).max(after);
            if !std::mem::replace(&mut established.has_answered, true) {
                self.history.answered();
            }
        }
    }

    /// The broker wants to be left alone for so long: what it has been asked in the course of the attempt is answered later.
    pub(super) fn extend_setup(&mut self, by: Duration) {
        if let ConnectionState::Negotiating { deadline, .. }
        | ConnectionState::Authenticating { deadline, .. } = &mut self.state
        {
            *deadline = deadline.and_then(|deadline| deadline.checked_add(by));
        }
    }

    /// There is something to compute for the authentication: when to begin, or to go on.
    pub(super) fn work_at(&mut self, at: Instant) {
        if let Some(under_way) = self.under_way_mut() {
            under_way.works_at = Some(at);
        }
    }

    /// Does the next part of what there is to compute. Returns what the authentication needs next, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// It has failed.
    pub(super) fn work(&mut self) -> Result<Option<AuthenticationStep>, DisconnectReason> {
        match self.under_way_mut() {
            Some(under_way) if under_way.works_at.is_some() => {
                under_way.works_at = None;
                under_way.authentication.work().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The broker knows who we are, and takes requests until the session ends: after `lifetime`, if that is given. `random` is drawn
    /// from `[0, 1)`. Returns whether it is the first session of the connection.
    pub(super) fn authenticated(&mut self, lifetime: Option<Duration>, random: f64) -> bool {
        let is_first = matches!(self.state, ConnectionState::Authenticating { is_first: true, .. });
        let was_hasty = self.was_hasty();
        self.change(|state| match state {
            ConnectionState::Authenticating { mut established, under_way, .. } => {
                let Latency { slowest, .. } = established.latency;
                established.latency = Latency { slowest: Duration::ZERO, slowest_before: slowest };
                let session =
                    lifetime.map(|lifetime| Session { since: under_way.asked_at, lifetime, random });
                ConnectionState::Ready { established, session }
            }
            state => state,
        });
        if is_first {
            self.history.ready(was_hasty);
        }
        is_first
    }

    /// The session is about to end: the client authenticates again once nothing is under way.
    pub(super) fn end_session(&mut self) {
        self.change(|state| match state {
            ConnectionState::Ready { established, .. } => {
                ConnectionState::Draining { established, then: AfterDraining::Authenticate }
            }
            state => state,
        });
    }

    /// The connection is to end with the requests under way. Returns whether it is one that may have any.
    pub(super) fn retire(&mut self) -> bool {
        self.change(|state| match state {
            ConnectionState::Ready { established, .. } | ConnectionState::Draining { established, .. } => {
                ConnectionState::Draining { established, then: AfterDraining::Close }
            }
            state => state,
        });
        self.is_retired()
    }

    /// The attempt came to nothing, or the connection is gone. The next attempt must wait. `random` is drawn from
    /// `[0, 1)`.
    pub(super) fn lost(&mut self, reason: DisconnectReason, backoff: &Backoff, now: Instant, random: f64) {
        let Some(step) = self.step() else { return };
        let was_hasty = step != ConnectionStep::Ready && self.was_hasty();
        let backoff = self.history.lost(step, was_hasty, reason, backoff, now, random);
        self.state = ConnectionState::Disconnected { since: now, backoff };
    }

    /// The client has ended the connection though nothing was wrong: the next attempt need not wait.
    pub(super) fn released(&mut self, reason: &DisconnectReason) {
        if *reason == DisconnectReason::AskedTooEarly {
            self.history.asked_too_early();
        }
        let since = self.history.last_attempt();
        self.state = ConnectionState::Disconnected { since, backoff: Duration::ZERO };
    }

    /// The node is known by another id now, at the same address.
    pub(super) fn renamed(self, address: Node) -> Self {
        Self { address, ..self }
    }

    /// Bytes came or went. Authenticating anew is no use of a connection: otherwise an idle one would never be closed.
    pub(super) fn touch(&mut self, now: Instant) {
        match &mut self.state {
            ConnectionState::Authenticating { established, is_first: true, .. }
            | ConnectionState::Ready { established, .. }
            | ConnectionState::Draining { established, .. } => established.last_activity = now,
            _ => {}
        }
    }

    pub(super) fn correlation_ids_mut(&mut self) -> Option<&mut CorrelationIds> {
        let link = match &mut self.state {
            ConnectionState::Disconnected { .. } | ConnectionState::Connecting { .. } => return None,
            ConnectionState::Negotiating { link, .. } => link,
            ConnectionState::Authenticating { established, .. }
            | ConnectionState::Ready { established, .. }
            | ConnectionState::Draining { established, .. } => &mut established.link,
        };
        Some(&mut link.correlation_ids)
    }

    fn under_way_mut(&mut self) -> Option<&mut UnderWay> {
        match &mut self.state {
            ConnectionState::Negotiating { early, .. } => early.as_mut(),
            ConnectionState::Authenticating { under_way, .. } => Some(under_way),
            _ => None,
        }
    }

    fn change(&mut self, step: impl FnOnce(ConnectionState) -> ConnectionState) {
        let since = self.history.last_attempt();
        let none = ConnectionState::Disconnected { since, backoff: Duration::ZERO };
        self.state = step(std::mem::replace(&mut self.state, none));
    }
}

/// What others ask of a connection.
impl NodeConnection {
    fn under_way(&self) -> Option<&UnderWay> {
        match &self.state {
            ConnectionState::Negotiating { early, .. } => early.as_ref(),
            ConnectionState::Authenticating { under_way, .. } => Some(under_way),
            _ => None,
        }
    }

    pub(super) fn address(&self) -> &Node {
        &self.address
    }

    pub(super) fn history(&self) -> &ConnectionHistory {
        &self.history
    }

    /// Returns the connection, or the attempt at it, if there is one.
    pub(super) fn id(&self) -> Option<ConnectionId> {
        match &self.state {
            ConnectionState::Disconnected { .. } => None,
            ConnectionState::Connecting { id, .. } => Some(*id),
            ConnectionState::Negotiating { link, .. } => Some(link.id),
            ConnectionState::Authenticating { established, .. }
            | ConnectionState::Ready { established, .. }
            | ConnectionState::Draining { established, .. } => Some(established.link.id),
        }
    }

    /// Returns how far the connection has come, if there is one, or an attempt at one.
    pub(super) fn step(&self) -> Option<ConnectionStep> {
        match self.state {
            ConnectionState::Disconnected { .. } => None,
            ConnectionState::Connecting { .. } => Some(ConnectionStep::Connect),
            ConnectionState::Negotiating { .. } => Some(ConnectionStep::ApiVersions),
            ConnectionState::Authenticating { is_first: true, .. } => Some(ConnectionStep::Authentication),
            ConnectionState::Authenticating { is_first: false, .. }
            | ConnectionState::Ready { .. }
            | ConnectionState::Draining { .. } => Some(ConnectionStep::Ready),
        }
    }

    /// Whether there is a connection, or an attempt at one.
    pub(super) fn exists(&self) -> bool {
        !matches!(self.state, ConnectionState::Disconnected { .. })
    }

    /// Whether there will be a connection that takes requests, if all goes well.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Connecting { .. }
                | ConnectionState::Negotiating { .. }
                | ConnectionState::Authenticating { is_first: true, .. }
        )
    }

    /// Whether the broker is being asked what it speaks.
    pub(super) fn is_negotiating(&self) -> bool {
        matches!(self.state, ConnectionState::Negotiating { .. })
    }

    /// Whether requests may be sent, as far as the connection goes.
    pub(super) fn is_ready(&self) -> bool {
        let is_renewed = matches!(self.state, ConnectionState::Authenticating { is_first: false, .. });
        matches!(self.state, ConnectionState::Ready { .. }) || (is_renewed && planted!(SentDuringRenewal))
    }

    /// Whether requests may be under way that were sent when the connection was ready.
    pub(super) fn has_requests(&self) -> bool {
        matches!(self.state, ConnectionState::Ready { .. } | ConnectionState::Draining { .. })
    }

    /// Whether the connection is ready, and the broker has answered no caller's request on it.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(&self.state, ConnectionState::Ready { established, .. } if !established.has_answered)
    }

    /// Whether the connection takes no more requests and ends with those under way.
    pub(super) fn is_retired(&self) -> bool {
        matches!(self.state, ConnectionState::Draining { then: AfterDraining::Close, .. })
    }

    /// Whether the client authenticates again once nothing is under way.
    pub(super) fn is_to_authenticate(&self) -> bool {
        matches!(self.state, ConnectionState::Draining { then: AfterDraining::Authenticate, .. })
    }

    /// Returns what the broker speaks, if there is a connection that has been ready.
    pub(super) fn versions(&self) -> Option<&ApiVersions> {
        match &self.state {
            ConnectionState::Authenticating { established, is_first: false, .. }
            | ConnectionState::Ready { established, .. }
            | ConnectionState::Draining { established, .. } => Some(&established.versions),
            _ => None,
        }
    }

    /// Returns how long to wait with the next attempt, or `None` if none is needed.
    pub(super) fn connection_delay(&self, now: Instant) -> Option<Duration> {
        match self.state {
            ConnectionState::Disconnected { since, backoff } => {
                Some(backoff.saturating_sub(now.saturating_duration_since(since)))
            }
            _ => None,
        }
    }

    /// Returns when the attempt under way, or the new authentication, has taken too long.
    pub(super) fn setup_deadline(&self) -> Option<Instant> {
        match self.state {
            ConnectionState::Connecting { deadline, .. }
            | ConnectionState::Negotiating { deadline, .. }
            | ConnectionState::Authenticating { deadline, .. } => deadline,
            _ => None,
        }
    }

    /// Returns how to call it that [`setup_deadline`](Self::setup_deadline) is over.
    pub(super) fn setup_overdue(&self) -> DisconnectReason {
        match &self.state {
            ConnectionState::Authenticating { under_way, .. } => match under_way.authentication.awaited() {
                Some(subject) => DisconnectReason::CredentialsTimedOut { subject },
                None => DisconnectReason::AuthenticationTimedOut,
            },
            ConnectionState::Negotiating { .. } => DisconnectReason::HandshakeTimedOut,
            _ => DisconnectReason::ConnectTimedOut,
        }
    }

    /// Returns when bytes came or went last on a connection that is ready.
    pub(super) fn last_activity(&self) -> Option<Instant> {
        match &self.state {
            ConnectionState::Ready { established, .. } => Some(established.last_activity),
            _ => None,
        }
    }

    /// Returns when to go on with what there is to compute for the authentication.
    pub(super) fn works_at(&self) -> Option<Instant> {
        self.under_way()?.works_at
    }

    /// Returns when to ask what may be asked ahead of answers.
    pub(super) fn goes_ahead_at(&self) -> Option<Instant> {
        self.under_way()?.goes_ahead_at
    }

    /// Whether the client has asked the broker more than it had answers for, in the authentication that is under way.
    pub(super) fn was_hasty(&self) -> bool {
        self.under_way().is_some_and(|under_way| under_way.was_hasty)
    }

    /// Whether the broker has only to accept what it was told on a new connection, and may be asked something along with that.
    pub(super) fn is_about_to_be_ready(&self) -> bool {
        match &self.state {
            ConnectionState::Authenticating { under_way, is_first: true, .. } => {
                under_way.authentication.has_said_all()
            }
            _ => false,
        }
    }

    /// Whether the broker has agreed to the mechanism, and has still to answer its first words.
    pub(super) fn awaits_first_words(&self) -> bool {
        self.under_way().is_some_and(|under_way| under_way.authentication.awaits_first_words())
    }

    /// Returns the version of SaslAuthenticate in which the broker is told who we are, if it is.
    pub(super) fn words_version(&self) -> Option<i16> {
        self.under_way()?.authentication.words_version()
    }

    /// Returns when to authenticate anew, if the broker has set a limit.
    pub(super) fn session_ends(&self) -> Option<Instant> {
        let ConnectionState::Ready { established, session } = &self.state else { return None };
        let Session { since, lifetime, random } = (*session).filter(|_| !planted!(SessionNotRenewed))?;
        let Latency { slowest, slowest_before } = established.latency;
        since.checked_add(renewal_delay(lifetime, slowest.max(slowest_before), random))
    }
}

impl UnderWay {
    fn new(authentication: ConnectionAuthentication, now: Instant) -> Self {
        let ahead = Ahead::default();
        Self { authentication, asked_at: now, works_at: None, goes_ahead_at: None, ahead, was_hasty: false }
    }
}
