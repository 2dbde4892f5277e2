//! Measuring a run, and the line of JSON that tells of it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::options::{Mode, Options};
use crate::usage::{self, Usage};

/// A run under way.
#[derive(Debug)]
pub struct Run {
    client: &'static str,
    started: Instant,
    before: Usage,
    latencies: Latencies,
}

/// Latencies in nanoseconds.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    fn new() -> Self {
        Self(Histogram::new_with_max(60_000_000_000, 3).expect("the bounds are constants within its limits"))
    }

    pub fn add(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    /// Starts the clocks. The client is connected and knows the topic by now.
    #[must_use]
    pub fn start(client: &'static str) -> Self {
        Self { client, started: Instant::now(), before: Usage::now(), latencies: Latencies::new() }
    }

    pub fn latency(&mut self, latency: Duration) {
        self.latencies.add(latency);
    }

    pub fn latencies(&mut self, latencies: &Latencies) {
        self.latencies.merge(latencies);
    }

    /// Stops the clocks and prints the line. `extra` is further members, each with a comma before it.
    pub fn finish(self, records: u64, failed: u64, extra: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let used = Usage::now().since(self.before);
        let each = |duration: Duration| duration.as_secs_f64() * 1e6 / records.max(1) as f64;
        let quantile = |quantile| self.latencies.0.value_at_quantile(quantile) as f64 / 1e3;
        println!(
            "{{\"client\":\"{}\",\"records\":{records},\"failed\":{failed},\"seconds\":{seconds:.4},\
             \"rate\":{:.0},\"cpu_us\":{:.4},\"user_us\":{:.4},\"sys_us\":{:.4},\"peak_rss\":{},\
             \"samples\":{},\"p50_us\":{:.1},\"p95_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\
             \"voluntary_switches\":{},\"involuntary_switches\":{}{extra}}}",
            self.client,
            records as f64 / seconds,
            each(used.cpu()),
            each(used.user),
            each(used.system),
            usage::peak_resident(),
            self.latencies.0.len(),
            quantile(0.50),
            quantile(0.95),
            quantile(0.99),
            quantile(0.999),
            used.voluntary_switches,
            used.involuntary_switches,
        );
    }
}

/// Which records are timed: all in lone mode, and one of so many otherwise, so that the clock is not what is measured. A
/// prime, so as not to time the same place of every batch.
#[must_use]
pub fn timed_one_of(options: &Options) -> u64 {
    if options.mode == Mode::Lone { 1 } else { 101 }
}

/// The values of all records, made before the clocks start: several of them, so that compression has something to find
/// between records and yet not the same record over and over.
#[must_use]
pub fn payloads(options: &Options) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        // Xorshift: the same values in every program and every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let count = if options.size <= 1024 { 1024 } else { 64 };
    let mut payload = || {
        let mut bytes = Vec::with_capacity(options.size + 16);
        while bytes.len() < options.size {
            if options.payload == "random" {
                bytes.extend(random().to_le_bytes());
            } else {
                let word = WORDS[(random() % WORDS.len() as u64) as usize];
                bytes.extend(word.as_bytes());
                bytes.extend(format!("{:04x} ", random() & 0xffff).as_bytes());
            }
        }
        bytes.truncate(options.size);
        bytes
    };
    (0..count).map(|_| payload()).collect()
}

const WORDS: [&str; 16] = [
    "level=info ",
    "user=",
    "status=200 ",
    "path=/api/orders/",
    "latency=",
    "customer-",
    "region=eu-west ",
    "GET ",
    "POST ",
    "session=",
    "trace=",
    "span=",
    "apples ",
    "pears ",
    "quantity=",
    "warehouse ",
];
