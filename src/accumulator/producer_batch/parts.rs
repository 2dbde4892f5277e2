//! Batches that are made of another one: pieces that it is cut into, and the parts with and without records that are taken out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ProducerBatch;
use crate::accumulator::partition_queue::PartitionQueue;
use crate::accumulator::stage_clock::Stage;
use crate::delivery::{BatchCell, Redirect};
use crate::planted::planted;

/// What becomes of some of the records of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::accumulator) enum Part {
    /// They are cut off because the batch is refused for one of its records, and the broker does not say which.
    Half { first: u32 },
    /// They are left when callers withdraw others.
    Kept { lingers_on: bool },
    /// They are cut off because the batch is too large.
    Piece { first: u32 },
    /// They are left when the records that the broker has named are taken out.
    Rest,
    /// They are refused by name, or withdrawn, and fail.
    Taken,
}

impl ProducerBatch {
    /// Makes an empty batch for a part of the records of this one, in its place and of its age, with all that is known of it.
    ///
    /// Pieces and halves bear the numbers that the batch had, so nothing behind it must be numbered anew; `first` is the record
    /// of the batch that they begin with. The other parts begin without a number.
    ///
    /// It takes its memory at once, beyond `buffer.memory` if need be: the records themselves hold what it would wait for.
    pub(in crate::accumulator) fn part(
        &self,
        part: Part,
        queue: &Arc<PartitionQueue>,
        capacity: usize,
    ) -> Self {
        let cell = BatchCell::new(self.topic_partition().clone(), None);
        let incomplete = queue.incomplete().insert(&cell, Arc::downgrade(queue), self.created);
        let (id, buffer) = (queue.next_batch_id(), queue.memory().take_beyond(capacity));
        let codec = self.wanted_compression;
        let mut new = Self::new(id, cell, incomplete, buffer, codec, self.created, Duration::ZERO);
        new.order = self.order;
        new.clock = self.clock;
        new.is_split = self.is_split;
        new.is_suspect = self.is_suspect;
        new.rescues = self.rescues;
        match part {
            Part::Half { first } => {
                new.cut_from(self, first);
                new.is_suspect = true;
            }
            Part::Kept { lingers_on } => {
                new.is_flushed = self.is_flushed;
                new.lingers_on = lingers_on;
            }
            Part::Piece { first } => new.cut_from(self, first),
            Part::Rest => {
                new.doubt = self.doubt;
                new.rescues += 1;
            }
            Part::Taken => {
                new.doubt = self.doubt;
                new.attempts = self.attempts;
                new.last_answer.clone_from(&self.last_answer);
            }
        }
        new
    }

    /// It has got all of its records, and waits in the queue.
    pub(in crate::accumulator) fn filled(&mut self, now: Instant) {
        self.close();
        self.clock.enter(Stage::Queued, now);
    }

    /// Ends the batch; its records live on in others.
    pub(in crate::accumulator) fn redirect(self, redirects: Vec<Redirect>) {
        // This comes first: if anything panics later, the records are saved with the other batches, and not once more with this.
        self.cell.redirect(redirects);
        drop(self);
    }

    /// Hands the notes for interceptors to the batches that the records moved to.
    pub(in crate::accumulator) fn move_notes(&mut self, redirects: &[Redirect], pieces: &mut [Self]) {
        let mut notes = std::mem::take(&mut self.notes);
        for (redirect, piece) in redirects.iter().zip(pieces).rev() {
            let at = notes.partition_point(|note| note.index < redirect.first);
            piece.notes = notes.split_off(at);
            for note in &mut piece.notes {
                note.index -= redirect.first;
            }
        }
    }

    /// Whether it is a piece of a batch that the broker found too large.
    pub(crate) fn is_split(&self) -> bool {
        self.is_split
    }

    /// Whether it is a piece of a batch that holds a record which the broker does not want.
    pub(crate) fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// Returns how often it was rebuilt without records that the broker refused.
    pub(in crate::accumulator) fn rescues(&self) -> u8 {
        self.rescues
    }

    fn cut_from(&mut self, batch: &Self, first: u32) {
        if !planted!(SplitLosesOrder) {
            self.order.first_record += first;
        }
        self.number = batch.number.advanced_by(first);
        self.doubt = batch.doubt.cut();
        self.is_split = true;
    }
}
