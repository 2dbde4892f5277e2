//! Requests and responses, one API per file.

pub(crate) mod api_versions;
pub(crate) mod metadata;
pub(crate) mod produce;
