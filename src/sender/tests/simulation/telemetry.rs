//! Brokers that want metrics, in every fourth run, and what must hold of what is pushed to them.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use kafka_mock::sans_io::Brokers;
use kafka_mock::{Api, Compression, Fault, PushedKind, TelemetrySubscription};
use kafka_protocol::messages::{PushTelemetryRequest, RequestHeader};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use super::super::rig::millis;
use super::run::Simulation;
use super::schedule::{Noise, Schedule};
use crate::network::Frame;
use crate::sender::{Instance, SenderCore, TelemetrySettings};

/// What brokers want, and how they refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Telemetry {
    /// In milliseconds.
    pub(super) interval: u64,
    pub(super) is_delta: bool,
    pub(super) max_bytes: i32,
    /// The code with which pushes are refused, and how many, after the first few.
    pub(super) refusal: i16,
    pub(super) refused: u32,
}

/// What the producer has sent of it.
#[derive(Debug, Default)]
pub(super) struct Told {
    last_push: Option<Duration>,
    has_said_goodbye: bool,
}

/// Drawn apart from the rest, so that other runs stay what they are.
pub(super) fn draw(schedule: &mut Schedule, seed: u64) {
    let mut noise = Noise(seed.wrapping_mul(0x589a_59d7_1c3b_7d1f).wrapping_add(11));
    if noise.is(25) {
        schedule.setup.telemetry = Some(Telemetry {
            interval: noise.pick(&[100, 300, 1000, 10_000]),
            is_delta: noise.is(50),
            max_bytes: noise.pick(&[3000, 1_000_000, 1_000_000]),
            // Of another subscription, too large, too often, another codec.
            refusal: noise.pick(&[117, 118, 89, 76]),
            refused: noise.pick(&[0, 0, 1, 5]),
        });
    }
}

pub(super) fn subscribe(brokers: &mut Brokers, telemetry: Option<Telemetry>) {
    let Some(Telemetry { interval, is_delta, max_bytes, refusal, refused }) = telemetry else { return };
    let wanted = TelemetrySubscription::all(millis(interval)).delta(is_delta).max_bytes(max_bytes);
    brokers.set_telemetry(wanted.compressions([Compression::Lz4, Compression::Gzip]));
    if refused > 0 {
        brokers.inject(Fault::error_code(refusal).api(Api::PushTelemetry).skip(1).times(refused));
    }
}

pub(super) fn enable(core: SenderCore, telemetry: Option<Telemetry>, seed: u64, now: Instant) -> SenderCore {
    match telemetry {
        Some(_) => {
            let settings = TelemetrySettings { attributes: Vec::new(), seed };
            core.with_telemetry(settings, Instance::new().0, now)
        }
        None => core,
    }
}

impl Simulation {
    /// Metrics are not pushed more often than brokers want them, and not after the last push.
    pub(super) fn check_push(&mut self, frame: &Frame) {
        let segments = &frame.segments;
        let is_push = |head: &[u8]| head.get(4..6) == Some(&Api::PushTelemetry.key().to_be_bytes());
        let Some(telemetry) = self.setup.telemetry.filter(|_| segments.pieces().next().is_some_and(is_push))
        else {
            return;
        };
        let mut bytes = Bytes::from(segments.concat());
        bytes.advance(4);
        RequestHeader::decode(&mut bytes, PushTelemetryRequest::header_version(0)).unwrap();
        let request = PushTelemetryRequest::decode(&mut bytes, 0).unwrap();
        if self.told.has_said_goodbye {
            self.violate("metrics are pushed after the last time".to_owned());
        }
        let since = self.told.last_push.map(|at| self.now - at);
        // The first push after a subscription may come early by half of the interval.
        if let Some(since) = since.filter(|since| *since < millis(telemetry.interval) / 2)
            && !request.terminating
        {
            self.violate(format!("metrics are pushed {since:?} after the last time"));
        }
        self.told.last_push = Some(self.now);
        self.told.has_said_goodbye = request.terminating;
    }

    /// Nothing is told twice, and all that is told makes sense.
    pub(super) fn check_told(&self) -> Result<(), String> {
        let created = self.counters.connections_created.value() as f64;
        let mut sum = 0.0;
        for push in self.brokers.pushed_metrics() {
            let metrics = push.metrics()?;
            let name = "org.apache.kafka.producer.connection.creation.total";
            let total = metrics.iter().find(|metric| metric.name == name).ok_or("a total is missing")?;
            match total.kind {
                PushedKind::DeltaSum => sum += total.value,
                _ => sum = total.value,
            }
            if sum > created {
                return Err(format!("{sum} connections are told of in place of {created}"));
            }
        }
        Ok(())
    }
}

/// That the other tests have something to judge.
#[test]
fn metrics_are_pushed_in_simulated_runs_also_for_the_last_time() {
    let (mut pushes, mut goodbyes) = (0, 0);
    for seed in 0..60 {
        let schedule = Schedule::new(seed);
        if schedule.setup.telemetry.is_none() {
            continue;
        }
        let figures = super::simulate(&schedule).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
        pushes += figures.pushes;
        goodbyes += figures.goodbyes;
    }

    assert!(pushes > 50 && goodbyes > 3, "{pushes} pushes, {goodbyes} of them the last");
}
