//! Batches that others compress on behalf of the callers who closed them.

use std::sync::Mutex;

use super::*;

/// Take on so much, and do nothing until they are told to.
#[derive(Default)]
struct Desk {
    most: usize,
    works: Mutex<Vec<Work>>,
}

impl Workers for Desk {
    fn take(&self, work: Work) -> Result<(), Work> {
        self.works.lock().unwrap().push(work);
        Ok(())
    }

    fn try_take(&self, work: Work) -> Result<(), Work> {
        if self.works.lock().unwrap().len() >= self.most {
            return Err(work);
        }
        self.take(work)
    }

    fn take_back(&self) -> Vec<Work> {
        std::mem::take(&mut self.works.lock().unwrap())
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

fn bench(compression: Compression, most: usize) -> (Bench, Arc<Desk>) {
    let desk = Arc::new(Desk { most, works: Mutex::default() });
    let mut bench = Bench::with(compression, 100 * BATCH);
    bench.accumulator = bench.accumulator.with_workers(Arc::clone(&desk) as Arc<dyn Workers>);
    (bench, desk)
}

/// Each but the last closes the one before.
fn fill(bench: &Bench, batches: usize) {
    (0..batches).for_each(|_| drop(bench.append(&value_of(900))));
}

#[cfg(feature = "gzip")]
#[test]
fn slow_codec_is_left_to_others_until_they_have_enough_to_do() {
    let (bench, desk) = bench(Compression::Gzip, 1);

    fill(&bench, 3);

    // The first was taken on, the second not: then the caller has compressed it.
    assert_eq!(desk.works.lock().unwrap().len(), 1);
    assert!(bench.queue.look().unwrap().is_sealing);
    assert!(matches!(bench.queue.take_head(), TakenHead::Nothing));
    bench.is_announced();

    desk.works.lock().unwrap().pop().unwrap().run();
    assert!(bench.is_announced());
    for _ in 0..2 {
        let mut batch = bench.take();
        assert!(batch.len() < 200);
        assert_eq!(values(&mut batch), [value_of(900)]);
    }
}

#[cfg(feature = "gzip")]
#[test]
fn batches_that_others_finish_in_any_order_keep_theirs() {
    let (bench, desk) = bench(Compression::Gzip, 3);
    let texts: Vec<_> = (0..4).map(|number| format!("{number}{}", &value_of(899))).collect();
    texts.iter().for_each(|text| drop(bench.append(text)));

    // The last first.
    while let Some(work) = { desk.works.lock().unwrap().pop() } {
        work.run();
    }

    for text in &texts[..3] {
        assert_eq!(&values(&mut bench.take())[0], text);
    }
}

#[test]
fn others_compress_for_callers_with_a_fast_codec_too() {
    let (bench, desk) = bench(Compression::Lz4, 3);

    fill(&bench, 2);

    assert!(bench.queue.look().unwrap().is_sealing);
    desk.works.lock().unwrap().pop().unwrap().run();
    assert!(bench.take().len() < 200);
}

#[test]
fn sender_leaves_every_codec_to_others_however_busy_they_are() {
    let (bench, desk) = bench(Compression::Lz4, 0);
    fill(&bench, 1);

    let TakenHead::Seal(job) = bench.queue.take_head() else { panic!() };
    bench.accumulator.seal_elsewhere(job).unwrap();

    assert!(bench.queue.look().unwrap().is_sealing);
    desk.works.lock().unwrap().pop().unwrap().run();
    assert!(bench.take().len() < 200);
}

#[cfg(feature = "gzip")]
#[test]
fn work_that_is_taken_back_is_done_if_it_is_quick() {
    let (mut bench, _) = bench(Compression::Gzip, 1);
    fill(&bench, 2);
    bench.accumulator.take_back_work().into_iter().for_each(Work::run_if_quick);
    assert!(bench.take().len() < 200);

    // A record of its own batch that takes longer.
    bench = self::bench(Compression::Gzip, 1).0;
    bench.append(&value_of(40_000));
    fill(&bench, 1);
    bench.accumulator.take_back_work().into_iter().for_each(Work::run_if_quick);
    assert!(bench.take().len() > 40_000, "it goes as it is");
}

#[cfg(feature = "gzip")]
#[test]
fn work_that_is_dropped_leaves_the_batch_uncompressed_and_is_told() {
    let (bench, desk) = bench(Compression::Gzip, 1);
    fill(&bench, 2);
    bench.queue.look();
    bench.is_announced();

    desk.works.lock().unwrap().clear();

    assert!(bench.is_announced());
    assert_eq!(bench.take().len(), 61 + 900);
}
