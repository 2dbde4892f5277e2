//! What readers with `isolation.level=read_committed` see: each committed transaction whole, once and in order, and nothing of the
//! others.

use std::collections::{BTreeMap, BTreeSet};

use kafka_mock::sans_io::Brokers;

use super::callers::Accepted;
use super::check::id_of;
use super::client::{Entry, Verdict};
use super::run::{EVENTS, Simulation};
use super::schedule::Op;
use super::transactions::{GROUPS, settle};

/// What a reader sees of one partition: ids, or `None` for a record of another producer.
type Seen = Vec<Option<usize>>;

impl Simulation {
    /// Ends what coordinators have left to do.
    pub(super) fn settle_transactions(&mut self) {
        if self.transactional.is_some() {
            let mut now = self.now;
            settle(&mut self.brokers, &mut now);
        }
    }

    pub(super) fn committed_in(&self, brokers: &Brokers, place: i32) -> Seen {
        let (topic, partition) = self.place(place);
        let records = brokers.committed_records(topic, partition);
        records.iter().map(|record| record.value.as_deref().and_then(id_of)).collect()
    }

    /// Checks what readers see, and what was written at all.
    pub(super) fn check_transactions(&self) -> Result<(), String> {
        let Some(side) = &self.transactional else { return Ok(()) };
        if let Some(violation) = side.desk.papers(|papers| papers.violations.first().cloned()) {
            return Err(violation);
        }
        if !side.desk.papers(|papers| papers.is_over) {
            return Err("the caller never comes to its end".to_owned());
        }
        let rank: BTreeMap<_, _> =
            self.accepted.iter().enumerate().map(|(rank, record)| (record.id, rank)).collect();
        // Where each record is seen: in which log.
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for place in 0..=self.setup.partitions {
            self.check_raw(place, &rank)?;
            self.check_committed_log(place, &rank, &mut seen)?;
        }
        self.check_rival()?;
        if side.is_meddled_with {
            return Ok(());
        }
        side.desk.papers(|papers| {
            for (number, entry) in papers.ledger.iter().enumerate() {
                self.check_entry(number, entry, &seen)?;
            }
            self.check_offsets(&papers.ledger)
        })
    }

    /// Nothing is in a log twice, and all that is there was accepted. That holds for readers of any isolation level.
    fn check_raw(&self, place: i32, rank: &BTreeMap<usize, usize>) -> Result<(), String> {
        let (topic, partition) = self.place(place);
        let batches = self.brokers.batches(topic, partition);
        let mut once = BTreeSet::new();
        for batch in batches.iter().filter(|batch| !batch.is_control) {
            for record in batch.records() {
                let Some(id) = record.value.as_deref().and_then(id_of) else { continue };
                if !once.insert(id) {
                    return Err(format!("{topic}-{partition} has record {id} twice"));
                }
                if !rank.contains_key(&id) {
                    return Err(format!("{topic}-{partition} has record {id}, which was not accepted"));
                }
            }
        }
        let may_be_elsewhere = self.has_changed_logs();
        for record in self.accepted.iter().filter(|record| record.place == place) {
            let Some(Ok(metadata)) = record.delivery.as_ref().and_then(|delivery| delivery.try_result())
            else {
                continue;
            };
            if let Some(offset) = metadata.offset()
                && !may_be_elsewhere
            {
                let batch =
                    batches.iter().find(|batch| (batch.base_offset..=batch.last_offset()).contains(&offset));
                let found = batch.and_then(|batch| {
                    let records = batch.records();
                    let index = usize::try_from(offset - batch.base_offset).ok()?;
                    id_of(records.get(index)?.value.as_deref()?)
                });
                if found != Some(record.id) {
                    return Err(format!(
                        "{topic}-{partition}: record {} is acknowledged at {offset}, where {found:?} is",
                        record.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether partitions had other logs before.
    fn has_changed_logs(&self) -> bool {
        self.ops.iter().any(|(_, op)| matches!(op, Op::Recreate { .. } | Op::Replace))
    }

    fn check_committed_log(
        &self,
        place: i32,
        rank: &BTreeMap<usize, usize>,
        seen: &mut BTreeMap<usize, usize>,
    ) -> Result<(), String> {
        let Some(side) = &self.transactional else { return Ok(()) };
        let buried = side.buried.iter().filter(|(buried, _)| *buried == place).map(|(_, log)| log.clone());
        let former = side.former.iter().map(|brokers| self.committed_in(brokers, place));
        let logs: Vec<Seen> = buried.chain(former).chain([self.committed_in(&self.brokers, place)]).collect();
        let (topic, partition) = self.place(place);
        let keeps_order = !self.has_changed_logs() || self.setup.produce_version >= 13;
        for (number, log) in logs.iter().enumerate() {
            let ours: Vec<usize> = log.iter().flatten().copied().collect();
            let ranks: Vec<_> = ours.iter().map(|id| rank.get(id)).collect();
            if let Some(at) = (1..ranks.len()).find(|at| keeps_order && ranks[at - 1] >= ranks[*at]) {
                return Err(format!(
                    "readers of {topic}-{partition} see {} behind {}",
                    ours[at],
                    ours[at - 1]
                ));
            }
            for id in ours {
                let is_twice = seen.insert(id, number).is_some();
                if is_twice && !self.has_changed_logs() {
                    return Err(format!("readers of {topic}-{partition} see {id} twice"));
                }
            }
        }
        Ok(())
    }

    /// What another producer has aborted is not seen.
    fn check_rival(&self) -> Result<(), String> {
        let Some(side) = &self.transactional else { return Ok(()) };
        for record in self.brokers.committed_records(EVENTS, 0) {
            let text = record.value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
            let number =
                text.and_then(|text| text.strip_prefix('r')?.strip_suffix(':')?.parse::<usize>().ok());
            if let Some(number) = number
                && side.rival.ends.get(number) == Some(&false)
            {
                return Err(format!("readers see what the other producer has not committed, {number}"));
            }
        }
        Ok(())
    }

    fn check_entry(&self, number: usize, entry: &Entry, seen: &BTreeMap<usize, usize>) -> Result<(), String> {
        let Entry { records, verdict, .. } = entry;
        let found = records.iter().filter(|id| seen.contains_key(id)).count();
        let accepted = |id: &usize| self.accepted.iter().find(|record| record.id == *id);
        let missing: Vec<_> = records
            .iter()
            .filter(|id| !seen.contains_key(id))
            .filter(|id| accepted(id).is_some_and(|record| !self.may_be_gone(record)))
            .collect();
        match verdict {
            Verdict::Committed if !missing.is_empty() => Err(format!(
                "transaction {number} is committed, and readers do not see {missing:?} of {records:?}"
            )),
            Verdict::NotCommitted if found > 0 => {
                let shown: Vec<_> = records.iter().filter(|id| seen.contains_key(id)).collect();
                Err(format!(
                    "transaction {number} is not committed, and readers see {shown:?} of {records:?}"
                ))
            }
            Verdict::Unknown if found > 0 && !missing.is_empty() => {
                Err(format!("readers see a part of transaction {number}, without {missing:?} of {records:?}"))
            }
            Verdict::Committed => {
                let failed = records.iter().filter_map(accepted).find(|record| {
                    matches!(
                        record.delivery.as_ref().and_then(|delivery| delivery.try_result()),
                        Some(Err(_))
                    )
                });
                match failed {
                    Some(record) => {
                        Err(format!("transaction {number} is committed, and record {} failed", record.id))
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Its topic was deleted, and the record with it.
    fn may_be_gone(&self, record: &Accepted) -> bool {
        record.place < self.setup.partitions
            && self.ops.iter().any(|(_, op)| matches!(op, Op::Recreate { .. }))
    }

    /// A group stands where the last committed transaction with offsets of it has put it.
    fn check_offsets(&self, ledger: &[Entry]) -> Result<(), String> {
        let Some(side) = &self.transactional else { return Ok(()) };
        for group in GROUPS {
            // Each cluster has offsets of its own; the last one that has any is that of the last transaction.
            let clusters = side.former.iter().chain([&self.brokers]);
            let stands: Vec<i64> = clusters
                .filter_map(|brokers| {
                    let offsets = brokers.committed_offsets(group);
                    offsets.get(&(EVENTS.to_owned(), 0)).map(|committed| committed.offset)
                })
                .collect();
            for offset in &stands {
                let entry = ledger.iter().position(|entry| entry.offsets.get(group) == Some(offset));
                match entry.map(|number| (number, ledger[number].verdict)) {
                    None => return Err(format!("{group} stands at {offset}, which was never sent last")),
                    Some((number, Verdict::NotCommitted)) => {
                        return Err(format!(
                            "{group} stands at {offset} of transaction {number}, which is not committed"
                        ));
                    }
                    Some(_) => {}
                }
            }
            let last = stands.last().copied().unwrap_or(0);
            let is_committed = |entry: &&Entry| entry.verdict == Verdict::Committed;
            let wanted =
                ledger.iter().filter(is_committed).filter_map(|entry| entry.offsets.get(group)).max();
            if side.former.is_empty() && wanted.is_some_and(|wanted| *wanted > last) {
                return Err(format!("{group} stands at {last}, and {wanted:?} is committed"));
            }
        }
        Ok(())
    }
}
