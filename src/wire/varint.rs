//! Base-128 integers of variable length: unsigned ones in messages, zig-zag ones in records.
//!
//! A padded encoding of a small number (`80 00`) is read, as Java reads it; one that is longer than the
//! widest number of its type, or that has bits above it, is refused.

use bytes::BufMut;

/// Why bytes are not a number of variable length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VarintError {
    /// The number goes on beyond its type.
    TooLong,
    /// The input ends inside the number.
    Truncated,
}

/// What numbers are written to.
pub(crate) trait PutByte {
    fn put_u8(&mut self, byte: u8);
}

impl<T: BufMut> PutByte for T {
    #[inline]
    fn put_u8(&mut self, byte: u8) {
        BufMut::put_u8(self, byte);
    }
}

/// Appends `value` in 1 to 5 bytes.
#[inline]
pub(crate) fn put_unsigned_varint(out: &mut impl PutByte, mut value: u32) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8((value & 0x7f) as u8);
}

/// Appends `value` in 1 to 10 bytes.
#[inline]
pub(crate) fn put_unsigned_varlong(out: &mut impl PutByte, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8((value & 0x7f) as u8);
}

/// Appends `value`, zig-zag encoded, in 1 to 5 bytes.
#[cfg(test)]
pub(crate) fn put_varint(out: &mut impl PutByte, value: i32) {
    put_unsigned_varint(out, zig_zag_32(value));
}

/// Appends `value`, zig-zag encoded, in 1 to 10 bytes.
#[inline]
pub(crate) fn put_varlong(out: &mut impl PutByte, value: i64) {
    put_unsigned_varlong(out, zig_zag_64(value));
}

/// Returns how many bytes [`put_unsigned_varint`] appends.
#[inline]
pub(crate) const fn unsigned_varint_len(value: u32) -> usize {
    bytes_for((value | 1).ilog2())
}

/// Returns how many bytes [`put_varint`] appends.
#[inline]
pub(crate) const fn varint_len(value: i32) -> usize {
    unsigned_varint_len(zig_zag_32(value))
}

/// Returns how many bytes [`put_varlong`] appends.
#[inline]
pub(crate) const fn varlong_len(value: i64) -> usize {
    bytes_for((zig_zag_64(value) | 1).ilog2())
}

/// Takes a number written by [`put_unsigned_varint`] off the front of `input`, which an error leaves as it
/// was.
#[inline]
pub(crate) fn read_unsigned_varint(input: &mut &[u8]) -> Result<u32, VarintError> {
    let mut rest = *input;
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(VarintError::Truncated)?;
        rest = tail;
        let bits = u32::from(byte & 0x7f);
        if shift == 28 && bits > 0x0f {
            break;
        }
        value |= bits << shift;
        if byte < 0x80 {
            *input = rest;
            return Ok(value);
        }
    }
    Err(VarintError::TooLong)
}

/// Takes a number written by [`put_unsigned_varlong`] off the front of `input`, which an error leaves as it
/// was.
#[inline]
pub(crate) fn read_unsigned_varlong(input: &mut &[u8]) -> Result<u64, VarintError> {
    let mut rest = *input;
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(VarintError::Truncated)?;
        rest = tail;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte < 0x80 {
            *input = rest;
            return Ok(value);
        }
    }
    Err(VarintError::TooLong)
}

/// Takes a number written by [`put_varint`] off the front of `input`, which an error leaves as it was.
#[inline]
pub(crate) fn read_varint(input: &mut &[u8]) -> Result<i32, VarintError> {
    read_unsigned_varint(input).map(|value| (value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// Takes a number written by [`put_varlong`] off the front of `input`, which an error leaves as it was.
#[inline]
pub(crate) fn read_varlong(input: &mut &[u8]) -> Result<i64, VarintError> {
    read_unsigned_varlong(input).map(|value| (value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// Puts numbers near zero, of either sign, near zero: 0, -1, 1, -2 become 0, 1, 2, 3.
#[inline]
pub(crate) const fn zig_zag_32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

#[inline]
pub(crate) const fn zig_zag_64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Returns how many groups of seven bits reach up to the bit numbered `highest`, without a division.
///
/// It equals `highest / 7 + 1` for every number below 64.
#[inline]
const fn bytes_for(highest: u32) -> usize {
    ((highest * 9 + 73) / 64) as usize
}

#[cfg(test)]
mod tests;
