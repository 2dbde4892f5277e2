//! What to do when no known broker can be reached.

use std::fmt;

/// What the producer does when no broker that it knows of can be reached (`metadata.recovery.strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MetadataRecoveryStrategy {
    /// Goes on trying the brokers it knows of.
    None,
    /// Forgets the brokers it knows of and begins again with `bootstrap.servers`.
    #[default]
    Rebootstrap,
}

impl fmt::Display for MetadataRecoveryStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Rebootstrap => "rebootstrap",
        })
    }
}
