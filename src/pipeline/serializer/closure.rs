//! Closures and functions as serializers.

use std::fmt;

use super::Serializer;
use crate::pipeline::BoxError;
use crate::record::Headers;

/// Makes a serializer of a closure that appends the bytes to a buffer.
///
/// The buffer arrives empty and is used again for later records, so this costs no allocation per record.
///
/// ```
/// use std::io::{self, Write};
///
/// use kafka_producer::serialize_with;
///
/// struct Reading {
///     celsius: f64,
/// }
///
/// let serializer = serialize_with(|reading: &Reading, out: &mut Vec<u8>| -> io::Result<()> {
///     write!(out, "{:.1}", reading.celsius)
/// });
/// # kafka_producer::Serializer::serialize(
/// #     &serializer, "t", &mut Default::default(), &Reading { celsius: 1.0 }, &mut Vec::new())?;
/// # Ok::<_, kafka_producer::BoxError>(())
/// ```
pub fn serialize_with<T, F, E>(serialize: F) -> SerializeWith<F>
where
    T: ?Sized,
    F: Fn(&T, &mut Vec<u8>) -> Result<(), E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    SerializeWith(serialize)
}

/// Makes a serializer of a closure that returns the bytes as something that turns into a `Vec<u8>`.
///
/// This is the shape of most encoders of other crates, such as `serde_json::to_vec`. [`serialize_with`] saves an
/// allocation per record.
///
/// ```
/// use std::convert::Infallible;
///
/// use kafka_producer::serialize_to_vec;
///
/// let upper_case = serialize_to_vec(|text: &String| Ok::<_, Infallible>(text.to_uppercase()));
/// # kafka_producer::Serializer::serialize(
/// #     &upper_case, "t", &mut Default::default(), &String::new(), &mut Vec::new())?;
/// # Ok::<_, kafka_producer::BoxError>(())
/// ```
pub fn serialize_to_vec<T, F, B, E>(serialize: F) -> SerializeToVec<F>
where
    T: ?Sized,
    F: Fn(&T) -> Result<B, E> + Send + Sync + 'static,
    B: Into<Vec<u8>>,
    E: Into<BoxError>,
{
    SerializeToVec(serialize)
}

/// A closure that appends the bytes to a buffer. Made by [`serialize_with`].
#[derive(Clone, Copy)]
pub struct SerializeWith<F>(F);

impl<T, F, E> Serializer<T> for SerializeWith<F>
where
    T: ?Sized,
    F: Fn(&T, &mut Vec<u8>) -> Result<(), E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        (self.0)(data, scratch).map_err(Into::into)?;
        Ok(scratch)
    }
}

impl<F> fmt::Debug for SerializeWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SerializeWith")
    }
}

/// A closure that returns the bytes. Made by [`serialize_to_vec`].
#[derive(Clone, Copy)]
pub struct SerializeToVec<F>(F);

impl<T, F, B, E> Serializer<T> for SerializeToVec<F>
where
    T: ?Sized,
    F: Fn(&T) -> Result<B, E> + Send + Sync + 'static,
    B: Into<Vec<u8>>,
    E: Into<BoxError>,
{
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        // Taking the closure's allocation in place of the old one saves a copy of the bytes.
        *scratch = (self.0)(data).map_err(Into::into)?.into();
        Ok(scratch)
    }
}

impl<F> fmt::Debug for SerializeToVec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SerializeToVec")
    }
}
