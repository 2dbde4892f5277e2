//! What follows from answers, and when the machine asks and pushes.

use std::time::SystemTime;

use kafka_protocol::messages::{GetTelemetrySubscriptionsResponse as Wanted, PushTelemetryResponse as Taken};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::*;
use crate::accumulator::{RecordAccumulator, Settings};
use crate::buffer_memory::BufferMemory;
use crate::clock;
use crate::metrics::Counters;
use crate::protocol::compression::Compression;
use crate::sender::snapshot;

const INTERVAL: Duration = Duration::from_secs(60);

struct Bench {
    telemetry: Telemetry,
    known: tokio::sync::watch::Receiver<Known>,
    now: Instant,
    counters: Counters,
    accumulator: RecordAccumulator,
}

impl Measure for Bench {
    fn metrics(&self) -> Metrics {
        snapshot(&self.counters, &self.accumulator, "client", SystemTime::UNIX_EPOCH, self.now)
    }

    fn wall_clock(&self) -> i64 {
        1_700_000_000_000
    }
}

fn wanted() -> Wanted {
    Wanted::default()
        .with_client_instance_id(vec![7; 16].try_into().unwrap())
        .with_subscription_id(5)
        .with_accepted_compression_types(vec![3])
        .with_push_interval_ms(60_000)
        .with_telemetry_max_bytes(1_000_000)
        .with_requested_metrics(vec![StrBytes::from_static_str("*")])
}

fn answered(response: &impl Encodable) -> RequestOutcome {
    let mut body = bytes::BytesMut::new();
    response.encode(&mut body, 0).unwrap();
    RequestOutcome::Answered { version: 0, body: body.freeze() }
}

fn lost() -> RequestOutcome {
    RequestOutcome::Failed { reason: FailureReason::TimedOut, on_wire: true }
}

impl Bench {
    fn new(seed: u64) -> Self {
        let (instance, known) = Instance::new();
        let (now, telemetry) = (clock::now(), TelemetrySettings { attributes: Vec::new(), seed });
        let settings = Settings {
            batch_size: 1000,
            compression: Compression::None,
            compression_level: 0,
            max_plain: 1000,
            append_window: INTERVAL,
            spares_awaited: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(10_000, 1000));
        let telemetry = Telemetry::new(telemetry, instance, now);
        Self { telemetry, known, now, counters: Counters::default(), accumulator }
    }

    /// One that knows what brokers want.
    fn subscribed(response: &Wanted) -> Self {
        let mut bench = Self::new(1);
        bench.ask();
        bench.end(answered(response));
        bench
    }

    fn ask(&mut self) -> TelemetryQuestion {
        let question = TelemetryQuestion(self.telemetry.next_question);
        self.telemetry.next_question += 1;
        let Body::GetTelemetrySubscriptions(_) = self.telemetry.ask(question) else { panic!("a question") };
        question
    }

    fn push(&mut self) -> PushTelemetryRequest {
        let question = TelemetryQuestion(self.telemetry.next_question);
        self.telemetry.next_question += 1;
        let metrics = Fixed(self.metrics());
        match self.telemetry.push(question, &metrics, self.now) {
            Some(Body::PushTelemetry(request)) => request,
            other => panic!("{other:?} in place of a push"),
        }
    }

    /// Something has become of the last request.
    fn end(&mut self, outcome: RequestOutcome) {
        let question = TelemetryQuestion(self.telemetry.next_question - 1);
        self.telemetry.handle_outcome(question, outcome, self.now);
    }

    fn refuse_push(&mut self, code: ErrorCode) {
        self.push();
        self.end(answered(&Taken::default().with_error_code(code.code())));
    }

    /// How long from now until it asks.
    fn asks_in(&self) -> Option<Duration> {
        match self.telemetry.state {
            State::AskAt(at) => Some(at - self.now),
            _ => None,
        }
    }

    /// How long from now until it pushes.
    fn pushes_in(&self) -> Option<Duration> {
        match self.telemetry.state {
            State::PushAt(at) => Some(at - self.now),
            _ => None,
        }
    }
}

struct Fixed(Metrics);

impl Measure for Fixed {
    fn metrics(&self) -> Metrics {
        self.0.clone()
    }

    fn wall_clock(&self) -> i64 {
        0
    }
}

#[test]
fn first_push_comes_half_an_interval_early_or_late_and_the_others_on_time() {
    let mut waits = Vec::new();
    for seed in 0..200 {
        let mut bench = Bench::new(seed);
        bench.ask();
        bench.end(answered(&wanted()));
        waits.push(bench.pushes_in().unwrap());

        bench.push();
        bench.end(answered(&Taken::default()));
        assert_eq!(bench.pushes_in(), Some(INTERVAL));
    }
    assert!(waits.iter().all(|wait| (INTERVAL / 2..INTERVAL * 3 / 2).contains(wait)));
    assert!(waits.iter().any(|wait| *wait < INTERVAL * 6 / 10));
    assert!(waits.iter().any(|wait| *wait > INTERVAL * 14 / 10));
}

#[test]
fn intervals_that_make_no_sense_are_others() {
    for (millis, least, most) in [(0, 150, 450), (-5, 150, 450), (1, 0, 1)] {
        let bench = Bench::subscribed(&wanted().with_push_interval_ms(millis));
        let wait = bench.pushes_in().unwrap();
        assert!(
            wait >= Duration::from_secs(least) && wait <= Duration::from_secs(most),
            "{millis}: {wait:?}"
        );
        assert!(wait >= Duration::from_millis(50));
    }
}

#[test]
fn id_that_the_first_broker_gave_stays() {
    let mut bench = Bench::subscribed(&wanted());
    assert_eq!(*bench.known.borrow(), Known::Id(Uuid([7; 16])));

    bench.ask();
    bench.end(answered(&wanted().with_client_instance_id(vec![8; 16].try_into().unwrap())));

    assert_eq!(*bench.known.borrow(), Known::Id(Uuid([7; 16])));
    assert_eq!(bench.push().client_instance_id, Uuid([7; 16]));
}

#[test]
fn another_subscription_is_asked_for_at_once_and_a_busy_broker_later() {
    for (code, wait) in [
        (ErrorCode::UnknownSubscriptionId, Duration::ZERO),
        (ErrorCode::UnsupportedCompressionType, Duration::ZERO),
        (ErrorCode::TelemetryTooLarge, INTERVAL),
        (ErrorCode::ThrottlingQuotaExceeded, INTERVAL),
    ] {
        let mut bench = Bench::subscribed(&wanted());
        bench.refuse_push(code);
        assert_eq!(bench.asks_in(), Some(wait), "{code}");
    }
}

#[test]
fn other_refusals_end_it() {
    for code in [ErrorCode::InvalidRecord, ErrorCode::InvalidRequest, ErrorCode::from(-1)] {
        let mut bench = Bench::subscribed(&wanted());
        bench.refuse_push(code);
        assert!(bench.telemetry.has_ended(), "{code}");

        let bench = Bench::subscribed(&wanted().with_error_code(code.code()));
        assert!(bench.telemetry.has_ended() && bench.telemetry.timeout(bench.now).is_none(), "{code}");
        assert_eq!(*bench.known.borrow(), Known::Never);
    }
}

#[test]
fn answers_that_cannot_be_read_end_it() {
    let garbage = || RequestOutcome::Answered { version: 0, body: Bytes::from_static(b"?") };
    let mut asking = Bench::new(1);
    asking.ask();
    asking.end(garbage());
    let mut pushing = Bench::subscribed(&wanted());
    pushing.push();
    pushing.end(garbage());

    assert!(asking.telemetry.has_ended() && pushing.telemetry.has_ended());
}

#[test]
fn codec_that_was_refused_is_not_used_again() {
    let mut bench = Bench::subscribed(&wanted().with_accepted_compression_types(vec![3, 1, 0]));
    assert_eq!(bench.push().compression_type, Compression::Lz4.attribute_bits() as i8);
    bench.end(answered(&Taken::default().with_error_code(ErrorCode::UnsupportedCompressionType.code())));
    bench.ask();
    bench.end(answered(&wanted().with_accepted_compression_types(vec![3, 0])));

    assert_eq!(bench.push().compression_type, 0);
}

#[test]
fn unknown_codecs_are_passed_over() {
    let mut bench = Bench::subscribed(&wanted().with_accepted_compression_types(vec![99, -1, 3]));

    assert_eq!(bench.push().compression_type, Compression::Lz4.attribute_bits() as i8);
}

#[test]
fn what_is_found_too_large_has_less_the_next_time() {
    let mut bench = Bench::subscribed(&wanted().with_accepted_compression_types(vec![]));
    bench.counters.broker(NodeId(1)).note_answer(Duration::from_millis(1));
    let whole = bench.push().metrics.len();
    bench.end(answered(&Taken::default()));
    bench.refuse_push(ErrorCode::TelemetryTooLarge);
    bench.refuse_push_after_subscription();
    bench.ask();
    bench.end(answered(&wanted().with_accepted_compression_types(vec![])));

    assert!(bench.push().metrics.len() < whole);
}

impl Bench {
    fn refuse_push_after_subscription(&mut self) {
        self.ask();
        self.end(answered(&wanted().with_accepted_compression_types(vec![])));
        self.refuse_push(ErrorCode::TelemetryTooLarge);
    }
}

#[test]
fn lost_questions_are_asked_again_after_pauses_that_double() {
    let mut bench = Bench::new(1);
    let mut waits = Vec::new();
    for _ in 0..12 {
        bench.ask();
        bench.end(lost());
        waits.push(bench.asks_in().unwrap().as_secs());
    }

    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[test]
fn lost_push_is_not_counted_again() {
    let mut bench = Bench::subscribed(&wanted().with_delta_temporality(true));
    bench.counters.connections_created.add(5);
    bench.push();
    bench.end(lost());
    assert_eq!(bench.pushes_in(), Some(INTERVAL));

    let before = bench.telemetry.payload.before().unwrap();

    assert_eq!(before.connections_created, 5);
}

#[test]
fn refused_push_is_counted_again() {
    let mut bench = Bench::subscribed(&wanted());
    bench.counters.connections_created.add(5);

    bench.refuse_push(ErrorCode::ThrottlingQuotaExceeded);

    assert!(bench.telemetry.payload.before().is_none());
}

#[test]
fn end_waits_for_one_more_push_and_a_second_at_most() {
    let mut bench = Bench::subscribed(&wanted());

    bench.telemetry.handle_end(bench.now);

    assert_eq!(bench.telemetry.timeout(bench.now), Some((Wait::Until(bench.now), Timer::Telemetry)));
    assert!(bench.push().terminating);
    let end = bench.now + LAST_PUSH;
    assert_eq!(bench.telemetry.timeout(bench.now), Some((Wait::Until(end), Timer::Telemetry)));
    bench.end(answered(&Taken::default().with_error_code(ErrorCode::UnknownSubscriptionId.code())));
    assert!(bench.telemetry.has_ended());
}

#[test]
fn push_under_way_is_followed_by_the_last_one() {
    let mut bench = Bench::subscribed(&wanted());
    assert!(!bench.push().terminating);

    bench.telemetry.handle_end(bench.now);
    assert!(!bench.telemetry.has_ended());
    bench.end(answered(&Taken::default()));

    assert_eq!(bench.pushes_in(), Some(Duration::ZERO));
    assert!(bench.push().terminating);
}

#[test]
fn end_waits_for_nothing_that_brokers_have_not_asked_for() {
    let mut never_asked = Bench::new(1);
    never_asked.telemetry.handle_end(never_asked.now);
    let mut asking = Bench::new(1);
    asking.ask();
    asking.telemetry.handle_end(asking.now);
    let mut without_wishes = Bench::subscribed(&wanted().with_requested_metrics(vec![]));
    without_wishes.telemetry.handle_end(without_wishes.now);

    for bench in [never_asked, asking, without_wishes] {
        assert!(bench.telemetry.has_ended());
    }
}

#[test]
fn answer_of_a_cluster_that_was_left_is_not_taken() {
    let mut bench = Bench::new(1);
    bench.ask();
    bench.telemetry.handle_other_cluster(bench.now);

    bench.end(answered(&wanted()));

    assert_eq!(bench.asks_in(), Some(Duration::ZERO));
    assert_eq!(*bench.known.borrow(), Known::Awaited);
}
