//! The codecs that batches can be compressed with.

use std::fmt;

/// The codec that whole batches are compressed with (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// LZ4 frames, at the level that Kafka calls 9 and that LZ4 calls fast.
    Lz4,
    /// Batches are sent as they are.
    #[default]
    None,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lz4 => "lz4",
            Self::None => "none",
        })
    }
}
