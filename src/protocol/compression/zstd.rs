//! zstd: one frame (RFC 8878), with its plain length and without a checksum, for batches have one.

use zstd::bulk::{self, Compressor};
use zstd::zstd_safe::compress_bound;

use super::kept::{Broken, Kept};

thread_local! {
    /// With the level that it is for. Making a context anew for each batch takes longer than compressing a small one.
    static COMPRESSOR: Kept<(i32, Compressor<'static>)> = const { Kept::new() };
}

/// Writes a frame into `output`, which is empty; `None` if that fails.
pub(super) fn compress(records: &[u8], level: i32, output: &mut Vec<u8>) -> Option<()> {
    output.reserve(compress_bound(records.len()));
    let fits = |(kept_level, _): &(i32, Compressor<'static>)| *kept_level == level;
    let make = || Some((level, Compressor::new(level).ok()?));
    Kept::lend(&COMPRESSOR, fits, make, |(_, compressor)| {
        compressor.compress_to_buffer(records, output).map(|_| Some(())).map_err(|_| Broken)
    })
}

pub(super) fn decompress(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
    // To zstd, nothing at all is a row of no frames.
    bulk::decompress(frame, limit).ok().filter(|_| !frame.is_empty())
}
