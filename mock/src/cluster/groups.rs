//! Consumer groups, as a test sees and drives them.

use std::collections::BTreeMap;

use super::MockCluster;
use crate::coordinators::Coordinated;
use crate::error::MockError;
use crate::groups::{CommittedOffset, GroupProtocol, MockGroup};

/// Consumer groups.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kafka_mock::MockError> {
/// use kafka_mock::{GroupState, MockCluster};
///
/// let cluster = MockCluster::start(1).await?;
/// // Once consumers of the application have joined:
/// if let Some(group) = cluster.groups().get("billing").filter(|group| group.state == GroupState::Stable) {
///     let read: Vec<_> = group.members.values().map(|member| member.partitions()).collect();
///     println!("generation {}: {read:?}", group.generation);
/// }
/// # Ok(())
/// # }
/// ```
impl MockCluster {
    /// Returns all groups that clients or the test have named, by id.
    pub fn groups(&self) -> BTreeMap<String, MockGroup> {
        let mut state = self.shared.state();
        let now = state.now;
        let groups = state.groups.snapshots(now);
        let is_news = state.groups.take_news();
        drop(state);
        if is_news {
            self.shared.changed.notify_waiters();
        }
        groups
    }

    /// Returns the offsets that a group has committed, by topic and partition.
    pub fn committed_offsets(&self, group: &str) -> BTreeMap<(String, i32), CommittedOffset> {
        self.shared.state().groups.committed(group)
    }

    /// Removes a member from its group, as its coordinator does when `session.timeout.ms` is over. The other members join anew. Returns
    /// whether it was a member.
    pub fn time_out_group_member(&self, group: &str, member_id: &str) -> bool {
        self.change(|state| {
            let now = state.now;
            state.groups.classic(group, now).leave(member_id, None, now).is_ok()
        })
    }

    /// Says that a group has this member, in this generation (or with this epoch), as the instance with this `group.instance.id` if it
    /// has one. From now on offsets of the group are taken from such members only (KIP-447), whatever members have joined, and from
    /// producers that name none.
    ///
    /// This is for tests of producers without consumers. Groups that no member has joined, and of which a test has said nothing, let all
    /// producers commit.
    pub fn set_group_member(
        &self,
        group: &str,
        protocol: GroupProtocol,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) {
        let state = &mut self.shared.state();
        state.groups.set_member(group, protocol, member_id, instance_id, generation);
    }

    /// Says that a group does not have this member, or has it no longer.
    pub fn remove_group_member(&self, group: &str, member_id: &str) {
        self.shared.state().groups.remove_member(group, member_id);
    }

    /// Returns the broker that coordinates a group; `None` if no broker is up.
    pub fn group_coordinator(&self, group: &str) -> Option<i32> {
        self.shared.state().coordinator_of(&Coordinated::Group(group.to_owned())).broker
    }

    /// Moves the coordinator of a group to another broker. Members that wait are told NOT_COORDINATOR.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub fn move_group_coordinator(&self, group: &str, to: i32) -> Result<(), MockError> {
        self.change(|state| state.move_coordinator(&Coordinated::Group(group.to_owned()), to))
    }
}
