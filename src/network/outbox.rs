//! What a client has to say and has not been asked for yet: actions for the transport, events for the caller, and what is only noted.

use std::collections::VecDeque;

use crate::topic_partition::NodeId;

use super::event::{ConnectionId, NetworkAction, NetworkEvent, Remark};

/// Actions and events, each in the order in which they came up.
#[derive(Debug)]
pub(super) struct Outbox<P> {
    actions: VecDeque<NetworkAction>,
    events: VecDeque<NetworkEvent<P>>,
    remarks: VecDeque<Remark>,
}

/// What the transport had not taken yet when its connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Withdrawn {
    pub(super) connect: bool,
    /// The correlation id of the first frame.
    pub(super) first_frame: Option<i32>,
}

impl<P> Outbox<P> {
    pub(super) fn new() -> Self {
        Self { actions: VecDeque::new(), events: VecDeque::new(), remarks: VecDeque::new() }
    }

    pub(super) fn act(&mut self, action: NetworkAction) {
        self.actions.push_back(action);
    }

    pub(super) fn tell(&mut self, event: NetworkEvent<P>) {
        self.events.push_back(event);
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        self.remarks.push_back(remark);
    }

    #[inline]
    pub(super) fn next_remark(&mut self) -> Option<Remark> {
        self.remarks.pop_front()
    }

    pub(super) fn next_action(&mut self) -> Option<NetworkAction> {
        self.actions.pop_front()
    }

    pub(super) fn next_event(&mut self) -> Option<NetworkEvent<P>> {
        self.events.pop_front()
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Takes back the actions for a connection that the transport has not taken yet.
    pub(super) fn withdraw(&mut self, id: ConnectionId) -> Withdrawn {
        let mut withdrawn = Withdrawn { connect: false, first_frame: None };
        self.actions.retain(|action| match action {
            NetworkAction::Connect { connection, .. } if *connection == id => {
                withdrawn.connect = true;
                false
            }
            NetworkAction::Transmit { connection, frame } if *connection == id => {
                withdrawn.first_frame.get_or_insert(frame.correlation_id);
                false
            }
            _ => true,
        });
        withdrawn
    }

    /// Changes the events of a node into events of another node, which has its connection now.
    pub(super) fn hand_over(&mut self, node: NodeId, heir: NodeId) {
        let places = self.events.iter_mut().map(NetworkEvent::node_mut);
        places.filter(|place| **place == node).for_each(|place| *place = heir);
    }
}
