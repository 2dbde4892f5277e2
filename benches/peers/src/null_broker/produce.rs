//! Produce requests: every batch is checked and counted.

use std::sync::atomic::Ordering;

use super::Broker;
use super::wire::{Reader, Writer};

/// Answers a produce request. `Some(false)` if there is to be no answer.
pub fn produce(
    broker: &Broker,
    reader: &mut Reader<'_>,
    writer: &mut Writer<'_>,
    version: i16,
) -> Option<bool> {
    reader.string()?;
    let acks = reader.i16()?;
    reader.i32()?;
    let topics = reader.length(false)?.unwrap_or(0);
    writer.array(topics);
    for _ in 0..topics {
        if version >= 13 {
            writer.raw(&reader.uuid()?);
        } else {
            writer.string(reader.string()?.unwrap_or_default());
        }
        let partitions = reader.length(false)?.unwrap_or(0);
        writer.array(partitions);
        for _ in 0..partitions {
            let partition = reader.i32()?;
            let base_offset = take_in(broker, partition, reader.bytes()?);
            reader.tags()?;
            answer_partition(writer, version, partition, base_offset);
        }
        reader.tags()?;
        writer.tags();
    }
    writer.i32(0);
    writer.tags();
    broker.counters.requests.fetch_add(1, Ordering::Relaxed);
    Some(acks != 0 && !broker.shape.stall)
}

fn answer_partition(writer: &mut Writer<'_>, version: i16, partition: i32, base_offset: Option<i64>) {
    writer.i32(partition);
    writer.i16(if base_offset.is_some() { 0 } else { CORRUPT_MESSAGE });
    writer.i64(base_offset.unwrap_or(-1));
    writer.i64(-1);
    if version >= 5 {
        writer.i64(0);
    }
    if version >= 8 {
        writer.array(0);
        writer.null_string();
    }
    writer.tags();
}

const CORRUPT_MESSAGE: i16 = 2;

/// Bytes before the records.
const HEADER_LEN: usize = 61;

/// Returns the offset of the first record; `None` if anything is wrong.
fn take_in(broker: &Broker, partition: i32, mut records: &[u8]) -> Option<i64> {
    let bytes = records.len() as u64;
    let (mut batches, mut count) = (0, 0);
    while !records.is_empty() {
        let Some((in_batch, rest)) = check_batch(records) else {
            if broker.counters.bad.fetch_add(1, Ordering::Relaxed) == 0 {
                eprintln!("null broker: a bad batch of {} bytes for partition {partition}", records.len());
            }
            return None;
        };
        batches += 1;
        count += in_batch;
        records = rest;
    }
    broker.counters.batches.fetch_add(batches, Ordering::Relaxed);
    broker.counters.records.fetch_add(count, Ordering::Relaxed);
    broker.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    let next = broker.next_offsets.get(usize::try_from(partition).ok()?)?;
    Some(next.fetch_add(count.cast_signed(), Ordering::Relaxed))
}

/// Returns the number of records of the first batch, and what is behind it.
fn check_batch(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = u32::from_be_bytes(*bytes.get(8..)?.first_chunk()?) as usize;
    let (batch, rest) = bytes.split_at_checked(length + 12)?;
    let mut header = Reader::new(batch.get(16..HEADER_LEN)?);
    let magic = header.i8()?;
    let crc = header.i32()?.cast_unsigned();
    header.take(2)?;
    let last_offset_delta = header.i32()?;
    header.take(30)?;
    let count = header.i32()?;
    let is_good = magic == 2 && count > 0 && last_offset_delta == count - 1;
    (is_good && crc32c::crc32c(batch.get(21..)?) == crc).then_some((u64::from(count.unsigned_abs()), rest))
}

/// The id of a topic: its name, cut off or filled with zeros.
pub fn id_of(topic: &str) -> [u8; 16] {
    let mut id = [0; 16];
    id.iter_mut().zip(topic.bytes()).for_each(|(place, byte)| *place = byte);
    id
}

pub fn name_of(id: [u8; 16]) -> String {
    String::from_utf8_lossy(&id).trim_end_matches('\0').to_owned()
}
