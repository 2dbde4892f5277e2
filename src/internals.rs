//! The crate's inside for its own benches and fuzzers. Not part of the public API, and without its promises.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::accumulator::{
    Append, AtBatchEnd, EnqueueWaits, JoinTerms, ProducerBatch, RecordAccumulator, Settings, TakenHead,
    TopicQueues, TryAppend,
};
use crate::buffer_memory::BufferMemory;
use crate::clock;
use crate::delivery::{Delivery, Teller};
use crate::http::AnswerReader;
use crate::network::next_frame;
use crate::protocol::compression::{Compression, uncompressed};
use crate::protocol::messages::add_offsets_to_txn::AddOffsetsToTxnResponse;
use crate::protocol::messages::add_partitions_to_txn::AddPartitionsToTxnResponse;
use crate::protocol::messages::api_versions::ApiVersionsResponse;
use crate::protocol::messages::end_txn::EndTxnResponse;
use crate::protocol::messages::find_coordinator::FindCoordinatorResponse;
use crate::protocol::messages::init_producer_id::InitProducerIdResponse;
use crate::protocol::messages::metadata::MetadataResponse;
use crate::protocol::messages::produce::{ProduceRequestHead, ProduceResponse};
use crate::protocol::messages::sasl_authenticate::SaslAuthenticateResponse;
use crate::protocol::messages::sasl_handshake::SaslHandshakeResponse;
use crate::protocol::messages::txn_offset_commit::TxnOffsetCommitResponse;
use crate::protocol::record_batch::{
    HEADER_LEN, ProducerIdentity, RecordBatchBuilder, RecordRef, decode_records,
};
use crate::protocol::{ApiKey, ResponseHeader};
use crate::record::Headers;
use crate::topic_partition::Topic;
use crate::wire::{Reader, Uuid, Writer};

#[path = "internals/connected.rs"]
mod connected;
#[cfg(all(feature = "keystores", feature = "sasl"))]
#[path = "internals/credentials.rs"]
mod credentials;
#[cfg(feature = "sasl")]
#[path = "internals/scram.rs"]
mod scram;
#[path = "internals/sender_machine.rs"]
mod sender_machine;

pub use self::connected::build_connected;
#[cfg(all(feature = "keystores", feature = "sasl"))]
pub use self::credentials::{
    describe_certificate, describe_token, open_keystore, read_aws_credentials, read_aws_profile,
    read_aws_role, read_pem, read_url,
};
#[cfg(feature = "sasl")]
pub use self::scram::hear_by_scram;
pub use self::sender_machine::{SenderMachine, SenderOptions, WholeFrame};

/// Encodes `count` records into `out` and returns the length of the batch. With `seal`, the checksum too.
pub fn encode_batch(out: &mut Vec<u8>, count: usize, key: Option<&[u8]>, value: &[u8], seal: bool) -> usize {
    out.clear();
    out.resize(HEADER_LEN, 0);
    let headers = Headers::new();
    let mut builder = RecordBatchBuilder::default();
    for _ in 0..count {
        let record = RecordRef { timestamp: 1_700_000_000_000, key, value: Some(value), headers: &headers };
        let payload_len = record.payload_len();
        builder.append(out, &record, payload_len);
    }
    if seal {
        builder.seal(out, Compression::None, ProducerIdentity::NONE);
    }
    out.len()
}

/// Reads an answer of HTTP that comes in pieces, up to its end or until it is wrong. Returns the status and the length of the body.
pub fn read_http_answer<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(u16, usize)> {
    let mut reader = AnswerReader::new();
    for piece in pieces {
        if reader.feed(piece).ok()? {
            break;
        }
    }
    reader.finish().ok().map(|answer| (answer.status, answer.body.len()))
}

/// Compresses records at a level of the codec and returns the compressed length, 0 if nothing was gained.
pub fn compress(codec: Compression, level: i32, records: &[u8]) -> usize {
    codec.compress(level, records, |compressed| compressed.map_or(0, <[u8]>::len))
}

/// Writes a produce request of `batches` that are referenced, and returns the length of the frame.
pub fn encode_produce_request(version: i16, batches: &[Bytes]) -> usize {
    let mut out = Writer::new();
    let head = ProduceRequestHead { transactional_id: None, acks: -1, timeout_ms: 30_000 };
    let written = head.begin(&mut out, version, 1).and_then(|mut body| {
        body.topic("topic", Uuid::ZERO, batches.len())?;
        for (index, batch) in (0..).zip(batches) {
            body.partition(index, batch.clone())?;
        }
        body.finish()
    });
    written.and_then(|()| out.finish()).map_or(0, |segments| segments.pieces().map(<[u8]>::len).sum())
}

/// Decodes the body of an answer; says whether it could be read.
pub fn decode_response(api_key: i16, version: i16, body: &[u8]) -> bool {
    let mut reader = Reader::new(body);
    match api_key {
        0 => ProduceResponse::decode(&mut reader, version).is_ok(),
        3 => MetadataResponse::decode(&mut reader, version).is_ok(),
        10 => FindCoordinatorResponse::decode(&mut reader, version).is_ok(),
        17 => SaslHandshakeResponse::decode(&mut reader, version).is_ok(),
        18 => ApiVersionsResponse::decode(&mut reader, version).is_ok(),
        22 => InitProducerIdResponse::decode(&mut reader, version).is_ok(),
        24 => AddPartitionsToTxnResponse::decode(&mut reader, version).is_ok(),
        25 => AddOffsetsToTxnResponse::decode(&mut reader, version).is_ok(),
        26 => EndTxnResponse::decode(&mut reader, version).is_ok(),
        28 => TxnOffsetCommitResponse::decode(&mut reader, version).is_ok(),
        36 => SaslAuthenticateResponse::decode(&mut reader, version).is_ok(),
        _ => false,
    }
}

/// Returns the versions of an API that this crate speaks.
pub fn versions(api_key: i16) -> RangeInclusive<i16> {
    let api = ApiKey::ALL.into_iter().find(|api| api.code() == api_key);
    api.map_or(RangeInclusive::new(0, -1), ApiKey::versions)
}

/// Reads the header of an answer: the correlation id and the length of the header.
pub fn decode_response_header(version: i16, frame: &[u8]) -> Option<(i32, usize)> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, version).ok()?;
    Some((header.correlation_id, frame.len() - reader.remaining()))
}

/// Takes every whole frame off the front of what was received; `None` if there is something that is no frame.
pub fn take_frames(received: &mut BytesMut, max_len: usize) -> Option<Vec<Bytes>> {
    std::iter::from_fn(|| next_frame(received, max_len).transpose()).collect::<Result<_, _>>().ok()
}

/// Key, value, headers and timestamp of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainRecord {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// `None` for null.
    pub key: Option<Bytes>,
    /// `None` for null.
    pub value: Option<Bytes>,
    /// In order.
    pub headers: Headers,
}

/// Encodes a batch as the sender would send it. `identity` is producer id, epoch and first sequence number.
pub fn encode_records(records: &[PlainRecord], codec: Compression, identity: (i64, i16, i32)) -> Bytes {
    let mut out = vec![0; HEADER_LEN];
    let mut builder = RecordBatchBuilder::default();
    for record in records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let record = RecordRef { timestamp: record.timestamp, key, value, headers: &record.headers };
        builder.append(&mut out, &record, record.payload_len());
    }
    let (header, plain) = out.split_at(HEADER_LEN);
    let compressed =
        codec.compress(FUZZED_LEVEL, plain, |records| records.map(|records| [header, records].concat()));
    let used = if compressed.is_some() { codec } else { Compression::None };
    let mut batch = compressed.unwrap_or(out);
    let (producer_id, producer_epoch, base_sequence) = identity;
    builder.seal(
        &mut batch,
        used,
        ProducerIdentity { producer_id, producer_epoch, base_sequence, is_transactional: false },
    );
    batch.into()
}

/// A level that gzip and zstd both have.
const FUZZED_LEVEL: i32 = 3;

/// Reads the records of a batch back; `None` if the bytes are damaged, or stand for more than `limit` bytes.
pub fn decode_batch(batch: &Bytes, codec: Compression, limit: usize) -> Option<Vec<PlainRecord>> {
    let records = decode_records(&uncompressed(batch, codec, limit))?;
    let plain = records.into_iter().map(|record| PlainRecord {
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record.headers,
    });
    Some(plain.collect())
}

/// A record accumulator with one topic and no sender.
#[derive(Debug)]
pub struct Accumulator {
    accumulator: RecordAccumulator,
    topic: Arc<TopicQueues>,
    /// The time that every record gets: a clock would cost as much as the rest.
    now: Instant,
}

impl Accumulator {
    /// Makes one with this many partitions.
    pub fn new(partitions: usize, batch_size: usize, buffer_memory: usize) -> Self {
        let settings = Settings {
            batch_size,
            compression: Compression::None,
            compression_level: 0,
            max_plain: 1024 * 1024,
            append_window: Duration::from_secs(60),
            spares_awaited: false,
        };
        let accumulator = RecordAccumulator::new(settings, BufferMemory::new(buffer_memory, batch_size));
        let topic = accumulator.topic(&Topic::from("topic"), partitions);
        Self { accumulator, topic, now: clock::now() }
    }

    /// Appends one record; `None` if memory is short.
    pub fn append(&self, partition: usize, key: Option<&[u8]>, value: &[u8]) -> Option<Delivery> {
        let headers = Headers::new();
        let record = RecordRef { timestamp: 1_700_000_000_000, key, value: Some(value), headers: &headers };
        let (payload_len, now) = (record.payload_len(), self.now);
        let queue = self.accumulator.ensure_queue(&self.topic, partition, || true)?;
        let terms = JoinTerms {
            transaction: crate::accumulator::NO_TRANSACTION,
            is_countable: true,
            largest: usize::MAX,
            now,
            settings: self.accumulator.settings(),
        };
        if let Some(place) = queue.join_quietly(&record, &terms) {
            return Some(place.into());
        }
        let waits = EnqueueWaits::default();
        let append = Append {
            record,
            payload_len,
            waits,
            transaction: crate::accumulator::NO_TRANSACTION,
            observer: None,
            now,
        };
        match self.accumulator.try_append(queue, &append, AtBatchEnd::BeginNext, &mut None) {
            TryAppend::Done(done) => Some(done.place.into()),
            TryAppend::BatchEnded
            | TryAppend::Closed
            | TryAppend::NoMemory { .. }
            | TryAppend::Retired
            | TryAppend::Stopped
            | TryAppend::TransactionOver => None,
        }
    }

    /// Takes every batch, as the sender would, and completes it as delivered. Returns the number of batches.
    pub fn drain(&self) -> usize {
        let mut taken = self.take();
        taken.seal();
        taken.0.len()
    }

    /// Takes every batch, as the sender would.
    pub fn take(&self) -> TakenBatches {
        let mut changed = Vec::new();
        self.accumulator.take_changed(&mut changed);
        let mut taken = Vec::new();
        for queue in self.topic.iter() {
            while let TakenHead::Batch(batch) = queue.take_head() {
                taken.push(*batch);
            }
            queue.look();
        }
        TakenBatches(taken)
    }
}

/// Batches that are under way. Dropped, they are delivered.
#[derive(Debug)]
pub struct TakenBatches(Vec<ProducerBatch>);

impl TakenBatches {
    /// Writes headers and checksums. Returns the bytes of all batches.
    pub fn seal(&mut self) -> usize {
        self.0.iter_mut().map(|batch| batch.freeze().len()).sum()
    }
}

impl Drop for TakenBatches {
    fn drop(&mut self) {
        for mut batch in self.0.drain(..) {
            batch.freeze();
            Box::new(batch).deliver(Some(0), None, &Teller::WITHOUT_SENDER);
        }
    }
}
