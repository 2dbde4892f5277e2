//! One stage of a pipeline: consume, transform, produce.

use std::collections::BTreeMap;

use kafka_producer::{
    ConsumerGroupMetadata, Disposition, KafkaProducer, OffsetAndMetadata, ProducerRecord, TopicPartition,
    TransactionError, TransactionalProducer,
};

use super::source::{Read, Source};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is read, and where the results go.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) servers: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) group: String,
    pub(crate) transactional_id: String,
    /// Whether to end where the source ends, rather than to wait for more.
    pub(crate) stops_at_end: bool,
}

impl Stage {
    /// Runs until the end of the source, if it is to end there. `committed` says how far the group has come. Returns how many records
    /// went through.
    pub(crate) async fn run(
        &self,
        committed: impl AsyncFn(&mut Source) -> Result<BTreeMap<i32, i64>, Failure>,
    ) -> Result<usize, Failure> {
        let mut producer = KafkaProducer::builder()
            .bootstrap_servers(&*self.servers)
            .transactional_id(&*self.transactional_id)
            .linger(std::time::Duration::ZERO)
            .build_transactional()?;
        let mut source = Source::open(&self.servers, &self.from).await?;
        // First take the id, then look how far the group has come: from here on the instance before this one, if it still lives, can
        // commit no more, and its last transaction has ended.
        drop(producer.begin_transaction().await?);
        let positions = committed(&mut source).await?;
        source.seek(&positions);

        let mut count = 0;
        loop {
            let records = source.poll().await?;
            if records.is_empty() {
                if self.stops_at_end {
                    return Ok(count);
                }
                continue;
            }
            match self.write(&mut producer, &records, &source).await {
                Ok(()) => count += records.len(),
                // Nothing of it counts: read the same records again.
                Err(error) if error.disposition() == Disposition::AbortTransaction => {
                    eprintln!("aborted: {error}");
                    let positions = committed(&mut source).await?;
                    source.seek(&positions);
                }
                // Another instance has the id, or nothing tells what became of the last transaction. One that starts anew takes the id
                // and looks how far the group has come, which answers both.
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes the results of some records, and how far the source was read, in one transaction.
    async fn write(
        &self,
        producer: &mut TransactionalProducer,
        records: &[Read],
        source: &Source,
    ) -> Result<(), TransactionError> {
        let transaction = producer.begin_transaction().await?;
        for record in records {
            let result = transform(&String::from_utf8_lossy(&record.value));
            // A record that is not accepted makes the commit fail, and so does one that is not delivered.
            let result = ProducerRecord::to(self.to.clone()).partition(record.partition).value(result);
            drop(transaction.enqueue(result).await);
        }
        let offset = |(partition, offset)| {
            (TopicPartition::new(self.from.clone(), partition), OffsetAndMetadata::new(offset))
        };
        // A consumer that is a member of its group says so here, and is refused once it has lost its partitions.
        let group = ConsumerGroupMetadata::new(self.group.as_str());
        transaction.send_offsets(source.positions().into_iter().map(offset), &group).await?;
        let mut outcome = transaction.commit().await;
        while let Err(error) = &outcome
            && error.disposition() == Disposition::RepeatCall
        {
            outcome = producer.finish_transaction().await;
        }
        outcome
    }
}

/// What is made of a record.
pub(crate) fn transform(value: &str) -> String {
    format!("invoice for {value}")
}
