//! LZ4 frames with what Kafka's Java reader demands: independent blocks of 64 KiB and no checksums.
//!
//! They are put together here from `lz4_flex`'s block functions: that keeps one hash table per thread and spares two
//! buffers per batch.

use lz4_flex::block::{self, CompressTable};

use super::kept::{Broken, Kept};

/// Magic number, version 1 with independent blocks, 64 KiB blocks, header checksum.
pub(super) const FRAME_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const END_MARK: [u8; 4] = [0; 4];
const BLOCK_LEN: usize = 64 * 1024;
/// Set in a block's length when the block is stored as it is.
const STORED: u32 = 0x8000_0000;

thread_local! {
    static LZ4: Kept<Lz4> = const { Kept::new() };
}

/// What compression needs again and again, kept per thread.
struct Lz4 {
    table: CompressTable,
    block: Vec<u8>,
}

impl Lz4 {
    fn new() -> Self {
        Self { table: CompressTable::small(), block: vec![0; block::get_maximum_output_size(BLOCK_LEN)] }
    }
}

/// Appends a frame to `output`; `None` once it is clear that it gets no smaller than the records.
pub(super) fn compress(records: &[u8], output: &mut Vec<u8>) -> Option<()> {
    output.extend_from_slice(&FRAME_HEADER);
    Kept::lend(
        &LZ4,
        |_| true,
        || Some(Lz4::new()),
        |Lz4 { table, block }| {
            for chunk in records.chunks(BLOCK_LEN) {
                // The block has room for whatever comes of a chunk.
                let len = block::compress_into_with_table(chunk, block, table).map_err(|_| Broken)?;
                let compressed = block.get(..len).filter(|compressed| compressed.len() < chunk.len());
                let (stored, bytes) = compressed.map_or((STORED, chunk), |bytes| (0, bytes));
                let len = u32::try_from(bytes.len()).map_err(|_| Broken)?;
                output.extend_from_slice(&(len | stored).to_le_bytes());
                output.extend_from_slice(bytes);
                if output.len() >= records.len() {
                    return Ok(None);
                }
            }
            output.extend_from_slice(&END_MARK);
            Ok(Some(()))
        },
    )
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
