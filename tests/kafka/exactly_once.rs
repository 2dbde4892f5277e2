//! `examples/exactly_once`, killed with SIGKILL again and again in the middle of its work: a reader of committed records finds each
//! result once, and in the order of the source.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use kafka_producer::{KafkaProducer, ProducerRecord};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{ConsumedRecord, Isolation, KafkaCluster, Version};

#[path = "../../examples/exactly_once/source.rs"]
mod source;
#[path = "../../examples/exactly_once/stage.rs"]
mod stage;

use self::source::Source;
use self::stage::Stage;

const FROM: &str = "orders";
const TO: &str = "invoices";
const PARTITIONS: i32 = 3;
/// Added to the source before each kill.
const RECORDS: usize = 300;
const LIMIT: Duration = Duration::from_secs(120);

/// Tells a process of this test program that it is the stage, and where the brokers are.
const SERVERS: &str = "EXACTLY_ONCE_SERVERS";
const STOPS_AT_END: &str = "EXACTLY_ONCE_STOPS_AT_END";

/// The stage itself, if the test below has started this process.
#[tokio::test]
async fn stage_that_is_killed() {
    let Ok(servers) = std::env::var(SERVERS) else { return };
    let stage = Stage {
        servers,
        from: FROM.to_owned(),
        to: TO.to_owned(),
        group: "invoicing".to_owned(),
        transactional_id: "invoicing-1".to_owned(),
        stops_at_end: std::env::var(STOPS_AT_END).is_ok(),
    };
    let count = stage.run(async |source: &mut Source| source.committed(&stage.group).await).await;
    println!("{} records went through", count.expect("the stage runs"));
}

fn start_stage(servers: &str, stops_at_end: bool) -> tokio::process::Child {
    let itself = std::env::current_exe().expect("tests have a path");
    let mut command = tokio::process::Command::new(itself);
    command.args(["--exact", "exactly_once::stage_that_is_killed", "--nocapture"]).env(SERVERS, servers);
    if stops_at_end {
        command.env(STOPS_AT_END, "1");
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be run again")
}

#[tokio::test]
async fn results_are_there_exactly_once_however_often_the_stage_is_killed() {
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 1).await else { return };
    let kills = if std::env::var("KAFKA_TRANSACTIONS").is_ok_and(|value| value == "whole") { 50 } else { 4 };
    for topic in [FROM, TO] {
        cluster.create_topic(topic, PARTITIONS, 1, &[]).await;
    }
    let servers = cluster.bootstrap_servers();
    let producer = KafkaProducer::builder().bootstrap_servers(servers.as_str()).build().expect("a producer");
    let mut random = StdRng::seed_from_u64(1);
    let mut expected = BTreeMap::<i32, Vec<String>>::new();

    for kill in 0..kills {
        for number in 0..RECORDS {
            let partition = i32::try_from(number).expect("small") % PARTITIONS;
            let value = format!("order {kill}-{number}");
            expected.entry(partition).or_default().push(stage::transform(&value));
            let order = ProducerRecord::to(FROM).partition(partition).value(value);
            drop(producer.enqueue(order).await.expect("accepted"));
        }
        producer.flush().await;
        let mut running = start_stage(&servers, false);
        let after = Duration::from_millis(random.random_range(100..900));
        tokio::time::sleep(after).await;
        running.kill().await.expect("it runs until it is killed");
        println!("kill {kill} after {after:?}, ends {:?}", cluster.end_offsets(TO).await);
    }
    let last = tokio::time::timeout(LIMIT, start_stage(&servers, true).wait()).await;
    assert!(last.expect("the last one ends in time").expect("a status").success());

    let printed = cluster.console_consumer(TO, Isolation::ReadCommitted).await;
    let all = cluster.consume_all(TO, Isolation::ReadUncommitted).await;
    println!("{kills} kills: {} records committed, {} written", printed.len(), all.len());
    assert_eq!(by_partition(&printed), expected);
}

fn by_partition(records: &[ConsumedRecord]) -> BTreeMap<i32, Vec<String>> {
    let mut values = BTreeMap::<i32, Vec<String>>::new();
    for record in records {
        let value = record.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        values.entry(record.partition).or_default().push(value.into_owned());
    }
    values
}
