//! Both ways against `kafka-protocol`: it reads what we write, we read what it writes.
//!
//! Its encoders refuse fields that a version lacks, so each value is first cut down to what the version can
//! say.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::{Request, Response, decode, encode};

pub(super) mod add_offsets_to_txn;
pub(super) mod add_partitions_to_txn;
pub(super) mod api_versions;
pub(super) mod end_txn;
pub(super) mod find_coordinator;
pub(super) mod get_telemetry_subscriptions;
pub(super) mod init_producer_id;
pub(super) mod metadata;
pub(super) mod produce;
pub(super) mod push_telemetry;
pub(super) mod sasl_authenticate;
pub(super) mod sasl_handshake;
pub(super) mod txn_offset_commit;

/// Lets `kafka-protocol` read what we write; it must leave nothing over.
fn read_by_oracle<T: Decodable>(request: &impl Request, version: i16) -> T {
    let mut bytes = Bytes::from(encode(request, version).unwrap());
    let decoded = T::decode(&mut bytes, version).unwrap();
    assert!(!bytes.has_remaining(), "version {version}: {} bytes are left", bytes.remaining());
    decoded
}

/// Returns a response as `kafka-protocol` writes it. An answer in a version that it does not know yet is one of the last that it knows:
/// that holds for ApiVersions 5.
pub(super) fn written_by_oracle<R: Encodable + Message>(response: &R, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    response.encode(&mut bytes, version.min(R::VERSIONS.max)).unwrap();
    bytes.into()
}

/// Lets us read what `kafka-protocol` writes.
fn read_from_oracle<R: Response>(response: &(impl Encodable + Message), version: i16) -> R {
    decode(&written_by_oracle(response, version), version).unwrap()
}

/// A strategy for the versions that we speak.
pub(super) fn version<R: Response>() -> impl Strategy<Value = i16> {
    R::KEY.versions()
}

/// Tags that no version of these messages knows; none where there is no tag section.
type Tags = std::collections::BTreeMap<i32, Bytes>;

fn tags() -> impl Strategy<Value = Tags> {
    btree_map(20..2000, vec(any::<u8>(), 0..4).prop_map(Bytes::from), 0..3)
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z0-9._-]{0,12}", 1 => "\\PC{0,6}", 1 => Just("x".repeat(300))]
}

fn nullable_string() -> impl Strategy<Value = Option<String>> {
    option::of(string())
}
