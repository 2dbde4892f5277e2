//! What the brokers of a cluster have agreed on (KIP-584); of that the mock knows `transaction.version` alone.

use crate::transactions::Protocol;

/// Features that are finalized.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Features {
    /// `None`: brokers know nothing of it.
    transaction_version: Option<i16>,
    /// One more at each change.
    epoch: i64,
}

impl Default for Features {
    fn default() -> Self {
        Self { transaction_version: Some(HIGHEST_TRANSACTION_VERSION), epoch: 1 }
    }
}

impl Features {
    /// Features of brokers before Kafka 4.0, and of those that are not Kafka's.
    pub(crate) fn none() -> Self {
        Self { transaction_version: None, epoch: -1 }
    }

    pub(crate) fn set_transaction_version(&mut self, version: Option<i16>) {
        self.transaction_version = version.map(|version| version.clamp(0, HIGHEST_TRANSACTION_VERSION));
        self.epoch = self.epoch.max(0) + 1;
    }

    pub(crate) fn transaction_version(&self) -> Option<i16> {
        self.transaction_version
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// By which protocol a coordinator ends transactions on its own account.
    pub(crate) fn protocol(&self) -> Protocol {
        match self.transaction_version {
            Some(HIGHEST_TRANSACTION_VERSION) => Protocol::V2,
            _ => Protocol::V1,
        }
    }
}

pub(crate) const HIGHEST_TRANSACTION_VERSION: i16 = 2;
