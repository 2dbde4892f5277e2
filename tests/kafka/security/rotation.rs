//! Certificates of a broker and of a producer that change under full load.

use std::io;
use std::net::Shutdown;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use kafka_producer::DialTarget;
use kafka_producer::Dialer;
use kafka_producer::Dialing;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerConfig;
use kafka_producer::ProducerRecord;
use kafka_producer::Tls;
use tokio::net::TcpStream;

use super::CLOSE_LIMIT;
use super::client;
use super::load::Load;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::security::CERTIFICATES;
use crate::support::security::STORE_PASSWORD;
use crate::support::wait;

const TOPIC: &str = "rotated";
const LISTENER: Listener = Listener::SslMutual;
/// Short, so that the test is; a change counts when it has rested for a twelfth of it.
const RELOAD: Duration = Duration::from_millis(120);
const LIMIT: Duration = Duration::from_secs(30);
/// How long the load goes on between two changes.
const PAUSE: Duration = Duration::from_millis(500);

/// First both sides trust one authority. In the end the broker has a certificate of another one, and trusts only that one, as it
/// happens where an authority ends. No record fails, and connections are made only where one was cut.
pub(super) async fn certificates_change_under_load(cluster: &KafkaCluster) {
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    let stores = [STORE_PASSWORD, CERTIFICATES, text(cluster.directory()), "other-ca", "server-other-ca"];
    cluster.run_tool("KeyStores", &stores, Vec::new()).await;
    let (trusted, own) = (cluster.directory().join("trusted.pem"), cluster.directory().join("own.pem"));
    replace(&trusted, &["ca.pem"]);
    replace(&own, &["client.pem", "client.key"]);
    let lines = Lines::default();
    let tls = Tls::new().truststore_file(&trusted).keystore_file(&own).reload_interval(RELOAD);
    let before = client::properties(cluster, LISTENER, None);
    // A broker takes its time to come back where the machine is busy.
    let patient = format!("{before}max.block.ms=180000\ndelivery.timeout.ms=300000\n");
    let config = ProducerConfig::from_properties_text(&patient).tls(tls);
    let producer: KafkaProducer =
        KafkaProducer::builder().config(config).dialer(lines.clone()).build().expect("a valid configuration");
    let load = Load::start(producer.clone(), TOPIC);
    delivered(&producer, 1).await;

    // Not of the authority that the broker trusts by now: it would refuse a new connection.
    let ends = producer.metrics().certificate_ends;
    replace(&trusted, &["ca.pem", "other-ca.pem"]);
    replace(&own, &["client-second.pem", "client-second.key"]);
    wait::wait_for("the new certificate in use", LIMIT, async || {
        (producer.metrics().certificate_ends != ends).then_some(())
    })
    .await;
    replace(&own, &["client-other-ca.pem", "client-other-ca.key"]);
    wait::wait_for("the next certificate in use", LIMIT, async || {
        (producer.metrics().certificate_ends == ends).then_some(())
    })
    .await;
    set_stores(cluster, "server-other-ca", "other-ca").await;
    wait_until_refused(&before).await;
    delivered(&producer, 1_000).await;
    assert_eq!(producer.metrics().connections_created, 1, "the old connection lives on");

    lines.cut();
    wait::wait_for("a new connection", LIMIT, async || {
        (producer.metrics().connections_created == 2).then_some(())
    })
    .await;
    delivered(&producer, 1_000).await;
    if super::is_whole() {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let begin = wait::now();
        cluster.broker(1).restart().await;
        let restarted = begin.elapsed();
        delivered(&producer, 1_000).await;
        println!("the broker was back after {restarted:.1?}, records after {:.1?}", begin.elapsed());
    }
    tokio::time::sleep(PAUSE).await;
    let records = load.finish(cluster, TOPIC).await;

    let metrics = producer.metrics();
    let report = producer.close(CLOSE_LIMIT).await;
    println!(
        "certificates changed: {records} records by {} connections, {} sent again",
        metrics.connections_created, metrics.record_retries
    );
    assert_eq!((report.delivered, report.failed), (records, 0));
    set_stores(cluster, "server", "ca").await;
}

/// Waits until so many records more are delivered.
async fn delivered(producer: &KafkaProducer, more: u64) {
    let begin = producer.metrics().records_delivered;
    wait::wait_for("records delivered", LIMIT, async || {
        (producer.metrics().records_delivered >= begin + more).then_some(())
    })
    .await;
}

/// Has the broker show another certificate, and trust another authority.
async fn set_stores(cluster: &KafkaCluster, own: &str, trusted: &str) {
    let file = |name: &str| text(&cluster.directory().join(format!("{name}.p12"))).to_owned();
    let key = |kind: &str| format!("{}ssl.{kind}.location", LISTENER.prefix());
    let (own, trusted) = (file(own), file(trusted));
    let (keystore, truststore) = (key("keystore"), key("truststore"));
    cluster.set_broker_configs(1, &[(&keystore, &own), (&truststore, &trusted)]).await;
}

/// Waits until a producer that knows only the old authority is refused: the broker has taken in its new certificate.
async fn wait_until_refused(properties: &str) {
    wait::wait_for("the broker's new certificate", LIMIT, async || {
        let producer = client::producer(properties);
        let sent = producer.send(ProducerRecord::to("unknown").value("x"));
        let refused = tokio::time::timeout(Duration::from_secs(1), sent).await.ok()?.err()?;
        refused.to_string().contains("is signed by no authority").then_some(())
    })
    .await;
}

/// Puts a file together from others, at once for those who look.
fn replace(file: &Path, parts: &[&str]) {
    let parts = parts.iter().map(|name| std::fs::read(Path::new(CERTIFICATES).join(name)).expect("a file"));
    let aside = file.with_extension("aside");
    std::fs::write(&aside, parts.collect::<Vec<_>>().concat()).expect("a file");
    std::fs::rename(&aside, file).expect("a file");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// The connections of a producer, which can be cut.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<std::net::TcpStream>>>);

impl Lines {
    fn cut(&self) {
        for line in self.0.lock().expect("no panic").drain(..) {
            line.shutdown(Shutdown::Both).expect("an open connection");
        }
    }
}

impl Dialer for Lines {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        Box::pin(async move {
            let stream = target.connect_tcp().await?.into_std()?;
            self.0.lock().map_err(|_| io::Error::other("a panic"))?.push(stream.try_clone()?);
            Ok(Box::new(TcpStream::from_std(stream)?) as _)
        })
    }
}
