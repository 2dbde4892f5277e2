//! Messages of the Kafka protocol.
//!
//! [`ApiKey`] says which APIs in which versions, [`messages`] holds their requests and responses, `header`
//! what goes before each of them. Encoding and decoding are pure: bytes in, values out, and the version as an
//! argument.
//!
//! The field lists follow the message specifications of Apache Kafka
//! (`clients/src/main/resources/common/message`).

#![deny(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

pub(crate) mod compression;
pub(crate) mod messages;
pub(crate) mod record_batch;

mod api_key;
mod error_code;
mod header;
#[cfg(test)]
mod testdata;

pub(crate) use self::api_key::ApiKey;
pub use self::error_code::ErrorCode;
pub(crate) use self::header::{RequestHeader, ResponseHeader};
