//! Splitting a batch that the broker found too large (KIP-126), or that holds a record which it does not want.

use std::sync::Arc;
use std::time::Instant;

use crate::accumulator::partition_queue::PartitionQueue;
use crate::accumulator::producer_batch::{Part, ProducerBatch, Room};
use crate::accumulator::stage_clock::EnqueueWaits;
use crate::delivery::Redirect;
use crate::protocol::record_batch::{DecodedRecord, HEADER_LEN, MAX_RECORD_OVERHEAD, RecordRef};

/// Cuts a batch into smaller ones, completes it as moved, and puts the pieces at the front of their queue, in order.
///
/// The target is `batch_size`; a batch that is a piece itself is halved, so that cutting ends at single records. Pieces
/// keep the age of the batch and start with no attempts. They take their memory at once, beyond `buffer.memory` if need be:
/// a batch that must be cut may not wait for memory that its own records hold.
///
/// Gives the batch back if it cannot be cut: a single record, or bytes that cannot be read.
pub(crate) fn split(
    mut batch: ProducerBatch,
    queue: &Arc<PartitionQueue>,
    batch_size: usize,
    now: Instant,
) -> Result<usize, Box<ProducerBatch>> {
    let Some((records, len)) = batch.decode().filter(|(records, _)| records.len() > 1) else {
        return Err(Box::new(batch));
    };
    queue.ratio().reset(len - HEADER_LEN, batch.len().saturating_sub(HEADER_LEN));
    let half = HEADER_LEN + (len - HEADER_LEN).div_ceil(2);
    let target = Some(batch_size).filter(|target| *target < len && !batch.is_split()).unwrap_or(half);
    let mut pieces: Vec<ProducerBatch> = Vec::new();
    let mut redirects = Vec::new();
    for (first, record) in (0_u32..).zip(&records) {
        // However small the last record is, it must not join all others, or nothing would be cut.
        let is_left_over = pieces.len() == 1 && first as usize + 1 == records.len();
        if is_left_over || !add_if_room(pieces.last_mut(), record, target) {
            let least = RecordRef::upper_bound(RecordRef::from(record).payload_len());
            let piece = batch.part(Part::Piece { first }, queue, least.max(target));
            redirects.push(Redirect { first, at: 0, cell: Arc::clone(piece.cell()) });
            pieces.push(piece);
            add_if_room(pieces.last_mut(), record, usize::MAX);
        }
    }
    Ok(replace(batch, pieces, redirects, queue, now))
}

/// Halves a batch that was refused, and is certain not to be in the log, because of a record that the broker has not named.
/// The halves take its place in the queue, and the half that is refused again is halved again, until the culprit stands
/// alone.
///
/// As with a batch that is too large, the halves bear the numbers that the batch had and take their memory at once.
///
/// Gives the batch back if it cannot be cut: a single record, or bytes that cannot be read.
pub(crate) fn halve(
    mut batch: ProducerBatch,
    queue: &Arc<PartitionQueue>,
    now: Instant,
) -> Result<(), Box<ProducerBatch>> {
    let Some((records, _)) = batch.decode().filter(|(records, _)| records.len() > 1) else {
        return Err(Box::new(batch));
    };
    let (front, back) = records.split_at(records.len() / 2);
    let mut pieces = Vec::new();
    let mut redirects = Vec::new();
    let mut first = 0;
    for records in [front, back] {
        // Timestamps are kept as distances from the first record, so a record may take more than it did before.
        let most = records.iter().map(|record| MAX_RECORD_OVERHEAD + RecordRef::from(record).payload_len());
        let mut piece = batch.part(Part::Half { first }, queue, HEADER_LEN + most.sum::<usize>());
        redirects.push(Redirect { first, at: 0, cell: Arc::clone(piece.cell()) });
        for record in records {
            add_if_room(Some(&mut piece), record, usize::MAX);
        }
        first += piece.record_count();
        pieces.push(piece);
    }
    replace(batch, pieces, redirects, queue, now);
    Ok(())
}

/// Puts pieces where the batch was. Returns how many there are.
fn replace(
    mut batch: ProducerBatch,
    mut pieces: Vec<ProducerBatch>,
    redirects: Vec<Redirect>,
    queue: &Arc<PartitionQueue>,
    now: Instant,
) -> usize {
    batch.move_notes(&redirects, &mut pieces);
    for piece in &mut pieces {
        piece.filled(now);
    }
    let count = pieces.len();
    batch.redirect(redirects);
    queue.put_back(pieces.into_iter());
    count
}

fn add_if_room(piece: Option<&mut ProducerBatch>, record: &DecodedRecord, target: usize) -> bool {
    let Some(piece) = piece else { return false };
    let record = RecordRef::from(record);
    let payload_len = record.payload_len();
    if piece.len() > HEADER_LEN && piece.len() + payload_len > target {
        return false;
    }
    matches!(piece.room_for(&record, payload_len, 0), Room::Fits)
        && piece.append(&record, payload_len, None, EnqueueWaits::default()).is_some()
}
