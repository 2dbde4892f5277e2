//! Random interleavings: every record ends in exactly one batch, in order, and the memory comes back.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Append {
        len: usize,
        comes_back: bool,
    },
    /// A compression ends, or is dropped.
    EndSeal {
        which: usize,
        drop: bool,
    },
    Expire,
    Look,
    /// The batches taken last come back.
    PutBack,
    Split,
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..60_u64).prop_map(Step::Advance),
        10 => (prop_oneof![1..50_usize, 1..400_usize, 1..2500_usize], any::<bool>())
            .prop_map(|(len, comes_back)| Step::Append { len, comes_back }),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, drop)| Step::EndSeal { which, drop }),
        1 => proptest::prelude::Just(Step::Expire),
        3 => proptest::prelude::Just(Step::Look),
        2 => proptest::prelude::Just(Step::PutBack),
        1 => proptest::prelude::Just(Step::Split),
        5 => proptest::prelude::Just(Step::Take),
    ]
}

/// What the sender was shown of a queue's head.
type Seen = Option<(Instant, bool, bool)>;

struct Run {
    bench: Bench,
    appended: usize,
    deliveries: Vec<Delivery>,
    jobs: Vec<SealJob>,
    /// Taken and not settled.
    taken: Vec<ProducerBatch>,
    /// What came out, in order.
    done: Vec<usize>,
    seen: Seen,
    is_announced: bool,
}

impl Run {
    fn new(compression: Compression, memory: usize) -> Self {
        Self {
            bench: Bench::with(compression, memory),
            appended: 0,
            deliveries: Vec::new(),
            jobs: Vec::new(),
            taken: Vec::new(),
            done: Vec::new(),
            seen: None,
            is_announced: false,
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Advance(millis) => self.bench.now += Duration::from_millis(millis),
            Step::Append { len, comes_back } => {
                let at_end = if comes_back { AtBatchEnd::ComeBack } else { AtBatchEnd::BeginNext };
                let value = format!("{}:{}", self.appended, "x".repeat(len));
                if let TryAppend::Done(done) = self.bench.try_append(&value, at_end) {
                    self.appended += 1;
                    self.deliveries.push(done.delivery());
                }
            }
            Step::EndSeal { .. } if self.jobs.is_empty() => {}
            Step::EndSeal { which, drop: is_dropped } => {
                let job = self.jobs.swap_remove(which % self.jobs.len());
                if is_dropped {
                    // The sender is not told and has to look by itself.
                    drop(job);
                    self.is_announced = true;
                } else {
                    self.bench.accumulator.seal(job);
                }
            }
            Step::Expire => {
                self.settle();
                for batch in self.bench.queue.expire(self.bench.now, WINDOW * 2) {
                    self.finish(batch);
                }
            }
            Step::Look => self.look(),
            Step::PutBack => self.bench.queue.put_back(self.taken.drain(..)),
            Step::Split if self.taken.is_empty() => {}
            Step::Split => {
                // Only the last can be cut without disturbing the order of what the test settles.
                let batch = self.taken.pop().unwrap();
                let batch_size = self.bench.accumulator.settings().batch_size;
                if let Err(batch) = split(batch, &self.bench.queue, batch_size, self.bench.now) {
                    self.taken.push(*batch);
                }
            }
            Step::Take => match self.bench.queue.take_head() {
                TakenHead::Batch(batch) => self.taken.push(*batch),
                TakenHead::Nothing => {}
                TakenHead::Seal(job) => self.jobs.push(job),
            },
        }
        self.is_announced |= self.bench.is_announced();
        // What the sender does itself it sees itself.
        if !matches!(step, Step::Append { .. } | Step::EndSeal { .. }) {
            self.look();
        }
    }

    fn look(&mut self) {
        self.seen = self.bench.queue.look().map(|head| (head.created, head.is_full, head.is_sealing));
        self.is_announced = false;
    }

    /// A head that has changed in a way that matters to the sender must have been announced.
    fn check_announcement(&self) {
        // `look` would count as the sender's.
        if !self.is_announced {
            let now = self.bench.queue.look().map(|head| (head.created, head.is_full, head.is_sealing));
            assert_eq!(now, self.seen, "the sender was not told");
        }
    }

    fn settle(&mut self) {
        for batch in std::mem::take(&mut self.taken) {
            self.finish(batch);
        }
    }

    fn finish(&mut self, mut batch: ProducerBatch) {
        let numbers = values(&mut batch);
        self.done
            .extend(numbers.iter().map(|value| value.split_once(':').unwrap().0.parse::<usize>().unwrap()));
        let base_offset = i64::try_from(self.done.len() - numbers.len()).unwrap();
        deliver(batch, base_offset);
    }

    fn drain(&mut self) {
        self.settle();
        loop {
            match self.bench.queue.take_head() {
                TakenHead::Batch(batch) => self.finish(*batch),
                TakenHead::Seal(job) => self.bench.accumulator.seal(job),
                TakenHead::Nothing if self.jobs.is_empty() => return,
                TakenHead::Nothing => self.jobs.drain(..).for_each(|job| self.bench.accumulator.seal(job)),
            }
        }
    }
}

proptest! {
    #[test]
    fn every_record_comes_out_once_and_in_order(
        steps in vec(step(), 1..120),
        is_compressed in any::<bool>(),
        memory in prop_oneof![3000..6000_usize, 100_000..100_001_usize],
    ) {
        let compression = if is_compressed { Compression::Lz4 } else { Compression::None };
        let mut run = Run::new(compression, memory);

        for step in &steps {
            run.apply(step);
            run.check_announcement();
            let memory = run.bench.accumulator.memory();
            prop_assert!(memory.available() <= memory.total());
        }
        run.drain();

        prop_assert!(run.done.iter().copied().eq(0..run.appended), "{:?}", run.done);
        prop_assert!(run.deliveries.iter().map(offset).eq((0..).map(Some).take(run.appended)));
        prop_assert!(run.bench.has_all_memory());
        prop_assert!(run.bench.accumulator.is_complete());
        prop_assert_eq!(run.bench.queue.queued_batches(), 0);
        prop_assert_eq!(run.bench.accumulator.appended_records(), run.appended as u64);
    }
}
