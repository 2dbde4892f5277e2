//! `Node`: one broker.

use std::sync::Arc;

use crate::config::HostPort;
use crate::topic_partition::NodeId;

/// A broker: its id and where to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    id: NodeId,
    address: HostPort,
    rack: Option<Arc<str>>,
}

impl Node {
    /// Describes a broker that names no rack. An IPv6 address may stand in brackets.
    #[must_use]
    pub fn new(id: NodeId, host: impl Into<Arc<str>>, port: u16) -> Self {
        Self::at(id, HostPort::new(host, port))
    }

    pub(crate) fn at(id: NodeId, address: HostPort) -> Self {
        Self { id, address, rack: None }
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

    /// Returns the host name or address that the broker advertises, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.address.host()
    }

    /// Returns the port that the broker advertises.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the rack that the broker is in, if it names one.
    #[must_use]
    pub fn rack(&self) -> Option<&str> {
        self.rack.as_deref()
    }

    /// Says for a person which broker an id stands for, with what is known of it.
    pub(crate) fn describe(id: NodeId, known: Option<&Self>) -> String {
        match known {
            Some(known) if id.0 >= 0 => format!("{id} ({})", known.address),
            // The id of an entry of `bootstrap.servers` means nothing outside of this producer.
            Some(known) => known.address.to_string(),
            None => id.to_string(),
        }
    }

    pub(crate) fn address(&self) -> &HostPort {
        &self.address
    }

    /// Whether both are reached at the same place.
    pub(crate) fn has_address_of(&self, other: &Self) -> bool {
        self.address.is_same_place(&other.address)
    }
}
