//! How far the results go that count: the last committed position of a source.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest};
use kafka_protocol::records::{Record, RecordBatchDecoder};

use crate::brokers::{Failure, ask, leader, name};

/// The topic with the positions, which has one partition and `cleanup.policy=compact`. The key of a record is the name of a source.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Brokers to ask.
    pub servers: String,
    /// The topic.
    pub topic: String,
}

const FETCH_VERSION: i16 = 4;
const READ_COMMITTED: i8 = 1;
const MAX_BYTES: i32 = 1 << 20;
const PAUSE: Duration = Duration::from_millis(50);
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What was read so far.
#[derive(Debug, Default)]
struct Reading {
    /// Where the next record is.
    offset: i64,
    /// The end of the log when the reading began.
    end: Option<i64>,
    position: Option<u64>,
}

impl Progress {
    /// Returns the last position of a source that was committed, or `None`.
    ///
    /// It reads to the end of the log, and waits for transactions of others that are open there: what this source has committed after their
    /// beginning is hidden until they end. Take the transactional id before, so that the position cannot change any more.
    ///
    /// # Errors
    ///
    /// A position that is no number, and what brokers say that another attempt does not mend.
    pub async fn position(&self, source: &str) -> Result<Option<u64>, Failure> {
        let mut reading = Reading::default();
        while reading.end.is_none_or(|end| reading.offset < end) {
            let before = reading.offset;
            match self.fetch(reading.offset).await {
                Ok(found) if found.error_code == 1 => return Err("the topic lacks its beginning".into()),
                Ok(found) if found.error_code == 0 => reading.take(found, source)?,
                // The leader moves.
                Ok(found) => self.tell(format!("error {}", found.error_code)).await,
                Err(error) => self.tell(error.to_string()).await,
            }
            if reading.offset == before {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(reading.position)
    }

    async fn tell(&self, trouble: String) {
        eprintln!("the position in {} is not known yet: {trouble}", self.topic);
        tokio::time::sleep(AFTER_FAILURE).await;
    }

    async fn fetch(&self, offset: i64) -> Result<PartitionData, Failure> {
        let leader = leader(&self.servers, &self.topic).await?;
        let partition =
            FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(MAX_BYTES);
        let topic = FetchTopic::default().with_topic(name(&self.topic)).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_bytes(MAX_BYTES)
            .with_isolation_level(READ_COMMITTED)
            .with_topics(vec![topic]);
        let response = ask(&leader, FETCH_VERSION, &request).await?;
        let found = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        found.ok_or_else(|| "the broker says nothing of the partition".into())
    }
}

impl Reading {
    fn take(&mut self, found: PartitionData, source: &str) -> Result<(), Failure> {
        self.end.get_or_insert(found.high_watermark);
        // Producers whose records do not count, and from where on.
        let aborted = found.aborted_transactions.unwrap_or_default();
        let mut aborted: Vec<_> = aborted.iter().map(|it| (it.first_offset, it.producer_id.0)).collect();
        aborted.sort_unstable();
        let mut aborted = aborted.into_iter().peekable();
        let mut open = HashMap::new();
        let mut batches = found.records.unwrap_or_default();
        while let Some(last) = last_offset(&batches) {
            let records = RecordBatchDecoder::decode(&mut batches)?.records;
            for record in records.into_iter().filter(|record| record.offset >= self.offset) {
                while let Some((first, producer)) = aborted.next_if(|(first, _)| *first <= record.offset) {
                    open.insert(producer, first);
                }
                if record.control {
                    open.remove(&record.producer_id);
                } else if !open.contains_key(&record.producer_id) && key(&record) == source.as_bytes() {
                    let value = record.value.unwrap_or_default();
                    self.position = Some(std::str::from_utf8(&value)?.parse()?);
                }
            }
            self.offset = last + 1;
        }
        Ok(())
    }
}

/// Returns the offset of the last record of the first batch, even if compaction has removed it. `None` if the batch is not whole.
fn last_offset(mut batches: &[u8]) -> Option<i64> {
    let offset = batches.try_get_i64().ok()?;
    let length = usize::try_from(batches.try_get_i32().ok()?).ok()?;
    let batch = batches.get(..length)?;
    // Behind the epoch of the leader, the version, the checksum and the attributes.
    Some(offset + i64::from(batch.get(11..)?.try_get_i32().ok()?))
}

fn key(record: &Record) -> &[u8] {
    record.key.as_ref().map_or(&[], Bytes::as_ref)
}
