//! The spans of requests and batches, as a subscriber gets them.
//!
//! One test in a process of its own, for the reason that `logging.rs` gives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducer, ProducerRecord};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ended {
    target: String,
    parent: Option<String>,
    fields: BTreeMap<String, String>,
}

/// Keeps spans when they end.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Ended>>>);

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        values.record(context.span(id).unwrap().extensions_mut().get_mut::<Fields>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let target = span.metadata().target().to_owned();
        if !target.starts_with("kafka_producer") {
            return;
        }
        let parent = span.parent().map(|parent| parent.metadata().target().to_owned());
        let fields = span.extensions_mut().remove::<Fields>().unwrap().0;
        self.0.lock().unwrap().push(Ended { target, parent, fields });
    }
}

impl Spans {
    /// Takes what has ended of a target.
    fn take(&self, target: &str) -> Vec<Ended> {
        let mut ended = self.0.lock().unwrap();
        let (taken, kept) = ended.drain(..).partition(|span| span.target == target);
        *ended = kept;
        taken
    }
}

#[tokio::test]
async fn each_request_and_each_of_its_batches_has_a_span() {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("orders", 2, 1).unwrap();
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .client_id("shop")
        .build()
        .unwrap();
    let record = || ProducerRecord::to("orders").partition(1).value("classified");

    producer.send(record()).await.unwrap();

    let port = cluster.port(0).unwrap().to_string();
    let common = [
        ("messaging.batch.message_count", "1"),
        ("messaging.client.id", "shop"),
        ("messaging.destination.name", "orders"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.system", "kafka"),
        ("otel.kind", "client"),
        ("otel.name", "send orders"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let fields: BTreeMap<_, _> = common.into_iter().map(owned).collect();
    let mut of_batch = fields.clone();
    of_batch.insert("messaging.destination.partition.id".to_owned(), "1".to_owned());
    let request = Ended { target: "kafka_producer::request".to_owned(), parent: None, fields };
    let batch = Ended {
        target: "kafka_producer::batch".to_owned(),
        parent: Some("kafka_producer::request".to_owned()),
        fields: of_batch,
    };
    assert_eq!(spans.take("kafka_producer::request"), [request]);
    assert_eq!(spans.take("kafka_producer::batch"), [batch]);

    // Each attempt has spans of its own, which tell what it failed with.
    cluster.inject(Fault::error_code(56).api(Api::Produce).times(1));
    cluster.inject(Fault::disconnect_before().api(Api::Produce).skip(1).times(1));
    producer.send(record()).await.unwrap();

    for target in ["kafka_producer::request", "kafka_producer::batch"] {
        let ended = spans.take(target);
        let errors: Vec<_> =
            ended.iter().map(|span| span.fields.get("error.type").map(String::as_str)).collect();
        assert_eq!(errors, [Some("KAFKA_STORAGE_ERROR"), Some("disconnected"), None], "{target}");
        assert!(ended.iter().all(|span| !format!("{span:?}").contains("classified")));
    }

    #[cfg(feature = "trace-context")]
    of_records::each_record_has_a_span_that_ends_with_it(&spans, &cluster).await;
}

#[cfg(feature = "trace-context")]
mod of_records {
    use std::sync::atomic::{AtomicU64, Ordering};

    use kafka_producer::{TraceContext, TraceContextInterceptor};
    use tracing::Instrument;

    use super::*;

    pub(super) async fn each_record_has_a_span_that_ends_with_it(spans: &Spans, cluster: &MockCluster) {
        let number = AtomicU64::new(1);
        let current = move || {
            // What is current is the span of the record.
            let is_of_record = tracing::Span::current().metadata()?.target() == "kafka_producer::record";
            assert!(is_of_record);
            TraceContext::new(7, number.fetch_add(1, Ordering::Relaxed), 1).ok()
        };
        let producer: KafkaProducer = KafkaProducer::builder()
            .bootstrap_servers(cluster.bootstrap_servers())
            .max_request_size(1000)
            .interceptor(TraceContextInterceptor::new(current))
            .build()
            .unwrap();
        let record = || ProducerRecord::to("orders").partition(0).value("classified");
        let checkout = tracing::info_span!(target: "shop", "checkout");

        producer.send(record()).instrument(checkout.clone()).await.unwrap();
        let delivered = spans.take("kafka_producer::record");
        cluster.fail_next(Api::Produce, 29, 1);
        producer.send(record()).await.unwrap_err();
        let refused = spans.take("kafka_producer::record");
        producer.send(record().value("x".repeat(2000))).await.unwrap_err();
        let too_large = spans.take("kafka_producer::record");

        let [delivered] = delivered.as_slice() else { panic!("{delivered:?}") };
        assert_eq!(delivered.parent.as_deref(), Some("shop"));
        let expected = [
            ("messaging.destination.name", "orders"),
            ("messaging.destination.partition.id", "0"),
            ("messaging.kafka.offset", "0"),
            ("messaging.operation.name", "send"),
            ("messaging.operation.type", "send"),
            ("messaging.system", "kafka"),
            ("otel.kind", "producer"),
            ("otel.name", "send orders"),
        ];
        let fields: Vec<_> =
            delivered.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, expected);
        let stored = cluster.records("orders", 0);
        let header = format!("00-{:032x}-{:016x}-01", 7, 1);
        assert!(format!("{:?}", stored[0]).contains(&header), "{stored:?}");
        for (ended, error) in [(refused, "TOPIC_AUTHORIZATION_FAILED"), (too_large, "TooLarge")] {
            let [ended] = ended.as_slice() else { panic!("{ended:?}") };
            assert_eq!(ended.fields.get("error.type").map(String::as_str), Some(error));
            assert_eq!(ended.fields.get("otel.status_code").map(String::as_str), Some("ERROR"));
        }
    }
}
