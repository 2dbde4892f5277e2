//! Compression of the records of a batch.
//!
//! Everything behind the 61-byte header is one stream. LZ4 uses its frame format with what Kafka's Java reader
//! demands: independent blocks of 64 KiB and no checksums. Frames are put together here from `lz4_flex`'s block
//! functions: that keeps one hash table per thread and spares two buffers per batch.

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use lz4_flex::block::{self, CompressTable};

use crate::protocol::record_batch::HEADER_LEN;

/// The codec that whole batches are compressed with (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// LZ4 frames, at the level that Kafka calls 9 and that LZ4 calls fast.
    Lz4,
    /// Batches are sent as they are.
    #[default]
    None,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lz4 => "lz4",
            Self::None => "none",
        })
    }
}

impl Compression {
    /// Returns the codec bits of a batch's attributes.
    pub(crate) fn attribute_bits(self) -> i16 {
        match self {
            Self::Lz4 => 3,
            Self::None => 0,
        }
    }

    /// Compresses `records` and hands the result to `take`.
    ///
    /// `take` gets `None` when there is nothing to gain: the codec is `none`, or the outcome would not be smaller.
    pub(crate) fn compress<T>(self, records: &[u8], take: impl FnOnce(Option<&[u8]>) -> T) -> T {
        match self {
            Self::None => take(None),
            Self::Lz4 => LZ4.with_borrow_mut(|lz4| take(lz4.compress(records))),
        }
    }

    /// Restores what [`Compression::compress`] made of records; `None` if the bytes are damaged.
    pub(crate) fn decompress(self, compressed: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::None => Some(compressed.to_vec()),
            Self::Lz4 => decompress_frame(compressed),
        }
    }
}

/// Returns a batch with its records uncompressed; the header stays as it is.
pub(crate) fn uncompressed(batch: &Bytes, compression: Compression) -> Bytes {
    match (compression, batch.split_at_checked(HEADER_LEN)) {
        (Compression::None, _) | (_, None) => batch.clone(),
        (codec, Some((header, records))) => {
            let mut plain = header.to_vec();
            plain.extend(codec.decompress(records).unwrap_or_default());
            plain.into()
        }
    }
}

/// Magic number, version 1 with independent blocks, 64 KiB blocks, header checksum.
const FRAME_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const END_MARK: [u8; 4] = [0; 4];
const BLOCK_LEN: usize = 64 * 1024;
/// Set in a block's length when the block is stored as it is.
const STORED: u32 = 0x8000_0000;

thread_local! {
    static LZ4: RefCell<Lz4> = RefCell::new(Lz4 { table: CompressTable::small(), frame: Vec::new(), block: Vec::new() });
}

/// What compression needs again and again, kept per thread.
struct Lz4 {
    table: CompressTable,
    frame: Vec<u8>,
    block: Vec<u8>,
}

impl Lz4 {
    fn compress(&mut self, records: &[u8]) -> Option<&[u8]> {
        self.block.resize(block::get_maximum_output_size(BLOCK_LEN), 0);
        self.frame.clear();
        self.frame.extend_from_slice(&FRAME_HEADER);
        for chunk in records.chunks(BLOCK_LEN) {
            let compressed = block::compress_into_with_table(chunk, &mut self.block, &mut self.table)
                .ok()
                .filter(|len| *len < chunk.len())
                .and_then(|len| self.block.get(..len));
            let (stored, bytes) = compressed.map_or((STORED, chunk), |bytes| (0, bytes));
            let len = u32::try_from(bytes.len()).unwrap_or(0);
            self.frame.extend_from_slice(&(len | stored).to_le_bytes());
            self.frame.extend_from_slice(bytes);
            if self.frame.len() >= records.len() {
                return None;
            }
        }
        self.frame.extend_from_slice(&END_MARK);
        (self.frame.len() < records.len()).then_some(&self.frame)
    }
}

fn decompress_frame(frame: &[u8]) -> Option<Vec<u8>> {
    let mut rest = frame.strip_prefix(&FRAME_HEADER)?;
    let mut records = Vec::new();
    let mut block_buffer = vec![0; BLOCK_LEN];
    loop {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len);
        if len == 0 {
            return Some(records);
        }
        let (block, tail) = tail.split_at_checked(usize::try_from(len & !STORED).ok()?)?;
        if len & STORED == 0 {
            let len = block::decompress_into(block, &mut block_buffer).ok()?;
            records.extend_from_slice(block_buffer.get(..len)?);
        } else {
            records.extend_from_slice(block);
        }
        rest = tail;
    }
}

#[cfg(test)]
mod tests;
