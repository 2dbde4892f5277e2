//! [`HeaderValue`]: the value of a header, which may be null.

use std::fmt;

use bytes::Bytes;

use super::Hidden;

/// The value of a header: bytes, or null.
///
/// Made from whatever is passed as a header's value; `None` is null, which is not the same as empty.
///
/// ```
/// use bytes::Bytes;
/// use kafka_producer::{HeaderValue, Headers};
///
/// let mut headers = Headers::new();
/// headers.push("text", "web");
/// headers.push("bytes", b"\x00\x01");
/// headers.push("owned", String::from("web"));
/// headers.push("perhaps", Some(vec![1, 2]));
/// headers.push("null", HeaderValue::NULL);
/// headers.push("null too", None::<Bytes>);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct HeaderValue(Option<Bytes>);

impl HeaderValue {
    /// The null value.
    pub const NULL: Self = Self(None);

    /// Returns the bytes, `None` for null.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        self.0.as_ref()
    }

    /// Takes the bytes out, `None` for null.
    #[must_use]
    pub fn into_bytes(self) -> Option<Bytes> {
        self.0
    }
}

impl From<Bytes> for HeaderValue {
    fn from(value: Bytes) -> Self {
        Self(Some(value))
    }
}

impl From<Vec<u8>> for HeaderValue {
    fn from(value: Vec<u8>) -> Self {
        Self(Some(value.into()))
    }
}

impl From<String> for HeaderValue {
    fn from(value: String) -> Self {
        Self(Some(value.into()))
    }
}

impl From<&'static str> for HeaderValue {
    fn from(value: &'static str) -> Self {
        Self(Some(value.into()))
    }
}

impl From<&'static [u8]> for HeaderValue {
    fn from(value: &'static [u8]) -> Self {
        Self(Some(value.into()))
    }
}

impl<const N: usize> From<&'static [u8; N]> for HeaderValue {
    fn from(value: &'static [u8; N]) -> Self {
        Self(Some(Bytes::from_static(value)))
    }
}

impl<T: Into<Bytes>> From<Option<T>> for HeaderValue {
    fn from(value: Option<T>) -> Self {
        Self(value.map(Into::into))
    }
}

/// Shows the length only.
impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map(Hidden).fmt(f)
    }
}
