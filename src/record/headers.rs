//! [`Headers`]: the headers of a record, and [`Header`], one of them.

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
#[derive(Clone, Default)]
pub struct Headers(Option<Box<List>>);

/// Few records have headers, and every record moves a few times: so the empty list is one word.
#[derive(Clone, Default)]
struct List(Vec<Header>);

impl Headers {
    /// Makes an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: impl Into<HeaderName>, value: impl Into<HeaderValue>) {
        self.list_mut().push(Header::new(name, value));
    }

    /// Removes all headers with this name and returns how many there were. The others keep their order.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.len();
        if let Some(list) = &mut self.0 {
            list.0.retain(|header| header.name() != name);
        }
        before - self.len()
    }

    /// Keeps the first `len` headers.
    pub(crate) fn truncate(&mut self, len: usize) {
        if let Some(list) = &mut self.0 {
            list.0.truncate(len);
        }
    }

    /// Removes all headers.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Returns how many headers there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Says whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Returns the last header with this name, the one that counts where a reader expects a single one.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&Header> {
        self.iter().rev().find(|header| header.name() == name)
    }

    /// Returns all headers with this name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Header> {
        self.iter().filter(move |header| header.name() == name)
    }

    /// Returns all headers, in order.
    #[inline]
    pub fn iter(&self) -> slice::Iter<'_, Header> {
        self.as_slice().iter()
    }

    #[inline]
    fn as_slice(&self) -> &[Header] {
        self.0.as_ref().map_or(&[], |list| &list.0)
    }

    fn list_mut(&mut self) -> &mut Vec<Header> {
        &mut self.0.get_or_insert_default().0
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = slice::Iter<'a, Header>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Headers {
    type Item = Header;
    type IntoIter = vec::IntoIter<Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map_or_else(Vec::new, |list| list.0).into_iter()
    }
}

impl<H: Into<Header>> FromIterator<H> for Headers {
    fn from_iter<I: IntoIterator<Item = H>>(headers: I) -> Self {
        let list: Vec<Header> = headers.into_iter().map(Into::into).collect();
        Self((!list.is_empty()).then(|| Box::new(List(list))))
    }
}

impl<H: Into<Header>> Extend<H> for Headers {
    fn extend<I: IntoIterator<Item = H>>(&mut self, headers: I) {
        self.list_mut().extend(headers.into_iter().map(Into::into));
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

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
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
