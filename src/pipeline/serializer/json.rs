//! [`JsonSerializer`]: values of `serde` as JSON.

use serde_core::Serialize;

use super::{Serializer, none_of_kafka};
use crate::pipeline::BoxError;
use crate::record::Headers;

/// Sends whatever `serde` serializes as JSON, by `serde_json`, without line breaks.
///
/// It adds no header. Into a [`RegisteredSchema`](super::RegisteredSchema) it makes what the schema registry calls JSON Schema.
///
/// ```
/// use kafka_producer::{Headers, JsonSerializer, Serializer};
///
/// let (mut headers, mut scratch) = (Headers::new(), Vec::new());
/// let bytes = JsonSerializer.serialize("fruit", &mut headers, &("apples", 2), &mut scratch)?;
/// assert_eq!(bytes, br#"["apples",2]"#);
/// # Ok::<_, kafka_producer::BoxError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit to be named as a value; it will never hold anything")]
pub struct JsonSerializer;

impl<T: Serialize + ?Sized> Serializer<T> for JsonSerializer {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        serde_json::to_writer(&mut *scratch, data)?;
        Ok(scratch)
    }

    fn stands_for(&self, class: &str) -> Option<bool> {
        none_of_kafka(class)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn value_that_is_no_json_is_refused() {
        let keyed_by_lists = HashMap::from([(vec![1], 2)]);
        let (mut headers, mut scratch) = (Headers::new(), Vec::new());

        let error = JsonSerializer.serialize("t", &mut headers, &keyed_by_lists, &mut scratch).unwrap_err();

        assert_eq!(error.to_string(), "key must be a string");
    }

    #[test]
    fn text_is_escaped() {
        let (mut headers, mut scratch) = (Headers::new(), Vec::new());

        let bytes = JsonSerializer.serialize("t", &mut headers, "a \"b\"\n", &mut scratch).unwrap();

        assert_eq!(bytes, br#""a \"b\"\n""#);
    }
}
