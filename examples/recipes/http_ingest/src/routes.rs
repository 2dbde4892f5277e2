//! The routes, and what each of them answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use kafka_producer::{KafkaProducer, Metrics, ProducerRecord};

use crate::refusal::refusal;
use crate::serving::Settings;

/// The header with the key of an event. Events of one key are written in the order in which they are answered.
const KEY: &str = "Event-Key";

/// How long a probe waits for brokers. Kubernetes gives a probe one second unless told otherwise.
const PROBE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) producer: KafkaProducer,
    pub(crate) settings: Settings,
    pub(crate) is_stopping: AtomicBool,
}

pub(crate) fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/events/{topic}", post(take))
        .route("/metrics", get(metrics))
        .route("/ready", get(ready))
        .layer(DefaultBodyLimit::max(service.settings.max_event))
        .with_state(service)
}

/// 202: the event is in the log, and the answer says where.
async fn take(
    State(service): State<Arc<Service>>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    event: Bytes,
) -> Response {
    // Else any client could have topics created.
    if !service.settings.topics.contains(&topic) {
        return (StatusCode::NOT_FOUND, "no such topic\n").into_response();
    }
    let key = headers.get(KEY).map(|key| key.as_bytes().to_owned());
    let record = ProducerRecord::to(topic).key_or_null(key).value(event);
    match service.producer.send_timeout(record, service.settings.answer_within).await {
        Ok(metadata) => (StatusCode::ACCEPTED, format!("{metadata}\n")).into_response(),
        Err(error) => refusal(&error),
    }
}

/// The producer's numbers, for Prometheus.
async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, Metrics::PROMETHEUS_CONTENT_TYPE)];
    (content_type, service.producer.metrics().prometheus())
}

/// Whether events sent now have a chance: 200, or 503 with the reason.
async fn ready(State(service): State<Arc<Service>>) -> Response {
    let unready = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response();
    if service.is_stopping.load(Ordering::Relaxed) {
        return unready("stopping".to_owned());
    }
    // `ready` knows whether topics were found, and `health` whether brokers were lost since.
    if let Err(error) = service.producer.ready(PROBE).await {
        return unready(error.to_string());
    }
    let health = service.producer.health();
    if !health.is_ready() {
        let reports: Vec<_> = health.brokers.iter().map(ToString::to_string).collect();
        return unready(reports.join("; "));
    }
    "ready\n".into_response()
}
