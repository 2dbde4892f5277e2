//! Every codec against a decoder that shares nothing with what wrote the bytes.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{prop_assert, proptest};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

mod framing;
mod oracles;
mod reused;

const LEVEL: i32 = 3;
const NO_LIMIT: usize = 1 << 24;

/// Those that the crate is built with.
fn codecs() -> impl Iterator<Item = Compression> {
    let all = [Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd];
    all.into_iter().filter(|codec| codec.missing_feature().is_none())
}

fn compress_at(codec: Compression, level: i32, records: &[u8]) -> Option<Vec<u8>> {
    codec.compress(level, records, |compressed| compressed.map(<[u8]>::to_vec))
}

fn compress(codec: Compression, records: &[u8]) -> Option<Vec<u8>> {
    compress_at(codec, LEVEL, records)
}

fn decompress_by_oracle(codec: Compression, compressed: &[u8]) -> Vec<u8> {
    oracles::read(codec, compressed).expect("another codebase reads it")
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; len];
    StdRng::seed_from_u64(seed).fill(&mut noise[..]);
    noise
}

/// Noise, repeated after each `period` bytes.
fn repetitive(len: usize, period: usize, seed: u64) -> Vec<u8> {
    noise(period, seed).into_iter().cycle().take(len).collect()
}

fn assert_comes_back(codec: Compression, records: &[u8]) {
    let Some(compressed) = compress(codec, records) else { return };
    assert!(compressed.len() < records.len());
    assert!(decompress_by_oracle(codec, &compressed) == records, "{codec}: {} bytes", records.len());
    let own = codec.decompress(&compressed, records.len());
    assert!(own.as_deref() == Some(records), "{codec}: {} bytes", records.len());
}

#[test]
fn lengths_around_the_borders_of_blocks_come_back() {
    const BLOCK: usize = 65_536;
    let halves = [BLOCK / 2 - 1, BLOCK / 2, BLOCK / 2 + 1];
    let borders = [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 4 * BLOCK + 17];
    for codec in codecs() {
        for len in (0..40).chain(halves).chain(borders) {
            for period in [1, 7, 1000, 70_000] {
                assert_comes_back(codec, &repetitive(len, period, 3));
            }
        }
    }
}

#[test]
fn incompressible_part_between_compressible_ones_comes_back() {
    let records = [vec![1; 65_536], noise(65_536, 5), vec![2; 1000]].concat();

    for codec in codecs() {
        assert!(compress(codec, &records).unwrap().len() > 65_536);
        assert_comes_back(codec, &records);
    }
}

#[test]
fn nothing_comes_of_what_does_not_get_smaller() {
    for codec in codecs() {
        for len in [0, 1, 15, 1000, 65_536, 300_000] {
            assert_eq!(compress(codec, &noise(len, 11)), None, "{codec}: {len}");
        }
        assert_eq!(compress(codec, &[0; 10]), None, "{codec}");
    }
}

#[test]
fn no_codec_compresses_nothing() {
    assert!(Compression::None.compress(0, &[0; 1000], |compressed| compressed.is_none()));
    assert_eq!(Compression::None.decompress(b"as it is", NO_LIMIT).as_deref(), Some(&b"as it is"[..]));
}

#[test]
fn earlier_batches_leave_no_trace() {
    let records = repetitive(5000, 100, 1);
    for codec in codecs() {
        let alone = std::thread::spawn({
            let records = records.clone();
            move || compress(codec, &records)
        });

        compress(codec, &repetitive(200_000, 100, 2));
        compress(codec, &noise(70_000, 3));
        compress_at(codec, LEVEL + 1, &repetitive(9000, 100, 3));

        assert_eq!(compress(codec, &records), alone.join().unwrap(), "{codec}");
    }
}

#[test]
fn levels_of_gzip_and_zstd_are_heeded() {
    let text: String = (0..4000).map(|n| format!("line {} of {}\n", n * 7919 % 1000, n * 31 % 17)).collect();
    let len = |codec, level| {
        let compressed = compress_at(codec, level, text.as_bytes()).unwrap();
        assert_eq!(decompress_by_oracle(codec, &compressed), text.as_bytes(), "{codec} {level}");
        compressed.len()
    };
    for codec in codecs() {
        match codec {
            Compression::Gzip => {
                assert!(len(codec, 9) < len(codec, 1));
                assert_eq!(len(codec, -1), len(codec, 3));
                assert!((1..=9).all(|level| len(codec, level) < text.len()));
            }
            Compression::Zstd => {
                assert!(len(codec, 19) < len(codec, 1));
                assert!(len(codec, 1) < len(codec, -100));
                assert_eq!(len(codec, 0), len(codec, 3));
                assert!(len(codec, 22) <= len(codec, 3));
                // The least that Kafka takes is too little for any gain.
                assert_eq!(compress_at(codec, -131_072, text.as_bytes()), None);
            }
            _ => assert_eq!(len(codec, 1), len(codec, 9)),
        }
    }
}

#[test]
fn batch_is_uncompressed_behind_its_header() {
    let header = [9; HEADER_LEN];
    let records = [1; 500];
    for codec in codecs() {
        let batch = Bytes::from([&header, &*compress(codec, &records).unwrap()].concat());

        assert_eq!(uncompressed(&batch, codec, 500), [&header[..], &records].concat());
        assert_eq!(uncompressed(&batch, codec, 499), &header[..]);
        assert_eq!(uncompressed(&batch, Compression::None, 0), batch);
        assert_eq!(uncompressed(&Bytes::from_static(b"short"), codec, 500), "short");
    }
}

#[test]
fn what_is_cut_short_is_damaged() {
    for codec in codecs() {
        let records = repetitive(2000, 300, 4);
        let compressed = compress(codec, &records).unwrap();

        for len in 0..compressed.len() {
            let own = codec.decompress(&compressed[..len], NO_LIMIT);
            // The framing of snappy does not tell where its end is: a header alone is none of records.
            assert!(own.is_none_or(|own| codec == Compression::Snappy && own.is_empty()), "{codec}: {len}");
        }
    }
}

#[test]
fn nothing_is_restored_beyond_the_limit() {
    let records = vec![0; 1_000_000];
    for codec in codecs() {
        let compressed = compress(codec, &records).unwrap();

        assert_eq!(codec.decompress(&compressed, 1_000_000).map(|own| own.len()), Some(1_000_000));
        for limit in [0, 1, 999_999] {
            assert_eq!(codec.decompress(&compressed, limit), None, "{codec}: {limit}");
        }
    }
}

#[test]
fn codecs_that_are_missing_name_their_feature() {
    assert_eq!(Compression::None.missing_feature(), None);
    assert_eq!(Compression::Lz4.missing_feature(), None);
    for (codec, feature, is_on) in [
        (Compression::Gzip, "gzip", cfg!(feature = "gzip")),
        (Compression::Snappy, "snappy", cfg!(feature = "snappy")),
        (Compression::Zstd, "zstd", cfg!(feature = "zstd")),
    ] {
        assert_eq!(codec.missing_feature(), (!is_on).then_some(feature));
        if !is_on {
            assert_eq!(compress(codec, &[0; 1000]), None);
        }
    }
}

fn records() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![0..2000_usize, 32_500..33_000_usize, 65_000..66_000_usize, 0..300_000_usize];
    let period = prop_oneof![Just(1_usize), 2..100_usize, 100..5000_usize, Just(300_000)];
    (len, period, any::<u64>()).prop_map(|(len, period, seed)| repetitive(len, period, seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn oracle_reads_what_we_write(records in records()) {
        for codec in codecs() {
            if let Some(compressed) = compress(codec, &records) {
                prop_assert!(compressed.len() < records.len());
                prop_assert!(decompress_by_oracle(codec, &compressed) == records);
                let own = codec.decompress(&compressed, records.len());
                prop_assert!(own.is_some_and(|own| own == records));
            }
        }
    }

    #[test]
    fn random_bytes_do_no_harm(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for codec in codecs() {
            let sample = compress(codec, &[0; 1000]).unwrap();
            for header in [0, 4, 7, 10, 16] {
                let bytes = [&sample[..header], &body].concat();
                prop_assert!(codec.decompress(&bytes, 5000).is_none_or(|own| own.len() <= 5000));
            }
        }
    }

    #[test]
    fn damage_does_no_harm(len in 20..3000_usize, at in any::<usize>(), byte in any::<u8>()) {
        for codec in codecs() {
            let mut compressed = compress(codec, &repetitive(len + 1000, 50, 8)).unwrap();
            let at = at % compressed.len();

            compressed[at] = byte;

            prop_assert!(codec.decompress(&compressed, 5000).is_none_or(|own| own.len() <= 5000));
        }
    }
}

/// Compresses while its thread ends, when the places of what a thread keeps are gone.
struct Last(std::sync::mpsc::Sender<usize>);

impl Drop for Last {
    fn drop(&mut self) {
        let records = [7; 1000];
        let count = codecs().filter_map(|codec| compress(codec, &records)).count();
        self.0.send(count).unwrap();
    }
}

#[test]
fn thread_that_ends_can_compress() {
    thread_local! {
        static LAST: Cell<Option<Last>> = const { Cell::new(None) };
    }

    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Places that are used first are gone last, on some systems, and first on others. So use them before and after.
        LAST.set(None);
        assert!(codecs().all(|codec| compress(codec, &[7; 1000]).is_some()));
        LAST.set(Some(Last(sender)));
    })
    .join()
    .unwrap();

    assert_eq!(receiver.recv(), Ok(codecs().count()));
}

#[test]
fn compressed_bytes_can_be_taken_by_one_who_compresses() {
    let (outer, inner) = ([7; 1000], [8; 500]);

    let taken = Compression::Lz4.compress(LEVEL, &outer, |compressed| {
        let within = compress(Compression::Lz4, &inner).unwrap();
        (compressed.unwrap().to_vec(), within)
    });

    assert_eq!(decompress_by_oracle(Compression::Lz4, &taken.0), outer);
    assert_eq!(decompress_by_oracle(Compression::Lz4, &taken.1), inner);
}
