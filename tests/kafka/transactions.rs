//! Transactions of this crate's producer on real clusters, read back by Kafka's own consumers with `read_committed`.
//!
//! Every transaction stands in a ledger with what its caller was told. What the consumers see must be just that: each record of a
//! committed transaction once and in order, none of an aborted one, and all or none where the outcome is in doubt. A line for each
//! version of Kafka and of the protocol tells how many there were. `KAFKA_TRANSACTIONS=whole` has brokers of four versions killed again
//! and again, which takes many minutes; without it those of the newest are, a few times.

mod basics;
mod judgement;
mod ledger;
mod offsets;
mod outages;
mod writer;

use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;
use ledger::Ledger;

/// Partitions of every topic here.
const PARTITIONS: i32 = 3;

/// What the cluster has of the protocol, for the line that tells of it.
const FIRST: &str = "TV1";
const SECOND: &str = "TV2";

/// The coordinator looks this often for transactions that take too long.
const LOOK_FOR_LATE: (&str, &str) = ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_1_0_shows_committed_transactions_and_nothing_else() {
    shows_committed_transactions_and_nothing_else(Version::V1_0_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_2_8_shows_committed_transactions_and_nothing_else() {
    shows_committed_transactions_and_nothing_else(Version::V2_8_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_3_9_shows_committed_transactions_and_nothing_else() {
    shows_committed_transactions_and_nothing_else(Version::V3_9_2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_4_3_shows_committed_transactions_and_nothing_else_in_both_versions() {
    shows_committed_transactions_and_nothing_else(Version::V4_3_1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_4_3_keeps_transactions_whole_when_brokers_die_and_versions_change() {
    outages::transactions_stay_whole(Version::V4_3_1).await;
}

/// As the following, only where time does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_2_8_keeps_transactions_whole_when_brokers_die() {
    if is_whole() {
        outages::transactions_stay_whole(Version::V2_8_2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_3_9_keeps_transactions_whole_when_brokers_die() {
    if is_whole() {
        outages::transactions_stay_whole(Version::V3_9_2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_1_0_keeps_transactions_whole_when_brokers_die() {
    if is_whole() {
        outages::transactions_stay_whole(Version::V1_0_2).await;
    }
}

async fn shows_committed_transactions_and_nothing_else(version: Version) {
    let options = KafkaCluster::options(version, 1).property(LOOK_FOR_LATE.0, LOOK_FOR_LATE.1);
    let Some(cluster) = options.start().await else { return };
    cluster.create_topic(basics::TOPIC, PARTITIONS, 1, &[]).await;
    let ledger = Ledger::default();
    for (level, protocol) in protocols(version) {
        if let Some(level) = level {
            cluster.set_transaction_version(level).await;
        }
        let part = basics::Part { cluster: &cluster, ledger: &ledger, protocol };
        timed(protocol, "a row of transactions", part.row_of_transactions()).await;
        timed(protocol, "requests", part.requests()).await;
        timed(protocol, "fencing", part.fencing()).await;
        timed(protocol, "time-out", part.time_out()).await;
        timed(protocol, "offsets", part.offsets()).await;
    }
    timed("all", "reading", judgement::judge(&cluster, basics::TOPIC, &ledger)).await;
}

/// The versions of the protocol that brokers can have, with the levels of `transaction.version` to set for them.
fn protocols(version: Version) -> Vec<(Option<i16>, &'static str)> {
    match version {
        Version::V1_0_2 | Version::V2_8_2 | Version::V3_9_2 => vec![(None, FIRST)],
        Version::V4_3_1 => vec![(None, SECOND), (Some(1), FIRST)],
    }
}

async fn timed<T>(protocol: &str, name: &str, part: impl Future<Output = T>) -> T {
    let begin = wait::now();
    let result = part.await;
    println!("  {protocol}, {name}: {:.1?}", begin.elapsed());
    result
}

/// Whether the tests are to take the time that they want, not the time that CI has.
fn is_whole() -> bool {
    std::env::var("KAFKA_TRANSACTIONS").as_deref() == Ok("whole")
}
