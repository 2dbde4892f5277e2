//! Measures throughput and latency, like Kafka's `kafka-producer-perf-test` and with its arguments.
//!
//! ```text
//! cargo run --release --bin kafka-producer-perf -- --topic perf --num-records 2000000 --record-size 100 \
//!     --throughput -1 --producer-props acks=all linger.ms=5 --bootstrap-server localhost:9092
//! ```

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, ProducerConfig, Topic};

#[path = "../shared/generate.rs"]
mod generate;
mod json;
mod load;
mod metrics;
mod options;
mod payload;
mod process;
#[path = "../shared/properties.rs"]
mod properties;
mod sampling;
mod stats;

use load::Load;
use options::Options;
use payload::Payloads;
use properties::Failure;
use stats::Report;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&generate::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("{failed} records failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many records failed.
async fn run(options: &Options) -> Result<u64, Failure> {
    let payloads = match (&options.payload_file, options.record_size) {
        (Some(path), _) => Payloads::from_file(path, &options.payload_delimiter)?,
        (None, size) => Payloads::of_size(size.unwrap_or_default()),
    };
    let (config, mock) = target(options).await?;
    let producer = KafkaProducer::builder().config(config).build()?;
    // A topic that does not exist, or servers that are not there, are no matter for statistics.
    producer.partitions_for(options.topic.clone()).await?;

    let processor_before = process::processor_time();
    let report = Arc::new(Mutex::new(Report::new(now(), options.warmup_records)));
    send(options, &producer, &payloads, &report).await?;
    let ended = now();
    let processor_after = process::processor_time();

    let report = lock(&report);
    if options.json {
        print_json(options, &producer, &report, ended);
        return Ok(report.failed());
    }
    println!("{}", report.total.closing_line("records", ended));
    if let Some(steady) = &report.steady {
        println!("{}", steady.closing_line("steady state records", ended));
    }
    if let Some((timed, records)) = report.sample() {
        println!(
            "Latencies are those of {timed} of the {records} records: reading the clock for each would cost too much."
        );
    }
    for line in report.error_lines() {
        println!("{line}");
    }
    if options.print_metrics {
        metrics::print(&producer.metrics());
        print_usage(processor_before.zip(processor_after), report.settled_records(), mock.is_some());
    }
    Ok(report.failed())
}

/// Returns the configuration, and a cluster in this process if none is named.
async fn target(options: &Options) -> Result<(ProducerConfig, Option<MockCluster>), Failure> {
    let mut config = properties::read(options.producer_config.as_deref(), &options.producer_props)?;
    if let Some(servers) = &options.bootstrap_server {
        config = config.bootstrap_servers(servers);
    }
    if config.get("bootstrap.servers").is_some_and(|servers| !servers.is_empty()) {
        return Ok((config, None));
    }
    let mock = MockCluster::builder().brokers(3).keep_records(false).start().await?;
    mock.create_topic(&options.topic, 4, 3)?;
    eprintln!(
        "No servers are named: sending to three mock brokers in this process, which share its processors."
    );
    Ok((config.bootstrap_servers(mock.bootstrap_servers()), Some(mock)))
}

/// Runs the tasks to their end and shows how they get on.
async fn send(
    options: &Options,
    producer: &KafkaProducer,
    payloads: &Payloads,
    report: &Arc<Mutex<Report>>,
) -> Result<(), Failure> {
    let tasks = options.tasks.get() as u64;
    let interval = match options.throughput {
        rate if rate > 0.0 => Duration::try_from_secs_f64(tasks as f64 / rate)?,
        -1.0 => Duration::ZERO,
        rate => return Err(format!("a throughput of {rate} makes no sense; -1 sets no limit").into()),
    };
    let keys = options.key_cardinality.map_or(0, |keys| keys.get());
    let keys: Arc<[Bytes]> = (0..keys).map(|key| Bytes::from(format!("key-{key}"))).collect();
    let topic = Topic::from(Arc::from(options.topic.as_str()));
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let load = Load {
            producer: producer.clone(),
            topic: topic.clone(),
            payloads: payloads.clone(),
            keys: Arc::clone(&keys),
            records: options.num_records / tasks + u64::from(task < options.num_records % tasks),
            max_outstanding: options.max_outstanding.map_or(usize::MAX, |limit| limit.get()),
            interval,
            report: Arc::clone(report),
        };
        running.spawn(load.run());
    }

    let bar = progress_bar(options.num_records);
    let mut redraw = tokio::time::interval(Duration::from_millis(100));
    let mut next_line = now() + Duration::from_millis(options.reporting_interval);
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => ended?,
                None => break,
            },
            _ = redraw.tick() => {
                bar.set_position(lock(report).settled_records());
                if next_line <= now() {
                    let line = lock(report).window_line(now());
                    bar.suspend(|| if options.json { eprintln!("{line}") } else { println!("{line}") });
                    next_line += Duration::from_millis(options.reporting_interval);
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A bar where a user is looking, and nothing in a log.
fn progress_bar(records: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {per_sec}  {eta} left");
    let bar = ProgressBar::with_draw_target(Some(records), ProgressDrawTarget::stderr_with_hz(10));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Prints what the closing lines tell, and the metrics if they are asked for.
fn print_json(options: &Options, producer: &KafkaProducer, report: &Report, ended: Instant) {
    let steady = report.steady.as_ref().map_or_else(|| "null".to_owned(), |steady| steady.json(ended));
    let metrics = if options.print_metrics { metrics::json(&producer.metrics()) } else { "null".to_owned() };
    let (total, failed) = (report.total.json(ended), report.failed());
    println!("{{\"total\":{total},\"steady\":{steady},\"failed\":{failed},\"metrics\":{metrics}}}");
}

fn print_usage(processor: Option<(Duration, Duration)>, records: u64, is_mock_here: bool) {
    if let Some((before, after)) = processor {
        let used = after.saturating_sub(before);
        let each = used.as_secs_f64() * 1e6 / records.max(1) as f64;
        println!("{:<26} {:>14.2} s, {each:.3} µs per record", "processor-time", used.as_secs_f64());
    }
    if let Some(bytes) = process::peak_resident_bytes() {
        println!("{:<26} {:>14.1} MB", "peak-resident-memory", bytes as f64 / (1024.0 * 1024.0));
    }
    if is_mock_here {
        println!("Processor time and memory include the mock brokers.");
    }
}

fn lock(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
