//! Our LZ4 frames against the frame decoder of `lz4_flex`, which shares nothing with ours but the block functions.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn compress(records: &[u8]) -> Option<Vec<u8>> {
    Compression::Lz4.compress(records, |compressed| compressed.map(<[u8]>::to_vec))
}

fn decompress_by_oracle(frame: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    FrameDecoder::new(frame).read_to_end(&mut records).unwrap();
    records
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

fn assert_comes_back(records: &[u8]) {
    let Some(frame) = compress(records) else { return };
    assert!(frame.len() < records.len());
    assert!(decompress_by_oracle(&frame) == records, "{} bytes", records.len());
    assert!(Compression::Lz4.decompress(&frame).as_deref() == Some(records), "{} bytes", records.len());
}

#[test]
fn frame_begins_and_ends_as_kafka_demands() {
    let frame = compress(&[7; 1000]).unwrap();

    // Magic; version 1, independent blocks, no checksums and no length; 64 KiB blocks; checksum of these two.
    assert_eq!(frame[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    let block_len = u32::from_le_bytes(*frame[7..].first_chunk().unwrap());
    assert_eq!(block_len as usize, frame.len() - 7 - 4 - 4);
    assert_eq!(frame[frame.len() - 4..], [0; 4]);
}

#[test]
fn lengths_around_the_borders_of_blocks_come_back() {
    const BLOCK: usize = 65_536;
    let borders = [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 4 * BLOCK + 17];
    for len in (0..40).chain(borders) {
        for period in [1, 7, 1000, 70_000] {
            assert_comes_back(&repetitive(len, period, 3));
        }
    }
}

#[test]
fn incompressible_block_between_compressible_ones_is_stored() {
    let records = [vec![1; 65_536], noise(65_536, 5), vec![2; 1000]].concat();

    let frame = compress(&records).unwrap();

    assert!(frame.len() > 65_536);
    assert_comes_back(&records);
}

#[test]
fn nothing_comes_of_what_does_not_get_smaller() {
    for len in [0, 1, 15, 1000, 65_536, 300_000] {
        assert_eq!(compress(&noise(len, 11)), None, "{len}");
    }
    assert_eq!(compress(&[0; 15]), None);
}

#[test]
fn no_codec_compresses_nothing() {
    assert!(Compression::None.compress(&[0; 1000], |compressed| compressed.is_none()));
    assert_eq!(Compression::None.decompress(b"as it is").as_deref(), Some(&b"as it is"[..]));
}

#[test]
fn earlier_batches_leave_no_trace() {
    let records = repetitive(5000, 100, 1);
    let alone = std::thread::spawn({
        let records = records.clone();
        move || compress(&records)
    });

    compress(&repetitive(200_000, 100, 2));
    compress(&noise(70_000, 3));

    assert_eq!(compress(&records), alone.join().unwrap());
}

#[test]
fn batch_is_uncompressed_behind_its_header() {
    let header = [9; HEADER_LEN];
    let records = [1; 500];
    let batch = Bytes::from([&header, &*compress(&records).unwrap()].concat());

    assert_eq!(uncompressed(&batch, Compression::Lz4), [&header[..], &records].concat());
    assert_eq!(uncompressed(&batch, Compression::None), batch);
    assert_eq!(uncompressed(&Bytes::from_static(b"short"), Compression::Lz4), "short");
}

#[test]
fn frame_cut_short_is_damaged() {
    let frame = compress(&repetitive(2000, 300, 4)).unwrap();

    for len in 0..frame.len() {
        assert_eq!(Compression::Lz4.decompress(&frame[..len]), None, "{len}");
    }
}

#[test]
fn frame_with_dependent_blocks_is_none_of_ours() {
    let info = FrameInfo::new().block_mode(BlockMode::Linked).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&[3; 1000]).unwrap();

    assert_eq!(Compression::Lz4.decompress(&encoder.finish().unwrap()), None);
}

#[test]
fn block_that_claims_too_much_is_damaged() {
    for len in [u32::MAX, 0x7fff_ffff, 0x8000_0001] {
        let frame = [&FRAME_HEADER[..], &len.to_le_bytes()].concat();
        assert_eq!(Compression::Lz4.decompress(&frame), None);
    }
}

fn records() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![0..2000_usize, 65_000..66_000_usize, 0..300_000_usize];
    let period = prop_oneof![Just(1_usize), 2..100_usize, 100..5000_usize, Just(300_000)];
    (len, period, any::<u64>()).prop_map(|(len, period, seed)| repetitive(len, period, seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn oracle_reads_our_frames(records in records()) {
        if let Some(frame) = compress(&records) {
            prop_assert!(frame.len() < records.len());
            prop_assert!(decompress_by_oracle(&frame) == records);
            prop_assert!(Compression::Lz4.decompress(&frame).is_some_and(|own| own == records));
        }
    }

    #[test]
    fn random_frames_do_no_harm(body in vec(any::<u8>(), 0..300)) {
        let _ = Compression::Lz4.decompress(&[&FRAME_HEADER[..], &body].concat());
        let _ = Compression::Lz4.decompress(&body);
    }

    #[test]
    fn damaged_frames_do_no_harm(len in 20..3000_usize, at in any::<usize>(), byte in any::<u8>()) {
        let mut frame = compress(&repetitive(len + 1000, 50, 8)).unwrap();
        let at = at % frame.len();

        frame[at] = byte;

        let own = Compression::Lz4.decompress(&frame);
        prop_assert_eq!(own.is_some_and(|own| own.len() > 65_536 * 2), false);
    }
}
