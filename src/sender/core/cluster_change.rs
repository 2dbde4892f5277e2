//! What happens when `bootstrap.servers` lead to another cluster than before, as when DNS has moved.
//!
//! The producer id belongs to another producer there, or will. A batch that is sent under it might be taken for one that the
//! other has written, and told as delivered without being there.

use std::time::Instant;

use super::SenderCore;

impl SenderCore {
    pub(super) fn leave_cluster(&mut self, now: Instant) {
        self.numbering.handle_other_cluster();
        for partition in self.schedule.partitions_mut() {
            let doubtful = partition.leave_cluster();
            let why = "it may be in the log of a cluster that is another one now";
            self.settlement.give_up_sent(partition, doubtful, why, now);
        }
        // The same address may be one of another machine by now, so no connection can be told from those to the old cluster.
        self.network.disconnect_all(now);
        self.topology.start_over(now, &mut self.effects);
    }
}
