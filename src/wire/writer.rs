//! `Writer`: primitives onto a frame that is to be sent.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf, BufMut, Bytes};

use super::Uuid;
use super::varint;

/// Appends primitives to a frame that is to be sent.
///
/// Large pieces that already exist as [`Bytes`] are not copied: the finished frame is a list of segments for
/// a vectored write.
///
/// ```text
/// │ length │ primitives │ shared batch │ primitives │ shared batch │ primitives │
///  ╰──── one buffer ────╯               ╰── same ───╯               ╰── same ───╯
/// ```
///
/// Strings, byte strings and arrays have two shapes on the wire; which one is written depends on the version
/// of the message, not on the field, so it is set once with [`set_flexible`](Self::set_flexible).
pub(crate) struct Writer {
    /// All that was copied, and in front of it the place of the frame's length.
    copied: Vec<u8>,
    /// Pieces that were not, each with how much of `copied` goes before it; in order.
    shared: VecDeque<(usize, Bytes)>,
    shared_len: usize,
    flexible: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("copied", &self.copied.len()).finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::with_capacity(256, 0)
    }

    /// Returns a writer that has room for `copied` bytes and for `shared` pieces.
    pub(crate) fn with_capacity(copied: usize, shared: usize) -> Self {
        let mut buffer = Vec::with_capacity(LENGTH_PLACE + copied);
        buffer.put_bytes(0, LENGTH_PLACE);
        Self { copied: buffer, shared: VecDeque::with_capacity(shared), shared_len: 0, flexible: false }
    }

    /// Chooses between compact lengths with tag sections (KIP-482) and fixed-width lengths without.
    pub(crate) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.copied.put_u8(value.into());
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.copied.put_i8(value);
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.copied.put_i16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.copied.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.copied.put_i64(value);
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.copied.put_slice(&value.0);
    }

    pub(crate) fn unsigned_varint(&mut self, value: u32) {
        varint::put_unsigned_varint(&mut self.copied, value);
    }

    /// # Errors
    ///
    /// Strings of more than 32767 bytes, whatever the version, as in Java.
    pub(crate) fn string(&mut self, value: &str) -> Result<(), EncodeError> {
        let length = i16::try_from(value.len()).map_err(|_| EncodeError::StringTooLong(value.len()))?;
        if self.flexible {
            self.unsigned_varint(u32::from(length.unsigned_abs()) + 1);
        } else {
            self.i16(length);
        }
        self.copied.put_slice(value.as_bytes());
        Ok(())
    }

    /// # Errors
    ///
    /// Those of [`string`](Self::string).
    pub(crate) fn nullable_string(&mut self, value: Option<&str>) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.string(value)?,
            None if self.flexible => self.unsigned_varint(0),
            None => self.i16(-1),
        }
        Ok(())
    }

    /// # Errors
    ///
    /// Byte strings of more than 2147483647 bytes.
    #[cfg(test)]
    pub(crate) fn bytes(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.count(value.len())?;
        self.copied.put_slice(value);
        Ok(())
    }

    /// Appends a byte string that stays where it is if that is worth it; see
    /// [`put_shared`](Self::put_shared).
    ///
    /// # Errors
    ///
    /// Byte strings of more than 2147483647 bytes.
    pub(crate) fn shared_bytes(&mut self, value: Bytes) -> Result<(), EncodeError> {
        self.count(value.len())?;
        self.put_shared(value);
        Ok(())
    }

    /// Appends the count of an array whose elements come next, or the length of bytes that do.
    ///
    /// # Errors
    ///
    /// Counts of more than 2147483647.
    pub(crate) fn count(&mut self, count: usize) -> Result<(), EncodeError> {
        let value = i32::try_from(count).map_err(|_| EncodeError::CountTooLarge(count))?;
        if self.flexible {
            self.unsigned_varint(value.unsigned_abs() + 1);
        } else {
            self.i32(value);
        }
        Ok(())
    }

    /// Appends a null in place of an array or of a byte string.
    pub(crate) fn null_count(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        } else {
            self.i32(-1);
        }
    }

    /// Appends the empty tag section that ends a structure of a flexible version, and nothing in other
    /// versions.
    pub(crate) fn no_tags(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        }
    }

    /// Appends bytes as they are, without a length; pieces of less than a kibibyte are copied.
    pub(crate) fn put_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_FROM {
            self.copied.put_slice(&bytes);
            return;
        }
        self.put_uncopied(bytes);
    }

    /// Appends a byte string that stays where it is, however short: one that is wiped from memory by its owner.
    ///
    /// # Errors
    ///
    /// Byte strings of more than 2147483647 bytes.
    pub(crate) fn secret_bytes(&mut self, value: Bytes) -> Result<(), EncodeError> {
        self.count(value.len())?;
        self.put_secret(value);
        Ok(())
    }

    /// Appends the same without a length.
    pub(crate) fn put_secret(&mut self, value: Bytes) {
        if !value.is_empty() {
            self.put_uncopied(value);
        }
    }

    fn put_uncopied(&mut self, bytes: Bytes) {
        self.shared_len += bytes.len();
        self.shared.push_back((self.copied.len(), bytes));
    }

    /// Writes the length into its place and returns the frame.
    ///
    /// # Errors
    ///
    /// Frames of more than 2147483647 bytes after the length.
    pub(crate) fn finish(mut self) -> Result<Segments, EncodeError> {
        let len = self.copied.len() + self.shared_len;
        let body = len - LENGTH_PLACE;
        let length = i32::try_from(body).map_err(|_| EncodeError::FrameTooLong(body))?;
        if let Some(place) = self.copied.first_chunk_mut() {
            *place = length.to_be_bytes();
        }
        let Self { copied, shared, .. } = self;
        Ok(Segments { copied, copied_from: 0, shared, len })
    }
}

/// A finished frame: its length in four bytes, its header, its body.
#[derive(Clone)]
pub(crate) struct Segments {
    /// All that was copied.
    copied: Vec<u8>,
    /// How much of it was written.
    copied_from: usize,
    /// What was not copied and is not written, each with how much of `copied` goes before it; in order.
    shared: VecDeque<(usize, Bytes)>,
    /// The length of the whole frame, the frame's own four bytes included.
    pub(crate) len: usize,
}

impl Segments {
    /// Returns what is left to be written, piece by piece. No piece is empty.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.copied_from;
        let shared = self.shared.iter().flat_map(move |(to, bytes)| {
            let before = self.copied.get(from..*to).unwrap_or_default();
            from = *to;
            [before, bytes]
        });
        let last = self.shared.back().map_or(self.copied_from, |(before, _)| *before);
        shared.chain([self.copied.get(last..).unwrap_or_default()]).filter(|piece| !piece.is_empty())
    }

    /// So many bytes were written. Returns how many of them were not of this frame.
    pub(crate) fn advance(&mut self, mut written: usize) -> usize {
        loop {
            let to = self.shared.front().map_or(self.copied.len(), |(before, _)| *before);
            let step = written.min(to - self.copied_from);
            self.copied_from += step;
            written -= step;
            if self.copied_from < to {
                return written;
            }
            let Some((_, bytes)) = self.shared.front_mut() else { return written };
            let step = written.min(bytes.len());
            bytes.advance(step);
            written -= step;
            if !bytes.is_empty() {
                return written;
            }
            self.shared.pop_front();
        }
    }

    /// Whether all was written.
    pub(crate) fn is_written(&self) -> bool {
        self.shared.is_empty() && self.copied_from == self.copied.len()
    }

    /// Returns what is left to be written as one piece.
    #[cfg(any(test, feature = "__internals"))]
    pub(crate) fn concat(&self) -> Vec<u8> {
        self.pieces().flatten().copied().collect()
    }

    /// Makes a frame of pieces.
    #[cfg(test)]
    pub(crate) fn of(pieces: impl Iterator<Item = Bytes>) -> Self {
        let shared: VecDeque<_> = pieces.map(|piece| (0, piece)).collect();
        let len = shared.iter().map(|(_, piece)| piece.len()).sum();
        Self { copied: Vec::new(), copied_from: 0, shared, len }
    }
}

/// Shows no bytes: a password may be among them.
impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments")
            .field("pieces", &self.pieces().count())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A message cannot be put onto the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("{0} elements or bytes exceed the count of 2147483647 that a message can hold")]
    CountTooLarge(usize),
    #[error("frame of {0} bytes exceeds the 2147483647 that a frame can hold")]
    FrameTooLong(usize),
    #[error("version {version} cannot say: {what}")]
    NotInVersion { what: &'static str, version: i16 },
    #[error("string of {0} bytes exceeds the 32767 that a message can hold")]
    StringTooLong(usize),
    #[error("version {0} is not known")]
    UnknownVersion(i16),
    #[error("number of {0} written differs from the number announced")]
    WrongCount(&'static str),
}

/// The frame's own length, which does not count itself.
const LENGTH_PLACE: usize = 4;

/// Below this a copy costs less than one more slice in the vectored write.
const SHARED_FROM: usize = 1024;

#[cfg(test)]
mod tests;
