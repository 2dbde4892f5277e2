//! Stages failures for other clients, and keeps what they say of each: `errors --bin DIRECTORY [--java CLASSPATH] [--only "NAME;NAME"]` prints
//! lines of `tests/it/explains/peers.tsv`. `benches/peers/errors` builds the clients and calls it.

mod client;
mod stage;
mod words;

use std::sync::Arc;

use kafka_producer_peers::options::Arguments;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::client::Client;
use self::stage::{NAMES, stage, why_not};

#[tokio::main]
async fn main() {
    let mut arguments = Arguments::of_process();
    let bin: String = arguments.take("bin", "target/release".to_owned());
    let java: String = arguments.take("java", String::new());
    let only: String = arguments.take("only", String::new());
    arguments.finish();
    let clients = [Client::java(&java), Client::native("librdkafka", &bin), Client::native("krafka", &bin)];
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut rows = JoinSet::new();
    let clients = clients.iter().enumerate();
    let names = NAMES.iter().filter(|name| only.is_empty() || only.split(';').any(|only| only == **name));
    for (name, (rank, client)) in names.flat_map(|name| clients.clone().map(move |client| (*name, client))) {
        let (places, client) = (Arc::clone(&places), client.clone());
        rows.spawn(async move {
            let of = client.name;
            let said = match why_not(name, of) {
                Some(reason) => format!("({reason})\t"),
                None => {
                    let _place = places.acquire_owned().await.expect("it stays open");
                    let staged = stage(name, of).await;
                    tokio::task::spawn_blocking(move || client.ask(&staged)).await.expect("it does not panic")
                }
            };
            let at = NAMES.iter().position(|known| *known == name);
            (at, rank, of, said)
        });
    }
    let mut rows = rows.join_all().await;
    // In the order of the sheet and of the clients.
    rows.sort();
    for (at, _, client, said) in rows {
        println!("{}\t{client}\t{said}", NAMES[at.expect("it is one of them")]);
    }
}

/// So many clients fail at the same time. Java needs a processor for seconds when it starts.
const AT_ONCE: usize = 6;
