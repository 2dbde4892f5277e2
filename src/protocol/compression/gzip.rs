//! gzip: one member (RFC 1952), its header and trailer written here around a deflate stream.

use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::kept::{Broken, Kept};

/// Magic number, deflate, no optional fields, no time, no word on level and system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// What a decoder must know of it: the rest of the header has no say in how to read the member.
const PREFIX: [u8; 4] = [0x1f, 0x8b, 8, 0];
/// CRC-32 and length of the plain bytes.
const TRAILER_LEN: usize = 8;
/// Deflate makes no more than this of one byte.
const MOST_PER_BYTE: usize = 1032;

thread_local! {
    /// With the level that it is for.
    static DEFLATE: Kept<(i32, Compress)> = const { Kept::new() };
}

/// Appends a member to `output`; `None` if it would be no smaller than the records.
pub(super) fn compress(records: &[u8], level: i32, output: &mut Vec<u8>) -> Option<()> {
    // The stream ends before the member is as long as the records, or there is nothing to gain.
    let room = records.len().checked_sub(HEADER.len() + TRAILER_LEN + 1)?;
    output.extend_from_slice(&HEADER);
    output.resize(HEADER.len() + room, 0);
    let fits = |(kept_level, _): &(i32, Compress)| *kept_level == level;
    let make = || Some((level, Compress::new(level_of(level), false)));
    let len = Kept::lend(&DEFLATE, fits, make, |(_, deflate)| {
        deflate.reset();
        let place = output.get_mut(HEADER.len()..).ok_or(Broken)?;
        match deflate.compress(records, place, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => Ok(usize::try_from(deflate.total_out()).ok()),
            // What did not fit is still in there, and `reset` does not drop all of it.
            Ok(Status::BufError | Status::Ok) | Err(_) => Err(Broken),
        }
    })?;
    output.truncate(HEADER.len() + len);
    output.extend_from_slice(&trailer(records));
    Some(())
}

pub(super) fn decompress(member: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (_, body) = member.strip_prefix(&PREFIX)?.split_at_checked(HEADER.len() - PREFIX.len())?;
    let (stream, end) = body.split_at_checked(body.len().checked_sub(TRAILER_LEN)?)?;
    let mut inflate = Decompress::new(false);
    // One byte more than there can be, for a stream that does not end where it must not go on.
    let most = limit.min(stream.len().saturating_mul(MOST_PER_BYTE)).saturating_add(1);
    let mut records = Vec::with_capacity(most);
    let status = inflate.decompress_vec(stream, &mut records, FlushDecompress::Finish).ok()?;
    let is_whole = status == Status::StreamEnd
        && usize::try_from(inflate.total_in()) == Ok(stream.len())
        && records.len() <= limit
        && end == trailer(&records);
    is_whole.then_some(records)
}

/// Returns the library's level for a level of `compression.gzip.level`.
///
/// -1 leaves the choice to us. Java's library takes its 6 then. That level of ours makes batches two hundredths smaller than its 3, and takes
/// nearly twice as long for it.
fn level_of(level: i32) -> flate2::Compression {
    flate2::Compression::new(u32::try_from(level).unwrap_or(USUAL_LEVEL))
}

const USUAL_LEVEL: u32 = 3;

fn trailer(records: &[u8]) -> [u8; TRAILER_LEN] {
    let mut crc = Crc::new();
    crc.update(records);
    // The length counts modulo 2^32, and batches are shorter.
    (u64::from(crc.amount()) << 32 | u64::from(crc.sum())).to_le_bytes()
}
