//! snappy, in the framing of the Java library ("xerial"), which the oldest consumers expect: a header, and blocks with
//! their lengths.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::kept::{Broken, Kept};

/// Magic number, version, and the oldest version that can be read as this one.
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// Bytes before compression; Java's choice.
const BLOCK_LEN: usize = 32 * 1024;

thread_local! {
    static ENCODER: Kept<Encoder> = const { Kept::new() };
}

/// Appends header and blocks to `output`; `None` once it is clear that it gets no smaller than the records. snappy has
/// no levels.
pub(super) fn compress(records: &[u8], _level: i32, output: &mut Vec<u8>) -> Option<()> {
    output.extend_from_slice(&HEADER);
    Kept::lend(
        &ENCODER,
        |_| true,
        || Some(Encoder::new()),
        |encoder| {
            for chunk in records.chunks(BLOCK_LEN) {
                append_block(chunk, encoder, output).ok_or(Broken)?;
                if output.len() >= records.len() {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        },
    )
}

fn append_block(chunk: &[u8], encoder: &mut Encoder, output: &mut Vec<u8>) -> Option<()> {
    let (len_at, block_at) = (output.len(), output.len() + 4);
    output.resize(block_at + max_compress_len(chunk.len()), 0);
    let len = encoder.compress(chunk, output.get_mut(block_at..)?).ok()?;
    output.truncate(block_at + len);
    let len = u32::try_from(len).ok()?;
    output.get_mut(len_at..block_at)?.copy_from_slice(&len.to_be_bytes());
    Some(())
}

pub(super) fn decompress(framed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut rest = framed.strip_prefix(&HEADER)?;
    let mut records = Vec::new();
    let mut decoder = Decoder::new();
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let (block, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        let at = records.len();
        // What the block claims, which its bytes may not keep.
        let plain = decompress_len(block).ok()?;
        if plain > BLOCK_LEN || plain > limit - at {
            return None;
        }
        records.resize(at + plain, 0);
        decoder.decompress(block, records.get_mut(at..)?).ok()?;
        rest = tail;
    }
    Some(records)
}
