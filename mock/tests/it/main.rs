//! The mock as a client sees it over TCP.

mod admin;
mod api_versions;
mod fault_bytes;
mod fault_text;
mod faults;
mod fetch;
mod framing;
mod metadata;
mod produce;
mod sans_io;
mod support;
#[cfg(feature = "tls")]
mod tls;
