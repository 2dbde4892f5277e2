//! `Effects`: what the machines of the sender want done outside of themselves, as values.
//!
//! A machine decides and says what follows; the router does that, in the same order. So you can read and test a machine without
//! the others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::error::DeliveryErrorKind;
use crate::metadata::{Cluster, MetadataUpdate, Node};
use crate::protocol::ApiKey;
use crate::sender::line::News;
use crate::sender::numbering::ProducerId;
use crate::sender::request::{Body, Purpose};
use crate::sender::transactions::Answer;
use crate::topic_partition::NodeId;
use crate::wire::DecodeError;

/// Something that a machine wants done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Make a new view of the cluster known to connections, partitions and callers.
    Adopt(MetadataUpdate),
    /// Number batches under an id and an epoch that a coordinator has given.
    AdoptProducerId(ProducerId),
    /// Tell a caller what came of a call.
    Answer(Answer),
    /// Connect to a node, unless there is a connection or an attempt at one.
    Connect(NodeId),
    /// Forget the topics that metadata has forgotten.
    ForgetIdleTopics,
    /// Let these nodes of a cluster be connected to.
    KnowNodes { cluster_id: Option<String>, nodes: Vec<Node> },
    /// Leave everything behind that belongs to the cluster that was known so far, and start over.
    LeaveCluster,
    /// Look at every partition that has something to do: what it waited for may have come.
    LookAtActive,
    /// Show callers a view of the cluster.
    Publish(Arc<Cluster>),
    /// Fail what is queued in every partition.
    RefuseQueued(DeliveryErrorKind),
    /// Ask for metadata soon.
    RequestMetadata,
    /// Close a connection as soon as what is under way on it is done.
    Retire(NodeId),
    /// Send a request.
    Send { node: NodeId, purpose: Purpose, body: Body },
    /// Send a request to a node that has not said yet what it speaks, in a version that any broker does.
    SendEarly { node: NodeId, purpose: Purpose, body: Body, version: i16 },
    /// Tell the log.
    Tell(News),
    /// Leave a broker alone, as its answer says that it wishes (`throttling.rs`).
    Throttle { node: NodeId, wish: Duration },
    /// Close a connection, because an answer that came on it cannot be read.
    Unreadable { node: NodeId, api_key: ApiKey, version: i16, error: DecodeError },
}

/// What is still to be done, in order.
#[derive(Debug, Default)]
pub(super) struct Effects(VecDeque<Effect>);

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.0.push_back(effect);
    }

    pub(super) fn extend(&mut self, effects: impl IntoIterator<Item = Effect>) {
        self.0.extend(effects);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Effect> {
        self.0.pop_front()
    }
}
