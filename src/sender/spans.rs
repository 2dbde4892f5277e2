//! `RequestSpans`: the spans of a produce request and of its batches, for `tracing`.
//!
//! Names of fields are those of OpenTelemetry's conventions for messaging. Spans are neither made nor ended anywhere else, and none of
//! them is ever entered: the sender does many things at once.

use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Span, debug_span};

use super::request::SentBatch;
use crate::fence::fenced;
use crate::log;
use crate::metadata::Node;
use crate::network::FailureReason;

/// The spans of a request that is under way. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct RequestSpans {
    request: Span,
    /// In the order of the batches of the request.
    batches: Vec<Span>,
}

impl RequestSpans {
    /// Whether a subscriber may want spans. Nothing else is done if none does.
    #[inline]
    pub(crate) fn may_be_wanted() -> bool {
        LevelFilter::current() >= LevelFilter::DEBUG
    }

    /// Begins the spans of a request, unless the subscriber does not want them.
    #[cold]
    pub(crate) fn begin(client_id: &str, broker: Option<&Node>, sent: &[SentBatch]) -> Option<Box<Self>> {
        let begun = fenced(|| {
            let request = request_span(client_id, broker, sent);
            let batches: Vec<_> =
                sent.iter().map(|sent| batch_span(&request, client_id, broker, sent)).collect();
            Self { request, batches }
        });
        let spans = begun.ok()?;
        let is_wanted = !spans.request.is_disabled() || spans.batches.iter().any(|span| !span.is_disabled());
        is_wanted.then(|| Box::new(spans))
    }

    /// Takes in what a batch failed with, by its index in the request.
    #[cold]
    pub(crate) fn failed(&self, index: usize, error: &str) {
        log::quietly(|| {
            for span in self.batches.get(index).into_iter().chain([&self.request]) {
                span.record(ERROR_TYPE, error);
            }
        });
    }

    /// Takes in what all batches failed with.
    #[cold]
    pub(crate) fn all_failed(&self, error: &str) {
        log::quietly(|| {
            for span in self.batches.iter().chain([&self.request]) {
                span.record(ERROR_TYPE, error);
            }
        });
    }

    /// Takes in that no answer came.
    pub(crate) fn unanswered(&self, reason: &FailureReason) {
        self.all_failed(match reason {
            FailureReason::Disconnected(_) => "disconnected",
            FailureReason::NotReady => "not_ready",
            FailureReason::TimedOut => "timeout",
            FailureReason::Unencodable(_) => "unencodable",
            FailureReason::UnsupportedVersion(_) => "unsupported_version",
        });
    }
}

impl Drop for RequestSpans {
    fn drop(&mut self) {
        // Each by itself, so that a subscriber that panics sees the others end, too.
        for span in self.batches.drain(..) {
            log::quietly(|| drop(span));
        }
        let request = std::mem::replace(&mut self.request, Span::none());
        log::quietly(|| drop(request));
    }
}

fn request_span(client_id: &str, broker: Option<&Node>, sent: &[SentBatch]) -> Span {
    let topics = || sent.iter().map(SentBatch::topic);
    // Batches are grouped by topic.
    let topic =
        topics().next().filter(|first| topics().next_back() == Some(first)).map(|topic| topic.as_str());
    let records: u64 = sent.iter().map(|sent| u64::from(sent.records)).sum();
    debug_span!(
        target: "kafka_producer::request",
        parent: None,
        "send",
        "otel.name" = name(topic),
        "otel.kind" = "client",
        "messaging.system" = "kafka",
        "messaging.operation.name" = "send",
        "messaging.operation.type" = "send",
        "messaging.destination.name" = topic,
        "messaging.batch.message_count" = records,
        "messaging.client.id" = client_id,
        "server.address" = broker.map(Node::host),
        "server.port" = broker.map(Node::port),
        "error.type" = Empty,
    )
}

fn batch_span(request: &Span, client_id: &str, broker: Option<&Node>, sent: &SentBatch) -> Span {
    let topic = sent.topic().as_str();
    debug_span!(
        target: "kafka_producer::batch",
        parent: request,
        "send",
        "otel.name" = name(Some(topic)),
        "otel.kind" = "client",
        "messaging.system" = "kafka",
        "messaging.operation.name" = "send",
        "messaging.operation.type" = "send",
        "messaging.destination.name" = topic,
        // A text, by the conventions.
        "messaging.destination.partition.id" = sent.topic_partition.partition.to_string(),
        "messaging.batch.message_count" = sent.records,
        "messaging.client.id" = client_id,
        "server.address" = broker.map(Node::host),
        "server.port" = broker.map(Node::port),
        "error.type" = Empty,
    )
}

/// What tools show of a span, from a field, because the names of spans themselves cannot change.
fn name(topic: Option<&str>) -> String {
    topic.map_or_else(|| "send".to_owned(), |topic| format!("send {topic}"))
}

const ERROR_TYPE: &str = "error.type";
