//! W3C's trace context in the headers of records, and a span for each record.
//!
//! [`TraceContext`] is what stands in the headers. [`TraceContextInterceptor`] writes it.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;
use std::sync::Arc;

mod interceptor;
mod state;

pub use self::interceptor::TraceContextInterceptor;

/// Where a record belongs in a distributed trace, as [W3C's Trace Context](https://www.w3.org/TR/trace-context/) has it: what the headers
/// `traceparent` and `tracestate` say.
///
/// Ids of zero are not valid, and a value of this type has none. `Display` gives the `traceparent`, always of version 00.
///
/// ```
/// use kafka_producer::TraceContext;
///
/// # fn main() -> Result<(), kafka_producer::TraceContextError> {
/// let context = TraceContext::new(0x0af7651916cd43dd8448eb211c80319c, 0xb7ad6b7169203331, 1)?;
/// assert_eq!(context.to_string(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// assert_eq!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse(), Ok(context));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: NonZeroU128,
    span_id: NonZeroU64,
    flags: u8,
    state: Option<Arc<str>>,
}

/// Why something is no [`TraceContext`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceContextError {
    /// The id of the trace is zero.
    #[error("trace id is zero")]
    NoTrace,
    /// The id of the span is zero.
    #[error("span id is zero")]
    NoSpan,
    /// The text is no `traceparent`.
    #[error(
        "not of the form of traceparent, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )]
    Parent,
    /// The text is no `tracestate`.
    #[error("not of the form of tracestate, such as vendor=value,other@vendor=value")]
    State,
}

impl TraceContext {
    /// Makes one of its parts. Of the flags, 1 stands for "sampled".
    ///
    /// # Errors
    ///
    /// [`TraceContextError::NoTrace`] and [`TraceContextError::NoSpan`] for ids of zero.
    pub fn new(trace_id: u128, span_id: u64, flags: u8) -> Result<Self, TraceContextError> {
        let trace_id = NonZeroU128::new(trace_id).ok_or(TraceContextError::NoTrace)?;
        let span_id = NonZeroU64::new(span_id).ok_or(TraceContextError::NoSpan)?;
        Ok(Self { trace_id, span_id, flags, state: None })
    }

    /// Adds a `tracestate`, in which vendors of tracing systems keep what they need. Empty members are left out.
    ///
    /// # Errors
    ///
    /// [`TraceContextError::State`] if it has more than 32 members, a key twice, or a member that is not of the right form.
    pub fn with_state(mut self, state: &str) -> Result<Self, TraceContextError> {
        self.state = state::read(state)?.map(Arc::from);
        Ok(self)
    }

    /// Returns the id of the trace.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id.get()
    }

    /// Returns the id of the span that is the parent of whatever is done with the record.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id.get()
    }

    /// Returns the flags.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Returns the `tracestate`, if there is one.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Reads a `traceparent`, of version 00 or a later one.
impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        let mut parts = text.splitn(5, '-');
        let mut part =
            |digits| parts.next().filter(|part| is_hex(part, digits)).ok_or(TraceContextError::Parent);
        let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // Later versions may have more behind it.
        let has_more = parts.next().is_some();
        if version == "ff" || (version == "00" && has_more) {
            return Err(TraceContextError::Parent);
        }
        let trace_id = u128::from_str_radix(trace_id, 16).map_err(|_| TraceContextError::Parent)?;
        let span_id = u64::from_str_radix(span_id, 16).map_err(|_| TraceContextError::Parent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| TraceContextError::Parent)?;
        Self::new(trace_id, span_id, flags)
    }
}

/// Whether a text has so many digits, in lower case as it must be.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
