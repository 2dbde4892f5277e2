//! What a faulty interceptor leaves in the log.
//!
//! One test in a process of its own: `tracing` remembers for each place that logs whether a subscriber listens, and a
//! test beside it that passes such a place first would settle that none does.

use std::io;
use std::sync::{Arc, Mutex};

use kafka_mock::MockCluster;
use kafka_producer::{BoxError, KafkaProducer, ProducerInterceptor, ProducerRecord};

/// Fails in the way it is told.
enum Faulty {
    Error,
    Panic,
}

impl ProducerInterceptor for Faulty {
    fn on_send(&self, _record: &ProducerRecord) -> Result<Option<ProducerRecord>, BoxError> {
        match self {
            Self::Error => Err("refused".into()),
            Self::Panic => panic!("on purpose"),
        }
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn failing_interceptor_is_logged_by_name_and_nothing_of_the_record() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("topic", 1, 1).unwrap();
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(cluster.bootstrap_servers())
        .interceptor(Faulty::Error)
        .interceptor(Faulty::Panic)
        .build()
        .unwrap();

    producer.send(ProducerRecord::to("topic").value("classified")).await.unwrap();

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("Faulty")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line.contains("WARN")), "{text}");
    assert!(lines[0].contains("refused"), "{text}");
    assert!(!text.contains("classified") && !text.contains("on purpose"), "{text}");
}
