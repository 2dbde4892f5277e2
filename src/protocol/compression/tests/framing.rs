//! What surrounds the compressed bytes, byte by byte, as Kafka's Java reader wants it.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::*;

#[test]
fn lz4_frame_begins_and_ends_as_kafka_demands() {
    let frame = compress(Compression::Lz4, &[7; 1000]).unwrap();

    // Magic; version 1, independent blocks, no checksums and no length; 64 KiB blocks; checksum of these two.
    assert_eq!(frame[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    let block_len = u32::from_le_bytes(*frame[7..].first_chunk().unwrap());
    assert_eq!(block_len as usize, frame.len() - 7 - 4 - 4);
    assert_eq!(frame[frame.len() - 4..], [0; 4]);
}

#[test]
fn lz4_frame_with_dependent_blocks_is_none_of_ours() {
    let info = FrameInfo::new().block_mode(BlockMode::Linked).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&[3; 1000]).unwrap();

    assert_eq!(Compression::Lz4.decompress(&encoder.finish().unwrap(), NO_LIMIT), None);
}

#[test]
fn lz4_block_that_claims_too_much_is_damaged() {
    for len in [u32::MAX, 0x7fff_ffff, 0x8000_0001] {
        let frame = [&[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82][..], &len.to_le_bytes()].concat();
        assert_eq!(Compression::Lz4.decompress(&frame, NO_LIMIT), None);
    }
}

/// RFC 1952; CRC-32 of a thousand times 7, by zlib's `crc32`.
#[cfg(feature = "gzip")]
#[test]
fn gzip_member_begins_and_ends_as_its_rfc_demands() {
    let member = compress(Compression::Gzip, &[7; 1000]).unwrap();

    assert_eq!(member[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    let (crc, len) = member[member.len() - 8..].split_at(4);
    assert_eq!(crc, CRC32_OF_THOUSAND_SEVENS.to_le_bytes());
    assert_eq!(len, 1000_u32.to_le_bytes());
}

#[cfg(feature = "gzip")]
const CRC32_OF_THOUSAND_SEVENS: u32 = 0x459830dc;

#[cfg(feature = "gzip")]
#[test]
fn gzip_member_with_a_wrong_sum_or_length_is_damaged() {
    let member = compress(Compression::Gzip, &[7; 1000]).unwrap();

    for at in member.len() - 8..member.len() {
        let mut bad = member.clone();
        bad[at] ^= 1;
        assert_eq!(Compression::Gzip.decompress(&bad, NO_LIMIT), None, "{at}");
    }
    assert_eq!(Compression::Gzip.decompress(&[&member[..], &[0]].concat(), NO_LIMIT), None);
}

#[cfg(feature = "snappy")]
#[test]
fn snappy_block_that_claims_too_much_is_damaged() {
    let header = compress(Compression::Snappy, &[7; 1000]).unwrap()[..16].to_vec();
    for (len, block) in [
        (u32::MAX, &[0][..]),
        (2, &[0]),
        // Claims to stand for 32769 bytes, and for 4 GiB.
        (3, &[0x81, 0x80, 0x02]),
        (5, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let framed = [&header[..], &len.to_be_bytes(), block].concat();
        assert_eq!(Compression::Snappy.decompress(&framed, NO_LIMIT), None, "{len}");
    }
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_frame_that_claims_too_much_is_damaged() {
    // Magic; a single segment whose length has 8 bytes; a block that repeats one byte and one that holds nothing.
    let len = (1_u64 << 40).to_le_bytes();
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &len, &[0x02, 0, 0x10, 7], &[1, 0, 0]].concat();

    assert_eq!(Compression::Zstd.decompress(&frame, NO_LIMIT), None);
}
