use std::fmt;
use std::slice;
use std::vec;

use bytes::Bytes;

use super::{HeaderName, HeaderValue};

/// The headers of a record: an ordered list in which names may repeat.
///
/// Nothing is allocated while it is empty. `Debug` shows counts and sizes, never names or values.
///
/// ```
/// use kafka_producer::Headers;
///
/// let mut headers = Headers::from([("source", "web"), ("hop", "a"), ("hop", "b")]);
/// assert_eq!(headers.last("hop").and_then(|hop| hop.value()), Some(&b"b"[..]));
/// assert_eq!(headers.all("hop").count(), 2);
///
/// assert_eq!(headers.remove("hop"), 2);
/// assert_eq!(headers.len(), 1);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// Makes an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: impl Into<HeaderName>, value: impl Into<HeaderValue>) {
        self.0.push(Header::new(name, value));
    }

    /// Removes all headers with this name and returns how many there were. The others keep their order.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.0.len();
        self.0.retain(|header| header.name() != name);
        before - self.0.len()
    }

    /// Keeps the first `len` headers.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Removes all headers.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns how many headers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the last header with this name, the one that counts where a reader expects a single one.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&Header> {
        self.0.iter().rev().find(|header| header.name() == name)
    }

    /// Returns all headers with this name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Header> {
        self.0.iter().filter(move |header| header.name() == name)
    }

    /// Returns all headers, in order.
    pub fn iter(&self) -> slice::Iter<'_, Header> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Headers {
    type Item = Header;
    type IntoIter = vec::IntoIter<Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<H: Into<Header>> FromIterator<H> for Headers {
    fn from_iter<I: IntoIterator<Item = H>>(headers: I) -> Self {
        Self(headers.into_iter().map(Into::into).collect())
    }
}

impl<H: Into<Header>> Extend<H> for Headers {
    fn extend<I: IntoIterator<Item = H>>(&mut self, headers: I) {
        self.0.extend(headers.into_iter().map(Into::into));
    }
}

impl<H: Into<Header>, const N: usize> From<[H; N]> for Headers {
    fn from(headers: [H; N]) -> Self {
        headers.into_iter().collect()
    }
}

impl<H: Into<Header>> From<Vec<H>> for Headers {
    fn from(headers: Vec<H>) -> Self {
        headers.into_iter().collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// One header of a record.
///
/// `Debug` shows the sizes of name and value only.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: HeaderName,
    value: HeaderValue,
}

impl Header {
    /// Makes a header.
    #[must_use]
    pub fn new(name: impl Into<HeaderName>, value: impl Into<HeaderValue>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value, `None` for null.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_bytes().map(Bytes::as_ref)
    }

    /// Takes the header apart.
    #[must_use]
    pub fn into_parts(self) -> (HeaderName, HeaderValue) {
        (self.name, self.value)
    }
}

impl<N: Into<HeaderName>, V: Into<HeaderValue>> From<(N, V)> for Header {
    fn from((name, value): (N, V)) -> Self {
        Self::new(name, value)
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name of {} bytes: {:?}", self.name.len(), self.value)
    }
}
