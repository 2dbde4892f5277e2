//! Brokers that are far away: producers ask them the next thing before they have answered the last.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use kafka_producer::DialTarget;
use kafka_producer::Dialer;
use kafka_producer::Dialing;
use kafka_producer::Disposition;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerConfig;
use kafka_producer::ProducerRecord;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::CLOSE_LIMIT;
use super::client;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::security::PASSWORD;
use crate::support::wait;

const TOPIC: &str = "far";
const ONE_WAY: Duration = Duration::from_millis(50);

pub(super) async fn brokers_let_in_those_who_ask_ahead(cluster: &KafkaCluster) {
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    for listener in [Listener::SaslPlaintext, Listener::SaslSsl] {
        for mechanism in client::mechanisms_of(listener, cluster.version()) {
            let properties = client::properties(cluster, listener, mechanism);
            let far = Far::default();
            let producer = producer(&properties, &far);
            let begin = wait::now();
            producer.send(ProducerRecord::to(TOPIC).value("x")).await.expect("a record comes in");
            let took = begin.elapsed();
            let dialed = far.dialed.load(Ordering::Relaxed);
            println!("{} by {mechanism:?}, far away: {took:.1?}, {dialed} connections", listener.name());
            // Brokers before Kafka 2.4 do not know how they are asked. A machine that is busy for seconds has others dialed again.
            assert!((1..=2).contains(&dialed), "{dialed} connections");
            let _ = producer.close(CLOSE_LIMIT).await;

            if properties.contains(PASSWORD) {
                is_refused(cluster, listener, &properties.replace(PASSWORD, "wrong")).await;
            }
        }
    }
}

async fn is_refused(cluster: &KafkaCluster, listener: Listener, properties: &str) {
    let producer = producer(properties, &Far::default());
    let error = producer.send(ProducerRecord::to(TOPIC).value("x")).await.expect_err("a wrong password");
    let text = error.to_string();
    assert_eq!(error.disposition(), Disposition::FixConfiguration, "{} {text}", listener.name());
    // Kafka 1.0 has no other words for it.
    let is_said = text.contains("sasl.jaas.config") || cluster.version() == Version::V1_0_2;
    assert!(is_said, "{text}");
    let _ = producer.close(CLOSE_LIMIT).await;
}

fn producer(properties: &str, far: &Far) -> KafkaProducer {
    let config = ProducerConfig::from_properties_text(properties);
    KafkaProducer::builder().config(config).dialer(far.clone()).build().expect("a valid configuration")
}

/// Leads to brokers from afar.
#[derive(Clone, Default)]
struct Far {
    dialed: Arc<AtomicUsize>,
}

impl Dialer for Far {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        Box::pin(async move {
            self.dialed.fetch_add(1, Ordering::Relaxed);
            let broker = target.connect_tcp().await?;
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let (from_broker, to_broker) = broker.into_split();
            let (from_client, to_client) = tokio::io::split(theirs);
            travel(from_client, to_broker);
            travel(from_broker, to_client);
            Ok(Box::new(ours) as _)
        })
    }
}

/// Passes on what comes, each piece after the same time.
fn travel(
    mut from: impl AsyncRead + Send + Unpin + 'static,
    mut to: impl AsyncWrite + Send + Unpin + 'static,
) {
    let (depart, mut arrive) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let mut piece = BytesMut::with_capacity(16 * 1024);
            let length = from.read_buf(&mut piece).await.unwrap_or(0);
            let due = wait::now() + ONE_WAY;
            if depart.send((due, piece.freeze())).is_err() || length == 0 {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, piece)) = arrive.recv().await {
            tokio::time::sleep_until(due.into()).await;
            if piece.is_empty() {
                break;
            }
            to.write_all(&piece).await?;
            to.flush().await?;
        }
        to.shutdown().await?;
        io::Result::Ok(())
    });
}
