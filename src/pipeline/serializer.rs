//! [`Serializer`]: how keys and values become bytes.

mod closure;
#[cfg(feature = "json")]
mod json;
mod number;
#[cfg(feature = "protobuf")]
mod protobuf;
mod registered;
mod serializable;
#[cfg(feature = "uuid")]
mod uuid;

use std::sync::Arc;

use super::BoxError;
use crate::record::Headers;

pub use self::closure::{SerializeToVec, SerializeWith, serialize_to_vec, serialize_with};
#[cfg(feature = "json")]
pub use self::json::JsonSerializer;
pub use self::number::{
    DoubleSerializer, FloatSerializer, IntegerSerializer, LongSerializer, ShortSerializer,
};
#[cfg(feature = "protobuf")]
pub use self::protobuf::ProtobufSerializer;
pub use self::registered::RegisteredSchema;
pub use self::serializable::Serializable;
#[cfg(feature = "uuid")]
pub use self::uuid::UuidSerializer;

/// Turns keys or values of type `T` into bytes.
///
/// It runs on the task that calls `send`, after the interceptors and before the partition is chosen. Null keys and values
/// never reach it: null stays null.
///
/// For most types [`serialize_with`] or [`serialize_to_vec`] and a closure are enough. Written out:
///
/// ```
/// use kafka_producer::{BoxError, Headers, Serializer};
///
/// struct Point {
///     x: i32,
///     y: i32,
/// }
///
/// struct PointSerializer;
///
/// impl Serializer<Point> for PointSerializer {
///     fn serialize<'a>(
///         &self,
///         _topic: &str,
///         headers: &mut Headers,
///         point: &'a Point,
///         scratch: &'a mut Vec<u8>,
///     ) -> Result<&'a [u8], BoxError> {
///         headers.push("format", "point/1");
///         scratch.extend_from_slice(&point.x.to_be_bytes());
///         scratch.extend_from_slice(&point.y.to_be_bytes());
///         Ok(scratch)
///     }
/// }
///
/// let (mut headers, mut scratch) = (Headers::new(), Vec::new());
/// let bytes = PointSerializer.serialize("points", &mut headers, &Point { x: 1, y: 2 }, &mut scratch)?;
/// assert_eq!(bytes, [0, 0, 0, 1, 0, 0, 0, 2]);
/// # Ok::<_, BoxError>(())
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` does not serialize `{T}`")]
pub trait Serializer<T: ?Sized>: Send + Sync + 'static {
    /// Returns the bytes of `data`, either borrowed from `data` itself, which costs no copy, or written into `scratch`.
    ///
    /// `scratch` arrives empty and is used again for later records, so that its capacity is not allocated anew for each.
    /// `headers` are those of the record; the serializer may change them, for instance to name a schema. The key is
    /// serialized before the value.
    ///
    /// # Errors
    ///
    /// If the implementation returns an error, the producer does not send the record. The error is the source of the one that
    /// `send` returns.
    fn serialize<'a>(
        &self,
        topic: &str,
        headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError>;

    /// Returns whether a serializer of Java writes the same bytes, by the name of its class with the package (`key.serializer`,
    /// `value.serializer`). `None`, the default, if that is not known.
    ///
    /// A producer is not built if its configuration names a class for which this returns `Some(false)`. So a file of properties that is
    /// shared with programs in Java cannot lead to records that those cannot read.
    fn stands_for(&self, class: &str) -> Option<bool> {
        let _ = class;
        None
    }
}

/// Whether a class is one of Kafka's with these names.
fn is_of_kafka(class: &str, names: &[&str]) -> bool {
    class.strip_prefix(KAFKA).is_some_and(|name| names.contains(&name))
}

/// For those that Kafka has no counterpart of: a class of Kafka's own writes something else.
fn none_of_kafka(class: &str) -> Option<bool> {
    class.starts_with(KAFKA).then_some(false)
}

const KAFKA: &str = "org.apache.kafka.common.serialization.";

/// Those of Kafka's that write bytes, or text in UTF-8, as they are.
const PLAIN: [&str; 4] =
    ["ByteArraySerializer", "ByteBufferSerializer", "BytesSerializer", "StringSerializer"];

impl<T: ?Sized, S: Serializer<T> + ?Sized> Serializer<T> for Arc<S> {
    fn serialize<'a>(
        &self,
        topic: &str,
        headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        (**self).serialize(topic, headers, data, scratch)
    }

    fn stands_for(&self, class: &str) -> Option<bool> {
        (**self).stands_for(class)
    }
}

/// Sends bytes as they are, without a copy: `Bytes`, `Vec<u8>`, `&[u8]`, `[u8; N]` and whatever else is `AsRef<[u8]>`.
///
/// Java's `ByteArraySerializer`, `ByteBufferSerializer` and `BytesSerializer`.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit to be named as a value; it will never hold anything")]
pub struct BytesSerializer;

impl<T: AsRef<[u8]> + ?Sized> Serializer<T> for BytesSerializer {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a T,
        _scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        Ok(data.as_ref())
    }

    fn stands_for(&self, class: &str) -> Option<bool> {
        Some(is_of_kafka(class, &PLAIN))
    }
}

/// Sends text as UTF-8, without a copy: `String`, `&str`, `Arc<str>` and whatever else is `AsRef<str>`.
///
/// Java's `StringSerializer` with its default encoding.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit to be named as a value; it will never hold anything")]
pub struct StringSerializer;

impl<T: AsRef<str> + ?Sized> Serializer<T> for StringSerializer {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a T,
        _scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        Ok(data.as_ref().as_bytes())
    }

    fn stands_for(&self, class: &str) -> Option<bool> {
        Some(is_of_kafka(class, &PLAIN))
    }
}

#[cfg(test)]
mod tests;
