//! What a connection waits for, and until when.

use std::time::{Duration, Instant};

use crate::topic_partition::NodeId;

use super::NetworkClient;
use crate::network::event::DisconnectReason;
use crate::network::node_connection::NodeConnection;

/// What ends, or begins, when a deadline is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// The attempt to connect has taken too long, with all that comes before the first request; or the new authentication has.
    ConnectionSetup,
    /// A request was not answered in time.
    Request,
    /// The connection was of no use for too long.
    Idle,
    /// The client must authenticate again.
    Session,
    /// A broker has had its time to answer: it is asked the next thing anyway.
    HeadStart,
    /// Others had their turn: what there is to compute for an authentication goes on.
    Work,
    /// The node may be connected to again, or takes requests again: it is worth another look.
    Rest,
}

impl<P> NetworkClient<P> {
    /// Acts on the deadlines of a node that are over.
    pub(super) fn handle_due(&mut self, node: NodeId, now: Instant) {
        let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let due = self.deadlines(node, now).into_iter().find(|(_, at)| is_over(*at));
        let reason = match due.map(|(deadline, _)| deadline) {
            Some(Deadline::ConnectionSetup) => match self.states.node(node) {
                Some(known) => known.setup_overdue(),
                None => return,
            },
            Some(Deadline::Request) => DisconnectReason::RequestTimedOut,
            Some(Deadline::Idle) => DisconnectReason::Idle,
            Some(Deadline::Session) => {
                self.states.end_session(node);
                return self.settle(node, now);
            }
            Some(Deadline::HeadStart) => return self.go_ahead(node, now),
            Some(Deadline::Work) => return self.work(node, now),
            Some(Deadline::Rest) | None => return self.settle(node, now),
        };
        self.disconnect(node, reason, None, now);
    }

    /// Sets the timer of a node by what the node waits for. Call this whenever that has changed.
    pub(super) fn rearm(&mut self, node: NodeId, now: Instant) {
        let mut first: Option<(Instant, Deadline)> = None;
        for (deadline, at) in self.deadlines(node, now) {
            if let Some(at) = at
                && first.is_none_or(|(first, _)| at < first)
            {
                first = Some((at, deadline));
            }
        }
        self.timers.arm(node, first);
    }

    /// Returns when to call `handle_timeout`, and why: what comes first of all that connections wait for. Apart from giving
    /// things up this is also when a node has backed off or has been throttled for long enough, so that it may be worth another look.
    pub(crate) fn first_deadline(&self) -> Option<(Instant, Deadline)> {
        self.timers.next_deadline()
    }

    fn deadlines(&self, node: NodeId, now: Instant) -> [(Deadline, Option<Instant>); 7] {
        let known = self.states.node(node);
        let throttle = self.states.throttle_delay(node, now);
        [
            (Deadline::ConnectionSetup, known.and_then(NodeConnection::setup_deadline)),
            (Deadline::Request, self.in_flight.deadline(node)),
            (Deadline::Idle, known.and_then(|known| self.idle_deadline(node, known))),
            (Deadline::Session, known.and_then(|known| self.session_deadline(node, known, throttle))),
            (Deadline::HeadStart, known.and_then(NodeConnection::goes_ahead_at)),
            (Deadline::Work, known.and_then(NodeConnection::works_at)),
            (Deadline::Rest, known.and_then(|known| end_of_rest(known, throttle, now))),
        ]
    }

    /// Returns when a connection without requests has been of no use for too long.
    fn idle_deadline(&self, node: NodeId, known: &NodeConnection) -> Option<Instant> {
        let max_idle = self.config.connections_max_idle?;
        known.last_activity()?.checked_add(max_idle).filter(|_| self.in_flight.count(node) == 0)
    }

    /// Returns when to authenticate anew. A throttled broker does not answer, and a retired connection needs no new session.
    fn session_deadline(&self, node: NodeId, known: &NodeConnection, throttle: Duration) -> Option<Instant> {
        let session_ends = known.session_ends()?;
        let is_free = throttle.is_zero() && !self.is_retired(node);
        is_free.then_some(session_ends)
    }
}

/// Returns when a node has backed off, or has been throttled, for long enough. `None` if it has by now.
fn end_of_rest(known: &NodeConnection, throttle: Duration, now: Instant) -> Option<Instant> {
    let is_later = |delay: &Duration| !delay.is_zero();
    let delays = [known.connection_delay(now), Some(throttle)];
    now.checked_add(delays.into_iter().flatten().filter(is_later).min()?)
}
