//! Codecs that are used again and again, as each thread does: what a batch leaves behind must not show in the next.
//!
//! A batch that does not get smaller ends in the middle, and it is the one after it that would be damaged.

use std::ops::RangeInclusive;
use std::thread;

use super::*;
use crate::protocol::compression::kept::{Broken, Kept};

/// Batches in the normal run; `CODEC_BATCHES` asks for more, and for long records in the other tests.
const BATCHES: u64 = 500;
/// Batches that share the codecs of one thread.
const BATCHES_PER_THREAD: u64 = 250;

fn levels(codec: Compression) -> RangeInclusive<i32> {
    match codec {
        Compression::Gzip => -1..=9,
        Compression::Zstd => -3..=9,
        Compression::Lz4 | Compression::None | Compression::Snappy => 0..=0,
    }
}

fn text(len: usize, seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut text = Vec::with_capacity(len + 100);
    while text.len() < len {
        let line = format!(
            "{{\"id\":{},\"user\":\"user-{}\"}}\n",
            random.random_range(0..1_000_000),
            text.len() % 71
        );
        text.extend(line.bytes());
    }
    text.truncate(len);
    text
}

/// Noise, text, repetitions, and noise with so long a tail of equal bytes that the outcome is about as long as this.
fn any_records(random: &mut StdRng, most: usize) -> Vec<u8> {
    // As long as those before, or nearly, as batches are; now and then any length.
    let len = if random.random() {
        most - random.random_range(0..most.min(64))
    } else {
        random.random_range(0..=most)
    };
    let seed = random.random();
    match random.random_range(0..6) {
        0..2 => noise(len, seed),
        2 => text(len, seed),
        3 => repetitive(len, random.random_range(1..5000), seed),
        4 => [noise(len, seed), vec![7; random.random_range(0..100)]].concat(),
        _ => [noise(len / 2, seed), text(len / 2, seed), noise(random.random_range(0..2000), seed)].concat(),
    }
}

fn assert_reads_back(codec: Compression, level: i32, records: &[u8], what: &str) {
    let Some(compressed) = compress_at(codec, level, records) else { return };
    assert!(compressed.len() < records.len());
    let read = oracles::read(codec, &compressed);
    assert!(read.as_deref() == Some(records), "{codec} {level}: {} bytes, {what}", records.len());
}

/// The least that showed it: the text came out damaged on Kafka, and other brokers took it.
#[test]
fn text_behind_noise_is_read_back() {
    for codec in codecs() {
        for level in levels(codec) {
            for seed in 0..8 {
                for noise_seed in 0..6 {
                    assert_eq!(compress_at(codec, level, &noise(15_000, seed * 10 + noise_seed)), None);
                }
                assert_reads_back(codec, level, &text(9000, seed), "text behind noise");
            }
        }
    }
}

#[test]
fn outcome_around_the_length_of_the_records_leaves_no_trace() {
    let text = text(1500, 1);
    let lengths: &[usize] =
        if std::env::var_os("CODEC_BATCHES").is_some() { &[200, 3000, 20_000] } else { &[200, 3000] };
    for codec in codecs() {
        for level in levels(codec) {
            for &len in lengths {
                for tail in 0..40 {
                    let records = [noise(len, 9), vec![7; tail]].concat();
                    assert_reads_back(codec, level, &records, "about as long");
                    assert_reads_back(codec, level, &text, "behind about as long");
                }
            }
        }
    }
}

#[test]
fn state_is_kept_only_if_the_codec_has_ended_as_it_should() {
    thread_local! {
        static KEPT: Kept<i32> = const { Kept::new() };
    }
    let lend = |broken: Result<Option<()>, Broken>| {
        let mut seen = 0;
        Kept::lend(
            &KEPT,
            |_| true,
            || Some(0),
            |uses| {
                (seen, *uses) = (*uses, *uses + 1);
                broken
            },
        );
        seen
    };

    assert_eq!((lend(Ok(Some(()))), lend(Ok(None))), (0, 1));
    assert_eq!(lend(Err(Broken)), 2);
    assert_eq!(lend(Ok(Some(()))), 0);
    let panicking =
        || Kept::lend(&KEPT, |_| true, || None, |_| -> Result<Option<()>, _> { panic!("part of the test") });
    assert!(fenced(panicking).is_err());
    assert_eq!(lend(Ok(None)), 0, "what has panicked is not used again");
}

/// `CODEC_BATCHES=1000000 cargo test --release --all-features --lib compression::tests::reused` tries a million.
#[test]
fn any_batches_in_turn_are_read_back() {
    let batches = std::env::var("CODEC_BATCHES").map_or(BATCHES, |batches| batches.parse().unwrap());
    let threads: Vec<_> = (0..batches.div_ceil(BATCHES_PER_THREAD)).collect();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for threads in threads.chunks(cores) {
        thread::scope(|scope| {
            threads.iter().for_each(|seed| drop(scope.spawn(move || try_batches(*seed))));
        });
    }
}

fn try_batches(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let most = [500, 3000, 16_384, 16_384, 16_384, 16_384, 70_000][random.random_range(0..7)];
    let codecs: Vec<_> = codecs().collect();
    let mut levels: Vec<_> = codecs.iter().map(|codec| random.random_range(levels(*codec))).collect();
    for batch in 0..BATCHES_PER_THREAD {
        // Gzip is the first of them, and the one that has the most to leave behind.
        let at = if random.random() { 0 } else { random.random_range(0..codecs.len()) };
        if random.random_range(0..100) == 0 {
            levels[at] = random.random_range(self::levels(codecs[at]));
        }
        let records = any_records(&mut random, most);
        assert_reads_back(codecs[at], levels[at], &records, &format!("thread {seed}, batch {batch}"));
    }
}
