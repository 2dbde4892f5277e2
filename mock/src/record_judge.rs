//! Which records brokers refuse because a test wants it.

/// Which records brokers refuse, together with their batch, and how.
#[derive(Debug, Clone, Copy)]
pub struct RecordJudge {
    /// Whether a record with this value is refused.
    pub is_refused: fn(&[u8]) -> bool,
    /// The error code.
    pub code: i16,
    /// Whether the answer names the records, in versions that can (KIP-467).
    pub names_records: bool,
}
