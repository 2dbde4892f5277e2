//! What brokers do as coordinators, on the state that all of them share.

use std::time::Duration;

use super::ClusterState;
use crate::coordinators::{Coordinated, Place};
use crate::error::{MockError, code};
use crate::transactions::{Identity, Outcome, Participant, Protocol};

impl ClusterState {
    /// Returns who coordinates something; it is decided now, at the first question.
    pub(crate) fn coordinator_of(&mut self, what: &Coordinated) -> Place {
        let live: Vec<_> = self.live_brokers().map(|(id, _)| id).collect();
        self.coordinators.place(what, &live)
    }

    /// The error with which a broker answers that does not coordinate, or not yet.
    pub(crate) fn check_coordinator(&mut self, what: &Coordinated, broker: i32) -> Result<(), i16> {
        self.coordinator_of(what).check(broker, self.now)
    }

    /// Moves a coordinator to another broker.
    pub(crate) fn move_coordinator(&mut self, what: &Coordinated, to: i32) -> Result<(), MockError> {
        self.node(to)?;
        self.coordinators.move_to(what, Some(to), self.now);
        self.turn_members_away(what);
        Ok(())
    }

    /// Brokers have come or gone.
    pub(super) fn settle_coordinators(&mut self) {
        let live: Vec<_> = self.live_brokers().map(|(id, _)| id).collect();
        for what in self.coordinators.settle(&live, self.now) {
            self.turn_members_away(&what);
        }
    }

    /// Members of a group that wait at the coordinator before learn that there is another.
    fn turn_members_away(&mut self, moved: &Coordinated) {
        if let Coordinated::Group(id) = moved {
            self.groups.move_coordinator(id, self.now);
        }
    }

    /// InitProducerId of a transactional producer.
    pub(crate) fn init_transactions(
        &mut self,
        id: &str,
        timeout: Duration,
        known: Option<Identity>,
    ) -> Result<Identity, i16> {
        let cluster = self.features.protocol();
        let new_id = || next(&mut self.next_producer_id);
        let outcome = self.transactions.init(id, timeout, known, cluster, new_id);
        self.write_markers_at_once();
        outcome
    }

    /// EndTxn.
    pub(crate) fn end_transaction(
        &mut self,
        id: &str,
        producer: Identity,
        outcome: Outcome,
        protocol: Protocol,
    ) -> Result<Identity, i16> {
        let new_id = || next(&mut self.next_producer_id);
        let ended = self.transactions.end(id, producer, outcome, protocol, new_id);
        self.write_markers_at_once();
        ended
    }

    /// Aborts a transaction as if it had been open for too long. Returns whether it was open.
    pub(crate) fn time_out_transaction(&mut self, id: &str) -> bool {
        let cluster = self.features.protocol();
        let is_aborted = self.transactions.time_out(id, cluster, || next(&mut self.next_producer_id));
        self.write_markers_at_once();
        is_aborted
    }

    /// Aborts the transactions that are open for longer than their producers have allowed, if their coordinators are there.
    pub(crate) fn time_out_late_transactions(&mut self) -> usize {
        let late = self.transactions.late(self.now);
        let is_ready = |id: &String| {
            let place = self.coordinators.known(&Coordinated::Transaction(id.clone()));
            place.is_some_and(|place| place.ready(self.now).is_ok())
        };
        let late: Vec<_> = late.into_iter().filter(is_ready).collect();
        late.iter().filter(|id| self.time_out_transaction(id)).count()
    }

    /// What a leader asks a coordinator before it writes the first records of a transaction, or what a coordinator of groups asks
    /// before it takes offsets: the participant is added, or must have been added.
    pub(crate) fn ask_coordinator(
        &mut self,
        id: &str,
        producer: Identity,
        participant: &Participant,
        is_added: bool,
    ) -> Result<(), i16> {
        self.coordinator_of(&Coordinated::Transaction(id.to_owned())).ready(self.now)?;
        let participants = std::slice::from_ref(participant);
        let answer = match is_added {
            true => self.transactions.add(id, producer, participants, self.now),
            false => self.transactions.verify(id, producer, participant),
        };
        answer.map_err(
            |error| if error == code::PRODUCER_FENCED { code::INVALID_PRODUCER_EPOCH } else { error },
        )
    }
}

/// Hands out producer ids in ascending order.
pub(super) fn next(id: &mut i64) -> i64 {
    let given = *id;
    *id += 1;
    given
}
