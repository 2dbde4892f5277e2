//! What the accumulator needs to know of the configuration.

use std::time::Duration;

use crate::protocol::compression::Compression;

/// Settings that every append reads.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `batch.size`, at least 1: what batches have after compression, as far as that can be foreseen.
    pub(crate) batch_size: usize,
    /// What they may have before compression however well they compress (`max.request.size`), if that is more.
    pub(crate) max_plain: usize,
    pub(crate) compression: Compression,
    /// Of the codec, if it has levels.
    pub(crate) compression_level: i32,
    /// How long after its first record a batch takes more.
    ///
    /// A batch's delivery timeout counts from its first record. Behind a partition that cannot be sent a batch could
    /// stay open for minutes, and a record that joins late would inherit most of that age.
    pub(crate) append_window: Duration,
    /// Batches whose records are all awaited may go before `linger.ms` is over.
    pub(crate) spares_awaited: bool,
}
