//! [`Serializable`]: types for which a serializer is known.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    BytesSerializer, DoubleSerializer, FloatSerializer, IntegerSerializer, LongSerializer, Serializer,
    ShortSerializer, StringSerializer,
};

/// Types with a serializer of their own: a producer of these types needs no serializer on its builder.
///
/// You can implement it for your own types:
///
/// ```
/// use kafka_producer::{BoxError, Headers, Serializable, Serializer};
///
/// struct Flag(bool);
///
/// #[derive(Default)]
/// struct FlagSerializer;
///
/// impl Serializer<Flag> for FlagSerializer {
///     fn serialize<'a>(
///         &self,
///         _topic: &str,
///         _headers: &mut Headers,
///         flag: &'a Flag,
///         _scratch: &'a mut Vec<u8>,
///     ) -> Result<&'a [u8], BoxError> {
///         Ok(if flag.0 { b"yes" } else { b"no" })
///     }
/// }
///
/// impl Serializable for Flag {
///     type Serializer = FlagSerializer;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no serializer of its own",
    note = "name one when the producer is built, or implement `Serializable`"
)]
pub trait Serializable {
    /// The serializer that a producer uses unless its builder names another.
    type Serializer: Serializer<Self> + Default;
}

macro_rules! serializable {
    ($($type:ty => $serializer:ty),+ $(,)?) => {$(
        impl Serializable for $type {
            type Serializer = $serializer;
        }
    )+};
}

serializable! {
    Bytes => BytesSerializer,
    Vec<u8> => BytesSerializer,
    Box<[u8]> => BytesSerializer,
    Arc<[u8]> => BytesSerializer,
    &'static [u8] => BytesSerializer,
    String => StringSerializer,
    Box<str> => StringSerializer,
    Arc<str> => StringSerializer,
    &'static str => StringSerializer,
    i16 => ShortSerializer,
    i32 => IntegerSerializer,
    i64 => LongSerializer,
    f32 => FloatSerializer,
    f64 => DoubleSerializer,
}

#[cfg(feature = "uuid")]
serializable! {
    uuid::Uuid => super::UuidSerializer,
}

impl<const N: usize> Serializable for [u8; N] {
    type Serializer = BytesSerializer;
}
