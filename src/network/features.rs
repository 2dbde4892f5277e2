//! `Features`: what the cluster has finalized, as brokers tell it together with what they speak (KIP-584).

use crate::protocol::messages::api_versions::ApiVersionsResponse;

/// The features that matter to a producer.
#[derive(Debug)]
pub(super) struct Features {
    /// Counts what was finalized. Of two brokers the one that has heard of more is right.
    epoch: i64,
    /// The level of `transaction.version` (KIP-890), 0 if the cluster does not have it.
    transaction_version: i16,
}

impl Features {
    /// Nothing is known of them.
    pub(super) const NONE: Self = Self { epoch: -1, transaction_version: 0 };

    /// Takes in what a broker says, unless a broker has said something newer.
    pub(super) fn note(&mut self, response: &ApiVersionsResponse) {
        if response.finalized_features_epoch <= self.epoch {
            return;
        }
        let mut finalized = response.finalized_features.iter();
        let level = finalized.find(|feature| feature.name == "transaction.version");
        self.epoch = response.finalized_features_epoch;
        self.transaction_version = level.map_or(0, |feature| feature.max_version_level);
    }

    /// Returns the level of `transaction.version`.
    pub(super) fn transaction_version(&self) -> i16 {
        self.transaction_version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::api_versions::FinalizedFeature;

    fn said(epoch: i64, level: i16) -> ApiVersionsResponse {
        let feature = FinalizedFeature {
            name: "transaction.version".into(),
            max_version_level: level,
            min_version_level: level,
        };
        ApiVersionsResponse {
            finalized_features_epoch: epoch,
            finalized_features: vec![feature],
            ..ApiVersionsResponse::default()
        }
    }

    #[test]
    fn what_a_broker_says_that_is_behind_does_not_count() {
        let mut features = Features::NONE;
        features.note(&ApiVersionsResponse { finalized_features_epoch: -1, ..said(0, 2) });
        assert_eq!(features.transaction_version(), 0, "a broker that says nothing");

        features.note(&said(7, 2));
        assert_eq!(features.transaction_version(), 2);
        features.note(&said(6, 1));
        assert_eq!(features.transaction_version(), 2);
        features.note(&said(8, 1));
        assert_eq!(features.transaction_version(), 1);
        features.note(&ApiVersionsResponse { finalized_features: Vec::new(), ..said(9, 0) });
        assert_eq!(features.transaction_version(), 0);
    }
}
