//! Telemetry: what brokers are told of the producer itself.

use std::time::{Instant, SystemTime};

use super::SenderCore;
use crate::accumulator::RecordAccumulator;
use crate::metrics::{Counters, Metrics};
use crate::sender::nodes::Nodes;
use crate::sender::request::RequestOutcome;
use crate::sender::snapshot;
use crate::sender::telemetry::{Instance, Measure, Telemetry, TelemetryQuestion, TelemetrySettings};

impl SenderCore {
    /// Has metrics pushed to brokers that want them.
    #[must_use]
    pub(crate) fn with_telemetry(
        mut self,
        settings: TelemetrySettings,
        instance: Instance,
        now: Instant,
    ) -> Self {
        self.telemetry = Some(Telemetry::new(settings, instance, now));
        self
    }

    pub(super) fn push_telemetry(&mut self, now: Instant) {
        let Some(telemetry) = &mut self.telemetry else { return };
        let measure = Measurement {
            counters: &self.counters,
            accumulator: &self.accumulator,
            client_id: &self.settings.client_id,
            wall_clock: self.wall_clock,
            now,
        };
        telemetry.next_request(&mut Nodes::new(&mut self.network), &measure, now, &mut self.effects);
        self.act(now);
    }

    pub(super) fn handle_telemetry(
        &mut self,
        question: TelemetryQuestion,
        outcome: RequestOutcome,
        now: Instant,
    ) {
        if let Some(telemetry) = &mut self.telemetry {
            telemetry.handle_outcome(question, outcome, now);
        }
    }

    /// Whether metrics were pushed for the last time. The first call asks for that.
    pub(super) fn has_told_the_last(&mut self, now: Instant) -> bool {
        self.telemetry.as_mut().is_none_or(|telemetry| {
            telemetry.handle_end(now);
            telemetry.has_ended()
        })
    }
}

/// Takes snapshots of this sender.
struct Measurement<'a> {
    counters: &'a Counters,
    accumulator: &'a RecordAccumulator,
    client_id: &'a str,
    wall_clock: i64,
    now: Instant,
}

impl Measure for Measurement<'_> {
    fn metrics(&self) -> Metrics {
        snapshot(self.counters, self.accumulator, self.client_id, SystemTime::UNIX_EPOCH, self.now)
    }

    fn wall_clock(&self) -> i64 {
        self.wall_clock
    }
}
