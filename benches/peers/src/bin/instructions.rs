//! Runs a client twice under callgrind, with few and with more records, and prints the instructions that a record costs by
//! function: the difference, so that what happens once does not count.
//!
//! `cargo run --release --bin instructions -- --client target/release/ours [--lines 40]`; needs valgrind.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use kafka_producer_peers::null_broker::{Broker, Shape};
use kafka_producer_peers::options::Arguments;

const FEW: u64 = 100_000;
const MORE: u64 = 400_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::of_process();
    let client: PathBuf = arguments.take("client", PathBuf::from("target/release/ours"));
    let lines: usize = arguments.take("lines", 40);
    arguments.finish();
    let few = count(&client, FEW)?;
    let mut more = count(&client, MORE)?;
    for (name, costs) in few {
        let place = more.entry(name).or_default();
        place.own -= costs.own;
        place.calls -= costs.calls;
    }
    let each = |count: i64| count as f64 / (MORE - FEW) as f64;
    let mut all: Vec<_> = more.into_iter().collect();
    all.sort_by_key(|(_, costs)| -costs.own);
    let total: i64 = all.iter().map(|(_, costs)| costs.own).sum();
    println!("{:>8.0} instructions per record\n\n{:>8} {:>8}", each(total), "own", "calls");
    for (name, costs) in all.into_iter().take(lines) {
        println!("{:>8.1} {:>8.3} {name}", each(costs.own), each(costs.calls));
    }
    Ok(())
}

#[derive(Debug, Default, Clone, Copy)]
struct Costs {
    own: i64,
    calls: i64,
}

fn count(client: &PathBuf, records: u64) -> Result<HashMap<String, Costs>, Box<dyn Error>> {
    let broker =
        Broker::start(Shape { brokers: 1, partitions: 4, stall: false, tls: false, delay: Duration::ZERO })?;
    let file = std::env::temp_dir().join(format!("kafka-producer-callgrind-{}", std::process::id()));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(client)
        .args(["--bootstrap", &broker.bootstrap(), "--records", &records.to_string()])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = std::fs::read_to_string(&file)?;
    std::fs::remove_file(&file)?;
    Ok(read(&text))
}

/// Reads callgrind's format: `fn=(7) name`, then lines of a position and a cost; a `calls=` line says that the next such line
/// is the cost of a call, which counts for the callee.
fn read(text: &str) -> HashMap<String, Costs> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut by_id: HashMap<&str, Costs> = HashMap::new();
    let (mut function, mut callee, mut is_of_call) = ("", "", false);
    for line in text.lines() {
        let named = line.strip_prefix("fn=").map(|rest| (rest, false));
        let named = named.or_else(|| line.strip_prefix("cfn=").map(|rest| (rest, true)));
        if let Some((rest, is_callee)) = named {
            let (id, name) = rest.split_once(' ').unwrap_or((rest, ""));
            if !name.is_empty() {
                names.insert(id, name);
            }
            *(if is_callee { &mut callee } else { &mut function }) = id;
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let calls = calls.split(' ').next().and_then(|calls| calls.parse::<i64>().ok());
            by_id.entry(callee).or_default().calls += calls.unwrap_or(0);
            is_of_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<i64>().ok()).unwrap_or(0);
            if !std::mem::take(&mut is_of_call) {
                by_id.entry(function).or_default().own += cost;
            }
        }
    }
    let mut costs: HashMap<String, Costs> = HashMap::new();
    for (id, found) in by_id {
        // A function that calls itself has a number behind its name for each depth.
        let name = names.get(id).copied().unwrap_or(id);
        let name = name.split_once('\'').map_or(name, |(name, _)| name);
        let place = costs.entry(name.to_owned()).or_default();
        place.own += found.own;
        place.calls += found.calls;
    }
    costs
}
