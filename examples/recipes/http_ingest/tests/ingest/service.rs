//! The service under test, in the process of the test.

use std::net::SocketAddr;
use std::time::Duration;

use http_ingest::{Settings, serve};
use kafka_mock::MockCluster;
use kafka_producer::{CloseReport, KafkaProducer, KafkaProducerBuilder};
use recipe_support::soon;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const ORDERS: &str = "orders";
pub(crate) const CLICKS: &str = "clicks";

/// Three brokers. `orders` is led by broker 0, and `clicks` by broker 1.
pub(crate) async fn cluster() -> MockCluster {
    let cluster = MockCluster::builder().brokers(3).auto_create_topics(false, 1).start().await.unwrap();
    for (topic, leader) in [(ORDERS, 0), (CLICKS, 1)] {
        cluster.create_topic(topic, 1, 3).unwrap();
        cluster.set_leader(topic, 0, Some(leader)).unwrap();
    }
    cluster
}

pub(crate) fn producer(cluster: &MockCluster) -> KafkaProducerBuilder {
    KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers()).pin_topics([ORDERS, CLICKS])
}

/// Long waits, so that what is expected comes for the reason that a test is about.
pub(crate) fn settings() -> Settings {
    let topics = vec![ORDERS.to_owned(), CLICKS.to_owned()];
    let minute = Duration::from_secs(60);
    Settings { answer_within: minute, notice: Duration::ZERO, close_within: minute, ..Settings::new(topics) }
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<CloseReport>>,
}

impl Service {
    pub(crate) async fn start(producer: KafkaProducer, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let serving = tokio::spawn(serve(listener, producer, settings, stopped));
        Self { address, stop, serving }
    }

    /// Does what SIGTERM does.
    pub(crate) fn terminate(self) -> JoinHandle<std::io::Result<CloseReport>> {
        drop(self.stop);
        self.serving
    }

    pub(crate) async fn end(self) -> CloseReport {
        soon("the service has ended", self.terminate()).await.unwrap().unwrap()
    }
}
