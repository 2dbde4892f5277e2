//! A broker that checks, counts and forgets.
//!
//! Prints its bootstrap address, then obeys lines on standard input until it ends: `stats` prints what came in since the
//! last `reset`.

use std::time::Duration;

use kafka_producer_peers::null_broker::{Broker, Shape};
use kafka_producer_peers::options::Arguments;

fn main() -> std::io::Result<()> {
    let mut arguments = Arguments::of_process();
    let shape = Shape {
        brokers: arguments.take("brokers", 1),
        partitions: arguments.take("partitions", 4),
        stall: arguments.take("stall", false),
        tls: arguments.take("tls", false),
        delay: Duration::from_millis(arguments.take("delay-ms", 0)),
    };
    arguments.finish();
    let broker = Broker::start(shape)?;
    println!("{}", broker.bootstrap());
    for line in std::io::stdin().lines() {
        match line?.trim() {
            "stats" => println!("{}", broker.counters.line()),
            "reset" => broker.counters.reset(),
            _ => {}
        }
    }
    Ok(())
}
