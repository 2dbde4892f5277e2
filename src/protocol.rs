//! Messages of the Kafka protocol.

pub(crate) mod messages;
