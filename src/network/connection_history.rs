//! What is remembered of a node across its connections.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::ConnectionStep;
use crate::protocol::ApiKey;

use super::event::{AuthenticationError, DisconnectReason};

/// What earlier attempts and connections to a node have taught: when to try again, how, and what went wrong.
#[derive(Debug)]
pub(super) struct ConnectionHistory {
    /// Attempts so far: each begins with another IP address of the node.
    attempts: usize,
    /// The start of the last attempt; later the loss of the connection.
    last_attempt: Instant,
    /// Attempts and connections lost since the node answered a request last.
    failures: u32,
    /// Whether an attempt came to nothing since the node was ready last.
    has_failed: bool,
    /// Attempts that failed before there was a connection, or took too long, since the node was ready last.
    setup_failures: u32,
    /// Whether the broker has ended a connection in place of the answer about versions, since the node was ready last.
    has_lost_handshake: bool,
    /// The version of ApiVersions to ask with on the next connection.
    handshake_version: i16,
    last_cause: Option<LastCause>,
    /// Whether the broker has ended the last connection where it should have answered the words of a mechanism.
    is_closed_unanswered: bool,
    /// Whether the broker has ended the last connection in place of the first answer after that about versions. Brokers that demand
    /// SASL do.
    may_demand_sasl: bool,
    /// Whether the client waits for each answer on the next connection, since one on which it did not came to nothing.
    is_patient: bool,
    /// How many such connections there were since one on which it did not wait was ready.
    hasty_failures: u8,
}

/// Why a connection was lost last, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastCause {
    pub(super) reason: DisconnectReason,
    pub(super) at: Instant,
}

impl ConnectionHistory {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            attempts: 0,
            last_attempt: now,
            failures: 0,
            has_failed: false,
            setup_failures: 0,
            has_lost_handshake: false,
            handshake_version: HIGHEST_HANDSHAKE,
            last_cause: None,
            is_closed_unanswered: false,
            may_demand_sasl: false,
            is_patient: false,
            hasty_failures: 0,
        }
    }

    /// Notes the start of an attempt. Returns how many there were before.
    pub(super) fn attempt(&mut self, now: Instant) -> usize {
        let before = self.attempts;
        self.attempts = before.wrapping_add(1);
        self.last_attempt = now;
        before
    }

    /// Notes that the node takes requests. `was_hasty`: it bears to be asked more than it has answered.
    pub(super) fn ready(&mut self, was_hasty: bool) {
        if was_hasty {
            self.hasty_failures = 0;
        }
        // A connection may have been lost for another reason: haste is given up for good once it has failed twice.
        self.is_patient = self.hasty_failures >= MAX_HASTY_FAILURES;
        self.setup_failures = 0;
        self.has_failed = false;
        self.has_lost_handshake = false;
        self.is_closed_unanswered = false;
        // If it was asked whether it demands SASL, it does not.
        self.may_demand_sasl = false;
    }

    /// Notes that the node has answered a request of a caller. To be ready is not enough: a broker that wants SASL answers the question
    /// for versions, and ends the connection on the next.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
    }

    /// Notes that the broker has ended the connection where it should have answered the words of a mechanism. Returns whether it did
    /// the last time, too.
    pub(super) fn closed_unanswered(&mut self) -> bool {
        std::mem::replace(&mut self.is_closed_unanswered, true)
    }

    /// Notes that the broker has ended a connection that was ready, and whether it did so in place of the first answer.
    pub(super) fn closed(&mut self, is_first_unanswered: bool) {
        self.may_demand_sasl = is_first_unanswered;
    }

    /// Notes that the broker is too old to be asked more than it has answered.
    pub(super) fn asked_too_early(&mut self) {
        self.is_patient = true;
        self.hasty_failures = self.hasty_failures.saturating_add(1);
    }

    /// Notes the failure of an attempt or the loss of a connection. `was_hasty` tells whether the broker was asked more than it had
    /// answered before there was a session. Returns how long to wait with the next attempt.
    /// `random` is drawn from `[0, 1)`.
    pub(super) fn lost(
        &mut self,
        step: ConnectionStep,
        was_hasty: bool,
        reason: DisconnectReason,
        backoff: &Backoff,
        now: Instant,
        random: f64,
    ) -> Duration {
        let is_too_short = matches!(
            reason,
            DisconnectReason::AuthenticationTimedOut
                | DisconnectReason::CredentialsTimedOut { .. }
                | DisconnectReason::HandshakeTimedOut
        );
        if step == ConnectionStep::Connect || (step != ConnectionStep::Ready && is_too_short) {
            self.setup_failures = self.setup_failures.saturating_add(1);
        }
        // A broker that is another than the client means knows the version in which it was asked, and TLS is not about versions.
        let says_nothing_of_versions = reason == DisconnectReason::Misrouted || reason.is_refusal();
        if was_hasty && may_come_from_haste(&reason) {
            // The peer may not bear it, or a refusal was lost with the connection. Waiting for each answer tells.
            self.asked_too_early();
        } else if step == ConnectionStep::ApiVersions && !says_nothing_of_versions {
            self.handshake_version = version_after_lost_handshake(self.handshake_version);
        }
        if matches!(reason, DisconnectReason::AuthenticationFailed(AuthenticationError::Demanded { .. })) {
            // A broker may know SASL and not insist on it: by turns it is asked, and taken at its word.
            self.may_demand_sasl = false;
        }
        self.has_failed |= step != ConnectionStep::Ready;
        self.has_lost_handshake |= step == ConnectionStep::ApiVersions && is_end(&reason);
        self.last_attempt = now;
        self.last_cause = Some(LastCause { reason, at: now });
        let delay = backoff.delay(self.failures, random);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    pub(super) fn may_demand_sasl(&self) -> bool {
        self.may_demand_sasl
    }

    pub(super) fn is_patient(&self) -> bool {
        self.is_patient
    }

    pub(super) fn last_attempt(&self) -> Instant {
        self.last_attempt
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) fn has_lost_handshake(&self) -> bool {
        self.has_lost_handshake
    }

    pub(super) fn setup_failures(&self) -> u32 {
        self.setup_failures
    }

    pub(super) fn handshake_version(&self) -> i16 {
        self.handshake_version
    }

    pub(super) fn last_cause(&self) -> Option<&LastCause> {
        self.last_cause.as_ref()
    }
}

/// Some brokers that are not Apache's end the connection on a version of ApiVersions that they do not know, where
/// they should name those that they do. So a lower one is tried next, and after the lowest the highest again.
fn version_after_lost_handshake(version: i16) -> i16 {
    match version {
        ..=0 => HIGHEST_HANDSHAKE,
        1..=3 => 0,
        _ => 3,
    }
}

/// Whether the peer has ended the connection and said nothing.
fn is_end(reason: &DisconnectReason) -> bool {
    match reason {
        DisconnectReason::Closed(error) => error.is_end(),
        DisconnectReason::ClosedInHandshake(_) => true,
        _ => false,
    }
}

/// Whether a peer that does not bear to be asked more than it has answered may end the connection so.
fn may_come_from_haste(reason: &DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::AuthenticationTimedOut
            | DisconnectReason::Closed(_)
            | DisconnectReason::ClosedInHandshake(_)
            | DisconnectReason::ClosedUnanswered(_)
            | DisconnectReason::ClosedUnspoken(..)
            | DisconnectReason::HandshakeTimedOut
            | DisconnectReason::Malformed(_)
            | DisconnectReason::RequestTimedOut
            | DisconnectReason::VersionsRefused(_)
    )
}

/// After so many connections in a row that came to nothing, a node is asked one thing after the other for good.
const MAX_HASTY_FAILURES: u8 = 2;

const HIGHEST_HANDSHAKE: i16 = *ApiKey::ApiVersions.versions().end();

#[cfg(test)]
mod tests {
    use crate::clock;

    use super::*;

    /// A draw in the middle: no jitter.
    const MEAN: f64 = 0.5;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn last_cause_and_its_time_outlive_the_next_connection() {
        let now = clock::now();
        let backoff = Backoff::new(millis(50), millis(1000));
        let mut history = ConnectionHistory::new(now);

        history.lost(ConnectionStep::Connect, false, DisconnectReason::ConnectTimedOut, &backoff, now, MEAN);
        history.lost(
            ConnectionStep::Ready,
            false,
            DisconnectReason::RequestTimedOut,
            &backoff,
            now + millis(7),
            MEAN,
        );
        history.attempt(now + millis(100));
        history.ready(false);

        let cause = LastCause { reason: DisconnectReason::RequestTimedOut, at: now + millis(7) };
        assert_eq!(history.last_cause(), Some(&cause));
    }

    #[test]
    fn only_an_attempt_that_comes_to_nothing_counts_as_failed() {
        let now = clock::now();
        let backoff = Backoff::new(millis(50), millis(1000));
        let mut history = ConnectionHistory::new(now);

        history.lost(ConnectionStep::Ready, false, DisconnectReason::RequestTimedOut, &backoff, now, MEAN);
        assert!(!history.has_failed());
        history.lost(
            ConnectionStep::ApiVersions,
            false,
            DisconnectReason::RequestTimedOut,
            &backoff,
            now,
            MEAN,
        );
        assert!(history.has_failed());
        history.ready(false);

        assert!(!history.has_failed());
    }
}
