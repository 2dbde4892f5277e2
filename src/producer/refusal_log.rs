//! `RefusalLog`: what the log is told of calls that the producer refuses: one line for each reason and minute, however many there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::clock;
use crate::error::SendErrorKind;
use crate::log;

/// Counts refusals that no line has told of. Callers share it without a lock: each refusal is one exchange of one number.
#[derive(Debug)]
pub(super) struct RefusalLog {
    epoch: Instant,
    /// In the order of `REASONS`.
    told: [AtomicU64; REASONS.len()],
}

/// How a reason is told.
struct Reason {
    level: Level,
    /// What it is, without the numbers of one call.
    words: &'static str,
}

enum Level {
    Debug,
    Info,
    Warn,
}

impl RefusalLog {
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, told: [const { AtomicU64::new(0) }; REASONS.len()] }
    }

    /// Takes in that a call was refused, and writes a line if it is time for one.
    #[cold]
    pub(super) fn tell(&self, kind: &SendErrorKind, client_id: &str) {
        let Some(at) = reason_of(kind) else { return };
        let (Some(folded), Some(reason)) = (self.note(at, clock::now()), REASONS.get(at)) else { return };
        let line = kind.refusal();
        match reason.level {
            Level::Debug => log::debug!(client_id, folded, "call refused: {line}"),
            Level::Info => log::info!(client_id, folded, "call refused: {line}"),
            Level::Warn => log::warn!(client_id, folded, "call refused: {line}"),
        }
    }

    /// Writes what no line has told so far. The producer has ended.
    #[cold]
    pub(super) fn tell_rest(&self, client_id: &str) {
        for (words, count) in self.take_rest() {
            let calls = if count == 1 { "call" } else { "calls" };
            log::warn!(client_id, "{count} more {calls} refused: {words}");
        }
    }

    /// Returns how many were refused for this reason since it was told last, if it is to be told now.
    ///
    /// An exchange that succeeds counts its call once: either as the line, which takes all that were folded with it, or as one more
    /// that is folded. When the minute is over for several callers at once, the exchange of one succeeds. The others see its time
    /// then, and are folded. Nothing else is read or written because of this number, so its order among other memory does not matter.
    fn note(&self, at: usize, now: Instant) -> Option<u32> {
        let now = self.second(now);
        let cell = self.told.get(at)?;
        let mut seen = cell.load(Ordering::Relaxed);
        loop {
            let Told { second, folded } = Told::of(seen);
            let is_due = second.is_none_or(|second| now.saturating_sub(second) >= QUIET);
            let next = match is_due {
                true => Told { second: Some(now), folded: 0 },
                false => Told { second, folded: folded.saturating_add(1) },
            };
            match cell.compare_exchange_weak(seen, next.packed(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return is_due.then_some(folded),
                Err(other) => seen = other,
            }
        }
    }

    /// Returns what was refused and not told, but for that which only `DEBUG` tells.
    fn take_rest(&self) -> Vec<(&'static str, u32)> {
        let mut rest = Vec::new();
        for (cell, Reason { level, words }) in self.told.iter().zip(&REASONS) {
            let Told { folded, .. } = Told::of(cell.fetch_and(!u64::from(u32::MAX), Ordering::Relaxed));
            if folded > 0 && !matches!(level, Level::Debug) {
                rest.push((*words, folded));
            }
        }
        rest
    }

    /// Numbers the seconds of the producer from 1.
    fn second(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.epoch).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// When a reason was told last, and how many calls were refused since.
struct Told {
    /// `None` if it never was.
    second: Option<u32>,
    folded: u32,
}

impl Told {
    fn of(packed: u64) -> Self {
        let [second, folded] = [packed >> 32, packed & u64::from(u32::MAX)];
        let second = u32::try_from(second).ok().filter(|second| *second > 0);
        Self { second, folded: u32::try_from(folded).unwrap_or(u32::MAX) }
    }

    fn packed(&self) -> u64 {
        u64::from(self.second.unwrap_or_default()) << 32 | u64::from(self.folded)
    }
}

/// For so many seconds a reason is not told again.
const QUIET: u32 = 60;

const fn reason(level: Level, words: &'static str) -> Reason {
    Reason { level, words }
}

/// Reasons that are the caller's own doing are for those who look into the program. What the producer learns by itself soon is no
/// warning.
const REASONS: [Reason; 17] = [
    reason(Level::Warn, "producer and brokers did not accept each other"),
    reason(Level::Warn, "no name of bootstrap.servers had an address"),
    reason(Level::Debug, "the call was dropped"),
    reason(Level::Warn, "the producer was closed"),
    reason(Level::Warn, "buffer.memory was full"),
    reason(Level::Warn, "not fit to be sent"),
    reason(Level::Warn, "no buffer.memory became free in time"),
    reason(Level::Warn, "topic not in metadata in time"),
    reason(Level::Warn, "the partitioner failed"),
    reason(Level::Warn, "the partitioner chose a partition that does not exist"),
    reason(Level::Warn, "the runtime was shut down"),
    reason(Level::Warn, "the producer's background task has panicked"),
    reason(Level::Warn, "a serializer failed"),
    reason(Level::Warn, "too large"),
    reason(Level::Warn, "brokers refuse the topic"),
    reason(Level::Warn, "fail_stop has stopped the partition"),
    reason(Level::Info, "topic not in metadata yet"),
];

/// Returns the index of a reason. `None` for what is no refusal, or an error of the calling program's transactions.
fn reason_of(kind: &SendErrorKind) -> Option<usize> {
    Some(match kind {
        SendErrorKind::AuthenticationFailed { .. } => 0,
        SendErrorKind::BootstrapUnresolved { .. } => 1,
        SendErrorKind::BlockingRefused | SendErrorKind::Cancelled | SendErrorKind::TransactionOver => 2,
        SendErrorKind::Closed => 3,
        SendErrorKind::Full { .. } => 4,
        SendErrorKind::InvalidRecord(_) => 5,
        SendErrorKind::MemoryTimeout { .. } => 6,
        SendErrorKind::MetadataTimeout { .. } => 7,
        SendErrorKind::Partitioner { .. } => 8,
        SendErrorKind::PartitionOutOfRange { .. } => 9,
        SendErrorKind::RuntimeShutdown => 10,
        SendErrorKind::SenderPanicked(_) => 11,
        SendErrorKind::Serialization { .. } => 12,
        SendErrorKind::TooLarge { .. } => 13,
        SendErrorKind::TopicRefused { .. } => 14,
        SendErrorKind::Stopped { .. } => 15,
        SendErrorKind::TopicUnknown { .. } => 16,
        SendErrorKind::Delivery(_) | SendErrorKind::UnderWay { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FULL: usize = 4;
    const CLOSED: usize = 3;

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn reason_is_told_once_a_minute_with_the_count_of_the_others() {
        let now = clock::now();
        let log = RefusalLog::new(now);

        assert_eq!(log.note(FULL, now), Some(0));
        for second in 1..60 {
            assert_eq!(log.note(FULL, after(now, second)), None);
        }
        assert_eq!(log.note(FULL, after(now, 60)), Some(59));
        assert_eq!(log.note(FULL, after(now, 60)), None);
        assert_eq!(log.note(FULL, after(now, 7200)), Some(1));
    }

    #[test]
    fn another_reason_is_told_at_once() {
        let now = clock::now();
        let log = RefusalLog::new(now);

        assert_eq!(log.note(FULL, now), Some(0));
        assert_eq!(log.note(CLOSED, now), Some(0));
        assert_eq!(log.note(FULL, now), None);
        assert_eq!(log.note(CLOSED, now), None);
    }

    #[test]
    fn what_was_folded_is_told_at_the_end_once() {
        let now = clock::now();
        let log = RefusalLog::new(now);
        let dropped = reason_of(&SendErrorKind::Cancelled).unwrap();
        for _ in 0..4 {
            log.note(FULL, now);
            log.note(dropped, now);
        }
        log.note(CLOSED, now);

        assert_eq!(log.take_rest(), [("buffer.memory was full", 3)]);
        assert!(log.take_rest().is_empty());
        assert_eq!(log.note(FULL, after(now, 61)), Some(0));
    }

    /// Time that goes back a little, as seen by another thread, makes nothing due.
    #[test]
    fn call_that_began_earlier_is_folded() {
        let now = clock::now();
        let log = RefusalLog::new(now);

        assert_eq!(log.note(FULL, after(now, 100)), Some(0));
        assert_eq!(log.note(FULL, after(now, 99)), None);
        assert_eq!(log.note(FULL, now), None);
    }

    #[test]
    fn no_call_is_lost_or_counted_twice_among_threads() {
        let now = clock::now();
        let log = RefusalLog::new(now);
        let counted: u32 = std::thread::scope(|scope| {
            let count = || {
                let each = |call| log.note(FULL, after(now, call / 10)).map_or(0, |folded| folded + 1);
                (0..10_000_u64).map(each).sum::<u32>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });

        let rest: u32 = log.take_rest().iter().map(|(_, count)| count).sum();
        assert_eq!(counted + rest, 40_000);
    }
}
