//! `Waits`: since when a partition waits for something, and until when.

use std::time::{Duration, Instant};

use super::Next;
use crate::accumulator::{BatchOrder, Head, PartitionQueue};
use crate::planted::planted;

/// Since when a partition waits for something, and until when.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// No attempt before this time.
    retry_at: Option<Instant>,
    /// Since when its batches have waited for answers to those under way, if they do.
    blocked_since: Option<Instant>,
    /// The head, while other threads have it to compress.
    sealing: Option<Sealing>,
}

/// A batch that other threads have to compress.
#[derive(Debug, Clone, Copy)]
struct Sealing {
    order: BatchOrder,
    /// When the sender found that it waits for them.
    since: Instant,
    /// When the sender looks after it.
    look_at: Option<Instant>,
}

/// A thread that is free comes within microseconds, on a busy machine within a few milliseconds.
const SEALING_PATIENCE: Duration = Duration::from_millis(5);

impl Waits {
    /// No batch is to be sent before a time.
    pub(super) fn back_off(&mut self, until: Option<Instant>) {
        self.retry_at = until;
    }

    /// Returns the time before which no batch is to be sent, if that is not over.
    pub(super) fn backoff(&self, now: Instant) -> Option<Instant> {
        self.retry_at.filter(|retry_at| now < *retry_at)
    }

    /// Marks the partition as not to be chosen once its batches have waited for answers for longer than `timeout`
    /// (KIP-794). Returns when that will be. `outstanding`: requests whose answers it may wait for.
    pub(super) fn note_wait(
        &mut self,
        next: Next,
        outstanding: usize,
        queue: &PartitionQueue,
        timeout: Duration,
        now: Instant,
    ) -> Option<Instant> {
        match next {
            Next::Blocked | Next::Sealing if outstanding > 0 => {
                let since = *self.blocked_since.get_or_insert(now);
                let is_available = now.saturating_duration_since(since) <= timeout;
                queue.set_available(is_available);
                let too_long = timeout.saturating_add(Duration::from_millis(1));
                since.checked_add(too_long).filter(|_| is_available)
            }
            Next::Idle => {
                self.blocked_since = None;
                queue.set_available(true);
                None
            }
            _ => {
                self.blocked_since = None;
                None
            }
        }
    }

    /// Says when to look after the compression of the head, if other threads have it, and whether that is now.
    pub(super) fn note_sealing(&mut self, head: Option<Head>, now: Instant) -> (Option<Instant>, bool) {
        let Some(head) = head.filter(|head| head.is_sealing && !planted!(SealingForEver)) else {
            self.sealing = None;
            return (None, false);
        };
        let known = self.sealing.filter(|sealing| sealing.order == head.order);
        let look_at = now.checked_add(SEALING_PATIENCE);
        let mut sealing = known.unwrap_or(Sealing { order: head.order, since: now, look_at });
        let is_due = sealing.look_at.is_some_and(|look_at| look_at <= now);
        if is_due {
            // A thread is at it then. The sender waits ever longer from here on: a panic might end the thread.
            sealing.look_at = now.checked_add(now.saturating_duration_since(sealing.since));
        }
        self.sealing = Some(sealing);
        (sealing.look_at, is_due)
    }
}
