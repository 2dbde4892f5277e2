//! What is asked next, and of whom.

use std::sync::Arc;
use std::time::Instant;

use super::coordinators::CoordinatorKey;
use super::{Asked, Due, EpochNeed, Haste, State, TransactionQuestion, Transactions, What};
use crate::error::{TransactionError, TransactionErrorKind};
use crate::protocol::ApiKey;
use crate::protocol::messages::init_producer_id::InitProducerIdRequest;
use crate::sender::effects::{Effect, Effects};
use crate::sender::nodes::Nodes;
use crate::sender::request::{Body, Purpose};
use crate::topic_partition::NodeId;

impl Transactions {
    pub(super) fn ask_for_due(&mut self, nodes: &mut Nodes<'_>, now: Instant, effects: &mut Effects) {
        let Some(due) = self.due() else { return };
        let key = self.coordinator_key(&due);
        match self.coordinators.of(&key) {
            Some(node) if !nodes.knows(node) => {
                // Metadata names it soon; until then the coordinator may move.
                effects.push(Effect::RequestMetadata);
                self.coordinators.forget(&key);
                self.pause(self.retry_backoff, now);
            }
            Some(node) if nodes.can_send(node, now) => self.ask(node, due, nodes, effects),
            Some(node) => effects.push(Effect::Connect(node)),
            None => self.look_for_coordinator(key, nodes, now, effects),
        }
    }

    fn look_for_coordinator(
        &mut self,
        key: CoordinatorKey,
        nodes: &mut Nodes<'_>,
        now: Instant,
        effects: &mut Effects,
    ) {
        let chosen = nodes.least_loaded(ApiKey::FindCoordinator, now);
        // That the bootstrap servers do not speak it says nothing: they may be controllers.
        if chosen.incapable.is_some_and(|node| node.0 >= 0) {
            let kind = TransactionErrorKind::Unsupported(ApiKey::FindCoordinator.name());
            return self.fail_for_good(TransactionError::new(kind), effects);
        }
        let Some(node) = chosen.node else { return };
        if !nodes.can_send(node, now) {
            return effects.push(Effect::Connect(node));
        }
        let body = Body::FindCoordinator(key.question());
        self.send(node, What::Coordinator(key), body, effects);
    }

    fn ask(&mut self, node: NodeId, due: Due, nodes: &Nodes<'_>, effects: &mut Effects) {
        if matches!(due, Due::ProducerId) {
            let version = nodes.version_for(node, ApiKey::InitProducerId);
            if self.producer.is_some() && version.is_some_and(|version| version < FIRST_WITH_EPOCH) {
                if let State::Initializing { begin: None, haste } = &mut self.state {
                    *haste = Haste::Wanted;
                    return;
                }
                if self.epoch_need == EpochNeed::Wanted {
                    return self.begin_first(effects);
                }
                let error = TransactionError::new(TransactionErrorKind::EpochNotGiven);
                return self.fail_for_good(error, effects);
            }
            let body = Body::InitProducerId(self.init_producer_id());
            return self.send(node, What::Due(due), body, effects);
        }
        let (id, Some(producer)) = (Arc::clone(&self.id), self.producer) else { return };
        let Some(open) = self.open_mut() else { return };
        let version = open.version;
        let members = &mut open.members;
        let body = match &due {
            Due::AddOffsets(group) => Body::AddOffsetsToTxn(members.add_group(&id, producer, group)),
            Due::AddPartitions => Body::AddPartitionsToTxn(members.add_partitions(&id, producer)),
            Due::CommitOffsets(_) => {
                let spoken = nodes.version_for(node, ApiKey::TxnOffsetCommit);
                if spoken.is_some_and(|spoken| spoken < version.first_offset_commit()) {
                    return self.note_rolled_back(ApiKey::TxnOffsetCommit, effects);
                }
                match members.commit_offsets(&id, producer, version, spoken) {
                    Some((request, max_version)) => Body::TxnOffsetCommit { request, max_version },
                    None => {
                        let error = TransactionError::new(TransactionErrorKind::GroupMetadataUnsupported);
                        return self.fail_transaction(error, effects);
                    }
                }
            }
            Due::End { commit } => {
                let max_version = version.last_end_txn();
                let request = members.end(&id, producer, *commit);
                if let State::Ending(ending) = &mut self.state {
                    ending.note_told();
                }
                Body::EndTxn { request, max_version }
            }
            Due::ProducerId => return,
        };
        self.send(node, What::Due(due), body, effects);
    }

    fn init_producer_id(&self) -> InitProducerIdRequest {
        let present = self.producer;
        InitProducerIdRequest {
            transactional_id: Some(self.id.to_string()),
            transaction_timeout_ms: i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX),
            producer_id: present.map_or(-1, |producer| producer.id),
            producer_epoch: present.map_or(-1, |producer| producer.epoch),
        }
    }

    fn send(&mut self, node: NodeId, what: What, body: Body, effects: &mut Effects) {
        let question = TransactionQuestion(self.next_question);
        self.next_question += 1;
        self.asked = Some(Asked { question, what });
        effects.push(Effect::Send { node, purpose: Purpose::Transactions(question), body });
    }
}

/// The first version of InitProducerId that raises an epoch only for the producer that has it (KIP-360).
const FIRST_WITH_EPOCH: i16 = 3;
