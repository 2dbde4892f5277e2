//! What happens when `bootstrap.servers` lead to another cluster than before, as when DNS has moved.
//!
//! The producer id belongs to another producer there, or will. A batch that is sent under it might be taken for one that the
//! other has written, and told as delivered without being there.

use std::sync::Arc;
use std::time::Instant;

use super::SenderCore;
use crate::log;
use crate::metadata::MetadataRequestId;
use crate::planted::planted;

impl SenderCore {
    /// Takes note of the cluster that an answer comes from. Returns true if it is another one than before: the sender has
    /// left that one and begins anew with `bootstrap.servers`, and the answer is not to be taken in.
    ///
    /// It counts as a failure of the request, so that addresses that lead to one cluster and the other by turns are not asked
    /// without a pause.
    pub(super) fn note_cluster(
        &mut self,
        request: MetadataRequestId,
        id: Option<&str>,
        now: Instant,
    ) -> bool {
        // Old brokers do not tell, and what is no broker may say nothing.
        let Some(id) = id.filter(|id| !id.is_empty() && self.cluster_id.as_deref() != Some(*id)) else {
            return false;
        };
        let Some(left) = self.cluster_id.replace(Arc::from(id)) else { return false };
        if planted!(ClusterChangeIgnored) {
            return false;
        }
        log::warn!(
            from = %left, to = %id,
            "bootstrap.servers lead to another cluster; going on there with another producer id"
        );
        self.metadata.handle_failure(request, now);
        self.leave_cluster(now);
        true
    }

    fn leave_cluster(&mut self, now: Instant) {
        self.numbering.handle_other_cluster();
        for id in 0..self.partitions.len() {
            let Some(Some(partition)) = self.partitions.get_mut(id) else { continue };
            let doubtful = partition.leave_cluster();
            let why = "it may be in the log of a cluster that is another one now";
            self.settlement.give_up_sent(partition, doubtful, why, now);
        }
        // The same address may be one of another machine by now, so no connection can be told from those to the old cluster.
        self.network.disconnect_all(now);
        self.rebootstrap(now);
    }
}
