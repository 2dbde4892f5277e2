//! The relay of an outbox: `outbox DATABASE BOOTSTRAP_SERVERS`. It may be killed at any time.

use std::fs::File;
use std::thread;
use std::time::Duration;

use kafka_producer::{Disposition, KafkaProducer};
use outbox::{Outbox, Relay};

/// How long to wait when there is nothing to send, and after a failure.
const PAUSE: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The producer says in the log why it gets nowhere.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let (Some(database), Some(servers)) = (arguments.next(), arguments.next()) else {
        return Err("usage: outbox DATABASE BOOTSTRAP_SERVERS".into());
    };
    // A second relay would send rows twice and out of order. The system unlocks the file when this process ends, however it ends.
    let lock = File::create(format!("{database}.relay"))?;
    lock.try_lock().map_err(|error| format!("another relay is at work: {error}"))?;

    let mut outbox = Outbox::open(&database)?;
    // A row that fails may have been written, and is sent again. So the producer shall try for longer than outages take.
    let producer = KafkaProducer::builder().bootstrap_servers(servers).delivery_timeout(HOUR);
    let relay = Relay::new(producer)?;
    loop {
        let round = relay.round(&mut outbox)?;
        for (id, why) in &round.refused {
            eprintln!("row {id} is set aside: {why}");
        }
        match round.trouble {
            // This one cannot go on. A supervisor starts another.
            Some(error) if error.disposition() == Disposition::NewProducer => return Err(error.into()),
            Some(error) => eprintln!("rows wait: {error}"),
            None => {}
        }
        if round.acknowledged.is_empty() {
            thread::sleep(PAUSE);
        }
    }
}
