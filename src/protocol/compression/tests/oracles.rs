//! Decoders of other codebases than the encoders that are tested: crates that share no line with them, or what is short
//! enough to write down from the formats' descriptions.

use std::io::Read;

use miniz_oxide::inflate::decompress_to_vec;

use super::*;

/// Returns the records that a batch's codec made `compressed` of; `None` if the bytes are damaged.
pub(super) fn read(codec: Compression, compressed: &[u8]) -> Option<Vec<u8>> {
    match codec {
        Compression::Gzip => read_gzip(compressed),
        Compression::Lz4 => read_lz4(compressed),
        Compression::None => Some(compressed.to_vec()),
        Compression::Snappy => read_xerial(compressed),
        Compression::Zstd => {
            let mut records = Vec::new();
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(compressed).ok()?;
            decoder.read_to_end(&mut records).ok()?;
            Some(records)
        }
    }
}

/// RFC 1952, without optional fields.
fn read_gzip(member: &[u8]) -> Option<Vec<u8>> {
    let body = member.strip_prefix(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])?;
    let (stream, trailer) = body.split_last_chunk::<8>()?;
    let records = decompress_to_vec(stream).ok()?;
    let expected = u64::try_from(records.len()).ok()? << 32 | u64::from(crc32(&records));
    (u64::from_le_bytes(*trailer) == expected).then_some(records)
}

/// The checksum of gzip, by a table of half bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0; 16];
    for (half, entry) in (0_u32..).zip(&mut table) {
        *entry = (0..4).fold(half, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
    }
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(*byte);
        let crc = crc >> 4 ^ table[(crc & 15) as usize];
        crc >> 4 ^ table[(crc & 15) as usize]
    })
}

/// LZ4 frames of independent blocks without checksums.
fn read_lz4(frame: &[u8]) -> Option<Vec<u8>> {
    let mut rest = frame.strip_prefix(&[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])?;
    let mut records = Vec::new();
    loop {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len);
        if len == 0 {
            return tail.is_empty().then_some(records);
        }
        let (block, tail) = tail.split_at_checked((len & 0x7fff_ffff) as usize)?;
        let begin = records.len();
        if len & 0x8000_0000 != 0 {
            records.extend_from_slice(block);
        } else {
            read_lz4_block(block, &mut records)?;
        }
        assert!(records.len() - begin <= 65_536, "a block holds no more than the header says");
        rest = tail;
    }
}

fn read_lz4_block(mut block: &[u8], records: &mut Vec<u8>) -> Option<()> {
    let begin = records.len();
    loop {
        let (token, rest) = block.split_first()?;
        block = rest;
        let literals = lz4_len(usize::from(token >> 4), &mut block)?;
        let (literals, rest) = block.split_at_checked(literals)?;
        records.extend_from_slice(literals);
        block = rest;
        if block.is_empty() {
            return Some(());
        }
        let (distance, rest) = block.split_first_chunk::<2>()?;
        block = rest;
        let len = 4 + lz4_len(usize::from(token & 15), &mut block)?;
        repeat(records, begin, usize::from(u16::from_le_bytes(*distance)), len)?;
    }
}

fn lz4_len(nibble: usize, block: &mut &[u8]) -> Option<usize> {
    let mut len = nibble;
    let mut goes_on = nibble == 15;
    while goes_on {
        let (more, rest) = block.split_first()?;
        *block = rest;
        len += usize::from(*more);
        goes_on = *more == 255;
    }
    Some(len)
}

/// The frames of snappy-java's `SnappyOutputStream`.
fn read_xerial(framed: &[u8]) -> Option<Vec<u8>> {
    let mut rest = framed.strip_prefix(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01")?;
    let mut records = Vec::new();
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let (block, tail) = tail.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        let begin = records.len();
        read_snappy_block(block, &mut records)?;
        assert!(records.len() - begin == 32_768 || tail.is_empty(), "all but the last are full");
        rest = tail;
    }
    rest.is_empty().then_some(records)
}

fn read_snappy_block(mut block: &[u8], records: &mut Vec<u8>) -> Option<()> {
    let begin = records.len();
    let mut len = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = block.split_first()?;
        block = rest;
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    while let Some((tag, rest)) = block.split_first() {
        block = rest;
        let mut number = |bytes: usize| {
            let (number, rest) = block.split_at_checked(bytes)?;
            block = rest;
            Some(number.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
        };
        let six = usize::from(tag >> 2);
        match tag & 3 {
            0 => {
                let len = 1 + if six < 60 { six } else { number(six - 59)? };
                let (literals, rest) = block.split_at_checked(len)?;
                records.extend_from_slice(literals);
                block = rest;
            }
            1 => {
                let distance = usize::from(tag >> 5) << 8 | number(1)?;
                repeat(records, begin, distance, 4 + (six & 7))?;
            }
            kind => {
                let distance = number(if kind == 2 { 2 } else { 4 })?;
                repeat(records, begin, distance, 1 + six)?;
            }
        }
    }
    (records.len() - begin == len).then_some(())
}

/// Appends `len` bytes that begin `distance` before the end, which may overlap what is appended.
fn repeat(records: &mut Vec<u8>, begin: usize, distance: usize, len: usize) -> Option<()> {
    let from = records.len().checked_sub(distance).filter(|from| *from >= begin && distance > 0)?;
    for at in from..from + len {
        records.push(records[at]);
    }
    Some(())
}
