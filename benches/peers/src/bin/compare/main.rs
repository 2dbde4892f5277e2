//! Runs every client on the same broker in turn, over several rounds, and prints tables of what came out.
//!
//! `benches/peers/run` builds the clients and then calls this.

use std::error::Error;
use std::path::PathBuf;

use kafka_producer_peers::options::Arguments;

mod broker;
mod chart;
mod clients;
mod measure;
mod scenarios;
mod table;

use crate::measure::Programs;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::of_process();
    let rounds: usize = arguments.take("rounds", 5);
    let wanted = arguments.take("scenarios", "all".to_owned());
    let only = arguments.take("clients", "all".to_owned());
    let share: f64 = arguments.take("share", 1.0);
    let chart: PathBuf = arguments.take("chart", PathBuf::new());
    let programs = Programs {
        rust: arguments.take("bin", PathBuf::from("target/release")),
        go: arguments.take("go", PathBuf::new()),
        java: arguments.take("java", String::new()),
        cluster: arguments.take("cluster", PathBuf::new()),
    };
    arguments.finish();

    for scenario in scenarios::all() {
        let is_wanted = wanted.split(',').any(|name| name == scenario.name)
            || (wanted == "all" && !scenario.needs_kafka());
        if !is_wanted {
            continue;
        }
        let results = measure::run(&scenario, &programs, rounds, share, &only)?;
        println!("{}", table::of(&scenario, &results));
        if scenario.name == "main" && !chart.as_os_str().is_empty() {
            std::fs::write(&chart, chart::of(&scenario, &results))?;
        }
    }
    Ok(())
}
