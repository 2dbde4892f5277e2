//! [`ProtobufSerializer`]: messages of `prost`.

use prost::Message;

use super::{Serializer, none_of_kafka};
use crate::pipeline::BoxError;
use crate::record::Headers;

/// Sends messages of the crate `prost` in the encoding of Protocol Buffers.
///
/// It adds no header and nothing in front. For a schema registry, put it into a [`RegisteredSchema`](super::RegisteredSchema) with the
/// [indexes of the message](super::RegisteredSchema::with_message_indexes).
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit to be named as a value; it will never hold anything")]
pub struct ProtobufSerializer;

impl<T: Message> Serializer<T> for ProtobufSerializer {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        data.encode(scratch)?;
        Ok(scratch)
    }

    fn stands_for(&self, class: &str) -> Option<bool> {
        none_of_kafka(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_encoded_as_protocol_buffers_are() {
        let (mut headers, mut scratch) = (Headers::new(), Vec::new());

        // `google.protobuf.Int32Value`, whose field 1 is 150: the example of the description of the encoding.
        let bytes = ProtobufSerializer.serialize("t", &mut headers, &150_i32, &mut scratch).unwrap();

        assert_eq!(bytes, [0x08, 0x96, 0x01]);
    }
}
