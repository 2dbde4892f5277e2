//! [`RegisteredSchema`]: the framing of schema registries.

use std::cell::Cell;

use super::{Serializer, none_of_kafka};
use crate::pipeline::BoxError;
use crate::record::Headers;

/// Puts the id of a schema in front of what another serializer writes, as the serializers of Confluent's schema registry do, and those of
/// Apicurio in their compatible mode: a zero byte, then the id in four big-endian bytes. For Protocol Buffers the indexes of the message come
/// after that.
///
/// It asks no registry: the application knows the id, because it has registered the schema when it started. The serializer within writes the
/// payload alone: Avro's binary encoding without a header, JSON, or a message of Protocol Buffers.
///
/// ```
/// use kafka_producer::{Headers, RegisteredSchema, Serializer, StringSerializer};
///
/// let serializer = RegisteredSchema::new(7, StringSerializer);
///
/// let (mut headers, mut scratch) = (Headers::new(), Vec::new());
/// let bytes = serializer.serialize("fruit", &mut headers, "\"apples\"", &mut scratch)?;
/// assert_eq!(bytes, b"\0\0\0\0\x07\"apples\"");
/// # Ok::<_, kafka_producer::BoxError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RegisteredSchema<S> {
    /// What comes in front.
    head: Vec<u8>,
    inner: S,
}

impl<S> RegisteredSchema<S> {
    /// Makes a serializer for a schema that has this id in the registry.
    #[must_use]
    pub fn new(schema_id: u32, inner: S) -> Self {
        let mut head = vec![MAGIC];
        head.extend_from_slice(&schema_id.to_be_bytes());
        Self { head, inner }
    }

    /// Adds which message of its schema is written: for Protocol Buffers. Each index is the place of a message in its file, from 0, then
    /// that of a message nested in it, and so on. Most schemas have one message, whose indexes are `[0]`.
    #[must_use]
    pub fn with_message_indexes(mut self, indexes: &[u16]) -> Self {
        match indexes {
            // The usual case is shorter.
            [0] => self.head.push(0),
            _ => {
                push_varint(&mut self.head, indexes.len().try_into().unwrap_or(u64::MAX));
                indexes.iter().for_each(|index| push_varint(&mut self.head, u64::from(*index)));
            }
        }
        self
    }
}

/// The first byte of every payload.
const MAGIC: u8 = 0;

thread_local! {
    /// For what the serializers within write. Taken out while in use: they may be of this kind themselves.
    static PAYLOAD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Larger buffers are not kept.
const MAX_KEPT: usize = 64 * 1024;

impl<T: ?Sized, S: Serializer<T>> Serializer<T> for RegisteredSchema<S> {
    fn serialize<'a>(
        &self,
        topic: &str,
        headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        let mut payload = PAYLOAD.try_with(Cell::take).unwrap_or_default();
        payload.clear();
        scratch.extend_from_slice(&self.head);
        let result = self.inner.serialize(topic, headers, data, &mut payload);
        let written = result.map(|bytes| scratch.extend_from_slice(bytes));
        if payload.capacity() <= MAX_KEPT {
            // There is no place left while the thread ends.
            let _kept = PAYLOAD.try_with(|place| place.set(payload));
        }
        written.map(|()| scratch.as_slice())
    }

    fn stands_for(&self, class: &str) -> Option<bool> {
        none_of_kafka(class)
    }
}

/// Writes a number that is not negative as a varint in zigzag.
fn push_varint(out: &mut Vec<u8>, number: u64) {
    let mut rest = number << 1;
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{BytesSerializer, StringSerializer, serialize_to_vec};

    fn bytes<T: ?Sized>(serializer: &impl Serializer<T>, data: &T) -> Vec<u8> {
        let (mut headers, mut scratch) = (Headers::new(), Vec::new());
        serializer.serialize("t", &mut headers, data, &mut scratch).unwrap().to_vec()
    }

    #[test]
    fn id_comes_in_front_of_what_is_borrowed_and_of_what_is_written() {
        let upper = serialize_to_vec(|text: &String| Ok::<_, std::convert::Infallible>(text.to_uppercase()));

        assert_eq!(
            bytes(&RegisteredSchema::new(0x0102_0304, StringSerializer), "abc"),
            b"\0\x01\x02\x03\x04abc"
        );
        assert_eq!(bytes(&RegisteredSchema::new(9, upper), &"abc".to_owned()), b"\0\0\0\0\x09ABC");
    }

    /// Confluent's description of its wire format: "the array of message indexes is encoded with variable-length zigzag encoding", the
    /// length first, and `[0]` as the single byte 0.
    #[test]
    fn message_indexes_are_zigzag_varints_behind_their_count() {
        let of = |indexes: &[u16]| {
            let serializer = RegisteredSchema::new(1, BytesSerializer).with_message_indexes(indexes);
            bytes(&serializer, &b"x"[..])[5..].to_vec()
        };

        assert_eq!(of(&[0]), b"\0x");
        assert_eq!(of(&[1]), b"\x02\x02x");
        assert_eq!(of(&[1, 0]), b"\x04\x02\0x");
        assert_eq!(of(&[100]), b"\x02\xc8\x01x");
    }

    #[test]
    fn one_may_be_within_another() {
        let inner = RegisteredSchema::new(2, StringSerializer);

        assert_eq!(bytes(&RegisteredSchema::new(1, inner), "a"), b"\0\0\0\0\x01\0\0\0\0\x02a");
    }

    #[test]
    fn failure_of_the_serializer_within_is_that_of_the_whole() {
        let failing = serialize_to_vec(|_: &String| Err::<Vec<u8>, _>("unlucky"));
        let (mut headers, mut scratch) = (Headers::new(), Vec::new());

        let serializer = RegisteredSchema::new(1, failing);
        let error = serializer.serialize("t", &mut headers, &"a".to_owned(), &mut scratch).unwrap_err();

        assert_eq!(error.to_string(), "unlucky");
    }
}
