//! `batch.size` after compression (KIP-126).

use super::*;

/// Appends the same text until a batch ends; returns how long that was, before compression and after.
fn fill(bench: &Bench, text: &str) -> (usize, usize) {
    let mut plain = 0;
    while bench.queue.queued_batches() < 2 {
        plain = bench.queue.look().map_or(0, |head| head.len);
        bench.append(text);
    }
    let batch = bench.take();
    let sent = batch.len();
    deliver(*batch, 0);
    let TakenHead::Seal(job) = bench.queue.take_head() else { panic!("one record is left") };
    drop(job);
    deliver(*bench.take(), 0);
    (plain, sent)
}

#[test]
fn batches_grow_with_what_compression_has_left_of_those_before() {
    let bench = Bench::with(Compression::Lz4, 1000 * BATCH);
    let text = "compress ".repeat(20);

    let sizes: Vec<_> = (0..400).map(|_| fill(&bench, &text)).collect();

    let (first, last) = (sizes[0], sizes[399]);
    assert!(first.0 <= BATCH, "nothing is known yet: {first:?}");
    // The limit of the settings; the record that did not fit any more is 200 bytes long.
    assert!((7 * BATCH..=8 * BATCH).contains(&last.0), "{last:?}");
    assert!(sizes.iter().all(|(_, sent)| *sent <= BATCH), "{sizes:?}");
    assert!(bench.has_all_memory());
}

#[test]
fn growth_ends_where_memory_does() {
    // The old buffer of 4 and the new one of 8 batches do not fit at once.
    let bench = Bench::with(Compression::Lz4, 11 * BATCH);
    let text = "compress ".repeat(20);

    let mut longest = 0;
    for _ in 0..400 {
        while bench.queue.queued_batches() < 2
            && let TryAppend::Done(_) = bench.try_append(&text, AtBatchEnd::BeginNext)
        {
            longest = longest.max(bench.queue.look().map_or(0, |head| head.len));
        }
        if let Some(job) = bench.queue.close_open_batch().0 {
            bench.accumulator.seal(job);
        }
        while bench.queue.queued_batches() > 0 {
            deliver(*bench.take(), 0);
        }
    }

    assert!((2 * BATCH..=7 * BATCH).contains(&longest), "{longest}");
    assert!(bench.has_all_memory());
}

#[test]
fn records_that_do_not_compress_make_batches_shorter_at_once() {
    let bench = Bench::with(Compression::Lz4, 1000 * BATCH);
    let text = "compress ".repeat(20);
    for _ in 0..200 {
        fill(&bench, &text);
    }
    let mut state = 1_u64;
    let mut noise = || {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(33 + ((state >> 33) % 90) as u8)
        };
        (0..180).map(|_| next()).collect::<String>()
    };

    // The first is too long; it tells.
    while bench.queue.queued_batches() < 2 {
        bench.append(&noise());
    }
    deliver(*bench.take(), 0);
    while bench.queue.queued_batches() < 2 {
        bench.append(&noise());
    }

    assert!(bench.take().len() <= BATCH + BATCH / 4);
}

#[test]
fn batch_that_was_too_large_resets_the_estimate() {
    let bench = Bench::with(Compression::Lz4, 1000 * BATCH);
    let text = "compress ".repeat(20);
    for _ in 0..200 {
        fill(&bench, &text);
    }
    while bench.queue.queued_batches() < 2 {
        bench.append(&text);
    }

    let batch = bench.take();
    split(*batch, &bench.queue, bench.accumulator.settings().batch_size, bench.now).unwrap();

    assert_eq!(bench.queue.ratio().plain_limit(BATCH, usize::MAX), BATCH);
}
