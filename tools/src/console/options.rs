//! The command line, with the names of Kafka's `kafka-console-producer`.

use std::path::PathBuf;

use clap::Parser;

/// Sends each line of standard input as a record.
#[derive(Parser, Debug)]
#[command(name = "kafka-producer-console", version, max_term_width = 110, after_help = READER_HELP)]
pub(crate) struct Options {
    /// The servers to connect to.
    #[arg(long, visible_alias = "broker-list", value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_server: Option<String>,

    /// The topic to send to.
    #[arg(long)]
    pub(crate) topic: String,

    /// A property of the producer; takes precedence over the file. May be repeated.
    #[arg(long, visible_alias = "command-property", value_name = "KEY=VALUE")]
    pub(crate) producer_property: Vec<String>,

    /// A file of producer properties.
    #[arg(long = "producer.config", visible_aliases = ["producer-config", "command-config"], value_name = "FILE")]
    pub(crate) producer_config: Option<PathBuf>,

    /// How lines are read, see below. May be repeated.
    #[arg(long, visible_alias = "reader-property", value_name = "KEY=VALUE")]
    pub(crate) property: Vec<String>,

    /// Wait for each record's acknowledgement before the next is sent.
    #[arg(long)]
    pub(crate) sync: bool,

    /// Compress batches; without a value, with gzip as Kafka's tool does.
    #[arg(long, value_name = "CODEC", num_args = 0..=1, default_missing_value = "gzip")]
    pub(crate) compression_codec: Option<String>,
}

const READER_HELP: &str = "\
Properties of the reader, with their defaults:
  parse.key=false              the line begins with a key
  key.separator=<tab>          what stands between key and value
  parse.headers=false          the line begins with headers, before the key
  headers.delimiter=<tab>      what stands behind the headers
  headers.separator=,          what stands between two headers
  headers.key.separator=:      what stands between a header's name and its value
  null.marker=                 a key, value or header value that equals this is null; unset by default
  ignore.error=false           take what cannot be split as a value, or as the name of a header without a value";
