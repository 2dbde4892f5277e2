//! What transactions are for, on a cluster that nothing happens to.

use std::time::Duration;

use kafka_producer::Disposition;
use kafka_producer::TransactionError;
use kafka_producer::TransactionErrorKind;

use super::FIRST;
use super::SECOND;
use super::ledger::Ledger;
use super::ledger::Name;
use super::ledger::Told;
use super::writer;
use super::writer::End;
use super::writer::Recipe;
use super::writer::Writer;
use crate::support::KafkaCluster;
use crate::support::wait;

pub(super) const TOPIC: &str = "transactions";

const ROUNDS: usize = 3;
/// Records, tasks and end of the transactions of one round.
const ROUND: [(u64, u64, End); 14] = [
    (1, 1, End::Commit),
    (100, 3, End::Commit),
    (10, 1, End::AbortWritten),
    (10, 1, End::Commit),
    (20, 2, End::DropWritten),
    (30, 1, End::Abort),
    (2, 1, End::AbortWritten),
    (1000, 4, End::CommitAndLeave),
    (0, 1, End::Commit),
    (5, 1, End::Drop),
    (2, 1, End::CommitAndLeave),
    (500, 2, End::Abort),
    (0, 1, End::Abort),
    (2000, 1, End::Commit),
];

/// Transactions of one record.
const COUNTED: u32 = 50;

/// Long enough for a first record on a busy machine; the coordinator gives up what takes longer.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);

/// What is tried on a cluster with one version of the protocol.
pub(super) struct Part<'a> {
    pub(super) cluster: &'a KafkaCluster,
    pub(super) ledger: &'a Ledger,
    pub(super) protocol: &'static str,
}

impl Part<'_> {
    pub(super) fn recipe(&self, what: &str) -> Recipe {
        Recipe {
            bootstrap: self.cluster.bootstrap_servers(),
            topic: TOPIC,
            id: format!("{what}-{}", self.protocol),
            max_block: Duration::from_secs(60),
            transaction_timeout: Duration::from_secs(60),
        }
    }

    pub(super) fn writer(&self, what: &str) -> Writer<'_> {
        Writer::new(self.recipe(what), self.ledger)
    }

    /// Commits, aborts, dropped guards and commits that their callers do not wait for, of one producer.
    pub(super) async fn row_of_transactions(&self) {
        let mut writer = self.writer("row");
        for (records, tasks, end) in ROUND.into_iter().cycle().take(ROUNDS * ROUND.len()) {
            let told = writer.write(self.protocol, records, tasks, end).await;
            let wanted = if end.is_commit() { Told::Committed } else { Told::Aborted };
            assert_eq!(told, wanted, "{records} records, {tasks} tasks, {end:?}");
        }
        assert_eq!(writer.producers, 1, "the first producer was good for all");
        if self.cluster.version().describes_transactions() {
            let epoch = self.cluster.producer_epoch("row-TV1".replace(FIRST, self.protocol).as_str()).await;
            // Each end of what brokers know of gives the next epoch since KIP-890. Before, the producer keeps the one with which it
            // came.
            let known =
                |(records, _, end): &&(u64, u64, End)| *records > 0 && !matches!(end, End::Abort | End::Drop);
            let known = ROUNDS * ROUND.iter().filter(known).count();
            match self.protocol {
                SECOND => assert!(usize::try_from(epoch).is_ok_and(|epoch| epoch >= known), "{epoch}"),
                _ => assert_eq!(epoch, 0),
            }
        }
    }

    /// What brokers are asked for transactions of one record each.
    pub(super) async fn requests(&self) {
        let mut writer = self.writer("requests");
        writer.write(self.protocol, 1, 1, End::Commit).await;
        let (sent, begin) = (writer.producer.metrics().requests_sent, wait::now());
        for _ in 0..COUNTED {
            writer.write(self.protocol, 1, 1, End::Commit).await;
        }
        let (sent, took) = (writer.producer.metrics().requests_sent - sent, begin.elapsed() / COUNTED);
        println!(
            "  {}, a record and its commit: {:.2} requests, {took:.1?}",
            self.protocol,
            sent as f64 / f64::from(COUNTED)
        );
        // The record, its end, and before KIP-890 the partition. A coordinator may be busy with the transaction before, and leaders are
        // asked for now and then.
        let least = if self.protocol == SECOND { 2 } else { 3 };
        assert!(sent >= least * u64::from(COUNTED), "{sent}");
    }

    /// Two processes with one id: the second aborts what the first has open, and the first is told that it is fenced.
    pub(super) async fn fencing(&self) {
        for (what, sends_again) in [("idle", false), ("busy", true)] {
            let recipe = self.recipe(&format!("fenced-{what}"));
            let mut old = recipe.producer();
            let name = (recipe.id.clone(), 1);
            let transaction = old.begin_transaction().await.expect("a transaction");
            self.ledger.open(&name, self.protocol, 2, 1);
            transaction.send(writer::record(TOPIC, &name, 0, 1)).await.expect("delivered");

            let mut new = recipe.producer();
            let name = (recipe.id.clone(), 2);
            let successor = new.begin_transaction().await.expect("the id is free");
            self.ledger.open(&name, self.protocol, 1, 1);
            successor.send(writer::record(TOPIC, &name, 0, 1)).await.expect("delivered");

            if sends_again {
                let sent = transaction.send(writer::record(TOPIC, &(recipe.id.clone(), 1), 1, 1)).await;
                let error = sent.expect_err("the epoch is old");
                println!("  {}, fencing, a record: {error}", self.protocol);
            }
            let error = transaction.commit().await.expect_err("the producer is fenced");
            println!("  {}, fencing, a commit: {error}", self.protocol);
            assert_is_fenced(&error);
            let next = old.begin_transaction().await.map(drop).expect_err("the producer is fenced");
            assert_is_fenced(&next);
            self.ledger.tell(&(recipe.id.clone(), 1), Told::Aborted);

            successor.commit().await.expect("the new producer is not fenced");
            self.ledger.tell(&name, Told::Committed);
        }
    }

    /// The coordinator gives a transaction up that takes longer than `transaction.timeout.ms`.
    pub(super) async fn time_out(&self) {
        let recipe = Recipe { transaction_timeout: TRANSACTION_TIMEOUT, ..self.recipe("late") };
        let mut producer = recipe.producer();
        let late: Name = (recipe.id.clone(), 1);
        let transaction = producer.begin_transaction().await.expect("a transaction");
        self.ledger.open(&late, self.protocol, 1, 1);
        transaction.send(writer::record(TOPIC, &late, 0, 1)).await.expect("delivered");
        self.cluster.wait_for_end_of_transactions(TOPIC, writer::partition(0, 1)).await;

        let error = transaction.commit().await.expect_err("the coordinator has given it up");
        println!("  {}, time-out: {error}", self.protocol);
        self.ledger.tell(&late, Told::Aborted);
        match self.protocol {
            SECOND => assert!(matches!(error.kind(), TransactionErrorKind::GivenUp), "{error:?}"),
            // Before KIP-890 nothing tells it from fencing.
            _ => {
                assert_is_fenced(&error);
                producer = recipe.producer();
            }
        }

        let next: Name = (recipe.id.clone(), 2);
        let transaction = producer.begin_transaction().await.expect("the producer goes on");
        self.ledger.open(&next, self.protocol, 1, 1);
        transaction.send(writer::record(TOPIC, &next, 0, 1)).await.expect("delivered");
        transaction.commit().await.expect("committed");
        self.ledger.tell(&next, Told::Committed);
    }
}

fn assert_is_fenced(error: &TransactionError) {
    assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::NewProducer);
}
