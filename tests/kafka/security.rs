//! The producer at listeners that demand something of it, judged by Kafka's own consumer.
//!
//! One cluster of each version serves all: the time that it takes to start is most of what these tests take.
//! `KAFKA_SECURITY=whole` has them send more, and longer; the name of a part in place of `whole`, that part alone.

mod assertions;
mod client;
mod far;
#[cfg(feature = "gssapi")]
mod kerberos;
mod load;
mod matrix;
mod outage;
mod renewal;
mod rotation;
mod tokens;
mod words;
mod wrong;

use std::time::Duration;

use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::Version;
use crate::support::wait;

const CLOSE_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_1_0_takes_what_comes_by_every_way_in_and_mistakes_are_told() {
    everything_comes_in_and_mistakes_are_told(Version::V1_0_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_2_8_takes_what_comes_by_every_way_in_and_mistakes_are_told() {
    everything_comes_in_and_mistakes_are_told(Version::V2_8_2).await;
}

/// Only where time does not matter: it differs little from Kafka 4.3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_3_9_takes_what_comes_by_every_way_in_and_mistakes_are_told() {
    if is_whole() {
        everything_comes_in_and_mistakes_are_told(Version::V3_9_2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_4_3_takes_what_comes_by_every_way_in_and_mistakes_are_told() {
    everything_comes_in_and_mistakes_are_told(Version::V4_3_1).await;
}

async fn everything_comes_in_and_mistakes_are_told(version: Version) {
    let options = KafkaCluster::options(version, 1).listeners(&Listener::all(version));
    let Some(cluster) = options.start().await else { return };
    timed("matrix", matrix::every_way_takes_what_is_read_back(&cluster)).await;
    timed("mistakes", wrong::every_mistake_is_told(&cluster)).await;
    timed("far", far::brokers_let_in_those_who_ask_ahead(&cluster)).await;
    timed("assertions", assertions::signatures_of_producers_are_genuine(&cluster)).await;
    // Newer brokers do not understand it any more.
    if version != Version::V4_3_1 {
        timed("words", words::words_without_headers_are_understood(&cluster)).await;
    }
    // The first brokers set no limit to sessions, know no tokens, and change nothing while they run.
    if version != Version::V1_0_2 {
        timed("tokens", tokens::delegation_tokens_let_producers_in(&cluster)).await;
        timed("renewals", renewal::sessions_are_renewed_under_load(&cluster)).await;
        timed("rotation", rotation::certificates_change_under_load(&cluster)).await;
    }
    if version == Version::V4_3_1 && is_whole() {
        timed("outages", outage::outages_amid_renewals_cost_no_record(&cluster)).await;
    }
}

/// Does a part of the tests if it is wanted, and says how long it takes.
async fn timed(name: &str, part: impl Future<Output = ()>) {
    let wanted = std::env::var("KAFKA_SECURITY").ok();
    if wanted.is_some_and(|wanted| wanted != "whole" && wanted != name) {
        return;
    }
    let begin = wait::now();
    part.await;
    println!("{name}: {:.1?}", begin.elapsed());
}

/// Whether the tests are to take the time that they want, not the time that CI has.
fn is_whole() -> bool {
    std::env::var_os("KAFKA_SECURITY").is_some()
}

/// How often a producer has tried in vain, and for how long, differs from run to run.
fn without_attempts(said: &str) -> String {
    let attempts = said.find(" attempts in ").and_then(|at| Some((said[..at].rfind(", ")?, at)));
    let Some((begin, at)) = attempts else { return said.to_owned() };
    let end = said[at..].find(')').map_or(said.len(), |length| at + length);
    format!("{}{}", &said[..begin], &said[end..])
}
