//! What can happen to a cluster, and how it comes back from it.

use std::time::Duration;

use kafka_producer::DeliveryErrorKind;
use kafka_producer::ErrorCode;
use rand::RngExt;
use rand::rngs::StdRng;

use super::stream::Stream;
use crate::support::KafkaCluster;

/// Shorter than the session of a broker: the cluster does not notice, and producers have to wait.
const NAP: Duration = Duration::from_secs(3);
/// Longer than the session of a broker, see `support/properties.rs`: others take over.
const SLEEP: Duration = Duration::from_secs(9);
/// Long enough for the answers of brokers that have deleted a topic to be taken in.
const ABSENCE: Duration = Duration::from_secs(1);

/// Of every topic, with three replicas.
pub(super) const CONFIGS: [(&str, &str); 1] = [("min.insync.replicas", "2")];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// A leader dies as by a power cut (SIGKILL), and comes back.
    Kill,
    /// Two of three brokers die, and come back: too few replicas are in sync meanwhile. With `KRaft` nothing else would
    /// work either, since the brokers are the controllers.
    KillTwo,
    /// A leader freezes (SIGSTOP) for a moment that only producers notice.
    Freeze,
    /// A leader freezes until it is deposed, and wakes.
    FreezeLong,
    /// Two of three brokers freeze for a moment: no broker can acknowledge, no broker can be elected.
    FreezeTwo,
    /// A leader is restarted in good order (SIGTERM).
    Restart,
    /// A topic is deleted, and created again under the same name.
    Recreate,
    /// The same behind the back of a frozen leader, which wakes and still believes in the old topic.
    RecreateBehindFrozen,
    /// `min.insync.replicas` is three while one of three brokers is down.
    TooFewReplicas,
}

/// A cluster under load.
pub(super) struct Scene<'a> {
    pub(super) cluster: &'a KafkaCluster,
    pub(super) streams: &'a [Stream],
    /// The stream whose topic is recreated.
    pub(super) recreated: Option<&'a Stream>,
    /// The stream whose records fail soon when something is wrong.
    pub(super) hasty: Option<&'a Stream>,
}

impl Scene<'_> {
    /// Makes it happen, and returns when the cluster is whole and all streams flow again.
    pub(super) async fn inflict(&self, fault: Fault, random: &mut StdRng) {
        match fault {
            Fault::Kill => self.kill(random).await,
            Fault::KillTwo => self.kill_all_but(self.any_leader(random).await).await,
            Fault::Freeze => self.freeze(&[self.any_leader(random).await], NAP).await,
            Fault::FreezeLong => self.freeze(&[self.any_leader(random).await], SLEEP).await,
            Fault::FreezeTwo => {
                let others = self.others(self.any_leader(random).await);
                self.freeze(&others, NAP).await;
            }
            Fault::Restart => {
                let leader = self.any_leader(random).await;
                self.cluster.broker(leader).restart().await;
            }
            Fault::Recreate => self.recreate().await,
            Fault::RecreateBehindFrozen => self.recreate_behind_frozen().await,
            Fault::TooFewReplicas => self.ask_for_too_many_replicas(random).await,
        }
        self.is_whole().await;
        self.flows().await;
    }

    async fn kill(&self, random: &mut StdRng) {
        let (stream, partition, leader) = self.any_partition(random).await;
        self.cluster.broker(leader).kill_9();
        // Or it comes back before anybody has noticed that it was gone.
        if random.random_bool(0.5) {
            self.cluster.wait_for_other_leader(stream.topic, partition, leader).await;
            self.flows().await;
        }
        self.cluster.broker(leader).restart().await;
    }

    async fn kill_all_but(&self, survivor: i32) {
        let others = self.others(survivor);
        for id in &others {
            self.cluster.broker(*id).kill_9();
        }
        for id in &others {
            self.cluster.broker(*id).restart().await;
        }
    }

    async fn freeze(&self, brokers: &[i32], time: Duration) {
        for id in brokers {
            self.cluster.broker(*id).stop();
        }
        tokio::time::sleep(time).await;
        for id in brokers {
            self.cluster.broker(*id).cont();
        }
    }

    async fn recreate(&self) {
        let stream = self.recreated.expect("a topic to recreate");
        self.cluster.delete_topic(stream.topic).await;
        tokio::time::sleep(ABSENCE).await;
        stream.bury();
        self.cluster.create_topic(stream.topic, stream.partitions, 3, &CONFIGS).await;
    }

    async fn recreate_behind_frozen(&self) {
        let stream = self.recreated.expect("a topic to recreate");
        // Not the active controller: nothing could be deleted until the others have noticed that it is frozen.
        let controller = self.cluster.active_controller().await;
        let mut frozen = self.others(controller)[0];
        for partition in 0..stream.partitions {
            let leader = self.cluster.leader(stream.topic, partition).await.expect("a leader");
            frozen = if leader == controller { frozen } else { leader };
        }
        self.cluster.broker(frozen).stop();
        self.cluster.delete_topic(stream.topic).await;
        self.cluster.announce_topic(stream.topic, stream.partitions, 3, &CONFIGS).await;
        // The frozen broker may still acknowledge, on behalf of the old topic, what it was given before.
        stream.bury_all();
        self.cluster.broker(frozen).cont();
    }

    async fn ask_for_too_many_replicas(&self, random: &mut StdRng) {
        for stream in self.streams {
            self.cluster.set_topic_config(stream.topic, "min.insync.replicas", "3").await;
        }
        let broker = self.cluster.broker(self.any_leader(random).await);
        broker.terminate().await;
        self.hasty
            .expect("a stream that fails soon")
            .fails("a refusal for too few replicas", is_too_few)
            .await;
        let is_lowered_first = random.random_bool(0.5);
        if !is_lowered_first {
            broker.restart().await;
            self.is_whole().await;
            self.flows().await;
        }
        for stream in self.streams {
            self.cluster.set_topic_config(stream.topic, "min.insync.replicas", "2").await;
        }
        if is_lowered_first {
            self.flows().await;
            broker.restart().await;
        }
    }

    /// Waits until all replicas are in sync again.
    pub(super) async fn is_whole(&self) {
        for stream in self.streams {
            self.cluster.wait_for_isr(stream.topic, stream.partitions, 3).await;
        }
    }

    /// Waits until everything that was sent so far is settled, and more.
    pub(super) async fn flows(&self) {
        futures::future::join_all(self.streams.iter().map(Stream::flows)).await;
    }

    fn others(&self, id: i32) -> Vec<i32> {
        self.cluster.brokers().iter().map(|broker| broker.id()).filter(|other| *other != id).collect()
    }

    async fn any_leader(&self, random: &mut StdRng) -> i32 {
        self.any_partition(random).await.2
    }

    async fn any_partition(&self, random: &mut StdRng) -> (&Stream, i32, i32) {
        let stream = &self.streams[random.random_range(0..self.streams.len())];
        let partition = random.random_range(0..stream.partitions);
        let leader = self.cluster.leader(stream.topic, partition).await.expect("a leader");
        (stream, partition, leader)
    }
}

fn is_too_few(kind: &DeliveryErrorKind) -> bool {
    let too_few = [ErrorCode::NotEnoughReplicas, ErrorCode::NotEnoughReplicasAfterAppend];
    match kind {
        DeliveryErrorKind::TimedOut(spent) => spent.last_error.is_some_and(|code| too_few.contains(&code)),
        _ => false,
    }
}
