//! `Reader`: primitives off the bytes of a received message.

use std::fmt;
use std::str;
use std::sync::Arc;

use super::Uuid;
use super::varint::{self, VarintError};

/// Takes primitives off the front of a received message.
///
/// Strings, byte strings and arrays have two shapes on the wire; which one is read depends on the version of
/// the message, not on the field, so it is set once with [`set_flexible`](Self::set_flexible).
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends, counted from the first byte of the outermost reader.
    end: usize,
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, end: bytes.len(), flexible: false }
    }

    /// Chooses between compact lengths with tag sections (KIP-482) and fixed-width lengths without.
    pub(crate) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Returns how many bytes have been taken.
    pub(crate) fn position(&self) -> usize {
        self.end - self.rest.len()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Checks that the whole message has been taken.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.error("end of message", DecodeProblem::TrailingBytes(self.rest.len())))
    }

    /// Returns an error about the byte that comes next.
    pub(crate) fn error(&self, expected: &'static str, problem: DecodeProblem) -> DecodeError {
        DecodeError { expected, position: self.position(), problem }
    }

    /// Any byte but zero is true, as in Java.
    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        self.fixed("bool").map(|[byte]| byte != 0)
    }

    #[cfg(any(feature = "telemetry", test))]
    pub(crate) fn i8(&mut self) -> Result<i8, DecodeError> {
        self.fixed("int8").map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        self.fixed("int16").map(i16::from_be_bytes)
    }

    #[cfg(test)]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.fixed("uint16").map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.fixed("int32").map(i32::from_be_bytes)
    }

    #[cfg(test)]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.fixed("uint32").map(u32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.fixed("int64").map(i64::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.fixed("uuid").map(Uuid)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let position = self.position();
        self.nullable_string()?.ok_or(DecodeError {
            expected: "string",
            position,
            problem: DecodeProblem::Null,
        })
    }

    /// Reads a text that is meant for people, as it may stand in errors and in a log: on one line, and not too long. A broker
    /// may send 64 MiB, and lines that look like those of others.
    pub(crate) fn nullable_text(&mut self) -> Result<Option<String>, DecodeError> {
        Ok(self.nullable_string()?.map(readable))
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<&'a str>, DecodeError> {
        let Some(length) = self.length("string", Width::Int16)? else { return Ok(None) };
        let position = self.position();
        let bytes = self.take("string", length)?;
        let string = str::from_utf8(bytes).map_err(|error| DecodeError {
            expected: "string",
            position: position + error.valid_up_to(),
            problem: DecodeProblem::NotUtf8,
        })?;
        Ok(Some(string))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let position = self.position();
        self.nullable_bytes()?.ok_or(DecodeError {
            expected: "bytes",
            position,
            problem: DecodeProblem::Null,
        })
    }

    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let Some(length) = self.length("bytes", Width::Int32)? else { return Ok(None) };
        self.take("bytes", length).map(Some)
    }

    /// Takes an array. `read` takes each element, which has at least `min_size` bytes on the wire.
    ///
    /// The count is compared with the bytes that are left, and no more memory than they take is reserved for
    /// it at first: an element may be many times larger than its bytes, and a count may be a lie.
    pub(crate) fn array<T>(
        &mut self,
        min_size: usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count_of_array(min_size)?;
        self.elements(count, read)
    }

    /// Takes an array as [`array`](Self::array) does, of no more elements than `limit` allows, and counts them off it.
    pub(crate) fn limited_array<T>(
        &mut self,
        min_size: usize,
        limit: &mut usize,
        read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.limited_count(min_size, limit)?;
        self.elements(count, read)
    }

    /// Takes the count alone of such an array. The elements come next.
    pub(crate) fn limited_count(&mut self, min_size: usize, limit: &mut usize) -> Result<usize, DecodeError> {
        let position = self.position();
        let count = self.count_of_array(min_size)?;
        *limit = limit.checked_sub(count).ok_or(DecodeError {
            expected: "array",
            position,
            problem: DecodeProblem::MoreThanAsked { count, limit: *limit },
        })?;
        Ok(count)
    }

    /// Passes over an array whose elements `skip` passes over, keeping nothing.
    pub(crate) fn skip_array(
        &mut self,
        min_size: usize,
        mut skip: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.count_of_array(min_size)?;
        (0..count).try_for_each(|_| skip(self))
    }

    pub(crate) fn i32_array(&mut self) -> Result<Vec<i32>, DecodeError> {
        self.array(size_of::<i32>(), Self::i32)
    }

    /// Takes the tag section that ends a structure of a flexible version, and nothing in other versions.
    ///
    /// `read` is shown each tag with a reader that holds its value alone, and says whether it knows the tag;
    /// what it knows it must take whole.
    pub(crate) fn tags(
        &mut self,
        mut read: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.varint("tag count")?;
        for _ in 0..count {
            let tag = self.varint("tag")?;
            let size = self.varint("tag size")?;
            let bytes = self.take("tagged field", size as usize)?;
            let mut field = Self { rest: bytes, end: self.position(), flexible: true };
            if read(tag, &mut field)? {
                field.finish()?;
            }
        }
        Ok(())
    }

    /// Takes a tag section without known tags.
    pub(crate) fn skip_tags(&mut self) -> Result<(), DecodeError> {
        self.tags(|_, _| Ok(false))
    }

    fn fixed<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.truncated(expected, N))?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, expected: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| self.truncated(expected, length))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn varint(&mut self, expected: &'static str) -> Result<u32, DecodeError> {
        varint::read_unsigned_varint(&mut self.rest).map_err(|error| match error {
            VarintError::TooLong => self.error(expected, DecodeProblem::VarintTooLong),
            VarintError::Truncated => self.truncated(expected, self.remaining() + 1),
        })
    }

    /// Takes a length or a count, `None` for null. It is not yet known to be within bounds.
    fn length(&mut self, expected: &'static str, width: Width) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return self.varint(expected).map(|length| length.checked_sub(1).map(|length| length as usize));
        }
        let position = self.position();
        let length = match width {
            Width::Int16 => self.fixed(expected).map(i16::from_be_bytes)?.into(),
            Width::Int32 => self.fixed(expected).map(i32::from_be_bytes)?,
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeError { expected, position, problem: DecodeProblem::NegativeLength(length) }),
        }
    }

    /// Takes the count of an array, `None` for null. So many elements of `min_size` bytes may be in what follows.
    fn count(&mut self, min_size: usize) -> Result<Option<usize>, DecodeError> {
        let position = self.position();
        let count = self.length("array", Width::Int32)?;
        let remaining = self.remaining();
        match count {
            Some(count) if count > remaining / min_size.max(1) => {
                let problem = DecodeProblem::Count { count, remaining };
                Err(DecodeError { expected: "array", position, problem })
            }
            count => Ok(count),
        }
    }

    /// The same for an array that must be there.
    fn count_of_array(&mut self, min_size: usize) -> Result<usize, DecodeError> {
        let position = self.position();
        self.count(min_size)?.ok_or(DecodeError { expected: "array", position, problem: DecodeProblem::Null })
    }

    fn elements<T>(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let remaining = self.remaining();
        let mut elements = Vec::with_capacity(count.min(remaining / size_of::<T>().max(1)));
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    fn truncated(&self, expected: &'static str, needed: usize) -> DecodeError {
        self.error(expected, DecodeProblem::Truncated { needed, remaining: self.remaining() })
    }
}

/// The width of a length that is not compact.
#[derive(Debug, Clone, Copy)]
enum Width {
    Int16,
    Int32,
}

/// Bytes are not the message that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at byte {position}: {problem}")]
pub(crate) struct DecodeError {
    /// The primitive that should have stood there.
    pub(crate) expected: &'static str,
    /// Counted from the first byte that the reader was given.
    pub(crate) position: usize,
    pub(crate) problem: DecodeProblem,
}

/// What stood in the place of the expected primitive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeProblem {
    #[error("{count} elements do not fit into the {remaining} bytes that are left")]
    Count { count: usize, remaining: usize },
    #[error("{count} elements are more than the {limit} that were asked for")]
    MoreThanAsked { count: usize, limit: usize },
    #[error("length {0} is negative")]
    NegativeLength(i32),
    #[error("not UTF-8")]
    NotUtf8,
    #[error("null")]
    Null,
    #[error("{0} bytes follow")]
    TrailingBytes(usize),
    #[error("{needed} bytes are needed, {remaining} are left")]
    Truncated { needed: usize, remaining: usize },
    #[error("version {0} is not known")]
    UnknownVersion(i16),
    #[error("varint is longer than its type")]
    VarintTooLong,
}

/// Returns a text of a broker on one line, cut if it is too long.
pub(crate) fn readable(text: &str) -> String {
    readable_within(text, LONGEST_TEXT)
}

/// The same with at most so many characters.
pub(crate) fn readable_within(text: &str, longest: usize) -> String {
    let mut chars = text.chars();
    let mut readable: String =
        chars.by_ref().take(longest).map(|char| if is_unreadable(char) { ' ' } else { char }).collect();
    if chars.next().is_some() {
        readable.push('…');
    }
    readable
}

/// Whether a character ends a line, or changes how a terminal shows the rest of it.
fn is_unreadable(char: char) -> bool {
    let is_format = matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    char.is_control() || is_format
}

/// A text in which words of a peer stand, on one line, and cut if it is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Readable(Arc<str>);

impl Readable {
    /// Takes a text of ours around words of a peer's, so it may be longer than these.
    pub(crate) fn new(text: &str) -> Self {
        Self(readable_within(text, 4 * LONGEST_TEXT).into())
    }

    pub(crate) fn into_text(self) -> Arc<str> {
        self.0
    }
}

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So many characters of a text are kept.
const LONGEST_TEXT: usize = 1000;

#[cfg(test)]
mod tests;
