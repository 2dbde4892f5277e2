//! zstd: one frame (RFC 8878), with its plain length and without a checksum, for batches have one.

use std::cell::RefCell;

use zstd::bulk::{self, Compressor};
use zstd::zstd_safe::compress_bound;

thread_local! {
    /// With the level that it is for. Making a context anew for each batch takes longer than compressing a small one.
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
}

/// Writes a frame into `output`, which is empty; `None` if that fails.
pub(super) fn compress(records: &[u8], level: i32, output: &mut Vec<u8>) -> Option<()> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((kept_level, compressor)) if *kept_level == level => compressor,
            _ => &mut kept.insert((level, Compressor::new(level).ok()?)).1,
        };
        output.reserve(compress_bound(records.len()));
        compressor.compress_to_buffer(records, output).ok().map(drop)
    })
}

pub(super) fn decompress(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
    // To zstd, nothing at all is a row of no frames.
    bulk::decompress(frame, limit).ok().filter(|_| !frame.is_empty())
}
