//! Offsets that are committed together with a transaction, as Kafka's tool tells them.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_producer::ConsumerGroupMetadata;
use kafka_producer::OffsetAndMetadata;
use kafka_producer::Topic;
use kafka_producer::TopicPartition;
use kafka_producer::TransactionError;
use kafka_producer::TransactionErrorKind;

use super::basics::Part;
use super::basics::TOPIC;
use super::ledger::Told;
use super::writer;

const GROUP: &str = "transformers";
/// A group with a member.
const ATTENDED: &str = "attended";
/// How long the member stays without a word.
const SESSION: Duration = Duration::from_secs(120);

impl Part<'_> {
    /// Offsets count if their transaction does, and only from members of their group.
    pub(super) async fn offsets(&self) {
        let group = format!("{GROUP}-{}", self.protocol);
        let nameless = ConsumerGroupMetadata::new(&*group);
        let mut row = Row { part: self, producer: self.recipe("offsets").producer(), number: 0 };
        row.with_offsets(&[(0, 5)], &nameless, true).await.expect("committed");
        row.with_offsets(&[(1, 9)], &nameless, false).await.expect("aborted");
        row.with_offsets(&[(2, 3)], &nameless, true).await.expect("committed");
        row.with_offsets(&[(0, 7), (2, 8)], &nameless, false).await.expect("aborted");
        row.with_offsets(&[(0, 6)], &nameless, true).await.expect("committed");
        let found = self.cluster.committed_offsets(&group).await;
        let expected = BTreeMap::from([((TOPIC.to_owned(), 0), 6), ((TOPIC.to_owned(), 2), 3)]);
        assert_eq!(found, expected, "{}", self.protocol);
        self.members(&mut row).await;
    }

    /// Coordinators since Kafka 2.5 know who may commit for a group (KIP-447).
    async fn members(&self, row: &mut Row<'_>) {
        let group = format!("{ATTENDED}-{}", self.protocol);
        let nameless = ConsumerGroupMetadata::new(&*group);
        if !self.cluster.version().checks_group_members() {
            let stranger = nameless.clone().member("stranger", 1);
            let error = row.with_offsets(&[(0, 1)], &stranger, true).await.expect_err("cannot be checked");
            assert!(matches!(error.kind(), TransactionErrorKind::GroupMetadataUnsupported), "{error:?}");
            row.with_offsets(&[(0, 1)], &nameless, true).await.expect("committed");
            return;
        }
        let (member, generation) = self.cluster.join_group(&group, SESSION).await;
        let lost = nameless.clone().member(&*member, generation - 1);
        let stranger = nameless.clone().member("stranger", generation);
        for group in [lost, stranger] {
            let error = row.with_offsets(&[(0, 1)], &group, true).await.expect_err("not its group");
            println!("  {}, offsets: {error}", self.protocol);
            assert!(
                matches!(error.kind(), TransactionErrorKind::Broker { is_final: false, .. }),
                "{error:?}"
            );
        }
        row.with_offsets(&[(1, 11)], &nameless.member(member, generation), true).await.expect("committed");
        let found = self.cluster.committed_offsets(&group).await;
        assert_eq!(found, BTreeMap::from([((TOPIC.to_owned(), 1), 11)]), "{}", self.protocol);
    }
}

/// Transactions of one producer, of one record and offsets each.
struct Row<'a> {
    part: &'a Part<'a>,
    producer: kafka_producer::TransactionalProducer,
    number: u64,
}

impl Row<'_> {
    async fn with_offsets(
        &mut self,
        offsets: &[(i32, i64)],
        group: &ConsumerGroupMetadata,
        is_commit: bool,
    ) -> Result<(), TransactionError> {
        let Part { ledger, protocol, .. } = self.part;
        self.number += 1;
        let name = (self.part.recipe("offsets").id, self.number);
        let transaction = self.producer.begin_transaction().await?;
        ledger.open(&name, protocol, 1, 1);
        ledger.tell(&name, Told::Aborted);
        transaction.send(writer::record(TOPIC, &name, 0, 1)).await.expect("delivered");
        let offsets = offsets.iter().map(|(partition, offset)| {
            let partition = TopicPartition { topic: Topic::from(TOPIC), partition: *partition };
            (partition, OffsetAndMetadata::new(*offset))
        });
        transaction.send_offsets(offsets, group).await?;
        if is_commit {
            transaction.commit().await?;
            ledger.tell(&name, Told::Committed);
        } else {
            transaction.abort().await?;
        }
        Ok(())
    }
}
