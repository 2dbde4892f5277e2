//! A broker of a cluster: its place in the state that all brokers share. What it does with requests is in `dispatch`.

use crate::coordinators::Coordinated;
use crate::error::code;
use crate::faults::FaultPlan;
use crate::state::ClusterState;
use crate::topic::{Partition, TopicRef};

/// A broker of a cluster, borrowed together with everything that all brokers share.
pub(crate) struct Broker<'a> {
    pub(crate) state: &'a mut ClusterState,
    pub(crate) id: i32,
}

impl Broker<'_> {
    /// Name of a topic that a request names somehow; `None` for an id that is not known.
    pub(crate) fn name_of(&self, topic: &TopicRef) -> Option<String> {
        match topic {
            TopicRef::Id(id) => self.state.name_of(*id).map(str::to_owned),
            TopicRef::Name(name) => Some(name.clone()),
        }
    }

    /// The error with which this broker answers if it does not coordinate the transactional id, or not yet.
    pub(crate) fn check_transaction(&mut self, id: &str) -> Result<(), i16> {
        self.state.check_coordinator(&Coordinated::Transaction(id.to_owned()), self.id)
    }

    /// The error with which this broker answers a member of a group, if the plan has one, if the group has no name, or if this broker does
    /// not coordinate it, or not yet.
    pub(crate) fn check_group(&mut self, id: &str, plan: &FaultPlan) -> Result<(), i16> {
        if plan.request_error() != code::NONE {
            return Err(plan.request_error());
        }
        if id.is_empty() {
            return Err(code::INVALID_GROUP_ID);
        }
        self.state.check_coordinator(&Coordinated::Group(id.to_owned()), self.id)
    }

    /// The partition, if this broker leads it and the client's leader epoch (-1: not known) is the present one.
    pub(crate) fn led_partition(
        &self,
        topic: &str,
        index: i32,
        leader_epoch: i32,
    ) -> Result<&Partition, i16> {
        let partition = self.state.partition(topic, index).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)?;
        if leader_epoch >= 0 && leader_epoch < partition.leader_epoch {
            Err(code::FENCED_LEADER_EPOCH)
        } else if leader_epoch > partition.leader_epoch {
            Err(code::UNKNOWN_LEADER_EPOCH)
        } else if partition.leader != Some(self.id) {
            Err(code::NOT_LEADER_OR_FOLLOWER)
        } else {
            Ok(partition)
        }
    }
}

/// Name of the host in every answer: the mock listens on loopback only.
pub(crate) const HOST: &str = "127.0.0.1";
