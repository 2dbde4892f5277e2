//! The sequence number of a batch: what it has, and what takes it. Whether it may get another is the rule of `renumbering.rs`.

use super::ProducerBatch;
use crate::protocol::record_batch::ProducerIdentity;

/// The sequence number of a batch.
///
/// ```text
///           numbered               left_behind
///   None ────────────► Own ───────────────────────► OfOtherCluster
///    ▲                  │                                  │
///    ├── forget_number ─┘   only if the batch may          │
///    └── forget_foreign_number ── take a new number ───────┘
///
///   cut: a piece has the number of its first record. rebuilt: the batch without its culprits begins with None
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    None,
    /// The cluster that the producer writes to knows it, or will.
    Own(ProducerIdentity),
    /// The batch was under way with it when the producer came to another cluster, where it means nothing.
    OfOtherCluster(ProducerIdentity),
}

impl Number {
    /// Returns what the header of the batch says.
    pub(super) fn identity(self) -> ProducerIdentity {
        match self {
            Self::None => ProducerIdentity::NONE,
            Self::Own(identity) | Self::OfOtherCluster(identity) => identity,
        }
    }

    /// Returns the number of the record that is `records` further on.
    pub(super) fn advanced_by(self, records: u32) -> Self {
        match self {
            Self::None => Self::None,
            Self::Own(identity) => Self::Own(identity.advanced_by(records)),
            Self::OfOtherCluster(identity) => Self::OfOtherCluster(identity.advanced_by(records)),
        }
    }
}

impl ProducerBatch {
    /// It gets a sequence number.
    pub(crate) fn numbered(&mut self, identity: ProducerIdentity) {
        self.number = Number::Own(identity);
    }

    /// The producer has come to another cluster while the batch is under way.
    pub(crate) fn left_behind(&mut self) {
        if let Number::Own(identity) = self.number {
            self.number = Number::OfOtherCluster(identity);
        }
    }

    /// Takes its number, unless it may be in the log under it. Returns whether it has none now.
    #[must_use]
    pub(crate) fn forget_number(&mut self) -> bool {
        let may_forget = self.may_take_new_number();
        if may_forget {
            self.number = Number::None;
        }
        may_forget
    }

    /// Takes the number of a cluster that was left from a batch that is to be sent again. Returns false if it may be in the log
    /// there, so that it must not be sent anywhere else.
    #[must_use]
    pub(crate) fn forget_foreign_number(&mut self) -> bool {
        match self.number {
            Number::OfOtherCluster(_) => self.forget_number(),
            Number::None | Number::Own(_) => true,
        }
    }

    /// Returns who wrote it and its sequence number; `NONE` if it has none.
    pub(crate) fn identity(&self) -> ProducerIdentity {
        self.number.identity()
    }

    /// Whether it has a sequence number.
    pub(crate) fn is_numbered(&self) -> bool {
        self.number != Number::None
    }
}
