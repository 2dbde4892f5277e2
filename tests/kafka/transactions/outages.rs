//! Transactions amid what happens to clusters: brokers are killed, and the version of the protocol changes.

use std::cell::Cell;
use std::time::Duration;

use futures::future::join_all;
use futures::future::select_all;
use tokio::sync::watch;

use super::FIRST;
use super::LOOK_FOR_LATE;
use super::PARTITIONS;
use super::SECOND;
use super::is_whole;
use super::judgement;
use super::ledger::Ledger;
use super::timed;
use super::writer::End;
use super::writer::Phase;
use super::writer::Recipe;
use super::writer::Writer;
use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::wait;

const TOPIC: &str = "outages";
const WRITERS: usize = 3;
const WHOLE_ROUNDS: usize = 5;

/// Shorter than an outage, so that calls run out of time.
const MAX_BLOCK: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(2);
/// A commit that a frozen broker keeps from its end takes longer, others take less.
const STUCK: Duration = Duration::from_secs(1);
/// For writers to get on.
const LIMIT: Duration = Duration::from_secs(120);
/// Transactions of each writer that show that it gets on.
const PROOF: usize = 3;
/// Transactions between two looks at an epoch.
const SAMPLE: usize = 20;

/// Records, tasks and end of the transactions of a writer, over and over.
const MIX: [(u64, u64, End); 10] = [
    (10, 1, End::Commit),
    (300, 3, End::Commit),
    (1, 1, End::Commit),
    (50, 1, End::AbortWritten),
    (200, 1, End::Abort),
    (30, 2, End::CommitAndLeave),
    (1000, 1, End::Commit),
    (5, 1, End::DropWritten),
    (100, 2, End::Commit),
    (0, 1, End::Commit),
];

/// Writers without a pause, while things happen to their cluster.
pub(super) async fn transactions_stay_whole(version: Version) {
    let options = KafkaCluster::options(version, 3)
        .property(LOOK_FOR_LATE.0, LOOK_FOR_LATE.1)
        .property("transaction.state.log.min.isr", "2");
    let Some(cluster) = options.start().await else { return };
    cluster.create_topic(TOPIC, PARTITIONS, 3, &[("min.insync.replicas", "2")]).await;
    let ledger = Ledger::default();
    let recipe = |id: String| Recipe {
        bootstrap: cluster.bootstrap_servers(),
        topic: TOPIC,
        id,
        max_block: MAX_BLOCK,
        transaction_timeout: Duration::from_secs(60),
    };
    let ids: Vec<String> = (1..=WRITERS).map(|number| format!("writer {number}")).collect();
    let mut writers: Vec<_> = ids.iter().map(|id| Writer::new(recipe(id.clone()), &ledger)).collect();
    let phases = writers.iter().map(Writer::phases).collect();
    let has_both = version == Version::V4_3_1;
    let protocol = Cell::new(if has_both { SECOND } else { FIRST });
    let is_over = Cell::new(false);
    let scene = Scene { cluster: &cluster, ledger: &ledger, ids: &ids, phases, protocol: &protocol };

    let writing = join_all(writers.iter_mut().enumerate().map(|(index, writer)| {
        let (protocol, is_over) = (&protocol, &is_over);
        async move {
            let mix = MIX.into_iter().cycle().skip(index * 2);
            for (records, tasks, end) in mix.take_while(|_| !is_over.get()) {
                writer.write(protocol.get(), records, tasks, end).await;
                tokio::time::sleep(PAUSE).await;
            }
            // It ends what producers before it have left open.
            writer.write(protocol.get(), 1, 1, End::Commit).await;
            writer.producers
        }
    }));
    let happening = async {
        for _ in 0..if is_whole() { WHOLE_ROUNDS } else { 1 } {
            scene.round(has_both).await;
        }
        is_over.set(true);
    };
    let (producers, ()) = futures::future::join(writing, happening).await;

    println!("  producers made by each writer: {producers:?}");
    for partition in 0..PARTITIONS {
        cluster.wait_for_end_of_transactions(TOPIC, partition).await;
    }
    timed("all", "reading", judgement::judge(&cluster, TOPIC, &ledger)).await;
}

struct Scene<'a> {
    cluster: &'a KafkaCluster,
    ledger: &'a Ledger,
    ids: &'a [String],
    phases: Vec<watch::Receiver<Phase>>,
    /// What the cluster has finalized.
    protocol: &'a Cell<&'static str>,
}

impl Scene<'_> {
    async fn round(&self, has_both: bool) {
        self.flows().await;
        timed(self.protocol.get(), "coordinator killed", self.kill_coordinator()).await;
        if has_both {
            timed(FIRST, "downgrade", self.set_version(1, FIRST)).await;
        }
        // Writers hear of the version from brokers that they connect to.
        timed(self.protocol.get(), "leader killed", self.kill_leader()).await;
        if has_both {
            timed(FIRST, "in use", self.is_used(FIRST)).await;
            timed(SECOND, "upgrade", self.set_version(2, SECOND)).await;
        }
        timed(self.protocol.get(), "coordinator frozen and killed", self.freeze_and_kill_coordinator()).await;
        if has_both {
            timed(SECOND, "in use", self.is_used(SECOND)).await;
        }
    }

    /// As soon as any writer commits, its coordinator dies.
    async fn kill_coordinator(&self) {
        let coordinator = self.cluster.transaction_coordinator().await;
        self.reaches(Phase::Committing).await;
        self.kill(coordinator);
        self.cluster.wait_for_other_coordinator(coordinator).await;
        self.flows().await;
        self.restart(coordinator).await;
    }

    /// A commit that was sent has certainly no answer when the coordinator dies.
    async fn freeze_and_kill_coordinator(&self) {
        let coordinator = self.cluster.transaction_coordinator().await;
        self.cluster.broker(coordinator).stop();
        let stuck = select_all(self.phases.iter().map(|phases| Box::pin(is_stuck(phases.clone()))));
        tokio::time::timeout(LIMIT, stuck).await.expect("a commit waits for the frozen coordinator");
        assert!(self.kill(coordinator) > 0, "no transaction was open");
        self.cluster.wait_for_other_coordinator(coordinator).await;
        self.flows().await;
        self.restart(coordinator).await;
    }

    /// As soon as any writer has records on their way, the leader of a partition dies.
    async fn kill_leader(&self) {
        let leader = self.cluster.leader(TOPIC, 0).await.expect("a leader");
        self.reaches(Phase::Writing).await;
        self.kill(leader);
        self.cluster.wait_for_other_leader(TOPIC, 0, leader).await;
        self.flows().await;
        self.restart(leader).await;
    }

    fn kill(&self, id: i32) -> usize {
        self.cluster.broker(id).kill_9();
        let hit = self.ledger.hit();
        println!("  broker {id} is killed amid {hit} transactions");
        hit
    }

    async fn restart(&self, id: i32) {
        self.cluster.broker(id).restart().await;
        self.cluster.wait_for_isr(TOPIC, PARTITIONS, 3).await;
        self.cluster.wait_for_coordinators(3).await;
    }

    async fn set_version(&self, level: i16, protocol: &'static str) {
        self.cluster.set_transaction_version(level).await;
        self.protocol.set(protocol);
    }

    /// Waits until a writer is doing this.
    async fn reaches(&self, wanted: Phase) {
        let reaching = self.phases.iter().map(|phases| {
            let mut phases = phases.clone();
            Box::pin(async move { drop(phases.wait_for(|phase| *phase == wanted).await.expect("a writer")) })
        });
        tokio::time::timeout(LIMIT, select_all(reaching)).await.expect("writers get on");
    }

    /// Waits until every writer has ended some transactions that it has not begun yet.
    async fn flows(&self) {
        self.count(PROOF + 1).await;
    }

    async fn count(&self, transactions: usize) {
        let before: Vec<_> = self.ids.iter().map(|id| self.ledger.ended(id)).collect();
        wait::wait_for("transactions of every writer", LIMIT, async || {
            let now = self.ids.iter().map(|id| self.ledger.ended(id));
            now.zip(&before).all(|(now, before)| now >= before + transactions).then_some(())
        })
        .await;
    }

    /// Waits until all writers use a version of the protocol. In the second one each transaction has an epoch of its own.
    async fn is_used(&self, protocol: &'static str) {
        for id in self.ids {
            wait::wait_for(&format!("{id} uses {protocol}"), LIMIT, async || {
                let before = self.cluster.producer_epoch(id).await;
                self.count(SAMPLE).await;
                let raised = self.cluster.producer_epoch(id).await - before;
                // In the first one some have it, because records that were sent are given up with an abort.
                let raises_each = usize::try_from(raised).is_ok_and(|raised| raised > SAMPLE / 2);
                (raises_each == (protocol == SECOND)).then_some(())
            })
            .await;
        }
    }
}

/// Returns when a writer has been committing for long.
async fn is_stuck(mut phases: watch::Receiver<Phase>) {
    loop {
        drop(phases.wait_for(|phase| *phase == Phase::Committing).await.expect("a writer"));
        if tokio::time::timeout(STUCK, phases.wait_for(|phase| *phase != Phase::Committing)).await.is_err() {
            return;
        }
    }
}
