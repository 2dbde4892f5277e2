//! Reads work from a file, and writes each result exactly once: `exactly_once_sink NAME FILE BOOTSTRAP_SERVERS RESULTS PROGRESS`, the last two
//! being topics. The name stays the same, and no other source has it. The program may be killed at any time.

use exactly_once_sink::{Failure, Progress, Sink, Source};
use kafka_producer::KafkaProducer;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // The producer says in the log why it gets nowhere.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, file, servers, results, progress] = arguments.as_slice() else {
        return Err("usage: exactly_once_sink NAME FILE BOOTSTRAP_SERVERS RESULTS PROGRESS".into());
    };
    let sink = Sink {
        name: name.clone(),
        source: Source::at(file),
        results: results.clone(),
        progress: Progress { servers: servers.clone(), topic: progress.clone() },
    };
    let Err(error) = sink.run(KafkaProducer::builder().bootstrap_servers(servers.as_str())).await;
    Err(error)
}
