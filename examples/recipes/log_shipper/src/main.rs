//! Follows a file and sends its lines to Kafka: `log_shipper FILE CHECKPOINT BOOTSTRAP_SERVERS TOPIC`. It may be killed at any time; after
//! SIGTERM it sends no line twice.

use std::path::Path;
use std::time::Duration;

use kafka_producer::KafkaProducer;
use log_shipper::{Checkpoint, Failure, Shipper};
use tokio::signal::unix::{SignalKind, signal};

/// A line that fails may have been written, and is sent again. So the producer shall try for longer than outages take.
const HOUR: Duration = Duration::from_secs(60 * 60);

const CLOSE_WITHIN: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // The producer says in the log why it gets nowhere.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [file, checkpoint, servers, topic] = arguments.as_slice() else {
        return Err("usage: log_shipper FILE CHECKPOINT BOOTSTRAP_SERVERS TOPIC".into());
    };
    let producer = KafkaProducer::builder().bootstrap_servers(servers.as_str()).delivery_timeout(HOUR);
    let shipper = Shipper::open(producer, topic, Path::new(file), Checkpoint::at(checkpoint)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async {
        terminate.recv().await;
    };
    let end = shipper.run(stop, CLOSE_WITHIN).await?;
    println!("shipped up to byte {end}");
    Ok(())
}
