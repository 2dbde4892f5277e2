//! Takes events over HTTP, and answers when Kafka has them.
//!
//! ```text
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9092 TOPICS=orders,clicks LISTEN=0.0.0.0:8080 http_ingest
//! curl -i -H 'Event-Key: customer-7' -d '2 apples' localhost:8080/events/orders
//! ```

use std::env;
use std::time::Duration;

use http_ingest::{Settings, serve};
use kafka_producer::KafkaProducer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The producer says in the log why it gets nowhere.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let setting = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let topics: Vec<_> = setting("TOPICS", "events").split(',').map(str::to_owned).collect();
    let mut settings = Settings::new(topics.clone());
    settings.notice = Duration::from_secs(setting("NOTICE_SECONDS", "5").parse()?);
    let producer = KafkaProducer::builder()
        .bootstrap_servers(setting("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"))
        .pin_topics(topics)
        .build()?;
    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:8080")).await?;
    println!("listening on {}", listener.local_addr()?);

    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let report = serve(listener, producer, settings, stop).await?;
    println!("{report}");
    Ok(())
}
