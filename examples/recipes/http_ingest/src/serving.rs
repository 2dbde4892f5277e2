//! The life of the service, and its end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_producer::{CloseReport, KafkaProducer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::routes::{Service, routes};

/// What the service is to do, and how long it may take.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where events may go. Pin the same topics in the producer.
    pub topics: Vec<String>,
    /// Bytes of the largest event.
    pub max_event: usize,
    /// How long a request may wait for its acknowledgement: less than clients wait for an answer.
    pub answer_within: Duration,
    /// How long the service still takes requests once it says that it is not ready, since load balancers need a moment to notice.
    pub notice: Duration,
    /// How long the producer may take to deliver what it has accepted. Together with `notice` and a second for the last answers, it is
    /// shorter than `terminationGracePeriodSeconds`, which is 30 unless set.
    pub close_within: Duration,
}

impl Settings {
    /// Returns settings that fit Kubernetes' defaults.
    #[must_use]
    pub fn new(topics: Vec<String>) -> Self {
        Self {
            topics,
            max_event: 1 << 20,
            answer_within: Duration::from_secs(5),
            notice: Duration::from_secs(5),
            close_within: Duration::from_secs(15),
        }
    }
}

/// How long clients may take to read answers that are due.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Serves until `stop`, and returns what became of all records.
///
/// The order of the end: the service says that it is not ready; then it takes no new connections, and *at the same time* the producer
/// is closed. To wait for open requests first, and to close the producer after that, takes too long in an outage: those requests wait for
/// brokers, and the process is killed before `close` can report. This way each record has its result when `close` returns, so that each
/// request is answered. A request whose body comes after that gets 503, and its client sends it again, to another instance.
///
/// # Errors
///
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    producer: KafkaProducer,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> io::Result<CloseReport> {
    let (notice, close_within) = (settings.notice, settings.close_within);
    let is_stopping = AtomicBool::new(false);
    let service = Arc::new(Service { producer: producer.clone(), settings, is_stopping });
    let (drain, drained) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes(Arc::clone(&service)));
    let server = server.with_graceful_shutdown(async { drop(drained.await) });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        () = stop => {}
        ended = &mut server => ended??,
    }

    service.is_stopping.store(true, Ordering::Relaxed);
    tokio::time::sleep(notice).await;
    drop(drain);
    let report = producer.close(close_within).await;
    if tokio::time::timeout(LAST_ANSWERS, &mut server).await.is_err() {
        server.abort();
    }
    Ok(report)
}
