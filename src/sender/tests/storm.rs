//! Random faults in random order: whatever happens, nothing is lost, doubled, reordered or left hanging.
//!
//! A run is decided by its seed alone; a failure names it. `STORM_SEEDS=17` or `STORM_SEEDS=0..5000` runs others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::bench::{Bench, Config, Received, millis};
use super::wire::{self, Batch, Reply};
use super::world::TOPIC;
use crate::config::Compression;
use crate::delivery::Delivery;
use crate::error::Persisted;
use crate::network::{ConnectionId, Frame};

const PARTITIONS: i32 = 4;
/// Callers send until then, and things go wrong until then.
const STORM: Duration = Duration::from_secs(4);

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    /// A caller sends some records.
    Burst,
    Fault,
    /// A broker comes to a request. Even if the connection is gone by then, it has the bytes.
    Process(Received),
    Seal,
    Write(ConnectionId, Frame),
}

struct Storm {
    bench: Bench,
    random: StdRng,
    happenings: BTreeMap<(Instant, u64), Happening>,
    next: u64,
    end: Instant,
    /// The largest batch that brokers take.
    max_batch: usize,
    fault_rate: f64,
    /// In order of sending, with partition and value.
    sent: Vec<(i32, String, Delivery)>,
    /// Times that the sender woke up by itself.
    timeouts: usize,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let config = config(seed, &mut random);
        let mut bench = Bench::new(config);
        bench.writes = false;
        let end = bench.now + STORM;
        let max_batch = if random.random_bool(0.3) { 500 } else { usize::MAX };
        let fault_rate = [0.0, 0.05, 0.3][random.random_range(0..3)];
        let happenings = BTreeMap::new();
        let mut storm = Self {
            bench,
            random,
            happenings,
            next: 0,
            end,
            max_batch,
            fault_rate,
            sent: Vec::new(),
            timeouts: 0,
        };
        storm.after(0..1, Happening::Burst);
        storm.after(0..200, Happening::Fault);
        storm
    }

    fn is_over(&self) -> bool {
        self.bench.now >= self.end
    }

    fn after(&mut self, delay_ms: Range<u64>, happening: Happening) {
        let at = self.bench.now + millis(self.random.random_range(delay_ms));
        self.next += 1;
        self.happenings.insert((at, self.next), happening);
    }

    /// Once all is well again, so is everything that is sent then.
    fn send_after_the_storm(&mut self) {
        for partition in 0..PARTITIONS {
            let value = format!("{}:", self.sent.len());
            let delivery = self.bench.append(partition, &value);
            self.sent.push((partition, value, delivery));
        }
        self.run();
        for (partition, _, delivery) in self.sent.iter().rev().take(PARTITIONS as usize) {
            let result = delivery.try_result().unwrap();
            assert!(result.is_ok(), "partition {partition} does not recover: {result:?}");
        }
    }

    fn run(&mut self) {
        let give_up = self.bench.now.max(self.end)
            + self.bench.config.delivery_timeout
            + 3 * self.bench.config.request_timeout;
        loop {
            self.bench.settle();
            self.collect();
            let wake =
                self.bench.core.poll_timeout(self.bench.now).map(|at| at.max(self.bench.now + millis(1)));
            let next = self.happenings.keys().next().map(|(at, _)| *at);
            if self.is_over()
                && next.is_none()
                && self.sent.iter().all(|(.., delivery)| delivery.try_result().is_some())
            {
                return;
            }
            let at = [wake, next].into_iter().flatten().min().expect("somebody wants to go on");
            assert!(at <= give_up, "records are left hanging");
            self.timeouts += usize::from(next.is_none_or(|next| at < next));
            self.bench.now = at;
            while let Some(entry) = self.happenings.first_entry().filter(|entry| entry.key().0 <= at) {
                let happening = entry.remove();
                self.happen(happening);
            }
        }
    }

    /// Schedules what the sender has set going.
    fn collect(&mut self) {
        while let Some((connection, frame)) = self.bench.unwritten.pop_front() {
            self.after(0..3, Happening::Write(connection, frame));
        }
        while let Some(received) = self.bench.received.pop_front() {
            let latency = if self.is_fault() { 0..3000 } else { 1..20 };
            self.after(latency, Happening::Process(received));
        }
        if !self.bench.seal_jobs.is_empty() {
            self.after(0..10, Happening::Seal);
        }
    }

    fn is_fault(&mut self) -> bool {
        !self.is_over() && self.random.random_bool(self.fault_rate)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Burst => self.burst(),
            Happening::Fault => self.fault(),
            Happening::Process(received) => self.process(&received),
            Happening::Seal => {
                for job in std::mem::take(&mut self.bench.seal_jobs) {
                    self.bench.accumulator.seal(job);
                }
            }
            Happening::Write(connection, frame) => self.bench.write(connection, frame),
        }
    }

    fn burst(&mut self) {
        for _ in 0..self.random.random_range(1..12) {
            let partition = self.random.random_range(0..PARTITIONS);
            let len = self.random.random_range(0..300);
            let value = format!("{}:{}", self.sent.len(), "x".repeat(len));
            if let Some(delivery) = self.bench.try_append(TOPIC, partition, &value) {
                self.sent.push((partition, value, delivery));
            }
        }
        if !self.is_over() {
            self.after(1..60, Happening::Burst);
        }
    }

    /// Something happens to the cluster; all is well again at the end.
    fn fault(&mut self) {
        if self.is_over() {
            self.bench.heal();
            for partition in 0..PARTITIONS {
                let leader = self.random.random_range(1..=2);
                self.bench.world.lead(partition, leader);
            }
            return;
        }
        let (node, partition) = (self.random.random_range(1..=2), self.random.random_range(0..PARTITIONS));
        match self.random.random_range(0..9) {
            0 => drop(self.bench.down.insert(node)),
            1 => drop(self.bench.silent.insert(node)),
            2 | 3 => self.bench.heal(),
            4 => self.bench.world.lead(partition, node),
            5 => self.bench.world.lead(partition, -1),
            6 => self.bench.world.restart_leader(partition),
            _ => {
                let connections: Vec<_> = self.bench.connections.keys().copied().collect();
                if !connections.is_empty() {
                    let connection = connections[self.random.random_range(0..connections.len())];
                    self.lose(connection);
                }
            }
        }
        let rest = self.end - self.bench.now;
        let next = if self.fault_rate > 0.0 { 1..400 } else { 100_000..100_001 };
        let next = next.start.min(rest.as_millis() as u64)..next.end.min(rest.as_millis() as u64 + 2);
        self.after(next, Happening::Fault);
    }

    /// Breaks a connection. What was scheduled to be written to it is not.
    fn lose(&mut self, connection: ConnectionId) {
        let unwritten = self.happenings.values().filter_map(|happening| match happening {
            Happening::Write(other, frame) if *other == connection => Some(frame.correlation_id),
            _ => None,
        });
        let first_unsent = unwritten.min();
        self.happenings
            .retain(|_, happening| !matches!(happening, Happening::Write(other, _) if *other == connection));
        self.bench.close(connection, first_unsent);
    }

    fn process(&mut self, request: &Received) {
        if request.acks == 0 {
            for batch in &request.batches {
                self.bench.world.append(request.node, batch);
            }
            return;
        }
        match if self.is_fault() { self.random.random_range(0..8) } else { 99 } {
            0 => return self.lose(request.connection),
            1 => {
                self.reply(request);
                return self.lose(request.connection);
            }
            // Never answered: the client must give the connection up.
            2 => return,
            3 => {
                self.bench.frame(request.connection, wire::garbage(request.head));
                return;
            }
            _ => {}
        }
        let mut replies = self.reply(request);
        if self.is_fault() {
            let left_out = self.random.random_range(0..replies.len());
            replies.remove(left_out);
        }
        let throttle = if self.is_fault() { self.random.random_range(0..300) } else { 0 };
        let answer = wire::produce(request.head, &self.bench.world, &replies, throttle);
        self.bench.answer(request.connection, request.head, answer);
    }

    fn reply(&mut self, request: &Received) -> Vec<(String, i32, Reply)> {
        let batches = request.batches.iter();
        batches
            .map(|batch| (batch.topic.clone(), batch.partition, self.reply_to(request.node, batch)))
            .collect()
    }

    fn reply_to(&mut self, node: i32, batch: &Batch) -> Reply {
        if batch.len > self.max_batch {
            return Reply::error(10);
        }
        if self.is_fault() {
            let refusals = [2, 3, 5, 19, 29, 74, 87, 89];
            return Reply::error(refusals[self.random.random_range(0..refusals.len())]);
        }
        let reply = self.bench.world.append(node, batch);
        match reply.code {
            6 => {
                let partition = self.bench.world.partition(TOPIC, batch.partition).unwrap();
                let hint = (partition.leader, partition.epoch);
                if self.random.random_bool(0.5) { Reply::led_by(hint.0, hint.1) } else { reply }
            }
            0 if self.is_fault() => {
                // Appended, and yet the answer is an error.
                let doubts = [-1, 6, 7, 20, 56];
                Reply::error(doubts[self.random.random_range(0..doubts.len())])
            }
            _ => reply,
        }
    }

    fn check(&mut self) {
        for partition in 0..PARTITIONS {
            self.check_partition(partition);
        }
        self.bench.settle();
        assert!(self.bench.is_clean(), "memory or batches are left over");
        let seconds = usize::try_from((self.bench.now - self.end + STORM).as_secs()).unwrap() + 1;
        assert!(self.timeouts <= 300 * seconds, "{} wake-ups in {seconds} seconds", self.timeouts);
        assert!(self.bench.core.timers() <= PARTITIONS as usize);
    }

    fn check_partition(&mut self, partition: i32) {
        let log = self.bench.world.log(partition);
        let mut last_offset = -1;
        let acks = self.bench.config.acks;
        for (_, value, delivery) in self.sent.iter().filter(|(other, ..)| *other == partition) {
            match delivery.try_result().unwrap() {
                Ok(metadata) if acks != 0 => {
                    let offset = metadata.offset().expect("brokers tell the offset");
                    assert_eq!(&log[usize::try_from(offset).unwrap()], value, "acknowledged elsewhere");
                    assert!(offset > last_offset, "{value} was written before its predecessor");
                    last_offset = offset;
                }
                Ok(_) => {}
                Err(error) if error.persisted() == Persisted::No => {
                    assert!(!log.contains(value), "{value} was written: {error:?}");
                }
                Err(error) => {
                    assert_eq!(error.record().unwrap().value.unwrap(), value.as_bytes());
                }
            }
        }
        if self.bench.config.is_idempotent {
            let numbers: Vec<usize> =
                log.iter().map(|value| value.split_once(':').unwrap().0.parse().unwrap()).collect();
            let doubles = numbers.len() - numbers.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(doubles, 0, "written twice: {numbers:?}");
            assert!(numbers.is_sorted(), "written out of order: {numbers:?}");
        }
    }
}

fn config(seed: u64, random: &mut StdRng) -> Config {
    let is_idempotent = random.random_bool(0.5);
    let acks = if is_idempotent { -1 } else { [-1, 1, 0][random.random_range(0..3)] };
    let retries = if is_idempotent || random.random_bool(0.7) { i32::MAX.unsigned_abs() } else { 3 };
    let max_in_flight = random.random_range(1..=5);
    Config {
        acks,
        linger: millis([0, 5, 50][random.random_range(0..3)]),
        spares_awaited: false,
        delivery_timeout: millis([2500, 10_000][random.random_range(0..2)]),
        request_timeout: millis([500, 2000][random.random_range(0..2)]),
        retries,
        retry_backoff: millis([0, 20, 100][random.random_range(0..3)]),
        retry_backoff_max: None,
        is_idempotent,
        is_fail_stop: false,
        max_outstanding: if is_idempotent {
            max_in_flight
        } else if acks == 0 {
            usize::MAX
        } else {
            1
        },
        max_in_flight,
        max_request_size: [1000, 100_000][random.random_range(0..2)],
        batch_size: 1000,
        buffer_memory: [6000, 30_000][random.random_range(0..2)],
        compression: [Compression::None, Compression::Lz4][random.random_range(0..2)],
        produce_versions: (3, random.random_range(3..=13)),
        seals: random.random_bool(0.5),
        seed,
    }
}

fn seeds() -> Range<u64> {
    let Ok(wanted) = std::env::var("STORM_SEEDS") else { return 0..120 };
    let (first, end) = wanted.split_once("..").unwrap_or((&wanted, ""));
    let first = first.parse().unwrap();
    first..end.parse().unwrap_or(first + 1)
}

#[test]
fn nothing_is_lost_doubled_or_reordered_in_any_storm() {
    let mut failed = Vec::new();
    for seed in seeds() {
        let run = std::panic::catch_unwind(|| {
            let mut storm = Storm::new(seed);
            storm.run();
            storm.send_after_the_storm();
            storm.check();
        });
        if run.is_err() {
            eprintln!("^ seed {seed}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "STORM_SEEDS={}: {failed:?}", failed[0]);
}
