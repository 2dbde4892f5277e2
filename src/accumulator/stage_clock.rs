//! `StageClock`: where a batch's time goes.

use std::time::{Duration, Instant};

use crate::error::TimeSpent;
use crate::protocol::ErrorCode;

/// Where a batch's time goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageClock {
    stage: Stage,
    since: Instant,
    spent: TimeSpent,
}

/// What a batch is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Backoff,
    /// Its leader is known, and there is no connection to it.
    Disconnected,
    InFlight,
    Linger,
    NoLeader,
    Queued,
    /// Its leader wants to be left alone.
    Throttled,
}

impl StageClock {
    pub(super) fn new(now: Instant) -> Self {
        Self { stage: Stage::Linger, since: now, spent: TimeSpent::default() }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Books the time since the last change on the stage that ends now.
    pub(crate) fn enter(&mut self, stage: Stage, now: Instant) {
        let spent = now.saturating_duration_since(self.since);
        let account = match self.stage {
            Stage::Backoff => &mut self.spent.backoff,
            Stage::Disconnected => &mut self.spent.disconnected,
            Stage::InFlight => &mut self.spent.in_flight,
            Stage::Linger => &mut self.spent.linger,
            Stage::NoLeader => &mut self.spent.no_leader,
            Stage::Queued => &mut self.spent.queued,
            Stage::Throttled => &mut self.spent.throttled,
        };
        *account += spent;
        self.stage = stage;
        self.since = now;
    }

    /// Takes note of how long a record waited in `enqueue`: the longest wait counts.
    pub(super) fn note_enqueue(&mut self, waits: EnqueueWaits) {
        self.spent.metadata = self.spent.metadata.max(waits.metadata);
        self.spent.memory = self.spent.memory.max(waits.memory);
    }

    /// Takes note of what an error tells besides times.
    pub(super) fn note_attempts(&mut self, attempts: u32, last_error: Option<ErrorCode>, leader_known: bool) {
        self.spent.attempts = attempts;
        self.spent.last_error = last_error;
        self.spent.leader_known = leader_known;
    }

    /// Returns what was booked so far.
    pub(super) fn spent(&self) -> TimeSpent {
        self.spent
    }

    /// Books as queueing what a batch has spent in its first stage beyond `linger`: it lay behind others.
    pub(crate) fn limit_linger(&mut self, linger: Duration) {
        let excess = self.spent.linger.saturating_sub(linger);
        self.spent.linger -= excess;
        self.spent.queued += excess;
    }
}

/// How long a record waited in `enqueue`, kept per batch as the longest of its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EnqueueWaits {
    pub(crate) metadata: Duration,
    pub(crate) memory: Duration,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock;

    const STAGES: [Stage; 7] = [
        Stage::Backoff,
        Stage::Disconnected,
        Stage::InFlight,
        Stage::Linger,
        Stage::NoLeader,
        Stage::Queued,
        Stage::Throttled,
    ];

    proptest! {
        #[test]
        fn stages_add_up_to_the_time_of_the_batch(
            changes in proptest::collection::vec((0..STAGES.len(), 0..5_000_000_u64), 0..50),
            linger in 0..10_000_u64,
        ) {
            let start = clock::now();
            let (mut clock, mut now) = (StageClock::new(start), start);

            for (stage, micros) in changes {
                now += Duration::from_micros(micros);
                clock.enter(STAGES[stage], now);
            }
            now += Duration::from_secs(1);
            clock.enter(clock.stage(), now);
            clock.limit_linger(Duration::from_millis(linger));

            prop_assert_eq!(clock.spent().total(), now - start);
        }
    }
}
