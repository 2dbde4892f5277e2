//! `Uuid`: the id of a topic.

/// A topic id as it stands on the wire; all zero when unknown (KIP-516).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Uuid(pub(crate) [u8; 16]);

impl Uuid {
    /// What stands for "no id" on the wire.
    pub(crate) const ZERO: Self = Self([0; 16]);
}
