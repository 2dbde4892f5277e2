//! The codecs that a record batch can name, and reading them.

use std::io::Read;

use bytes::Bytes;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip.
    Gzip,
    /// snappy, with the framing of the Java library or as one raw block.
    Snappy,
    /// LZ4 frame.
    Lz4,
    /// zstd.
    Zstd,
}

impl Compression {
    /// Reads the codec from the attributes of a batch.
    pub(crate) fn of_attributes(attributes: i16) -> Option<Self> {
        Self::of_number((attributes & 0x07) as i8)
    }

    /// Returns the codec that a number stands for on the wire.
    pub(crate) fn of_number(number: i8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns the number that stands for the codec on the wire.
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Returns the uncompressed records, or what is wrong with them.
    pub(crate) fn decompress(self, records: Bytes) -> Result<Bytes, String> {
        let read = match self {
            Self::None => return Ok(records),
            Self::Gzip => read_whole(flate2::read::GzDecoder::new(&*records)),
            Self::Snappy => decompress_snappy(&records),
            Self::Lz4 => read_whole(lz4_flex::frame::FrameDecoder::new(&*records)),
            Self::Zstd => ruzstd::decoding::StreamingDecoder::new(&*records)
                .map_err(|error| error.to_string())
                .and_then(read_whole),
        };
        read.map(Bytes::from).map_err(|error| format!("{self:?} cannot be read: {error}"))
    }
}

/// Some bytes can stand for a thousand times as many, so that a request within the frame limit could ask for more memory
/// than there is.
const MAX_DECOMPRESSED_BYTES: usize = 256 * 1024 * 1024;

fn read_whole(decoder: impl Read) -> Result<Vec<u8>, String> {
    let mut records = Vec::new();
    let limit = MAX_DECOMPRESSED_BYTES as u64 + 1;
    decoder.take(limit).read_to_end(&mut records).map_err(|error| error.to_string())?;
    if records.len() > MAX_DECOMPRESSED_BYTES {
        return Err(too_long());
    }
    Ok(records)
}

/// What the Java library writes before its blocks; two version numbers follow.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

fn decompress_snappy(compressed: &[u8]) -> Result<Vec<u8>, String> {
    let mut records = Vec::new();
    let Some(framed) = compressed.strip_prefix(&XERIAL_MAGIC) else {
        return read_block(compressed, &mut records).map(|()| records);
    };
    let (_versions, mut rest) = framed.split_first_chunk::<8>().ok_or("the header is cut off")?;
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<4>().ok_or("the length of a block is cut off")?;
        let len = usize::try_from(i32::from_be_bytes(*len)).map_err(|_| "a block has a negative length")?;
        let (block, tail) = tail.split_at_checked(len).ok_or("a block is cut off")?;
        read_block(block, &mut records)?;
        rest = tail;
    }
    Ok(records)
}

fn read_block(block: &[u8], records: &mut Vec<u8>) -> Result<(), String> {
    let len = snap::raw::decompress_len(block).map_err(|error| error.to_string())?;
    let at = records.len();
    if len > MAX_DECOMPRESSED_BYTES - at {
        return Err(too_long());
    }
    records.resize(at + len, 0);
    let (_, space) = records.split_at_mut(at);
    snap::raw::Decoder::new().decompress(block, space).map(drop).map_err(|error| error.to_string())
}

fn too_long() -> String {
    format!("more than {MAX_DECOMPRESSED_BYTES} bytes")
}
