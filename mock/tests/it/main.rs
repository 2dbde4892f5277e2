//! The mock as a client sees it over TCP.

mod api_versions;
mod faults;
mod metadata;
mod produce;
mod support;
