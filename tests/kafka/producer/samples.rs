//! Records of every kind, from a seed.

use bytes::Bytes;
use kafka_producer::HeaderValue;
use kafka_producer::ProducerRecord;
use rand::Rng;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// The largest value, in bytes.
const LARGEST: usize = 100 * 1024;

/// An endless mixture of records for one topic.
#[derive(Debug)]
pub(crate) struct Samples {
    random: StdRng,
    topic: String,
    partitions: i32,
    /// Explicit timestamps are between 1970 and this.
    now: i64,
}

impl Samples {
    pub(crate) fn new(seed: u64, topic: &str, partitions: i32, now: i64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), topic: topic.to_owned(), partitions, now }
    }

    fn record(&mut self) -> ProducerRecord {
        let mut record = ProducerRecord::to(self.topic.clone());
        record.key = self.key();
        record.value = self.value();
        if self.random.random_ratio(1, 3) {
            record = record.partition(self.random.random_range(0..self.partitions));
        }
        if self.random.random_ratio(1, 2) {
            record = record.timestamp(self.timestamp());
        }
        self.add_headers(record)
    }

    fn key(&mut self) -> Option<Bytes> {
        match self.random.random_range(0..5) {
            0 | 1 => None,
            2 => Some(Bytes::new()),
            3 => Some(Bytes::from(format!("key {} ö", self.random.random_range(0..500)))),
            _ => Some(self.noise(64)),
        }
    }

    fn value(&mut self) -> Option<Bytes> {
        match self.random.random_range(0..200) {
            0..20 => None,
            20..40 => Some(Bytes::new()),
            40 => Some(self.noise(LARGEST)),
            41 => Some(Bytes::from("compresses well ".repeat(self.random.random_range(0..LARGEST / 16)))),
            42..120 => Some(self.noise(300)),
            _ => Some(Bytes::from(format!("value {}", self.random.random::<u64>()))),
        }
    }

    fn timestamp(&mut self) -> i64 {
        match self.random.random_range(0..10) {
            0 => 0,
            1 => self.random.random_range(0..=self.now),
            _ => self.now - self.random.random_range(0..10_000),
        }
    }

    fn add_headers(&mut self, record: ProducerRecord) -> ProducerRecord {
        match self.random.random_range(0..8) {
            0 => record.header("one", "value"),
            1 => record
                .header("same", "1")
                .header("other ü", self.noise(40))
                .header("same", "2")
                .header("same", "2"),
            2 => record.header("null", HeaderValue::NULL).header("empty", "").header("", "no name"),
            3 => (0..20).fold(record, |record, i| record.header(format!("h{i}"), self.noise(300))),
            _ => record,
        }
    }

    /// Random bytes, from none to `limit`.
    fn noise(&mut self, limit: usize) -> Bytes {
        let mut noise = vec![0; self.random.random_range(0..=limit)];
        self.random.fill_bytes(&mut noise);
        Bytes::from(noise)
    }
}

impl Iterator for Samples {
    type Item = ProducerRecord;

    fn next(&mut self) -> Option<ProducerRecord> {
        Some(self.record())
    }
}
