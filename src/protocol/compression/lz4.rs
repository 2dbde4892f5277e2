//! LZ4 frames with what Kafka's Java reader demands: independent blocks of 64 KiB and no checksums.
//!
//! They are put together here from `lz4_flex`'s block functions: that keeps one hash table per thread and spares two
//! buffers per batch.

use std::cell::RefCell;

use lz4_flex::block::{self, CompressTable};

/// Magic number, version 1 with independent blocks, 64 KiB blocks, header checksum.
pub(super) const FRAME_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const END_MARK: [u8; 4] = [0; 4];
const BLOCK_LEN: usize = 64 * 1024;
/// Set in a block's length when the block is stored as it is.
const STORED: u32 = 0x8000_0000;

thread_local! {
    static LZ4: RefCell<Lz4> = RefCell::new(Lz4 { table: CompressTable::small(), block: Vec::new() });
}

/// What compression needs again and again, kept per thread.
struct Lz4 {
    table: CompressTable,
    block: Vec<u8>,
}

/// Appends a frame to `output`; `None` once it is clear that it gets no smaller than the records.
pub(super) fn compress(records: &[u8], output: &mut Vec<u8>) -> Option<()> {
    LZ4.with_borrow_mut(|Lz4 { table, block }| {
        block.resize(block::get_maximum_output_size(BLOCK_LEN), 0);
        output.extend_from_slice(&FRAME_HEADER);
        for chunk in records.chunks(BLOCK_LEN) {
            let compressed = block::compress_into_with_table(chunk, block, table)
                .ok()
                .filter(|len| *len < chunk.len())
                .and_then(|len| block.get(..len));
            let (stored, bytes) = compressed.map_or((STORED, chunk), |bytes| (0, bytes));
            let len = u32::try_from(bytes.len()).unwrap_or(0);
            output.extend_from_slice(&(len | stored).to_le_bytes());
            output.extend_from_slice(bytes);
            if output.len() >= records.len() {
                return None;
            }
        }
        output.extend_from_slice(&END_MARK);
        Some(())
    })
}

pub(super) fn decompress(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
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
        let plain = if len & STORED == 0 {
            let len = block::decompress_into(block, &mut block_buffer).ok()?;
            block_buffer.get(..len)?
        } else {
            block
        };
        if plain.len() > limit - records.len() {
            return None;
        }
        records.extend_from_slice(plain);
        rest = tail;
    }
}
