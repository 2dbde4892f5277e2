//! `client.dns.lookup=resolve_canonical_bootstrap_servers_only`: whom the producer connects to.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::network::canonical::NameService;
use crate::network::transport::{Connecting, Connector};
use crate::producer::KafkaProducer;
use crate::record::ProducerRecord;

/// Has two brokers behind the name `kafka`, once it answers.
#[derive(Debug)]
struct Names {
    /// How often it fails before.
    failures: Mutex<usize>,
}

impl NameService for Names {
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(io::Error::other("no such name"));
        }
        let address = |last| IpAddr::from([10, 0, 0, last]);
        Ok(match host {
            "kafka" => vec![address(1), address(2)],
            "b1.example.com" => vec![address(1)],
            "b2.example.com" => vec![address(2)],
            other => panic!("{other} was looked up"),
        })
    }

    fn name(&self, address: &IpAddr) -> io::Result<String> {
        let address = address.to_string();
        Ok(format!("b{}.example.com", &address[address.len() - 1..]))
    }
}

/// Refuses every connection, and notes to whom it was to be.
#[derive(Debug, Default)]
struct Refusing {
    asked: Mutex<BTreeSet<String>>,
    news: Notify,
}

impl Connector for Refusing {
    fn connect(&self, host: &str, port: u16, _: usize) -> Connecting {
        self.asked.lock().unwrap().insert(format!("{host}:{port}"));
        self.news.notify_one();
        Box::pin(async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) })
    }
}

fn producer(failures: usize, max_block: Duration) -> (KafkaProducer, Arc<Refusing>) {
    let connector = Arc::<Refusing>::default();
    let mut builder = KafkaProducer::builder()
        .bootstrap_servers("kafka:9092")
        .max_block(max_block)
        .property("client.dns.lookup", "resolve_canonical_bootstrap_servers_only");
    builder.names = Arc::new(Names { failures: Mutex::new(failures) });
    let producer = builder.build_with(Arc::<Refusing>::clone(&connector)).unwrap();
    (producer, connector)
}

async fn until_all_were_asked(connector: &Refusing) {
    let all = BTreeSet::from(["b1.example.com:9092".to_owned(), "b2.example.com:9092".to_owned()]);
    while *connector.asked.lock().unwrap() != all {
        connector.news.notified().await;
    }
}

// Names that are looked up in vain fail these tests by the limit of the caller.

#[tokio::test(start_paused = true)]
async fn brokers_are_connected_to_by_their_own_names() {
    let (producer, connector) = producer(0, Duration::from_secs(60));

    tokio::select! {
        () = until_all_were_asked(&connector) => {}
        sent = producer.send(ProducerRecord::to("orders").value("x")) => panic!("{sent:?}"),
    }

    assert!(!connector.asked.lock().unwrap().contains("kafka:9092"));
}

#[tokio::test(start_paused = true)]
async fn names_are_looked_up_until_there_are_some_and_callers_learn_the_reason() {
    let (unlucky, connector) = producer(usize::MAX, Duration::from_secs(5));

    let error = unlucky.send(ProducerRecord::to("orders").value("x")).await.unwrap_err();
    let text = error.kind().to_string();
    assert!(text.ends_with("(max.block.ms): bootstrap.servers: kafka:9092: no such name"), "{text}");
    assert!(connector.asked.lock().unwrap().is_empty());

    let (lucky, connector) = producer(3, Duration::from_secs(60));
    tokio::select! {
        () = until_all_were_asked(&connector) => {}
        sent = lucky.send(ProducerRecord::to("orders").value("x")) => panic!("{sent:?}"),
    }
}
