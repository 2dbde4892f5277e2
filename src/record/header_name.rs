//! [`HeaderName`]: the name of a header.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::shared_str::SharedStr;

/// The name of a header, cheap to clone.
///
/// A `&'static str` costs nothing, an `Arc<str>` one reference count; a `String` is moved into an `Arc` once. Kafka sets no
/// bounds for a name: it may be empty, and several headers of a record may have the same.
///
/// ```
/// use kafka_producer::HeaderName;
///
/// let fixed = HeaderName::from("traceparent");
/// let built = HeaderName::from(format!("x-{}", "tenant"));
/// assert_eq!(fixed, "traceparent");
/// assert_eq!(built.as_str(), "x-tenant");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(SharedStr);

impl HeaderName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for HeaderName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for HeaderName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for HeaderName {
    fn from(name: &'static str) -> Self {
        Self(SharedStr::Static(name))
    }
}

impl From<String> for HeaderName {
    fn from(name: String) -> Self {
        Self(SharedStr::Shared(name.into()))
    }
}

impl From<Arc<str>> for HeaderName {
    fn from(name: Arc<str>) -> Self {
        Self(SharedStr::Shared(name))
    }
}

impl From<&Self> for HeaderName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl PartialEq<str> for HeaderName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for HeaderName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
