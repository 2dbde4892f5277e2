//! Sends lines of standard input, like Kafka's `kafka-console-producer` and with its arguments.
//!
//! ```text
//! printf 'customer-7\t2 apples\n' |
//!     cargo run --release --example console_producer -- --bootstrap-server localhost:9092 --topic orders \
//!         --property parse.key=true
//! ```
//!
//! Lines are handed over without waiting for acknowledgements, in bounded memory. Lines that could not be sent are named
//! on standard error, and the exit code is 1 if there are any.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use kafka_producer::{KafkaProducer, ProducerConfig, Topic};

mod line_reader;
mod options;
mod outbox;
mod progress;
#[path = "../../support/properties.rs"]
mod properties;
mod record_parser;

use line_reader::Line;
use options::Options;
use outbox::Outbox;
use progress::Progress;
use properties::Failure;
use record_parser::RecordParser;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every line was delivered.
async fn run(options: &Options) -> Result<bool, Failure> {
    let config = configure(options)?;
    let max_line = config.get("max.request.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(usize::MAX);
    let topic = Topic::from(options.topic.clone());
    let parser = RecordParser::new(topic.clone(), &options.property)?;
    let producer: KafkaProducer = KafkaProducer::builder().config(config).build()?;
    // Better to learn now than for each line that there are no servers or no such topic.
    producer.partitions_for(topic).await?;

    let started = now();
    let max_pending = if options.sync { 1 } else { MAX_PENDING };
    let mut session = Session {
        parser,
        outbox: Outbox::new(producer.clone(), max_pending),
        progress: Progress::new(started),
        lines: 0,
    };
    let ended = tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| End::Interrupted),
        read = session.read_all(max_line) => read.map(|()| End::OfInput),
    };
    let settled = tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| false)?,
        () = session.settle_all() => true,
    };
    if !settled {
        // Interrupted again: what has not been acknowledged by now fails, which settles it.
        let _ = producer.close(Duration::ZERO).await;
        session.settle_all().await;
    }
    session.finish(started);
    let report = producer.close(CLOSE_TIMEOUT).await;
    // Who types ends with either.
    if matches!(ended?, End::Interrupted) && !io::stdin().is_terminal() {
        return Err("interrupted before the end of the input".into());
    }
    Ok(session.outbox.failed == 0 && report.undelivered.is_empty())
}

/// Why no more lines are read.
enum End {
    Interrupted,
    OfInput,
}

/// One run from the first line to the summary.
struct Session {
    parser: RecordParser,
    outbox: Outbox,
    progress: Progress,
    lines: u64,
}

impl Session {
    /// Hands over every line of standard input.
    async fn read_all(&mut self, max_line: usize) -> io::Result<()> {
        let mut input = line_reader::spawn(max_line);
        let shows_prompt = io::stdin().is_terminal() && io::stdout().is_terminal();
        loop {
            if shows_prompt {
                io::stdout().write_all(b">")?;
                io::stdout().flush()?;
            }
            let bunch = loop {
                tokio::select! {
                    bunch = input.recv() => break bunch,
                    () = self.outbox.settle_oldest(), if !self.outbox.is_empty() => {}
                }
            };
            let Some(bunch) = bunch else {
                if shows_prompt {
                    io::stdout().write_all(b"\n")?;
                }
                return Ok(());
            };
            for line in bunch? {
                self.lines += 1;
                self.send(line, max_line).await;
                self.progress.show(self.lines, &self.outbox);
            }
        }
    }

    async fn send(&mut self, line: Line, max_line: usize) {
        let parsed = match line {
            Line::Text(text) => self.parser.parse(&text),
            Line::TooLong(bytes) => {
                Err(format!("line of {bytes} bytes exceeds max.request.size of {max_line}"))
            }
        };
        match parsed {
            Ok(record) => self.outbox.send(self.lines, record).await,
            Err(reason) => self.outbox.fail(self.lines, reason).await,
        }
    }

    async fn settle_all(&mut self) {
        while !self.outbox.is_empty() {
            self.outbox.settle_oldest().await;
            self.progress.show(self.lines, &self.outbox);
        }
    }

    fn finish(&mut self, started: Instant) {
        self.progress.clear();
        self.outbox.print_failures();
        let Outbox { delivered, failed, .. } = self.outbox;
        let seconds = now().duration_since(started).as_secs_f64();
        eprintln!("{} lines read, {delivered} delivered, {failed} failed, {seconds:.3} s", self.lines);
        let unsent = self.lines.saturating_sub(delivered + failed);
        if unsent > 0 {
            eprintln!("{unsent} of them not sent when interrupted");
        }
    }
}

/// The file first, then properties, then what has an argument of its own.
fn configure(options: &Options) -> Result<ProducerConfig, Failure> {
    let mut config = properties::read(options.producer_config.as_deref(), &options.producer_property)?;
    if let Some(servers) = &options.bootstrap_server {
        config = config.bootstrap_servers(servers);
    }
    if let Some(codec) = &options.compression_codec {
        config = config.property("compression.type", codec);
    }
    Ok(config)
}

/// Bounds the memory for lines that have failed behind one that has not been settled. `buffer.memory` bounds the rest.
const MAX_PENDING: usize = 100_000;

/// Everything is settled by then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
