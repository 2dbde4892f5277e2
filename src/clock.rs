//! The only reader of clocks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(all(any(target_os = "linux", target_os = "android"), not(kafka_producer_portable)))]
use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};

/// Returns the monotonic time. It follows tokio's paused clock in tests.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = simulated::now() {
        return now;
    }
    tokio::time::Instant::now().into_std()
}

/// Returns whether the monotonic time is that of a test, which stands still or leaps until tokio's timers are due.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn is_paused() -> bool {
    let before = Instant::now();
    let told = now();
    !(before..=Instant::now()).contains(&told)
}

/// Returns the first of the times that there are.
#[inline]
pub(crate) fn earliest<const N: usize>(times: [Option<Instant>; N]) -> Option<Instant> {
    // Each look at a partition takes two of these, and `flatten` over an array is not always inlined.
    times.into_iter().fold(None, |first, time| match (first, time) {
        (Some(first), Some(time)) => Some(first.min(time)),
        (first, time) => first.or(time),
    })
}

/// Returns the time that is so many seconds after 1970, if the system knows it.
pub(crate) fn time_of(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// Returns the wall-clock time.
fn system_time() -> SystemTime {
    let since_epoch = Duration::from_micros(wall_clock_us().unsigned_abs());
    UNIX_EPOCH.checked_add(since_epoch).unwrap_or(UNIX_EPOCH)
}

/// Returns the wall-clock time in milliseconds since 1970.
pub(crate) fn wall_clock_ms() -> i64 {
    wall_clock_us().div_euclid(1000)
}

/// Returns the wall-clock time in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn wall_clock_us() -> i64 {
    #[cfg(test)]
    if let Some(wall_clock) = simulated::wall_clock_us() {
        return wall_clock;
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    micros(since_epoch)
}

/// Tells record timestamps from the monotonic time that `enqueue` has read already, so that a record costs one look at
/// a clock and not two.
#[derive(Debug)]
pub(crate) struct WallClock {
    origin: Instant,
    /// What the system's clock said at `origin`.
    began: SystemTime,
    /// Wall-clock microseconds at `origin`, by the last comparison of the two clocks. Finer than the milliseconds of
    /// timestamps, so that rounding down happens once and no timestamp lies in the future.
    offset_us: AtomicI64,
    /// Second since `origin` of the last comparison.
    compared_at: AtomicU64,
}

impl WallClock {
    pub(crate) fn new(origin: Instant) -> Self {
        let (offset_us, compared_at) = (AtomicI64::new(0), AtomicU64::new(0));
        let clock = Self { origin, began: system_time(), offset_us, compared_at };
        clock.compare();
        clock
    }

    /// Returns what the system's clock said when this one was made.
    pub(crate) fn began(&self) -> SystemTime {
        self.began
    }

    /// Returns the whole seconds since the origin.
    pub(crate) fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_secs()
    }

    /// Returns the wall-clock time in milliseconds.
    ///
    /// `tick` is what the system's coarse clock says. If that does not agree with what we expect, the system's clock was set to
    /// another time, and the two are compared again. Without a coarse clock they are compared each time.
    pub(crate) fn millis(&self, now: Instant, tick: Option<Tick>) -> i64 {
        let elapsed = now.saturating_duration_since(self.origin);
        let expected = self.offset_us.load(Ordering::Relaxed).saturating_add(micros(elapsed));
        let is_second_over = elapsed.as_secs() != self.compared_at.load(Ordering::Relaxed);
        if !is_second_over && tick.is_some_and(|tick| tick.agrees_with(expected)) {
            return expected.div_euclid(1000);
        }
        self.compare();
        self.offset_us.load(Ordering::Relaxed).saturating_add(micros(elapsed)).div_euclid(1000)
    }

    fn compare(&self) {
        let wall = wall_clock_us();
        // Read last: whatever happens in between makes timestamps older, never younger than they are.
        let elapsed = now().saturating_duration_since(self.origin);
        self.offset_us.store(wall.saturating_sub(micros(elapsed)), Ordering::Relaxed);
        self.compared_at.store(elapsed.as_secs(), Ordering::Relaxed);
    }
}

/// What a record needs to know of the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordTime {
    pub(crate) now: Instant,
    /// Milliseconds since 1970.
    pub(crate) millis: i64,
    /// Seconds since the origin of the producer's [`WallClock`].
    pub(crate) seconds: u64,
}

/// Tells one thread the time. In a burst of records, one reading of the precise clock serves several.
///
/// The precise clock costs about as much as everything else that is done with a small record. The system has a coarse one,
/// which costs little and advances with each tick of the kernel (1 to 10 ms). While it stands still, and records come so
/// fast that the last few took less than [`BURST`], the last reading is as good as a new one. So a time is stale by a tick
/// at most, and only behind a burst. The coarse clock is that of the wall, which does not stand still when it is set.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    last: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    moment: RecordTime,
    /// Which producer's clock it is of.
    producer: u64,
    tick: Option<Tick>,
    /// How many more records it may serve.
    uses: u32,
}

/// Records that one reading serves at most.
const USES: u32 = 16;

/// The longest time in which as many records as one reading serves must come, so that the next ones share a reading.
const BURST: Duration = Duration::from_micros(200);

impl Stopwatch {
    pub(crate) const NEW: Self = Self { last: None };

    /// Returns the time by the clock of a producer.
    #[inline(always)]
    pub(crate) fn moment(&mut self, producer: u64, clock: &WallClock) -> &RecordTime {
        self.moment_at(Tick::now, producer, |tick| {
            let now = now();
            RecordTime { now, millis: clock.millis(now, tick), seconds: clock.seconds(now) }
        })
    }

    #[inline(always)]
    fn moment_at(
        &mut self,
        tick: impl Fn() -> Option<Tick>,
        producer: u64,
        read: impl Fn(Option<Tick>) -> RecordTime,
    ) -> &RecordTime {
        if let Some(last) = &mut self.last
            && last.uses > 0
            && last.producer == producer
            && last.tick == tick()
        {
            last.uses -= 1;
        } else {
            self.read(tick(), producer, &read);
        }
        &self.last.get_or_insert_with(|| Reading { moment: read(None), producer, tick: None, uses: 0 }).moment
    }

    #[cold]
    #[inline(never)]
    fn read(&mut self, tick: Option<Tick>, producer: u64, read: impl Fn(Option<Tick>) -> RecordTime) {
        let moment = read(tick);
        let took = |last: &Reading| moment.now.saturating_duration_since(last.moment.now);
        let is_burst = tick.is_some() && self.last.as_ref().is_some_and(|last| took(last) < BURST);
        let uses = if is_burst { USES - 1 } else { 0 };
        self.last = Some(Reading { moment, producer, tick, uses });
    }
}

/// A reading of the coarse wall clock, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick(i64);

impl Tick {
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(kafka_producer_portable)))]
    #[cfg_attr(
        target_pointer_width = "64",
        expect(clippy::useless_conversion, reason = "the field is narrower on some systems")
    )]
    #[inline]
    fn now() -> Option<Self> {
        #[cfg(test)]
        if simulated::now().is_some() {
            return None;
        }
        // A call that is inlined: the kernel writes two numbers, and each is read as it was written.
        let time = clock_gettime_dynamic(DynamicClockId::Known(ClockId::RealtimeCoarse)).ok()?;
        // Until the year 2262.
        Some(Self(time.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(i64::from(time.tv_nsec))))
    }

    /// Returns whether a time in microseconds is one at which the coarse clock may have said this.
    #[inline]
    fn agrees_with(self, wall_us: i64) -> bool {
        (-STEP_US..=STEP_US).contains(&wall_us.saturating_sub(self.0 / 1000))
    }

    /// Other systems have no such clock.
    #[cfg(any(kafka_producer_portable, not(any(target_os = "linux", target_os = "android"))))]
    fn now() -> Option<Self> {
        None
    }
}

/// The coarse clock lags by a tick, of 10 ms at most, and a thread may be interrupted between two readings.
const STEP_US: i64 = 20_000;

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The time of a simulation, on the thread that runs it.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::{Cell, RefCell};
    use std::task::{Poll, Waker};
    use std::time::Instant;

    thread_local! {
        static TIME: Cell<Option<(Instant, i64)>> = const { Cell::new(None) };
        static ALARMS: RefCell<Vec<(Instant, Waker)>> = const { RefCell::new(Vec::new()) };
    }

    /// Has clocks show this, until [`end`]. The second is in microseconds since 1970.
    pub(crate) fn set(now: Instant, wall_clock_us: i64) {
        TIME.set(Some((now, wall_clock_us)));
    }

    /// Has clocks show the real time again.
    pub(crate) fn end() {
        TIME.set(None);
        drop(take_alarms());
    }

    pub(crate) fn now() -> Option<Instant> {
        TIME.get().map(|(now, _)| now)
    }

    pub(super) fn wall_clock_us() -> Option<i64> {
        TIME.get().map(|(_, wall_clock)| wall_clock)
    }

    /// Returns the tasks that want to be woken at some time, as far as they have said so since the last call.
    pub(crate) fn take_alarms() -> Vec<(Instant, Waker)> {
        ALARMS.take()
    }

    /// Waits until it is so late.
    pub(crate) async fn sleep_until(deadline: Instant) {
        let mut is_set = false;
        std::future::poll_fn(|cx| {
            if super::now() >= deadline {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut is_set, true) {
                ALARMS.with_borrow_mut(|alarms| alarms.push((deadline, cx.waker().clone())));
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn earliest_time_is_found_among_those_that_there_are() {
        let first = now();
        let later = first + Duration::from_millis(1);

        assert_eq!(earliest([None, Some(later), None, Some(first)]), Some(first));
        assert_eq!(earliest([Some(first), Some(later)]), Some(first));
        assert_eq!(earliest([None, None]), None);
    }

    #[test]
    fn timestamps_are_those_of_the_system_and_never_of_the_future() {
        let clock = WallClock::new(now());

        let before = wall_clock_ms();
        let millis = clock.millis(now(), None);
        let after = wall_clock_ms();

        // The system's clock may be adjusted a little while the test runs.
        assert!((before - 50..=after).contains(&millis), "{before} {millis} {after}");
    }

    #[test]
    fn timestamps_follow_the_monotonic_time() {
        let origin = now();
        let clock = WallClock::new(origin);

        let first = clock.millis(origin, None);
        let second = clock.millis(origin + Duration::from_millis(500), None);

        assert!((499..=501).contains(&(second - first)), "{first} {second}");
        assert_eq!(clock.seconds(origin + Duration::from_millis(2999)), 2);
    }

    #[test]
    fn time_before_the_origin_counts_as_the_origin() {
        let origin = now() + Duration::from_secs(100);
        let clock = WallClock::new(origin);

        assert_eq!(clock.seconds(now()), 0);
        let (early, origin) = (clock.millis(now(), None), clock.millis(origin, None));
        assert!((0..=1).contains(&(origin - early)), "{early} {origin}");
    }

    #[test]
    fn very_long_uptimes_do_not_overflow() {
        let origin = now();
        let clock = WallClock::new(origin);
        let century = Duration::from_secs(100 * 365 * 24 * 3600);

        assert!(clock.millis(origin + century, None) > wall_clock_ms());
    }

    const TICK: Tick = Tick(7_004_000_000);

    /// A precise clock, and how often it was read.
    struct Precise {
        now: Instant,
        readings: u32,
    }

    impl Precise {
        /// Has a record `after` the last one ask for the time, and returns by how much that is stale.
        fn ask(&mut self, stopwatch: &mut Stopwatch, after: Duration, tick: Option<Tick>) -> Duration {
            self.now += after;
            let (now, readings) = (self.now, &mut self.readings);
            let read = Cell::new(0);
            let moment = *stopwatch.moment_at(
                || tick,
                1,
                |_| {
                    read.set(read.get() + 1);
                    RecordTime { now, millis: 0, seconds: 0 }
                },
            );
            *readings += read.get();
            now - moment.now
        }
    }

    #[test]
    fn lone_records_have_a_time_of_their_own() {
        let (mut stopwatch, mut precise) = (Stopwatch::default(), Precise { now: now(), readings: 0 });

        for _ in 0..100 {
            assert_eq!(precise.ask(&mut stopwatch, BURST, Some(TICK)), Duration::ZERO);
        }
    }

    #[test]
    fn one_reading_serves_sixteen_records_of_a_burst() {
        let (mut stopwatch, mut precise) = (Stopwatch::default(), Precise { now: now(), readings: 0 });

        for _ in 0..1601 {
            let stale = precise.ask(&mut stopwatch, Duration::from_micros(1), Some(TICK));
            assert!(stale <= Duration::from_micros(15), "{stale:?}");
        }

        assert_eq!(precise.readings, 101);
    }

    #[test]
    fn reading_ends_with_its_tick() {
        let (mut stopwatch, mut precise) = (Stopwatch::default(), Precise { now: now(), readings: 0 });
        for _ in 0..4 {
            precise.ask(&mut stopwatch, Duration::from_micros(1), Some(TICK));
        }

        let next = Tick(TICK.0 + 4_000_000);
        assert_eq!(precise.ask(&mut stopwatch, Duration::from_millis(4), Some(next)), Duration::ZERO);
    }

    #[test]
    fn every_record_reads_the_clock_where_there_are_no_ticks() {
        let (mut stopwatch, mut precise) = (Stopwatch::default(), Precise { now: now(), readings: 0 });

        for _ in 0..100 {
            precise.ask(&mut stopwatch, Duration::from_micros(1), None);
        }

        assert_eq!(precise.readings, 100);
    }

    /// A clock that believes the system's to be off by this much: as if that had been set back or forward since.
    fn set_by(step: Duration, is_forward: bool) -> WallClock {
        let clock = WallClock::new(now());
        let step = micros(step) * if is_forward { -1 } else { 1 };
        clock.offset_us.fetch_add(step, Ordering::Relaxed);
        clock
    }

    #[test]
    fn step_of_the_system_clock_shows_with_the_next_reading() {
        for step in [Duration::from_millis(30), Duration::from_secs(1), Duration::from_secs(3600)] {
            for is_forward in [false, true] {
                let clock = set_by(step, is_forward);
                let mut stopwatch = Stopwatch::default();

                let before = wall_clock_ms();
                let millis = stopwatch.moment(1, &clock).millis;
                let after = wall_clock_ms();

                // The coarse clock lags by up to a tick, and what agrees with it is believed.
                assert!((before - 20..=after + 20).contains(&millis), "{step:?}: {before} {millis} {after}");
            }
        }
    }

    #[test]
    fn system_without_a_coarse_clock_is_asked_for_every_record() {
        let clock = set_by(Duration::from_millis(5), true);

        let before = wall_clock_ms();
        let millis = clock.millis(now(), None);
        let after = wall_clock_ms();

        assert!((before - 1..=after).contains(&millis), "{before} {millis} {after}");
    }

    #[test]
    fn reading_ends_when_the_clock_is_set_back() {
        let (mut stopwatch, mut precise) = (Stopwatch::default(), Precise { now: now(), readings: 0 });
        for _ in 0..4 {
            precise.ask(&mut stopwatch, Duration::from_micros(1), Some(TICK));
        }

        let set_back = Tick(TICK.0 - 3_600_000_000_000);
        assert_eq!(precise.ask(&mut stopwatch, Duration::from_micros(3), Some(set_back)), Duration::ZERO);
    }

    #[test]
    fn coarse_clock_agrees_with_the_precise_one() {
        let Some(tick) = Tick::now() else { return };

        // A machine that is busy may take its time between the two.
        assert!((-10_000_000..=STEP_US).contains(&(tick.0 / 1000 - wall_clock_us())));
        assert!(tick.agrees_with(tick.0 / 1000 + 10_000));
        assert!(!tick.agrees_with(tick.0 / 1000 + 1_030_000));
    }

    #[test]
    fn readings_of_another_producer_do_not_count() {
        let now = now();
        let (one, other) = (WallClock::new(now), WallClock::new(now - Duration::from_secs(100)));
        let mut stopwatch = Stopwatch::default();

        for _ in 0..100 {
            assert!(stopwatch.moment(1, &one).seconds < 50);
            assert!(stopwatch.moment(2, &other).seconds >= 100);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clock_follows_the_paused_time_of_tests() {
        let before = now();

        tokio::time::advance(Duration::from_secs(3600)).await;

        assert_eq!(now() - before, Duration::from_secs(3600));
    }
}
