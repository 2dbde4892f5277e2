//! Traces of a producer for OpenTelemetry: an order is placed, and the record says to which trace it belongs.
//!
//! ```text
//! cargo run --manifest-path examples/opentelemetry/Cargo.toml
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run --manifest-path examples/opentelemetry/Cargo.toml
//! ```
//!
//! The spans go to a collector at that address by OTLP over HTTP; without one, to a small receiver in this process, and are printed.

use std::error::Error;

use kafka_mock::{MockCluster, MockRecord};
use kafka_producer::{KafkaProducer, ProducerRecord, TraceContext, TraceContextInterceptor};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Instrument;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};

mod receiver;

use receiver::Receiver;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let receiver = Receiver::start()?;
    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|_| receiver.endpoint());
    let record = place_order(&endpoint)?;
    println!("The record: {record:?}");
    for span in receiver.spans() {
        println!("{span}");
    }
    Ok(())
}

/// Sends a record within a trace, and returns it as a consumer would read it. All spans have been exported then.
fn place_order(endpoint: &str) -> Result<MockRecord, Failure> {
    let exporter =
        SpanExporter::builder().with_http().with_endpoint(format!("{endpoint}/v1/traces")).build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder_empty().with_service_name("shop").build())
        .build();
    // Nothing of the exporter's own: its spans would be exported, too, without end.
    let wanted = Targets::new()
        .with_target("kafka_producer", LevelFilter::DEBUG)
        .with_target("shop", LevelFilter::INFO);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("kafka-producer"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer.with_filter(wanted)))?;

    let record = tokio::runtime::Runtime::new()?.block_on(send())?;
    provider.shutdown()?;
    Ok(record)
}

async fn send() -> Result<MockRecord, Failure> {
    let cluster = MockCluster::start(1).await?;
    cluster.create_topic("orders", 1, 1)?;
    let producer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .client_id("shop")
        .interceptor(TraceContextInterceptor::new(current))
        .build()?;
    let checkout = tracing::info_span!(target: "shop", "checkout");
    producer.send(ProducerRecord::to("orders").value("2 apples")).instrument(checkout).await?;
    cluster.records("orders", 0).pop().ok_or_else(|| "the record is not there".into())
}

/// Returns the context of OpenTelemetry's span that belongs to the current one of `tracing`: the producer's span of the record.
fn current() -> Option<TraceContext> {
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    let trace_id = u128::from_be_bytes(span.trace_id().to_bytes());
    let span_id = u64::from_be_bytes(span.span_id().to_bytes());
    TraceContext::new(trace_id, span_id, span.trace_flags().to_u8())
        .ok()?
        .with_state(&span.trace_state().header())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test in a process of its own, because it sets the subscriber of the process.
    #[test]
    fn spans_of_the_producer_arrive_and_the_record_names_its_own() {
        let receiver = Receiver::start().unwrap();

        let record = place_order(&receiver.endpoint()).unwrap();

        let spans = receiver.spans();
        let of = |kind: i32, name: &str| {
            let found: Vec<_> = spans.iter().filter(|span| span.kind == kind && span.name == name).collect();
            let [found] = found.as_slice() else { panic!("{name} of kind {kind}: {spans:#?}") };
            *found
        };
        const INTERNAL: i32 = 1;
        const PRODUCER: i32 = 4;
        let checkout = of(INTERNAL, "checkout");
        let order = of(PRODUCER, "send orders");
        assert_eq!((&order.trace_id, &order.parent_id), (&checkout.trace_id, &checkout.span_id));
        assert!(order.attributes.contains(&("messaging.kafka.offset".to_owned(), "0".to_owned())), "{order}");
        let parent = format!("00-{}-{}-01", order.trace_id, order.span_id);
        assert!(format!("{record:?}").contains(&parent), "{record:?} lacks {parent}");

        // The request and its batch have a trace of their own: they carry records of many.
        const CLIENT: i32 = 3;
        let sent: Vec<_> = spans.iter().filter(|span| span.kind == CLIENT).collect();
        assert_eq!(sent.len(), 2, "{sent:#?}");
        let partition = ("messaging.destination.partition.id".to_owned(), "0".to_owned());
        let batch = sent.iter().find(|span| span.attributes.contains(&partition)).unwrap();
        assert!(sent.iter().any(|request| request.span_id == batch.parent_id), "{sent:#?}");
    }
}
