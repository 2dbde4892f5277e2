//! Runs what is fuzzed (`fuzz/`) on a bounded number of inputs: those of the corpus, damaged ones, and random ones.
//!
//! An input is decided by the seed alone. `FUZZ_SEED=17` begins elsewhere, `FUZZ_ROUNDS=1000000` goes on for longer, and
//! `FUZZ_FILE=path` runs the bytes of a file in place of all others.

#[path = "bodies.rs"]
pub mod bodies;

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use bodies::{BODIES, run};

/// Rounds for each body, if time allows.
const ROUNDS: u64 = 20_000;
/// What a body may take; a slow machine does fewer rounds.
const TIME: Duration = Duration::from_secs(3);
/// The sender has far more to find than the others.
const TIME_FOR_SENDER: Duration = Duration::from_secs(12);

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// The files that are kept for a body: seeds, and inputs that once found something.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// A new input: random, or one of the corpus with some damage.
fn input(random: &mut StdRng, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    if random.random_bool(0.4) {
        let len = random.random_range(0..600);
        let top = if random.random_bool(0.3) { 4 } else { 255 };
        return (0..len).map(|_| random.random_range(0..=top)).collect();
    }
    let mut bytes = corpus[random.random_range(0..corpus.len())].1.clone();
    for _ in 0..random.random_range(1..8) {
        damage(random, &mut bytes);
    }
    bytes
}

fn damage(random: &mut StdRng, bytes: &mut Vec<u8>) {
    let at = random.random_range(0..=bytes.len());
    match random.random_range(0..8) {
        0 => bytes.truncate(at),
        1 | 2 => bytes.insert(at, random.random()),
        3 => {
            let end = (at + random.random_range(0..40)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = random.random_range(0..=bytes.len());
            bytes.splice(to..to, piece);
        }
        // Lengths and counts at their limits.
        4 => {
            let number = [0, 1, u32::MAX, u32::MAX >> 1, 1 << 31, 0xffff_ff7f][random.random_range(0..6)];
            bytes.iter_mut().skip(at).zip(number.to_be_bytes()).for_each(|(byte, new)| *byte = new);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
    }
}

/// Runs a body; a failure says with what.
fn attempt(target: &str, what: &str, bytes: &[u8]) {
    if catch_unwind(|| run(target, bytes)).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{target} fails with {what}: {hex}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn fuzz(target: &str) {
    if let Ok(path) = std::env::var("FUZZ_FILE") {
        return run(target, &fs::read(path).unwrap());
    }
    let corpus = corpus(target);
    for (name, bytes) in &corpus {
        attempt(target, name, bytes);
    }
    let (rounds, started) = (env("FUZZ_ROUNDS"), Instant::now());
    let time = if target == "sender" { TIME_FOR_SENDER } else { TIME };
    let mut done = 0;
    let first = env("FUZZ_SEED").unwrap_or(0);
    for seed in first..first + rounds.unwrap_or(ROUNDS) {
        if rounds.is_none() && started.elapsed() > time {
            break;
        }
        let bytes = input(&mut StdRng::seed_from_u64(seed), &corpus);
        attempt(target, &format!("FUZZ_SEED={seed}"), &bytes);
        done += 1;
    }
    println!("{target}: {} files, {done} rounds in {:?}", corpus.len(), started.elapsed());
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                fuzz(stringify!($target));
            }
        )*

        #[test]
        fn every_body_is_run() {
            assert!(BODIES.iter().map(|(name, _)| *name).eq([$(stringify!($target)),*]));
        }
    };
}

targets! {
    api_versions aws batch_bytes batch_records certificate frames http init_producer_id jaas jwt keystore metadata pem produce properties
    sasl_authenticate sasl_handshake scram sender url
}
