//! What programs have in common in which two consumers of a group share the records of a topic.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, Instant};

/// What is sent, what has been read, and by whom.
#[derive(Debug)]
pub struct Sharing {
    pub bootstrap: String,
    pub topic: String,
    pub group: String,
    records: usize,
    values: Vec<String>,
    assigned: [BTreeSet<i32>; 2],
    began: Instant,
}

impl Sharing {
    /// Reads the arguments of this process: BOOTSTRAP TOPIC GROUP RECORDS.
    pub fn of_process() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let [bootstrap, topic, group, records] = <[String; 4]>::try_from(arguments)
            .map_err(|_| "these are needed: BOOTSTRAP TOPIC GROUP RECORDS")?;
        Ok(Self {
            bootstrap,
            topic,
            group,
            records: records.parse()?,
            values: Vec::new(),
            assigned: [BTreeSet::new(), BTreeSet::new()],
            began: Instant::now(),
        })
    }

    /// The records to send, once both members have partitions.
    pub fn values(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.records).map(|number| format!("value {number}"))
    }

    pub fn take(&mut self, value: &[u8]) {
        self.values.push(String::from_utf8_lossy(value).into_owned());
    }

    pub fn assign(&mut self, member: usize, partitions: impl IntoIterator<Item = i32>) {
        if let Some(assigned) = self.assigned.get_mut(member) {
            *assigned = partitions.into_iter().collect();
        }
    }

    /// Whether each member has partitions of its own. Fails if all this takes too long.
    pub fn are_both_ready(&self) -> Result<bool, String> {
        self.check_time()?;
        let [first, second] = &self.assigned;
        Ok(!first.is_empty() && !second.is_empty() && first.is_disjoint(second))
    }

    /// Whether as many records have come as were sent. Fails if all this takes too long.
    pub fn is_over(&self) -> Result<bool, String> {
        self.check_time()?;
        Ok(self.values.len() >= self.records)
    }

    /// Compares what was read, and the offsets that the group has committed, with what was sent.
    pub fn finish(mut self, client: &str, committed: impl IntoIterator<Item = i64>) -> Result<(), String> {
        let mut sent: Vec<_> = self.values().collect();
        sent.sort();
        self.values.sort();
        if self.values != sent {
            return Err("what was read is not what was sent".to_owned());
        }
        let committed: i64 = committed.into_iter().map(|offset| offset.max(0)).sum();
        if usize::try_from(committed) != Ok(self.records) {
            return Err(format!("offsets of {committed} records are committed, not of {}", self.records));
        }
        println!("{client}: two members shared {} records and committed them", self.records);
        Ok(())
    }

    fn check_time(&self) -> Result<(), String> {
        if self.began.elapsed() < LIMIT {
            return Ok(());
        }
        let (read, records) = (self.values.len(), self.records);
        Err(format!("{read} of {records} records came; partitions: {:?}", self.assigned))
    }
}

const LIMIT: Duration = Duration::from_secs(60);
