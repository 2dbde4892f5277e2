//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Shows a producer at work: rates, latency, memory, brokers and failures.
///
/// Without `--bootstrap-server` it starts three mock brokers in its own process, and lets things go wrong by a script. Press q to
/// leave.
#[derive(Parser, Debug)]
#[command(name = "top", max_term_width = 110)]
pub(crate) struct Options {
    /// The servers to connect to. Without any, here or among the properties, a cluster in this process is used.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap_server: Option<String>,

    /// The topic to send to.
    #[arg(long, default_value = "orders")]
    pub(crate) topic: String,

    /// Send about this many records per second.
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,

    /// Send records of this many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 250)]
    pub(crate) record_size: usize,

    /// Properties of the producer, key=value; they take precedence over the file.
    #[arg(long, visible_alias = "producer-property", value_name = "KEY=VALUE", num_args = 1..)]
    pub(crate) command_property: Vec<String>,

    /// A file of producer properties.
    #[arg(long, visible_alias = "producer.config", value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,

    /// Draw nothing, end after so many seconds, and print what would be on the screen then. The exit code is 0 if records are
    /// delivered at the end.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) headless: Option<f64>,

    /// Write a picture that moves, of so many seconds, and end as with `--headless`.
    #[arg(long, num_args = 2, value_names = ["FILE", "SECONDS"], conflicts_with = "headless")]
    pub(crate) record: Option<Vec<String>>,
}
