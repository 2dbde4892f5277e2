//! The two versions of transactions, and which requests are for which.

/// Version of the protocol of transactions: the feature `transaction.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TransactionVersion {
    /// The feature at level 0 or 1, and brokers that do not have it.
    #[default]
    One,
    /// KIP-890.
    Two,
}

impl TransactionVersion {
    /// The version that a level of the feature `transaction.version` stands for.
    pub(in crate::sender) fn of(level: i16) -> Self {
        if level >= 2 { Self::Two } else { Self::One }
    }

    /// The first version of Produce that is for transactions of this version.
    pub(super) fn first_produce(self) -> i16 {
        match self {
            Self::One => 0,
            Self::Two => 12,
        }
    }

    /// The first version of TxnOffsetCommit that is for transactions of this version.
    pub(super) fn first_offset_commit(self) -> i16 {
        match self {
            Self::One => 0,
            Self::Two => 5,
        }
    }

    /// The last version of EndTxn that is for transactions of this version. With a later one the epoch would change.
    pub(super) fn last_end_txn(self) -> i16 {
        match self {
            Self::One => 4,
            Self::Two => i16::MAX,
        }
    }

    /// The last version of Produce. With a later one the broker adds the partition to the transaction.
    pub(super) fn last_produce(self) -> i16 {
        match self {
            Self::One => 11,
            Self::Two => i16::MAX,
        }
    }

    /// The last version of TxnOffsetCommit. With a later one the broker adds the group to the transaction.
    pub(super) fn last_offset_commit(self) -> i16 {
        match self {
            Self::One => 4,
            Self::Two => i16::MAX,
        }
    }
}
