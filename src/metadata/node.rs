use std::sync::Arc;

use crate::topic_partition::NodeId;

/// A broker: its id and where to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    id: NodeId,
    host: Arc<str>,
    port: u16,
    rack: Option<Arc<str>>,
}

impl Node {
    /// Describes a broker that names no rack.
    #[must_use]
    pub fn new(id: NodeId, host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { id, host: host.into(), port, rack: None }
    }

    /// Sets the rack (`broker.rack`) that the broker is in.
    #[must_use]
    pub fn with_rack(mut self, rack: impl Into<Arc<str>>) -> Self {
        self.rack = Some(rack.into());
        self
    }

    /// Returns the id of the broker. It is negative for an entry of `bootstrap.servers`.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Returns the host name or address that the broker advertises.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port that the broker advertises.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the rack that the broker is in, if it names one.
    #[must_use]
    pub fn rack(&self) -> Option<&str> {
        self.rack.as_deref()
    }

    pub(crate) fn shared_host(&self) -> Arc<str> {
        Arc::clone(&self.host)
    }

    /// Whether both are reached at the same place.
    pub(crate) fn has_address_of(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }
}
