//! The command line, with the names of Kafka's `kafka-topics`.

use std::path::PathBuf;

use clap::{ArgGroup, Parser};

use crate::properties::Failure;

/// Creates, lists, describes and deletes topics.
///
/// Speaks to listeners without TLS and SASL only. --describe may follow --create.
#[derive(Parser, Debug)]
#[command(name = "kafka-producer-topics", version, max_term_width = 110)]
#[command(group(ArgGroup::new("act").required(true).multiple(true).args(["create", "describe", "list", "delete"])))]
pub(crate) struct Options {
    /// The servers to connect to, one after the other until one answers.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap_server: Option<String>,

    /// The topic; several with commas between them. Without, --describe and --list show all.
    #[arg(long, value_name = "NAME,…", required_if_eq_any = [("create", "true"), ("delete", "true")])]
    pub(crate) topic: Option<String>,

    /// Create the topic.
    #[arg(long, conflicts_with_all = ["list", "delete"])]
    pub(crate) create: bool,

    /// Show the partitions of topics, with their leaders and replicas.
    #[arg(long, conflicts_with_all = ["list", "delete"])]
    pub(crate) describe: bool,

    /// Show the names of topics.
    #[arg(long, conflicts_with = "delete")]
    pub(crate) list: bool,

    /// Delete the topic.
    #[arg(long)]
    pub(crate) delete: bool,

    /// Do nothing about a topic that is there already.
    #[arg(long, requires = "create")]
    pub(crate) if_not_exists: bool,

    /// Do not fail if the topic is not there.
    #[arg(long, conflicts_with = "create")]
    pub(crate) if_exists: bool,

    /// Leave out the topics that brokers have for themselves.
    #[arg(long)]
    pub(crate) exclude_internal: bool,

    /// How many partitions the topic gets; by default as many as brokers give.
    #[arg(long, value_name = "N", requires = "create", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: Option<i32>,

    /// How many replicas each partition gets; by default as many as brokers give.
    #[arg(long, value_name = "N", requires = "create", value_parser = clap::value_parser!(i16).range(1..))]
    pub(crate) replication_factor: Option<i16>,

    /// A setting of the topic. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", requires = "create")]
    pub(crate) config: Vec<String>,

    /// A file of client properties, of which bootstrap.servers and security.protocol matter.
    #[arg(long, value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,

    /// A property that takes precedence over the file. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) command_property: Vec<String>,
}

impl Options {
    /// The topics that are named.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        let named = self.topic.as_deref().unwrap_or_default().split(',').map(str::trim);
        let names: Vec<String> = named.filter(|name| !name.is_empty()).map(Into::into).collect();
        let is_plain =
            |name: &&String| name.chars().all(|of| of.is_ascii_alphanumeric() || "._-".contains(of));
        match names.iter().find(|name| !is_plain(name)) {
            Some(name) => {
                Err(format!("{name:?} is not the name of a topic; patterns are not supported").into())
            }
            None if names.is_empty() && self.topic.is_some() => Err("--topic names no topic".into()),
            None => Ok(names),
        }
    }

    /// Whether a topic is among those that are named, or none is named.
    pub(crate) fn is_asked(&self, names: &[String], name: &str) -> bool {
        names.is_empty() || names.iter().any(|named| named == name)
    }

    /// The settings of a new topic.
    pub(crate) fn configs(&self) -> Result<Vec<(&str, &str)>, Failure> {
        let pair = |config: &'_ String| format!("{config:?} is not of the form key=value");
        self.config.iter().map(|config| config.split_once('=').ok_or_else(|| pair(config).into())).collect()
    }
}
