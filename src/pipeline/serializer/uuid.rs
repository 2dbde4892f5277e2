//! [`UuidSerializer`]: UUIDs as text.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{Serializer, is_of_kafka};
use crate::pipeline::BoxError;
use crate::record::Headers;

/// Sends a UUID as 36 characters of text, in lower case and with hyphens, as Java's `UUIDSerializer` does with its default encoding.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit to be named as a value; it will never hold anything")]
pub struct UuidSerializer;

impl Serializer<Uuid> for UuidSerializer {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a Uuid,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        scratch.resize(Hyphenated::LENGTH, 0);
        data.hyphenated().encode_lower(scratch);
        Ok(scratch)
    }

    fn stands_for(&self, class: &str) -> Option<bool> {
        Some(is_of_kafka(class, &["UUIDSerializer"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_written_as_java_writes_it() {
        let (mut headers, mut scratch) = (Headers::new(), Vec::new());
        let uuid = Uuid::from_u128(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF);

        let bytes = UuidSerializer.serialize("t", &mut headers, &uuid, &mut scratch).unwrap();

        assert_eq!(bytes, b"01234567-89ab-cdef-0123-456789abcdef");
    }
}
