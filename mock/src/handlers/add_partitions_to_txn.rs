//! AddPartitionsToTxn: makes partitions part of a transaction. Producers send versions up to 3, brokers the others.

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
};

use crate::broker::Broker;
use crate::error::code;
use crate::faults::{FaultPlan, Target};
use crate::transactions::{Identity, Participant};

/// From here on a request is about several transactions.
const FIRST_WITH_TRANSACTIONS: i16 = 4;

/// Producers of older versions do not know PRODUCER_FENCED.
const FIRST_WITH_FENCED: i16 = 2;

impl Broker<'_> {
    pub(crate) fn add_partitions_to_txn(
        &mut self,
        request: &AddPartitionsToTxnRequest,
        version: i16,
        plan: &FaultPlan,
    ) -> AddPartitionsToTxnResponse {
        let response = AddPartitionsToTxnResponse::default().with_throttle_time_ms(plan.throttle_time_ms());
        if version >= FIRST_WITH_TRANSACTIONS {
            let results = request.transactions.iter().map(|transaction| {
                AddPartitionsToTxnResult::default()
                    .with_transactional_id(transaction.transactional_id.clone())
                    .with_topic_results(self.add_to_transaction(transaction, version, plan))
            });
            return response.with_results_by_transaction(results.collect());
        }
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id.clone())
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics.clone());
        response.with_results_by_topic_v3_and_below(self.add_to_transaction(&transaction, version, plan))
    }

    fn add_to_transaction(
        &mut self,
        transaction: &AddPartitionsToTxnTransaction,
        version: i16,
        plan: &FaultPlan,
    ) -> Vec<AddPartitionsToTxnTopicResult> {
        let partitions: Vec<_> = partitions(&transaction.topics).collect();
        // One partition that is refused has none added.
        let refused = |topic: &str, index: i32| match plan.error(topic, Some(index)) {
            Some(error) => error.code,
            None if self.state.partition(topic, index).is_none() => code::UNKNOWN_TOPIC_OR_PARTITION,
            None => code::NONE,
        };
        if partitions.iter().any(|(topic, index)| refused(topic, *index) != code::NONE) {
            return results(&transaction.topics, |topic, index| match refused(topic, index) {
                code::NONE => code::OPERATION_NOT_ATTEMPTED,
                error => error,
            });
        }
        if plan.request_error() != code::NONE {
            return results(&transaction.topics, |_, _| plan.request_error());
        }
        let producer = Identity { producer_id: transaction.producer_id.0, epoch: transaction.producer_epoch };
        let participants: Vec<_> = partitions
            .iter()
            .map(|(topic, index)| Participant::Partition((*topic).to_owned(), *index))
            .collect();
        let id = &transaction.transactional_id;
        let error_of = |result: Result<(), i16>| match result {
            Ok(()) => code::NONE,
            Err(code::PRODUCER_FENCED) if version < FIRST_WITH_FENCED => code::INVALID_PRODUCER_EPOCH,
            Err(error) => error,
        };
        let admitted = self.check_transaction(id);
        if transaction.verify_only {
            return results(&transaction.topics, |topic, index| {
                let participant = Participant::Partition(topic.to_owned(), index);
                error_of(admitted.and_then(|()| self.state.transactions.verify(id, producer, &participant)))
            });
        }
        let now = self.state.now;
        let added = admitted.and_then(|()| self.state.transactions.add(id, producer, &participants, now));
        results(&transaction.topics, |_, _| error_of(added))
    }
}

pub(crate) fn targets(request: &AddPartitionsToTxnRequest) -> Vec<Target> {
    let newer = request.transactions.iter().flat_map(|transaction| partitions(&transaction.topics));
    let all = partitions(&request.v3_and_below_topics).chain(newer);
    all.map(|(topic, index)| Target { topic: topic.to_owned(), partition: Some(index) }).collect()
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = (&str, i32)> {
    topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.as_str(), *index)))
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    error: impl Fn(&str, i32) -> i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(error(topic.name.as_str(), *index))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    };
    topics.iter().map(of_topic).collect()
}
