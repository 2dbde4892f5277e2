//! The codecs that a record batch can name, and reading those that the mock can read.

use std::io::Read;

use bytes::Bytes;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip; the mock stores it without looking inside.
    Gzip,
    /// snappy; the mock stores it without looking inside.
    Snappy,
    /// LZ4 frame; the mock reads it.
    Lz4,
    /// zstd; the mock stores it without looking inside.
    Zstd,
}

impl Compression {
    /// Reads the codec from the attributes of a batch.
    pub(crate) fn of_attributes(attributes: i16) -> Option<Self> {
        match attributes & 0x07 {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns the uncompressed records, or `None` if the mock cannot read this codec.
    pub(crate) fn decompress(self, records: Bytes) -> Option<Result<Bytes, String>> {
        match self {
            Self::None => Some(Ok(records)),
            Self::Lz4 => Some(decompress_lz4(&records)),
            Self::Gzip | Self::Snappy | Self::Zstd => None,
        }
    }
}

/// Some bytes of LZ4 can stand for 255 times as many, so that a request within the frame limit could ask for
/// more memory than there is.
const MAX_DECOMPRESSED_BYTES: usize = 256 * 1024 * 1024;

fn decompress_lz4(compressed: &[u8]) -> Result<Bytes, String> {
    let mut records = Vec::new();
    let limit = MAX_DECOMPRESSED_BYTES as u64 + 1;
    lz4_flex::frame::FrameDecoder::new(compressed)
        .take(limit)
        .read_to_end(&mut records)
        .map_err(|error| format!("lz4 frame cannot be read: {error}"))?;
    if records.len() > MAX_DECOMPRESSED_BYTES {
        return Err(format!("lz4 frame holds more than {MAX_DECOMPRESSED_BYTES} bytes"));
    }
    Ok(records.into())
}
