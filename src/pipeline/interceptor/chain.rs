//! `InterceptorChain`: the interceptors of a producer, one behind the other.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{AckOutcome, Acknowledgement, ProducerInterceptor};
use crate::delivery::{AckNote, AckObserver, AckResult};
use crate::fence::fenced;
use crate::log;
use crate::pipeline::BoxError;
use crate::record::ProducerRecord;
use crate::topic_partition::TopicPartition;

/// The interceptors of a producer, in the order in which they were added.
///
/// Never fails and never panics, whatever they do.
pub(crate) struct InterceptorChain<K, V>(Vec<Link<K, V>>);

struct Link<K, V> {
    /// For log messages only.
    type_name: &'static str,
    interceptor: Arc<dyn ProducerInterceptor<K, V>>,
}

impl<K: 'static, V: 'static> InterceptorChain<K, V> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push<I: ProducerInterceptor<K, V>>(&mut self, interceptor: I) {
        self.0.push(Link { type_name: type_name::<I>(), interceptor: Arc::new(interceptor) });
    }

    /// Returns the same chain with one more interceptor behind the others.
    pub(crate) fn with<I: ProducerInterceptor<K, V>>(&self, interceptor: I) -> Self {
        let mut chain = Self(self.0.iter().map(Link::share).collect());
        chain.push(interceptor);
        chain
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the record as the last interceptor leaves it.
    pub(crate) fn on_send(&self, mut record: ProducerRecord<K, V>) -> ProducerRecord<K, V> {
        for link in &self.0 {
            // The record is only read inside, so a panic cannot leave it half changed.
            match fenced(|| link.interceptor.on_send(&record)) {
                Ok(Ok(Some(replacement))) => record = replacement,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => link.warn_about("on_send", &describe(error)),
                Err(_) => link.warn_about("on_send", "panicked"),
            }
        }
        record
    }

    pub(crate) fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        for link in &self.0 {
            if fenced(|| link.interceptor.on_acknowledgement(acknowledgement)).is_err() {
                link.warn_about("on_acknowledgement", "panicked");
            }
        }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> AckObserver for InterceptorChain<K, V> {
    fn acknowledged(&self, topic_partition: &TopicPartition, note: &AckNote, result: AckResult<'_>) {
        let outcome = match &result {
            Ok(metadata) => AckOutcome::delivered(metadata),
            Err(error) => AckOutcome::failed(*error),
        };
        let TopicPartition { topic, partition } = topic_partition;
        self.on_acknowledgement(&Acknowledgement::new(topic, Some(*partition), &note.headers, outcome));
    }
}

impl<K, V> Link<K, V> {
    fn share(&self) -> Self {
        Self { type_name: self.type_name, interceptor: Arc::clone(&self.interceptor) }
    }

    /// A panic's message is not logged: it is the hook's to print, and may hold what is in the record.
    fn warn_about(&self, method: &'static str, error: &str) {
        log::warn!(interceptor = self.type_name, method, error, "interceptor failed and was passed over");
    }
}

/// The text comes from the user's own `Display`, which may panic like everything else of theirs, as may the end of the error.
fn describe(error: BoxError) -> Cow<'static, str> {
    let text = fenced(|| error.to_string());
    drop(fenced(|| drop(error)));
    text.map_or(Cow::Borrowed("unprintable error"), Cow::Owned)
}

impl<K: 'static, V: 'static> Default for InterceptorChain<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for InterceptorChain<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|link| link.type_name)).finish()
    }
}

#[cfg(test)]
mod tests;
