//! Taking records out of a batch: those that the broker named when it refused the batch (KIP-467), and those that callers withdraw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::accumulator::partition_queue::{PartitionQueue, SealJob};
use crate::accumulator::producer_batch::{Part, ProducerBatch};
use crate::accumulator::stage_clock::EnqueueWaits;
use crate::delivery::{AckNote, Redirect};
use crate::protocol::record_batch::{DecodedRecord, HEADER_LEN, MAX_RECORD_OVERHEAD, RecordRef};

/// Times that a batch is rebuilt without its culprits. Brokers name all of them at once; one that names them one by one
/// must not make a chain of batches as long as it likes.
const MAX_RESCUES: u8 = 16;

/// A batch in two.
#[derive(Debug)]
pub(crate) struct Rescue {
    /// The records that the broker named, in order, to be failed.
    pub(crate) culprits: ProducerBatch,
    /// For each of them what the broker said.
    pub(crate) messages: Vec<(u32, Option<String>)>,
}

/// Parts a batch that was refused, and is certain not to be in the log, into the records that `named` names by their
/// index and the innocent rest. The rest takes the place of the batch in its queue, without a number; the batch itself
/// is completed as moved.
///
/// As with pieces of a split batch, the memory of both lies outside `buffer.memory`.
///
/// Gives the batch back if there is no record to save: no record is named, or all are, or the bytes cannot be read, or
/// it was rebuilt too often.
pub(crate) fn rescue(
    batch: ProducerBatch,
    named: &BTreeMap<u32, Option<String>>,
    queue: &Arc<PartitionQueue>,
    now: Instant,
) -> Result<Rescue, Box<ProducerBatch>> {
    let is_named = |index: u32| named.contains_key(&index);
    let count = batch.record_count();
    let culprits = (0..count).filter(|index| is_named(*index)).count();
    if culprits == 0 || culprits == count as usize || batch.rescues() >= MAX_RESCUES {
        return Err(Box::new(batch));
    }
    let (culprits, _) = part_in_two(batch, Part::Rest, is_named, queue, now)?;
    // They are there in the order of their indices.
    let messages = named.range(..count).map(|(_, message)| message.clone());
    Ok(Rescue { culprits, messages: (0..).zip(messages).collect() })
}

/// Parts a batch that is certain not to be in the log, and has no number, into the records that callers withdraw, by their index, and
/// the rest. The rest takes the place of the batch in its queue; the batch itself is completed as moved. Returns the records that are
/// withdrawn, to be failed. If these are all of the batch, it is the batch itself. If the batch was compressed, the rest is to be, too: that
/// compression is returned, and to be run at once.
///
/// So the rest holds no more of `buffer.memory` than the batch has held.
///
/// Gives the batch back if none of its records is named, or if its bytes cannot be read.
pub(crate) fn withdraw(
    batch: ProducerBatch,
    named: &BTreeSet<u32>,
    queue: &Arc<PartitionQueue>,
    now: Instant,
) -> Result<(ProducerBatch, Option<SealJob>), Box<ProducerBatch>> {
    let (count, was_compressed) = (batch.record_count(), batch.is_compressed());
    let rest = Part::Kept { lingers_on: batch.may_linger() };
    match named.range(..count).count() {
        0 => Err(Box::new(batch)),
        all if all == count as usize => Ok((batch, None)),
        _ => {
            let (taken, kept) = part_in_two(batch, rest, |index| named.contains(&index), queue, now)?;
            Ok((taken, was_compressed.then(|| queue.seal_job(kept)).flatten()))
        }
    }
}

/// Moves the records of a batch into two others, and completes it as moved. Returns the one with the records that `is_taken` names, and the
/// id of the other, which takes the place of the batch in its queue, as this part.
fn part_in_two(
    mut batch: ProducerBatch,
    rest: Part,
    is_taken: impl Fn(u32) -> bool,
    queue: &Arc<PartitionQueue>,
    now: Instant,
) -> Result<(ProducerBatch, u64), Box<ProducerBatch>> {
    let count = batch.record_count() as usize;
    let Some((records, _)) = batch.decode().filter(|(records, _)| records.len() == count) else {
        return Err(Box::new(batch));
    };
    let mut notes = batch.take_notes().into_iter().peekable();
    let is_taken = &is_taken;
    let of = |wanted: bool| (0_u32..).zip(&records).filter(move |(at, _)| is_taken(*at) == wanted);
    // Timestamps are kept as distances from the first record, so a record may take more than it did before.
    let most = |(_, record)| MAX_RECORD_OVERHEAD + RecordRef::from(record).payload_len();
    let capacity = |wanted| HEADER_LEN + of(wanted).map(most).sum::<usize>();
    let mut kept = batch.part(rest, queue, capacity(false));
    let mut taken = batch.part(Part::Taken, queue, capacity(true));
    let mut redirects: Vec<Redirect> = Vec::new();
    let mut side = None;
    for (index, record) in (0_u32..).zip(&records) {
        let is_taken = is_taken(index);
        let part = if is_taken { &mut taken } else { &mut kept };
        if side.replace(is_taken) != Some(is_taken) {
            redirects.push(Redirect { first: index, at: part.record_count(), cell: Arc::clone(part.cell()) });
        }
        move_to(part, record, notes.next_if(|note| note.index == index));
    }
    // Room for the most that records may take is more than they take.
    let spare = kept.grow(queue.memory().take_beyond(kept.len()));
    kept.filled(now);
    let id = kept.id();
    batch.redirect(redirects);
    // They may hold the memory of the batch, and giving it back wakes callers. A panic in there must not come between the records that
    // are taken and their return: what a function is about to return is not dropped if it then panics, and so not saved.
    drop((records, spare));
    queue.put_back(std::iter::once(kept));
    Ok((taken, id))
}

fn move_to(part: &mut ProducerBatch, record: &DecodedRecord, note: Option<AckNote>) {
    let record = RecordRef::from(record);
    // The buffer was made for these records.
    let delivery = part.append(&record, record.payload_len(), None, EnqueueWaits::default());
    debug_assert!(delivery.is_some(), "a new batch is open");
    if let Some(note) = note {
        part.take_over_note(note);
    }
}
