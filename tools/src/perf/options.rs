//! The command line, with the names of Kafka's `kafka-producer-perf-test`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Parser};

/// Measures how fast records are sent and how long they take to be acknowledged.
#[derive(Parser, Debug)]
#[command(name = "kafka-producer-perf", version, max_term_width = 110)]
#[command(group(ArgGroup::new("payload").required(true).args(["record_size", "payload_file"])))]
pub(crate) struct Options {
    /// The servers to connect to. Without any, here or among the properties, a cluster in this process is used.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap_server: Option<String>,

    /// The topic to send to.
    #[arg(long)]
    pub(crate) topic: String,

    /// How many records to send.
    #[arg(long, value_name = "N")]
    pub(crate) num_records: u64,

    /// Send records of this many random bytes.
    #[arg(long, value_name = "BYTES")]
    pub(crate) record_size: Option<usize>,

    /// Send payloads from this file, each time one at random.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload_file: Option<PathBuf>,

    /// What stands between the payloads of the file; \n, \r, \t, \0 and \\ are understood.
    #[arg(long, value_name = "TEXT", default_value = "\\n")]
    pub(crate) payload_delimiter: String,

    /// Send about this many records per second; -1 for as many as possible.
    #[arg(long, value_name = "N", default_value = "-1", allow_negative_numbers = true)]
    pub(crate) throughput: f64,

    /// Properties of the producer, key=value; they take precedence over the file.
    #[arg(long, visible_alias = "command-property", value_name = "KEY=VALUE", num_args = 1..)]
    pub(crate) producer_props: Vec<String>,

    /// A file of producer properties.
    #[arg(long = "producer.config", visible_aliases = ["producer-config", "command-config"], value_name = "FILE")]
    pub(crate) producer_config: Option<PathBuf>,

    /// Print the producer's metrics, the time on the processor and the memory at the end.
    #[arg(long)]
    pub(crate) print_metrics: bool,

    /// Print the closing lines, and the metrics if they are asked for, as one JSON object. All else goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,

    /// Leave the first records out of a second closing line, the steady state.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) warmup_records: u64,

    /// Milliseconds between intermediate lines.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) reporting_interval: u64,

    /// Let each task have at most this many records on the way; 1 awaits each record before the next. Otherwise
    /// buffer.memory is the limit.
    #[arg(long, value_name = "N")]
    pub(crate) max_outstanding: Option<NonZeroUsize>,

    /// Send from this many tasks at once.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) tasks: NonZeroUsize,

    /// Give the records this many different keys in turn; without, they have none.
    #[arg(long, value_name = "N")]
    pub(crate) key_cardinality: Option<NonZeroUsize>,
}
