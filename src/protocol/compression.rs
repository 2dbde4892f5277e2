//! Compression of the records of a batch.
//!
//! Everything after the 61-byte header is one stream, in the framing that Kafka's Java reader demands. Each codec has a file.
//! Each thread keeps what the codecs need again and again.

use std::cell::Cell;
use std::fmt;
use std::thread::AccessError;

use bytes::Bytes;

use crate::fence::fenced;
use crate::log;
#[cfg(test)]
use crate::planted::planted;
use crate::protocol::record_batch::HEADER_LEN;

#[cfg(not(all(feature = "gzip", feature = "snappy", feature = "zstd")))]
mod absent;
#[cfg(feature = "gzip")]
mod gzip;
mod kept;
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(not(feature = "gzip"))]
use self::absent as gzip;
#[cfg(not(feature = "snappy"))]
use self::absent as snappy;
#[cfg(not(feature = "zstd"))]
use self::absent as zstd;

/// The codec that whole batches are compressed with (`compression.type`).
///
/// Building a producer fails if the feature of its codec is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// gzip, at the level of `compression.gzip.level`: small, and by far the slowest. Needs the feature `gzip`, which is
    /// on by default.
    Gzip,
    /// LZ4 frames, at the level that Kafka calls 9 and that LZ4 calls fast.
    Lz4,
    /// Batches are sent as they are.
    #[default]
    None,
    /// snappy, in the frames of the Java library: about as small and as fast as LZ4. Needs the feature `snappy`, which
    /// is on by default.
    Snappy,
    /// zstd, at the level of `compression.zstd.level`: as small as gzip in a fraction of its time. Needs brokers of Kafka 2.1
    /// or newer, and the feature `zstd`, which is off by default because it needs a C compiler.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::None => "none",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// Returns the codec bits of a batch's attributes.
    pub(crate) fn attribute_bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Returns the codec of a number that stands on the wire.
    #[cfg(feature = "telemetry")]
    pub(crate) fn of_number(number: i8) -> Option<Self> {
        let all = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];
        all.into_iter().find(|codec| codec.attribute_bits() == i16::from(number))
    }

    /// Returns the level that Kafka takes by default.
    #[cfg(feature = "telemetry")]
    pub(crate) fn usual_level(self) -> i32 {
        match self {
            Self::Zstd => 3,
            Self::Gzip | Self::Lz4 | Self::None | Self::Snappy => -1,
        }
    }

    /// Returns the feature that the crate would have to be built with for this codec, if it is not.
    pub(crate) fn missing_feature(self) -> Option<&'static str> {
        let (feature, is_on) = match self {
            Self::Gzip => ("gzip", cfg!(feature = "gzip")),
            Self::Snappy => ("snappy", cfg!(feature = "snappy")),
            Self::Zstd => ("zstd", cfg!(feature = "zstd")),
            Self::Lz4 | Self::None => return None,
        };
        (!is_on).then_some(feature)
    }

    /// Returns the first version of Produce that brokers take this codec in.
    pub(crate) fn least_produce_version(self) -> i16 {
        match self {
            // KIP-110; brokers before Kafka 2.1 do not know the codec at all.
            Self::Zstd => 7,
            Self::Gzip | Self::Lz4 | Self::None | Self::Snappy => 0,
        }
    }

    /// Returns how many bytes are compressed in about a millisecond.
    pub(crate) fn quick_len(self, level: i32) -> usize {
        match self {
            Self::None => usize::MAX,
            Self::Lz4 | Self::Snappy => 256 * 1024,
            // The levels above search for seconds a megabyte.
            Self::Zstd if level > 9 => 0,
            Self::Gzip | Self::Zstd => 32 * 1024,
        }
    }

    /// Compresses `records` and hands the result to `take`. `level` is one of the codec's own, if it has any.
    ///
    /// `take` gets `None` when there is nothing to gain, because the codec is `none` or the outcome would not be smaller, and
    /// when the codec has panicked.
    pub(crate) fn compress<T>(self, level: i32, records: &[u8], take: impl FnOnce(Option<&[u8]>) -> T) -> T {
        if self == Self::None {
            return take(None);
        }
        // The buffer is out of its place while it is used: if the codec panics, the panic hook may send records itself. A thread
        // that ends may do so, too, and keeps no buffer any more.
        let mut output = OUTPUT.try_with(Cell::take).unwrap_or_default();
        output.clear();
        let done = self.guarded(|| match self {
            Self::Gzip => gzip::compress(records, level, &mut output),
            Self::Lz4 => lz4::compress(records, &mut output),
            Self::None => None,
            Self::Snappy => snappy::compress(records, level, &mut output),
            Self::Zstd => zstd::compress(records, level, &mut output),
        });
        let smaller = done.filter(|()| output.len() < records.len());
        let taken = take(smaller.map(|()| output.as_slice()));
        if output.capacity() <= MOST_KEPT {
            let _: Result<(), AccessError> = OUTPUT.try_with(|place| place.set(output));
        }
        taken
    }

    /// Restores what [`Compression::compress`] made of records; `None` if the bytes are damaged or stand for more than
    /// `limit` bytes.
    pub(crate) fn decompress(self, compressed: &[u8], limit: usize) -> Option<Vec<u8>> {
        self.guarded(|| match self {
            Self::Gzip => gzip::decompress(compressed, limit),
            Self::Lz4 => lz4::decompress(compressed, limit),
            Self::None => Some(compressed.to_vec()),
            Self::Snappy => snappy::decompress(compressed, limit),
            Self::Zstd => zstd::decompress(compressed, limit),
        })
    }

    /// Makes a panic inside a codec an outcome like that of records that do not get smaller: it must not cost a record,
    /// nor end the task of a caller or of the sender.
    fn guarded<T>(self, work: impl FnOnce() -> Option<T>) -> Option<T> {
        // What was broken off is seen by no one: a codec's state is out of its place while it is used (`Kept`), and the
        // output is cleared before each use.
        let caught = fenced(|| {
            #[cfg(test)]
            assert!(!planted!(CodecPanics), "this panic is part of a test");
            work()
        });
        caught.unwrap_or_else(|_| {
            log::error!(codec = %self, "the codec panicked; the batch is left as it is");
            None
        })
    }
}

/// Returns a batch with its records uncompressed; the header stays as it is. If they are damaged, or would have more than
/// `limit` bytes, nothing follows the header.
pub(crate) fn uncompressed(batch: &Bytes, compression: Compression, limit: usize) -> Bytes {
    match (compression, batch.split_at_checked(HEADER_LEN)) {
        (Compression::None, _) | (_, None) => batch.clone(),
        (codec, Some((header, records))) => {
            let mut plain = header.to_vec();
            plain.extend(codec.decompress(records, limit).unwrap_or_default());
            plain.into()
        }
    }
}

thread_local! {
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps no more than this of its output: the room of a batch as large as `max.request.size` is by default.
const MOST_KEPT: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests;
