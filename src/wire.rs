//! Primitives of the Kafka wire format.
//!
//! [`Reader`] takes primitives off a received frame, [`Writer`] appends them to one that is to be sent, and
//! [`varint`] holds the variable-length integers that messages and records share. What the primitives add up
//! to is none of this room's business: messages live in `protocol`.
//!
//! The bytes come from strangers. Nothing here panics on them, trusts a length before it has been compared
//! with what is there, or allocates more than a fixed multiple of the bytes that were received.

#![deny(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

pub(crate) mod varint;

mod reader;
mod uuid;
mod writer;

pub(crate) use self::reader::{DecodeError, DecodeProblem, Readable, Reader, readable, readable_within};
pub(crate) use self::uuid::Uuid;
pub(crate) use self::writer::{EncodeError, Segments, Writer};
