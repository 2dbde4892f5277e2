//! Partitions that the first failure stops (`fail_stop`).

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::clusters::move_to_another_cluster;
use super::rig::{Config, Received, Rig, failure, is_pending, millis, offset};
use super::wire::{self, Reply};
use super::world::TOPIC;
use crate::accumulator::PartitionQueue;
use crate::delivery::Delivery;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::protocol::ErrorCode;
use crate::sender::Purge;

fn config() -> Config {
    Config { is_fail_stop: true, is_idempotent: true, max_outstanding: 5, ..Config::default() }
}

/// A sender that has written a record to partition 0, so that several batches may be under way.
fn rig(config: Config) -> Rig {
    let linger = config.linger;
    let mut rig = Rig::new(config);
    drop(rig.append(0, "first"));
    rig.advance(linger);
    rig.acknowledge_all();
    rig
}

fn send(rig: &mut Rig, values: &[&str]) -> Vec<Delivery> {
    values.iter().map(|value| rig.send(0, value)).collect()
}

fn queue(rig: &Rig) -> Arc<PartitionQueue> {
    rig.accumulator.queue(TOPIC, 0).unwrap()
}

fn is_stopped(delivery: &Delivery) -> bool {
    failure(delivery).kind() == DeliveryErrorKind::Stopped
}

#[test]
fn everything_behind_a_failed_record_fails_and_no_more_are_taken() {
    let mut rig = rig(config());
    let under_way = send(&mut rig, &["a", "b", "c", "d", "e"]);
    let queued = send(&mut rig, &["f", "g"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    assert_eq!(requests.len(), 5);
    let first = rig.world.append(1, &requests[0].batches[0]);

    // The second answer is there before the first has let the sixth batch go.
    for (request, reply) in [(&requests[0], first), (&requests[1], Reply::error(29))] {
        let answer = wire::produce(request.head, &rig.world, &[(TOPIC.to_owned(), 0, reply)], 0);
        rig.answer(request.connection, request.head, answer);
    }
    rig.settle();

    assert_eq!(offset(&under_way[0]), Some(1));
    assert!(!is_stopped(&under_way[1]));
    assert!(queued.iter().all(is_stopped));
    assert!(rig.try_append(TOPIC, 0, "refused").is_none());
    assert!(under_way[2..].iter().all(is_pending), "their fate is not known yet");
    for request in &requests[2..] {
        rig.acknowledge(request);
    }
    assert!(under_way[2..].iter().all(is_stopped));
    for delivery in under_way[1..].iter().chain(&queued) {
        assert_eq!(failure(delivery).persisted(), Persisted::No);
        assert!(failure(delivery).record().is_some());
    }
    assert_eq!(rig.world.log(0), ["first", "a"]);
    assert!(rig.received.is_empty() && rig.is_clean());
}

#[test]
fn resumed_partition_goes_on() {
    let mut rig = rig(config());
    let failed = send(&mut rig, &["a", "b"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    rig.reply(&requests[0], &Reply::error(29));

    assert!(queue(&rig).resume());
    assert!(!queue(&rig).resume(), "it is resumed already");
    let next = send(&mut rig, &["c", "d"]);
    rig.acknowledge(&requests[1]);
    rig.acknowledge_all();
    rig.advance(millis(100));
    rig.acknowledge_all();

    assert!(is_stopped(&failed[1]));
    assert_eq!([&next[0], &next[1]].map(offset), [Some(1), Some(2)]);
    assert_eq!(rig.world.log(0), ["first", "c", "d"]);
    assert!(rig.is_clean());
}

#[test]
fn other_partitions_are_not_touched() {
    let mut rig = rig(config());
    send(&mut rig, &["a"]).clear();
    let request = rig.request();
    rig.reply(&request, &Reply::error(29));

    let other = rig.send(2, "c");
    rig.acknowledge_all();

    assert_eq!(offset(&other), Some(0));
}

/// An older batch is not behind the failed one.
#[test]
fn older_batch_that_is_being_retried_goes_on() {
    let mut rig = rig(config());
    let deliveries = send(&mut rig, &["a", "b", "c"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    rig.reply(&requests[0], &Reply::error(19));

    rig.reply(&requests[1], &Reply::error(29));
    rig.acknowledge(&requests[2]);
    rig.advance(millis(100));
    rig.acknowledge_all();

    assert_eq!(offset(&deliveries[0]), Some(1));
    assert!(is_stopped(&deliveries[2]));
    assert_eq!(rig.world.log(0), ["first", "a"]);
}

/// Resumes a partition as soon as it is told of a failure.
struct Resume(Arc<PartitionQueue>);

impl Wake for Resume {
    fn wake(self: Arc<Self>) {
        self.0.resume();
    }
}

#[test]
fn partition_that_is_resumed_at_the_first_of_several_failures_stays_so() {
    let mut rig = rig(Config { retry_backoff: Duration::from_secs(5), ..config() });
    let mut deliveries = send(&mut rig, &["a", "b"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    for request in &requests {
        rig.reply(request, &Reply::error(7));
    }
    let waker = Arc::new(Resume(queue(&rig))).into();
    assert!(Pin::new(&mut deliveries[0]).poll(&mut Context::from_waker(&waker)).is_pending());

    move_to_another_cluster(&mut rig);
    rig.advance(millis(200));

    assert!(deliveries.iter().all(|delivery| failure(delivery).persisted() == Persisted::Maybe));
    assert!(!queue(&rig).is_stopped());
    assert!(rig.is_clean());
}

/// It could only be written out of order, so its failure is part of the same stop.
#[test]
fn older_batch_fails_together_with_a_younger_one_in_doubt() {
    let mut rig = rig(Config { retry_backoff: Duration::from_secs(5), ..config() });
    let deliveries = send(&mut rig, &["a", "b"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    rig.reply(&requests[0], &Reply::error(19));
    rig.reply(&requests[1], &Reply::error(7));

    move_to_another_cluster(&mut rig);
    rig.advance(millis(200));
    assert_eq!(failure(&deliveries[0]).persisted(), Persisted::No);
    assert_eq!(failure(&deliveries[1]).persisted(), Persisted::Maybe);
    assert!(queue(&rig).resume());
    let next = send(&mut rig, &["c", "d"]);
    for _ in 0..200 {
        rig.acknowledge_all();
        rig.advance(millis(50));
    }

    assert_eq!([&next[0], &next[1]].map(offset), [Some(0), Some(1)]);
    assert_eq!(rig.world.log(0), ["c", "d"]);
    assert!(rig.is_clean());
}

/// What may be in the log is said to be so: the failed record itself, and those behind it.
#[test]
fn batches_behind_one_that_may_be_written_settle_as_the_broker_says() {
    let mut rig = rig(config());
    let first = send(&mut rig, &["a"]);
    let behind = send(&mut rig, &["b", "c"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    let replies: Vec<_> = requests.iter().map(|request| rig.world.append(1, &request.batches[0])).collect();

    rig.reply(&requests[0], &Reply::error(-1));

    assert_eq!(failure(&first[0]).persisted(), Persisted::Maybe);
    rig.reply(&requests[1], &replies[1]);
    assert_eq!(offset(&behind[0]), Some(2), "the broker has it, so it has the one before too");
    rig.close(requests[2].connection, None);
    assert!(is_stopped(&behind[1]) && failure(&behind[1]).persisted() == Persisted::Maybe);
    assert!(rig.received.is_empty());
    rig.advance(millis(10_000));
    assert!(rig.received.is_empty() && rig.is_clean());
}

#[test]
fn expired_records_stop_the_partition_once() {
    let mut rig = rig(config());
    rig.world.lead(0, -1);
    rig.silent.insert(1);
    let connection = rig.connection_to(1);
    rig.close(connection, None);
    let deliveries = send(&mut rig, &["a", "b"]);
    rig.advance(millis(1000));
    let later = send(&mut rig, &["c"]);

    rig.advance(rig.config.delivery_timeout - millis(1000));

    assert!(matches!(failure(&deliveries[0]).kind(), DeliveryErrorKind::TimedOut(_)));
    assert!(!is_pending(&deliveries[1]) && !is_pending(&later[0]));
    assert!(queue(&rig).is_stopped());
    assert!(queue(&rig).resume());
    rig.advance(rig.config.delivery_timeout);
    assert!(!queue(&rig).is_stopped() && rig.is_clean());
}

/// A batch that an earlier failure has stopped expires together with one that was sent after the partition was resumed: the
/// failure of that one is new.
#[test]
fn failure_after_a_resume_stops_the_partition_whatever_fails_with_it() {
    let patient = Config { request_timeout: Duration::from_secs(200), ..config() };
    let mut rig = rig(patient);
    let before = send(&mut rig, &["a", "b"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    rig.reply(&requests[0], &Reply::error(29));
    assert!(queue(&rig).resume());
    let after = send(&mut rig, &["c"]);

    rig.advance(rig.config.delivery_timeout);

    assert_eq!(failure(&before[1]).persisted(), Persisted::Maybe);
    assert_eq!(failure(&after[0]).persisted(), Persisted::No);
    assert!(queue(&rig).is_stopped());
}

#[test]
fn purge_stops_a_partition_only_for_what_no_failure_has_stopped() {
    let purge_after_resume = |after: &[&str]| {
        let mut rig = rig(config());
        send(&mut rig, &["a", "b"]);
        let requests: Vec<_> = rig.received.drain(..).collect();
        rig.reply(&requests[0], &Reply::error(29));
        assert!(queue(&rig).resume());
        send(&mut rig, after);

        let mut purged = Vec::new();
        rig.core.purge(Purge::All, rig.now, &mut purged);

        assert_eq!(purged.len(), 1 + after.len());
        queue(&rig).is_stopped()
    };

    // A failure had stopped "b" already.
    assert!(!purge_after_resume(&[]));
    assert!(purge_after_resume(&["c"]));
}

#[test]
fn failing_piece_stops_those_behind_it() {
    let mut rig = rig(Config { linger: millis(5), ..config() });
    let deliveries: Vec<_> = ["a", "b", "c"].map(|value| rig.append(0, value)).into();
    rig.advance(millis(5));

    for _ in 0..10 {
        while let Some(request) = rig.received.pop_front() {
            if request.records().contains(&"b") {
                rig.reply(&request, &Reply::error(10));
            } else {
                rig.acknowledge(&request);
            }
        }
        rig.advance(millis(100));
    }

    assert_eq!(offset(&deliveries[0]), Some(1));
    assert!(!is_stopped(&deliveries[1]) && is_stopped(&deliveries[2]));
    assert_eq!(rig.world.log(0), ["first", "a"]);
}

#[test]
fn batch_with_records_that_are_refused_by_name_fails_as_a_whole() {
    let mut rig = rig(Config { linger: millis(5), ..config() });
    let deliveries: Vec<_> = ["a", "b", "c"].map(|value| rig.append(0, value)).into();
    rig.advance(millis(5));
    let request = rig.request();

    rig.reply(&request, &Reply { record_errors: vec![(1, Some("no key"))], ..Reply::error(87) });

    assert!(deliveries.iter().all(|delivery| failure(delivery).persisted() == Persisted::No));
    assert!(matches!(failure(&deliveries[0]).kind(), DeliveryErrorKind::BatchRefused { .. }));
    assert!(rig.received.is_empty() && rig.is_clean() && queue(&rig).is_stopped());
}

/// All epochs of the producer id are used up, and brokers give no other: what is queued fails, and what is under way behind
/// it must not be written any more.
#[test]
fn batch_that_gets_no_producer_id_stops_those_under_way_behind_it() {
    let mut rig = rig(Config { producer_epoch: i16::MAX, ..config() });
    rig.put(1, "needs another epoch");
    let request = rig.request();
    rig.reply(&request, &Reply::error(29));
    assert!(rig.accumulator.queue(TOPIC, 1).unwrap().resume());
    let deliveries = send(&mut rig, &["a", "b"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    rig.reply(&requests[0], &Reply::error(19));

    rig.producer_id_error = 31;
    let other = rig.send(1, "x");

    for delivery in [&deliveries[0], &other] {
        assert_eq!(failure(delivery).error_code(), Some(ErrorCode::ClusterAuthorizationFailed));
    }
    assert!(queue(&rig).is_stopped() && is_pending(&deliveries[1]));
    rig.acknowledge(&requests[1]);
    assert!(is_stopped(&deliveries[1]));
    rig.producer_id_error = 0;
    assert!(queue(&rig).resume());
    rig.advance(millis(5000));
    let next = rig.send(0, "c");
    rig.advance(millis(5000));
    rig.acknowledge_all();
    assert_eq!(offset(&next), Some(1));
    assert_eq!(rig.world.log(0), ["first", "c"]);
    assert!(rig.is_clean());
}

#[test]
fn records_before_a_culprit_without_a_name_are_written_and_those_behind_it_stop() {
    let mut rig = rig(Config { linger: millis(5), ..config() });
    let deliveries: Vec<_> = ["a", "b", "c", "d"].map(|value| rig.append(0, value)).into();
    rig.advance(millis(5));

    while let Some(request) = rig.received.pop_front() {
        if request.records().contains(&"c") {
            rig.reply(&request, &Reply::error(87));
        } else {
            rig.acknowledge(&request);
        }
    }

    assert_eq!([0, 1].map(|at| offset(&deliveries[at])), [Some(1), Some(2)]);
    assert_eq!(failure(&deliveries[2]).error_code(), Some(ErrorCode::InvalidRecord));
    assert!(is_stopped(&deliveries[3]));
    assert_eq!(rig.world.log(0), ["first", "a", "b"]);
    assert!(rig.is_clean() && queue(&rig).is_stopped());
}

/// Random answers, lost connections and bytes that arrive late.
struct Weather {
    rig: Rig,
    random: StdRng,
    /// By session, that is, between two calls of `resume`.
    sessions: Vec<Vec<(String, Delivery)>>,
    under_way: Vec<Received>,
    sent: usize,
}

impl Weather {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let is_idempotent = random.random_bool(0.7);
        let config = Config {
            is_idempotent,
            max_outstanding: if is_idempotent { 5 } else { 1 },
            retries: [3, i32::MAX.unsigned_abs()][random.random_range(0..2)],
            delivery_timeout: millis([1500, 6000][random.random_range(0..2)]),
            request_timeout: millis(500),
            retry_backoff: millis([0, 30][random.random_range(0..2)]),
            seed,
            ..config()
        };
        let mut rig = Rig::new(config);
        let first = ("0".to_owned(), rig.send(0, "0"));
        Self { rig, random, sessions: vec![vec![first]], under_way: Vec::new(), sent: 0 }
    }

    fn run(&mut self) {
        for step in 0..400 {
            let is_stormy = step < 300;
            if is_stormy && self.random.random_bool(0.6) {
                self.send();
            }
            self.under_way.extend(self.rig.received.drain(..));
            while !self.under_way.is_empty() && self.random.random_bool(0.7) {
                self.serve(is_stormy);
                self.under_way.extend(self.rig.received.drain(..));
            }
            if self.random.random_bool(0.1) && queue(&self.rig).resume() {
                self.sessions.push(Vec::new());
            }
            let by = self.random.random_range(1..100);
            self.rig.advance(millis(by));
        }
        while self.sessions.iter().flatten().any(|(_, delivery)| is_pending(delivery)) {
            self.under_way.extend(self.rig.received.drain(..));
            while !self.under_way.is_empty() {
                self.serve(false);
            }
            self.rig.advance(millis(50));
        }
    }

    fn send(&mut self) {
        self.sent += 1;
        let value = format!("{}", self.sent);
        if let Some(delivery) = self.rig.try_append(TOPIC, 0, &value) {
            self.sessions.last_mut().unwrap().push((value, delivery));
        }
        self.rig.settle();
    }

    /// The oldest request on some connection is dealt with; the connection may be gone by then.
    fn serve(&mut self, is_stormy: bool) {
        let any = self.random.random_range(0..self.under_way.len());
        let connection = self.under_way[any].connection;
        let oldest = self.under_way.iter().position(|request| request.connection == connection);
        let request = self.under_way.remove(oldest.unwrap());
        let batch = &request.batches[0];
        let reply = match if is_stormy { self.random.random_range(0..30) } else { 99 } {
            0 => return self.rig.close(request.connection, None),
            1 => {
                self.rig.world.append(request.node, batch);
                return self.rig.close(request.connection, None);
            }
            // Never answered.
            2 => return,
            3 => Reply::error([29, 17, 42][self.random.random_range(0..3)]),
            4..8 => Reply::error([2, 19, 5][self.random.random_range(0..3)]),
            8 => Reply { record_errors: vec![(0, None)], ..Reply::error(87) },
            9 => Reply::error(10),
            10 => {
                self.rig.world.append(request.node, batch);
                Reply::error([-1, 6, 7, 20][self.random.random_range(0..4)])
            }
            _ => self.rig.world.append(request.node, batch),
        };
        let answer = wire::produce(request.head, &self.rig.world, &[(TOPIC.to_owned(), 0, reply)], 0);
        self.rig.answer(request.connection, request.head, answer);
        self.rig.settle();
    }

    fn check(&mut self) {
        let log = self.rig.world.log(0);
        let mut last_offset = -1;
        for session in &self.sessions {
            let mut failed = None;
            for (value, delivery) in session {
                match delivery.try_result().unwrap() {
                    Ok(metadata) => {
                        assert_eq!(failed, None, "{value} was written behind it");
                        let offset = metadata.offset().unwrap();
                        assert_eq!(&log[usize::try_from(offset).unwrap()], value);
                        assert!(offset > last_offset, "{value} was written out of order");
                        last_offset = offset;
                    }
                    Err(error) if error.persisted() == Persisted::No => {
                        assert!(!log.contains(value), "{value} was written");
                        failed = failed.or(Some(value));
                    }
                    Err(error) => assert_eq!(error.record().unwrap().value.unwrap(), value.as_bytes()),
                }
            }
        }
        if self.rig.config.is_idempotent {
            let numbers: Vec<usize> = log.iter().map(|value| value.parse().unwrap()).collect();
            assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len(), "doubled: {numbers:?}");
            assert!(numbers.is_sorted(), "out of order: {numbers:?}");
        }
        self.rig.advance(millis(10_000));
        assert!(self.rig.is_clean());
    }
}

/// Between two acknowledgements of a failure, what is written of the accepted records has no gap, those aside whose fate
/// the producer cannot know. A failure names its seed.
#[test]
fn log_holds_no_gap_whatever_goes_wrong() {
    let mut stops = 0;
    for seed in 0..60 {
        let run = std::panic::catch_unwind(|| {
            let mut weather = Weather::new(seed);
            weather.run();
            weather.check();
            weather.sessions.len() - 1
        });
        match run {
            Ok(stopped) => stops += stopped,
            Err(_) => panic!("seed {seed}"),
        }
    }
    assert!(stops > 60, "{stops} stops in all");
}
