//! The mock as a client sees it over TCP.

mod admin;
mod api_versions;
mod fault_bytes;
mod fault_text;
mod faults;
mod features;
mod fetch;
mod framing;
mod group_offsets;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod program;
mod sans_io;
mod sans_io_transactions;
mod support;
mod telemetry;
#[cfg(feature = "tls")]
mod tls;
mod transactional;
mod transactions;
