//! Serializers of numbers.

use super::{Serializer, is_of_kafka};
use crate::pipeline::BoxError;
use crate::record::Headers;

macro_rules! big_endian_serializers {
    ($($(#[$doc:meta])+ $name:ident($number:ty);)+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, Default)]
        #[expect(clippy::exhaustive_structs, reason = "a unit to be named as a value; it will never hold anything")]
        pub struct $name;

        impl Serializer<$number> for $name {
            fn serialize<'a>(
                &self,
                _topic: &str,
                _headers: &mut Headers,
                data: &'a $number,
                scratch: &'a mut Vec<u8>,
            ) -> Result<&'a [u8], BoxError> {
                scratch.extend_from_slice(&data.to_be_bytes());
                Ok(scratch)
            }

            // They are named as those of Kafka.
            fn stands_for(&self, class: &str) -> Option<bool> {
                Some(is_of_kafka(class, &[stringify!($name)]))
            }
        }
    )+};
}

big_endian_serializers! {
    /// Sends an `i16` as two big-endian bytes, as Java's `ShortSerializer` does.
    ShortSerializer(i16);
    /// Sends an `i32` as four big-endian bytes, as Java's `IntegerSerializer` does.
    IntegerSerializer(i32);
    /// Sends an `i64` as eight big-endian bytes, as Java's `LongSerializer` does.
    LongSerializer(i64);
    /// Sends an `f32` as the four big-endian bytes of its bits, as Java's `FloatSerializer` does.
    ///
    /// The bits of a NaN are kept, as by Java's `floatToRawIntBits`.
    FloatSerializer(f32);
    /// Sends an `f64` as the eight big-endian bytes of its bits, as Java's `DoubleSerializer` does.
    ///
    /// The bits of a NaN are kept; Java sends all of them as one.
    DoubleSerializer(f64);
}
