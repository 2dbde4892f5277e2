//! Markers that end transactions: batches of one control record.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::batch::{BatchHeader, HEADER_BYTES, MockBatch};
use crate::compression::Compression;
use crate::transactions::{Identity, Outcome};

/// The end of a transaction in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndMarker {
    pub(crate) producer: Identity,
    pub(crate) outcome: Outcome,
    pub(crate) coordinator_epoch: i32,
}

impl EndMarker {
    /// Reads the marker of a control batch.
    pub(crate) fn read(header: &BatchHeader, batch: &Bytes) -> Option<Self> {
        if !header.is_control() {
            return None;
        }
        let mut record = batch.get(HEADER_BYTES + RECORD_HEAD.len()..)?;
        let outcome = match record.try_get_i32().ok()? {
            ABORT => Outcome::Abort,
            COMMIT => Outcome::Commit,
            _ => return None,
        };
        record.advance(1 + 2); // length of the value, version of the value
        let producer = Identity { producer_id: header.producer_id, epoch: header.producer_epoch };
        Some(Self { producer, outcome, coordinator_epoch: record.try_get_i32().ok()? })
    }

    /// Makes the batch. Its timestamp is given, in milliseconds since 1970.
    pub(crate) fn to_batch(self, base_offset: i64, leader_epoch: i32, timestamp: i64) -> MockBatch {
        let Self { producer, outcome, coordinator_epoch } = self;
        let mut covered = BytesMut::new(); // by the CRC
        covered.put_i16(TRANSACTIONAL | CONTROL);
        covered.put_i32(0); // last offset delta
        covered.put_i64(timestamp);
        covered.put_i64(timestamp);
        covered.put_i64(producer.producer_id);
        covered.put_i16(producer.epoch);
        covered.put_i32(NO_SEQUENCE);
        covered.put_i32(1); // records
        covered.put_slice(&RECORD_HEAD);
        covered.put_i32(if outcome == Outcome::Commit { COMMIT } else { ABORT });
        covered.put_slice(&VALUE_HEAD);
        covered.put_i32(coordinator_epoch);
        covered.put_u8(0); // headers
        let mut bytes = BytesMut::new();
        bytes.put_i64(base_offset);
        // What comes behind the length: leader epoch, magic, CRC and what that covers.
        bytes.put_i32(i32::try_from(4 + 1 + 4 + covered.len()).unwrap_or(i32::MAX));
        bytes.put_i32(leader_epoch);
        bytes.put_i8(2);
        bytes.put_u32(crc32c::crc32c(&covered));
        bytes.put_slice(&covered);
        MockBatch {
            base_offset,
            record_count: 1,
            compression: Compression::None,
            producer_id: producer.producer_id,
            producer_epoch: producer.epoch,
            base_sequence: NO_SEQUENCE,
            partition_leader_epoch: leader_epoch,
            is_transactional: true,
            is_control: true,
            bytes: bytes.freeze(),
        }
    }
}

const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const NO_SEQUENCE: i32 = -1;

/// Length of the record (16), attributes, deltas of timestamp and offset, length of the key (4).
const RECORD_HEAD: [u8; 5] = [32, 0, 0, 0, 8];
/// Length of the value (6), its version (0).
const VALUE_HEAD: [u8; 3] = [12, 0, 0];
/// Keys: version 0 and the kind.
const ABORT: i32 = 0;
const COMMIT: i32 = 1;

#[cfg(test)]
mod tests {
    use super::EndMarker;
    use crate::batch::BatchHeader;
    use crate::transactions::{Identity, Outcome};

    /// Written by Kafka's Java client 4.3: `MemoryRecords.withEndTransactionMarker(7, 1700000000005, 3, 4000, (short) 5,
    /// new EndTransactionMarker(ControlRecordType.COMMIT, 9))`.
    const BY_KAFKA: &str = "0000000000000007000000420000000302cf77ef580030000000000000018bcfe568050000018bcfe568050000000000000fa00005ffff\
                            ffff000000012000000008000000010c00000000000900";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn a_marker_is_as_kafka_writes_it() {
        let producer = Identity { producer_id: 4000, epoch: 5 };
        let marker = EndMarker { producer, outcome: Outcome::Commit, coordinator_epoch: 9 };

        let batch = marker.to_batch(7, 3, 1_700_000_000_005);

        assert_eq!(batch.bytes, bytes(BY_KAFKA));
        let header = BatchHeader::read(&batch.bytes).unwrap();
        assert_eq!(EndMarker::read(&header, &batch.bytes), Some(marker));
        let abort = EndMarker { outcome: Outcome::Abort, ..marker }.to_batch(7, 3, 0);
        let header = BatchHeader::read(&abort.bytes).unwrap();
        assert_eq!(EndMarker::read(&header, &abort.bytes).unwrap().outcome, Outcome::Abort);
    }
}
