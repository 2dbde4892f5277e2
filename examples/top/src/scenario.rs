//! The script of what goes wrong with the mock cluster, and when.

use std::sync::Arc;
use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster, MockError};
use tokio::time::sleep_until;

use crate::clock;
use crate::story::{Story, Teller};

pub(crate) const BROKERS: i32 = 3;
pub(crate) const PARTITIONS: i32 = 6;

/// Something that happens to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// The broker is started again, and leads its partitions as before.
    Return(i32),
    /// The broker is killed. It counts as the leader of its partitions until there is an election.
    Die(i32),
    /// The partitions of a dead broker get other leaders.
    Elect(i32),
    /// Writes to the broker fail.
    FillDisk(i32),
    /// All is well again.
    Mend,
    /// Too few replicas keep up.
    LoseReplicas,
    /// The broker wants to be left alone after each answer.
    Throttle(i32),
    /// Nothing.
    Watch,
}

#[derive(Debug)]
struct Step {
    /// In tenths of a second from the start of the script.
    at: u64,
    act: Act,
    words: &'static str,
}

const fn step(at: u64, act: Act, words: &'static str) -> Step {
    Step { at, act, words }
}

const STEPS: &[Step] = &[
    step(0, Act::Watch, "three brokers, six partitions, and all is well"),
    step(25, Act::Die(1), "broker 1 dies, which leads two partitions"),
    step(45, Act::Elect(1), "the cluster has noticed: another broker is elected to lead them"),
    step(60, Act::Return(1), "broker 1 is back, and leads its partitions again"),
    step(75, Act::Throttle(2), "broker 2 throttles the producer, which is above its quota"),
    step(100, Act::Mend, "broker 2 throttles no more"),
    step(112, Act::LoseReplicas, "replicas fall behind: fewer than min.insync.replicas keep up"),
    step(126, Act::Mend, "the replicas have caught up"),
    step(136, Act::FillDisk(0), "the disk of broker 0 is full, for longer than delivery.timeout.ms"),
    step(176, Act::Mend, "the disk of broker 0 has room again"),
];

/// How long the script takes, with time to recover at its end.
pub(crate) const LENGTH: Duration = Duration::from_millis(21_000);

/// Starts the brokers, and creates the topic on all of them.
pub(crate) async fn start(topic: &str) -> Result<MockCluster, MockError> {
    let cluster = MockCluster::builder().brokers(BROKERS).keep_records(false).start().await?;
    cluster.create_topic(topic, PARTITIONS, 3)?;
    for partition in 0..PARTITIONS {
        cluster.set_leader(topic, partition, Some(first_leader(partition)))?;
    }
    slow_down(&cluster);
    Ok(cluster)
}

/// Lines between machines are not as fast as loopback, nor as fast as each other.
fn slow_down(cluster: &MockCluster) {
    for broker in 0..BROKERS {
        let milliseconds = 2 + 2 * u64::from(broker.unsigned_abs());
        cluster.delay(Some(broker), Some(Api::Produce), Duration::from_millis(milliseconds));
    }
}

/// Plays the script again and again.
pub(crate) async fn play(cluster: Arc<MockCluster>, topic: String, story: Arc<Story>) {
    loop {
        let began = clock::now();
        for step in STEPS {
            sleep_until((began + Duration::from_millis(step.at * 100)).into()).await;
            story.tell(Teller::Script, step.words.to_owned(), String::new());
            if let Err(error) = carry_out(step.act, &cluster, &topic).await {
                story.tell(Teller::Script, format!("the script cannot go on: {error}"), String::new());
                return;
            }
        }
        sleep_until((began + LENGTH).into()).await;
    }
}

async fn carry_out(act: Act, cluster: &MockCluster, topic: &str) -> Result<(), MockError> {
    match act {
        Act::Die(broker) => cluster.crash(broker).await?,
        Act::Elect(dead) => cluster.broker_down(dead).await?,
        Act::FillDisk(broker) => cluster.inject(on_produce(Fault::error_code(KAFKA_STORAGE_ERROR), broker)),
        Act::LoseReplicas => cluster.set_min_insync_replicas(MORE_THAN_THERE_ARE),
        Act::Mend => {
            cluster.clear_faults();
            slow_down(cluster);
            cluster.set_min_insync_replicas(1);
        }
        Act::Return(broker) => {
            cluster.broker_up(broker).await?;
            for partition in led_by(broker) {
                cluster.set_leader(topic, partition, Some(broker))?;
            }
        }
        Act::Throttle(broker) => cluster.inject(on_produce(Fault::throttle(WISH), broker)),
        Act::Watch => {}
    }
    Ok(())
}

fn on_produce(fault: Fault, broker: i32) -> Fault {
    fault.api(Api::Produce).broker(broker).always()
}

fn first_leader(partition: i32) -> i32 {
    partition % BROKERS
}

fn led_by(broker: i32) -> impl Iterator<Item = i32> {
    (0..PARTITIONS).filter(move |partition| first_leader(*partition) == broker)
}

const KAFKA_STORAGE_ERROR: i16 = 56;
const MORE_THAN_THERE_ARE: usize = 4;
const WISH: Duration = Duration::from_millis(1000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_goes_forward_and_leaves_the_cluster_well() {
        assert!(STEPS.is_sorted_by_key(|step| step.at));
        assert!(STEPS.iter().all(|step| Duration::from_millis(step.at * 100) < LENGTH));
        assert_eq!(STEPS.last().map(|step| step.act), Some(Act::Mend));
        let dead =
            |act: fn(i32) -> Act| STEPS.iter().position(|step| (0..BROKERS).any(|id| step.act == act(id)));
        assert!(dead(Act::Die) < dead(Act::Return));
    }

    #[test]
    fn each_broker_leads_a_third() {
        assert_eq!(led_by(1).collect::<Vec<_>>(), [1, 4]);
    }
}
