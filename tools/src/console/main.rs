//! Sends lines of standard input, like Kafka's `kafka-console-producer` and with its arguments.
//!
//! ```text
//! printf 'customer-7\t2 apples\n' |
//!     cargo run --release --bin kafka-producer-console -- --bootstrap-server localhost:9092 --topic orders \
//!         --property parse.key=true
//! ```
//!
//! Lines are handed over without waiting for acknowledgements, in bounded memory. Lines that could not be sent are named
//! on standard error as soon as they fail, and the exit code is 1 if there are any.
//!
//! SIGINT and SIGTERM end the input: the program delivers what it has read, without lingering, and exits with 130 or 143. A second
//! signal gives up what has not been acknowledged.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kafka_producer::{KafkaProducer, ProducerConfig, Topic};
use tokio::sync::watch;

mod failures;
#[path = "../shared/generate.rs"]
mod generate;
mod line_reader;
#[path = "../shared/logs.rs"]
mod logs;
mod options;
mod outbox;
mod progress;
#[path = "../shared/properties.rs"]
mod properties;
mod record_parser;
#[path = "../shared/signals.rs"]
mod signals;

use line_reader::Line;
use options::Options;
use outbox::Outbox;
use progress::Progress;
use properties::Failure;
use record_parser::RecordParser;
use signals::{Signal, Signals};

#[tokio::main]
async fn main() -> ExitCode {
    logs::show_warnings();
    match run(&generate::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let config = configure(options)?;
    let max_line = config.get("max.request.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(usize::MAX);
    let topic = Topic::from(options.topic.clone());
    let parser = RecordParser::new(topic.clone(), &options.property)?;
    let producer = KafkaProducer::builder().config(config).build()?;
    let mut signals = Signals::listen()?;
    // Better to learn now than for each line that there are no servers or no such topic.
    tokio::select! {
        biased;
        signal = signals.next() => return Ok(signal.exit_code()),
        known = producer.partitions_for(topic) => {
            known.map_err(|error| {
                let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
                format!("line 1 was not sent, nor any after it: {error}{remedy}")
            })?;
        }
    }

    let started = now();
    let (stop, stopped) = watch::channel(false);
    let mut session = Session {
        parser,
        outbox: Outbox::new(producer.clone(), if options.sync { 1 } else { MAX_PENDING }),
        progress: Progress::new(started),
        lines: 0,
        stopped,
    };
    let ended = guided_by(&mut signals, &stop, &producer, session.deliver_all(&producer, max_line)).await;
    session.finish(started);
    let report = producer.close(CLOSE_TIMEOUT).await;
    let (signal, read) = ended;
    read?;
    // Who types ends with either.
    if let Some(signal) = signal
        && !(signal == Signal::Interrupt && io::stdin().is_terminal())
    {
        return Ok(signal.exit_code());
    }
    let is_good = session.outbox.failed == 0 && report.undelivered.is_empty();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does the work. The first signal ends the input, the second ends the producer. Returns the first, and what came of the work.
async fn guided_by<T>(
    signals: &mut Signals,
    stop: &watch::Sender<bool>,
    producer: &KafkaProducer,
    work: impl Future<Output = T>,
) -> (Option<Signal>, T) {
    let mut work = pin!(work);
    let mut first = None;
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => match first {
                None => {
                    first = Some(signal);
                    // The reader is gone only once the work is done.
                    let _ = stop.send(true);
                }
                // What has not been acknowledged by now fails, which ends the work.
                Some(_) => drop(producer.close(Duration::ZERO).await),
            },
            done = &mut work => return (first, done),
        }
    }
}

/// One run from the first line to the summary.
struct Session {
    parser: RecordParser,
    outbox: Outbox,
    progress: Progress,
    lines: u64,
    /// True once no more lines are wanted.
    stopped: watch::Receiver<bool>,
}

impl Session {
    /// Delivers every line of standard input.
    async fn deliver_all(&mut self, producer: &KafkaProducer, max_line: usize) -> io::Result<()> {
        let read = self.read_all(max_line).await;
        // Nothing comes that the last lines could linger for.
        futures::future::join(producer.flush(), self.settle_all()).await;
        read
    }

    /// Hands over every line of standard input.
    async fn read_all(&mut self, max_line: usize) -> io::Result<()> {
        let mut input = line_reader::spawn(max_line);
        let shows_prompt = io::stdin().is_terminal() && io::stdout().is_terminal();
        let mut stopped = self.stopped.clone();
        loop {
            if shows_prompt {
                io::stdout().write_all(b">")?;
                io::stdout().flush()?;
            }
            let bunch = loop {
                tokio::select! {
                    bunch = input.recv() => break bunch,
                    // What has been read still comes.
                    Ok(_) = stopped.wait_for(|stopped| *stopped), if !input.is_closed() => input.close(),
                    () = self.outbox.settle_some(), if !self.outbox.is_quiet() => {}
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
            Err(reason) => self.outbox.fail(self.lines, &reason),
        }
    }

    async fn settle_all(&mut self) {
        while !self.outbox.is_empty() {
            self.outbox.settle_some().await;
            self.progress.show(self.lines, &self.outbox);
        }
    }

    fn finish(&mut self, started: Instant) {
        self.progress.clear();
        self.outbox.print_failures();
        let Outbox { delivered, failed, .. } = self.outbox;
        let seconds = now().duration_since(started).as_secs_f64();
        eprintln!("{} lines read, {delivered} delivered, {failed} failed, {seconds:.3} s", self.lines);
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
