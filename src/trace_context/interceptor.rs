//! `TraceContextInterceptor`: writes the headers, and keeps a span for each record until its end.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::TraceContext;
use crate::error::{DeliveryError, SendErrorKind};
use crate::pipeline::{Acknowledgement, BoxError, ProducerInterceptor};
use crate::record::ProducerRecord;

/// Writes where each record belongs in a distributed trace into the record's headers, and makes a span for each.
///
/// `current` is called for each record, on the task that sends it and within the record's span, and returns the context to write. If it
/// returns `None`, the record stays as it is.
///
/// # Headers
///
/// `traceparent` and `tracestate` replace headers of these names, as OpenTelemetry's instrumentations of Kafka's clients have it: a
/// record that is forwarded with the headers that it came with begins another step of the trace. Interceptors that are added later must leave
/// `traceparent` alone, because the span of the record is found by it.
///
/// # Spans
///
/// The span, at `INFO` with the target `kafka_producer::record`, is a child of the caller's current one. It ends when the record is
/// acknowledged or has failed. Its fields have the names of OpenTelemetry's conventions for messaging: `messaging.destination.name`,
/// `messaging.destination.partition.id`, `messaging.kafka.offset`, and `error.type` if the record failed. For `tracing-opentelemetry` there are
/// `otel.name` (`send` and the topic), `otel.kind` (`producer`) and `otel.status_code`. At most 65536 spans are open at a time; those of
/// further records end at once.
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kafka_producer::{KafkaProducer, TraceContext, TraceContextInterceptor};
///
/// // With `tracing-opentelemetry`, the ids are those of `tracing::Span::current().context().span().span_context()`.
/// let tracing = TraceContextInterceptor::new(|| TraceContext::new(0x0af7651916cd43dd, 0xb7ad6b7169203331, 1).ok());
/// let producer: KafkaProducer =
///     KafkaProducer::builder().bootstrap_servers("localhost:9092").interceptor(tracing).build()?;
/// # Ok(())
/// # }
/// ```
pub struct TraceContextInterceptor<F> {
    current: F,
    open: Mutex<OpenSpans>,
}

/// The spans of records that are under way, by what stands in their `traceparent`.
#[derive(Debug, Default)]
struct OpenSpans {
    /// Several if contexts repeat.
    spans: HashMap<Box<[u8]>, VecDeque<Span>>,
    count: usize,
}

impl<F: Fn() -> Option<TraceContext> + Send + Sync + 'static> TraceContextInterceptor<F> {
    /// Makes one that asks `current` for the context of each record.
    pub fn new(current: F) -> Self {
        Self { current, open: Mutex::default() }
    }
}

impl<F, K, V> ProducerInterceptor<K, V> for TraceContextInterceptor<F>
where
    F: Fn() -> Option<TraceContext> + Send + Sync + 'static,
    K: Clone,
    V: Clone,
{
    fn on_send(&self, record: &ProducerRecord<K, V>) -> Result<Option<ProducerRecord<K, V>>, BoxError> {
        let span = span(record.topic.as_str());
        let Some(context) = span.in_scope(|| (self.current)()) else { return Ok(None) };
        let mut record = record.clone();
        let parent = context.to_string();
        if !span.is_disabled() {
            self.open().insert(parent.as_bytes().into(), span);
        }
        record.headers.remove(TRACEPARENT);
        record.headers.remove(TRACESTATE);
        record.headers.push(TRACEPARENT, parent);
        if let Some(state) = context.state() {
            record.headers.push(TRACESTATE, state.to_owned());
        }
        Ok(Some(record))
    }

    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        let parent = acknowledgement.headers().last(TRACEPARENT).and_then(|header| header.value());
        let Some(span) = parent.and_then(|parent| self.open().remove(parent)) else { return };
        if let Some(partition) = acknowledgement.partition() {
            span.record("messaging.destination.partition.id", partition.to_string());
        }
        if let Some(offset) = acknowledgement.offset() {
            span.record("messaging.kafka.offset", offset);
        }
        if let Some(error) = acknowledgement.error() {
            span.record("error.type", error_type(error));
            span.record("otel.status_code", "ERROR");
        }
    }
}

impl<F> TraceContextInterceptor<F> {
    fn open(&self) -> MutexGuard<'_, OpenSpans> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> fmt::Debug for TraceContextInterceptor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContextInterceptor").field("open", &self.open().count).finish_non_exhaustive()
    }
}

impl OpenSpans {
    fn insert(&mut self, parent: Box<[u8]>, span: Span) {
        if self.count < MOST_OPEN {
            self.count += 1;
            self.spans.entry(parent).or_default().push_back(span);
        }
    }

    fn remove(&mut self, parent: &[u8]) -> Option<Span> {
        let alike = self.spans.get_mut(parent)?;
        let span = alike.pop_front();
        if alike.is_empty() {
            self.spans.remove(parent);
        }
        self.count -= usize::from(span.is_some());
        span
    }
}

fn span(topic: &str) -> Span {
    info_span!(
        target: "kafka_producer::record",
        "send",
        "otel.name" = format!("send {topic}"),
        "otel.kind" = "producer",
        "otel.status_code" = Empty,
        "messaging.system" = "kafka",
        "messaging.operation.name" = "send",
        "messaging.operation.type" = "send",
        "messaging.destination.name" = topic,
        "messaging.destination.partition.id" = Empty,
        "messaging.kafka.offset" = Empty,
        "error.type" = Empty,
    )
}

/// Returns the name of what went wrong: that of the broker's code, or of the variant of the error.
fn error_type(error: &(dyn Error + Send + Sync + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<DeliveryError>() {
        let code = error.error_code().map(|code| code.name().to_owned());
        return code.unwrap_or_else(|| variant(&error.kind()));
    }
    error.downcast_ref::<SendErrorKind>().map_or_else(|| "_OTHER".to_owned(), variant)
}

/// The name of a variant is what stands in front of its fields.
fn variant(kind: &impl fmt::Debug) -> String {
    let text = format!("{kind:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Spans stay open if an interceptor behind this one takes the header away. They shall not take all memory.
const MOST_OPEN: usize = 65_536;
