//! `StageClock`: where a batch's time goes.

use std::time::{Duration, Instant};

use crate::error::TimeSpent;

/// Where a batch's time goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageClock {
    stage: Stage,
    since: Instant,
    pub(super) spent: TimeSpent,
}

/// What a batch is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Backoff,
    InFlight,
    Linger,
    NoLeader,
    Queued,
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
            Stage::InFlight => &mut self.spent.in_flight,
            Stage::Linger => &mut self.spent.linger,
            Stage::NoLeader => &mut self.spent.no_leader,
            Stage::Queued => &mut self.spent.queued,
        };
        *account += spent;
        self.stage = stage;
        self.since = now;
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
