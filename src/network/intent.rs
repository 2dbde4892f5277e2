//! `Intent`: which broker the client means to reach, as it tells brokers that can be told (KIP-1242).
//!
//! An address may have come to stand for another broker, or for one of another cluster, as when pods are moved. A broker that
//! knows whom the client means says so before it is sent anything.

use std::sync::Arc;

use crate::protocol::ApiKey;
use crate::topic_partition::NodeId;

use super::api_versions::ApiVersions;

#[derive(Debug)]
pub(super) struct Intent {
    /// False with `metadata.cluster.check.enable=false`.
    is_told: bool,
    cluster_id: Option<Arc<str>>,
    /// Whether the last broker that has said what it speaks can be told. One that cannot would have to be asked twice on each
    /// connection.
    is_understood: bool,
}

impl Intent {
    pub(super) fn new(is_told: bool) -> Self {
        Self { is_told, cluster_id: None, is_understood: false }
    }

    /// Returns whether another cluster was known before.
    pub(super) fn set_cluster_id(&mut self, cluster_id: Option<&str>) -> bool {
        if self.cluster_id.as_deref() == cluster_id {
            return false;
        }
        let before = std::mem::replace(&mut self.cluster_id, cluster_id.map(Arc::from));
        before.is_some()
    }

    /// Takes in what a broker speaks.
    pub(super) fn note_versions(&mut self, versions: &ApiVersions) {
        self.is_understood =
            versions.version_for(ApiKey::ApiVersions).is_some_and(|version| version >= TOLD_SINCE);
    }

    /// Takes in that a broker does not know the version in which it was asked.
    pub(super) fn note_refusal(&mut self, version: i16) {
        self.is_understood &= version < TOLD_SINCE;
    }

    /// Returns the version in which to ask a broker first what it speaks. `highest` is what it bore so far.
    pub(super) fn first_version(&self, highest: i16, node: NodeId) -> i16 {
        if self.told_to(node).is_some() && self.is_understood { highest } else { highest.min(TOLD_SINCE - 1) }
    }

    /// Returns the id of the cluster that a broker is told, if it is one that the cluster has named.
    pub(super) fn told_to(&self, node: NodeId) -> Option<&Arc<str>> {
        self.cluster_id.as_ref().filter(|_| self.is_told && node.0 >= 0)
    }
}

/// The first version of ApiVersions that has a place for it.
const TOLD_SINCE: i16 = 5;
