//! A cluster for programs in any language: `kafka-mock --help`.

mod options;
mod orders;

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use kafka_mock::{MockCluster, MockClusterBuilder};

use crate::options::Options;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_asked = |names: [&str; 2]| arguments.iter().any(|argument| names.contains(&argument.as_str()));
    let done = if is_asked(["--help", "-h"]) {
        tell(&format!("{}\n{}", options::HELP, orders::HELP)).map_err(Into::into)
    } else if is_asked(["--version", "-V"]) {
        tell(&format!("kafka-mock {}\n", env!("CARGO_PKG_VERSION"))).map_err(Into::into)
    } else {
        run(&arguments).await
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    match error.source() {
        None => eprintln!("kafka-mock: {error}"),
        Some(cause) => eprintln!("kafka-mock: {error}: {cause}"),
    }
    ExitCode::FAILURE
}

async fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let options = Options::parse(arguments)?;
    let mut builder = MockCluster::builder().brokers(options.brokers);
    if let Some(port) = options.port {
        builder = builder.first_port(port);
    }
    for (name, password) in &options.sasl_users {
        builder = builder.sasl_user(name, password);
    }
    if let Some(release) = &options.release {
        builder = builder.kafka_release(release);
    }
    if options.is_encrypted {
        builder = encrypted(builder)?;
    }
    let cluster = builder.start().await?;
    for (topic, partitions, replicas) in &options.topics {
        cluster.create_topic(topic, *partitions, *replicas)?;
    }
    for fault in options.faults {
        cluster.inject(fault);
    }
    tell(&format!("{}\n", cluster.bootstrap_servers()))?;

    let (lines, mut orders) = tokio::sync::mpsc::unbounded_channel();
    // Standard input blocks, so it gets a thread of its own; it ends when the channel or the input does.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    while let Some(order) = orders.recv().await {
        let told = orders::obey(&cluster, &order).await;
        tell(&told.unwrap_or_else(|error| format!("{order:?}: {error}\n")))?;
    }
    cluster.shutdown().await;
    Ok(())
}

/// Says something at once, although a pipe may be what reads it.
fn tell(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

#[cfg(feature = "tls")]
fn encrypted(builder: MockClusterBuilder) -> Result<MockClusterBuilder, Box<dyn Error>> {
    Ok(builder.tls(kafka_mock::MockTls::new()))
}

#[cfg(not(feature = "tls"))]
fn encrypted(_: MockClusterBuilder) -> Result<MockClusterBuilder, Box<dyn Error>> {
    Err("--tls needs the feature tls, as in: cargo install --features tls kafka-mock".into())
}
