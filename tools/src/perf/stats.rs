//! Counts and latencies, and the lines in which Kafka's tool shows them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// What happened since a point in time.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Instant,
    records: u64,
    bytes: u64,
    /// In microseconds; a record that stands for others counts as often.
    latencies: Histogram<u64>,
    latency_sum: u64,
    latency_max: u64,
}

impl Stats {
    pub(crate) fn new(started: Instant) -> Self {
        let latencies = Histogram::new_with_max(LONGEST, 3);
        Self {
            started,
            records: 0,
            bytes: 0,
            latencies: latencies.expect("bounds and digits are constants within the histogram's limits"),
            latency_sum: 0,
            latency_max: 0,
        }
    }

    fn add(&mut self, settled: &Settled) {
        self.records += settled.records;
        self.bytes += settled.bytes;
        for sample in &settled.samples {
            self.latencies.saturating_record_n(sample.latency, sample.weight);
            self.latency_sum += sample.latency * sample.weight;
            self.latency_max = self.latency_max.max(sample.latency);
        }
    }

    /// `2000000 records sent, 812345.6 records/sec (77.47 MB/sec), 1.234 ms avg latency, 9.876 ms max latency`
    pub(crate) fn line(&self, what: &str, now: Instant) -> String {
        let seconds = now.duration_since(self.started).as_secs_f64().max(f64::MIN_POSITIVE);
        format!(
            "{} {what} sent, {:.1} records/sec ({:.2} MB/sec), {} avg latency, {} max latency",
            self.records,
            self.records as f64 / seconds,
            self.bytes as f64 / seconds / (1024.0 * 1024.0),
            Milliseconds(self.latency_sum.checked_div(self.latencies.len()).unwrap_or(0)),
            Milliseconds(self.latency_max),
        )
    }

    /// Returns what the closing line tells, as a JSON object.
    pub(crate) fn json(&self, now: Instant) -> String {
        let seconds = now.duration_since(self.started).as_secs_f64().max(f64::MIN_POSITIVE);
        let millis = |micros: u64| micros as f64 / 1e3;
        let quantile = |quantile| millis(self.latencies.value_at_quantile(quantile).min(self.latency_max));
        format!(
            "{{\"records\":{},\"bytes\":{},\"seconds\":{seconds},\"records_per_second\":{},\"latency_ms\":{{\"avg\":{},\"max\":{},\
             \"p50\":{},\"p95\":{},\"p99\":{},\"p99.9\":{}}}}}",
            self.records,
            self.bytes,
            self.records as f64 / seconds,
            millis(self.latency_sum.checked_div(self.latencies.len()).unwrap_or(0)),
            millis(self.latency_max),
            quantile(0.50),
            quantile(0.95),
            quantile(0.99),
            quantile(0.999),
        )
    }

    /// The same with percentiles.
    pub(crate) fn closing_line(&self, what: &str, now: Instant) -> String {
        let quantile = |quantile| {
            // A bucket's upper end may lie above the longest latency in it.
            Milliseconds(self.latencies.value_at_quantile(quantile).min(self.latency_max))
        };
        format!(
            "{}, {} 50th, {} 95th, {} 99th, {} 99.9th.",
            self.line(what, now),
            quantile(0.50),
            quantile(0.95),
            quantile(0.99),
            quantile(0.999),
        )
    }
}

/// Longer latencies count as this one.
const LONGEST: u64 = 3_600_000_000;

/// Microseconds, printed as milliseconds.
struct Milliseconds(u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0 / 1000, self.0 % 1000)
    }
}

/// Records that were settled together.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    records: u64,
    bytes: u64,
    samples: Vec<Sample>,
    errors: Vec<(String, String)>,
}

/// The latency of one record.
#[derive(Debug)]
struct Sample {
    /// Microseconds.
    latency: u64,
    /// How many records it stands for.
    weight: u64,
}

impl Settled {
    pub(crate) fn delivered(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
    }

    pub(crate) fn timed(&mut self, latency: Duration, weight: u64) {
        let latency = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        self.samples.push(Sample { latency: latency.min(LONGEST), weight });
    }

    /// Errors of one kind are counted together; the texts of two may differ in times and places.
    pub(crate) fn failed(&mut self, kind: String, text: String) {
        self.errors.push((kind, text));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0 && self.errors.is_empty()
    }

    fn clear(&mut self) {
        self.records = 0;
        self.bytes = 0;
        self.samples.clear();
        self.errors.clear();
    }
}

/// Everything that is reported, shared by all tasks.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) total: Stats,
    /// Since the last intermediate line.
    window: Stats,
    /// `Some` once the records of the warm-up are settled.
    pub(crate) steady: Option<Stats>,
    warmup_records: u64,
    timed: u64,
    failed: u64,
    /// How often each kind of error came, for the first so many kinds, and the text of the first.
    errors: BTreeMap<String, (u64, String)>,
}

impl Report {
    pub(crate) fn new(started: Instant, warmup_records: u64) -> Self {
        Self {
            total: Stats::new(started),
            window: Stats::new(started),
            steady: None,
            warmup_records,
            timed: 0,
            failed: 0,
            errors: BTreeMap::new(),
        }
    }

    /// Takes in what was settled and leaves `settled` empty.
    pub(crate) fn take(&mut self, settled: &mut Settled, now: Instant) {
        self.total.add(settled);
        self.window.add(settled);
        self.timed += settled.samples.len() as u64;
        if let Some(steady) = &mut self.steady {
            steady.add(settled);
        } else if self.warmup_records > 0 && self.total.records >= self.warmup_records {
            self.steady = Some(Stats::new(now));
        }
        self.failed += settled.errors.len() as u64;
        for (kind, text) in settled.errors.drain(..) {
            let is_room = self.errors.len() < KINDS_OF_ERRORS || self.errors.contains_key(&kind);
            let kind = if is_room { kind } else { OTHERS.to_owned() };
            self.errors.entry(kind).or_insert((0, text)).0 += 1;
        }
        settled.clear();
    }

    /// Ends the window and returns its line.
    pub(crate) fn window_line(&mut self, now: Instant) -> String {
        let line = self.window.line("records", now);
        self.window = Stats::new(now);
        line + "."
    }

    pub(crate) fn settled_records(&self) -> u64 {
        self.total.records + self.failed
    }

    /// How many latencies were taken, if not one for each record.
    pub(crate) fn sample(&self) -> Option<(u64, u64)> {
        (self.timed < self.total.records).then_some((self.timed, self.total.records))
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns a line for each kind of error.
    pub(crate) fn error_lines(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|(kind, (count, text))| format!("{count} x {kind}; the first: {text}"))
    }
}

/// More would scroll away what matters.
const KINDS_OF_ERRORS: usize = 10;
const OTHERS: &str = "other errors";
