//! What becomes of answers that are damaged on their way.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::protocol::{Decodable, Encodable};

use super::schedule::Damage;

/// Damages an answer. Returns whether the connection ends behind it.
pub(super) fn inflict(frame: Bytes, damage: Damage, version: i16) -> (Bytes, bool) {
    let mut bytes = BytesMut::from(frame);
    match damage {
        Damage::LeftOut => bytes = rewrite(bytes, version, |partitions| drop(partitions.pop())),
        Damage::Swapped => bytes = rewrite(bytes, version, |partitions| partitions.reverse()),
        Damage::Id => bytes[7] ^= 0x55,
        Damage::Length => bytes[..4].copy_from_slice(&(-5_i32).to_be_bytes()),
        Damage::Short(missing) => {
            bytes.truncate(bytes.len().saturating_sub(missing).max(8));
            let length = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&length.to_be_bytes());
        }
        Damage::Torn(len) => {
            bytes.truncate(len);
            return (bytes.freeze(), true);
        }
    }
    (bytes.freeze(), false)
}

/// Changes the partitions in the answer to a produce request.
fn rewrite(frame: BytesMut, version: i16, change: impl Fn(&mut Vec<PartitionProduceResponse>)) -> BytesMut {
    let head = if version >= 9 { 9 } else { 8 };
    let mut body = frame.clone().freeze().split_off(head);
    let mut response = ProduceResponse::decode(&mut body, version).unwrap();
    response.responses.iter_mut().for_each(|topic| change(&mut topic.partition_responses));
    response.responses.reverse();
    let mut changed = BytesMut::from(&frame[..head]);
    response.encode(&mut changed, version).unwrap();
    let length = u32::try_from(changed.len() - 4).unwrap();
    changed[..4].copy_from_slice(&length.to_be_bytes());
    changed
}
