//! Creates, lists, describes and deletes topics, like Kafka's `kafka-topics` and with its arguments.
//!
//! ```text
//! cargo run --release --bin kafka-producer-topics -- --bootstrap-server localhost:9092 --create --describe \
//!     --topic orders --partitions 4 --replication-factor 3
//! ```
//!
//! It speaks to brokers by connections of its own, in plain text and without a login.

use std::io::{self, Write};
use std::process::ExitCode;

mod admin;
mod connection;
mod description;
#[path = "../shared/generate.rs"]
mod generate;
mod options;
#[path = "../shared/properties.rs"]
mod properties;

use admin::{Admin, Created, NewTopic};
use options::Options;
use properties::Failure;

fn main() -> ExitCode {
    match run(&generate::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let names = options.names()?;
    let mut admin = Admin::connect(&servers(options)?)?;
    if options.create {
        for name in &names {
            create(options, &mut admin, name)?;
        }
    }
    if options.list {
        let found = admin.topics(None)?;
        let shown = found.iter().filter(|topic| !(options.exclude_internal && topic.is_internal));
        let shown = shown.map(|topic| topic.name.as_str()).filter(|name| options.is_asked(&names, name));
        return say(shown.map(|name| format!("{name}\n")).collect());
    }
    if options.describe {
        // What has just been created is not known everywhere yet.
        let found = if options.create { admin.wait_for_topics(&names)? } else { admin.named(&names)? };
        let shown = found.iter().filter(|topic| !(options.exclude_internal && topic.is_internal));
        return say(shown.map(ToString::to_string).collect()).and_then(|()| missing(options, &names, &found));
    }
    if options.delete {
        let found = admin.named(&names)?;
        missing(options, &names, &found)?;
        for topic in found {
            admin.delete(&topic.name)?;
        }
    }
    Ok(())
}

fn create(options: &Options, admin: &mut Admin, name: &str) -> Result<(), Failure> {
    let topic = NewTopic {
        name,
        partitions: options.partitions,
        replication_factor: options.replication_factor,
        configs: options.configs()?,
    };
    if name.contains(['.', '_']) {
        eprintln!(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could \
             collide. To avoid issues it is best to use either, but not both."
        );
    }
    match admin.create(&topic)? {
        Created::New => say(format!("Created topic {name}.\n")),
        Created::WasThere if options.if_not_exists => Ok(()),
        Created::WasThere => Err(format!("topic {name:?} already exists").into()),
    }
}

/// Complains about topics that were named and are not there.
fn missing(options: &Options, names: &[String], found: &[description::Description]) -> Result<(), Failure> {
    let is_missing = |name: &&String| !found.iter().any(|topic| topic.name == **name);
    match names.iter().find(is_missing) {
        Some(name) if !options.if_exists => Err(format!("topic {name:?} does not exist").into()),
        _ => Ok(()),
    }
}

/// The file, then properties, then the argument.
fn servers(options: &Options) -> Result<Vec<String>, Failure> {
    let config = properties::read(options.command_config.as_deref(), &options.command_property)?;
    // What is wrong with other properties is no matter here.
    let refused = config.validate().err();
    let is_refused = refused.iter().flat_map(|error| error.problems()).any(|problem| problem.key == PROTOCOL);
    if is_refused || config.get(PROTOCOL).is_some_and(|protocol| protocol != "PLAINTEXT") {
        return Err("this tool speaks to listeners without TLS and SASL only, so it takes no other \
                    security.protocol than PLAINTEXT; Kafka's own kafka-topics does"
            .into());
    }
    let servers = options.bootstrap_server.clone().or_else(|| config.get("bootstrap.servers"));
    let servers = servers.unwrap_or_default();
    let servers: Vec<_> = servers.split(',').map(str::trim).filter(|server| !server.is_empty()).collect();
    if servers.is_empty() {
        return Err("no servers are named; --bootstrap-server HOST:PORT does that".into());
    }
    Ok(servers.into_iter().map(Into::into).collect())
}

fn say(text: String) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

const PROTOCOL: &str = "security.protocol";
