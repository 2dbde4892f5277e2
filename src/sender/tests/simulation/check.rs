//! What must hold after a run.

use std::collections::{BTreeMap, BTreeSet};

use kafka_mock::MockBatch;

use super::callers::Accepted;
use super::run::{ORDERS, Simulation};
use super::schedule::Op;
use crate::error::{DeliveryErrorKind, Persisted};
use crate::protocol::ErrorCode;
use crate::sender::transactions::BUSY_BACKOFF;

/// The ids of the records in one partition's log, in order of offsets.
type Log = Vec<usize>;

impl Simulation {
    /// Returns what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        self.check_results()?;
        // By acceptance, in which order they must be written.
        let rank: BTreeMap<_, _> =
            self.accepted.iter().enumerate().map(|(rank, record)| (record.id, rank)).collect();
        match self.transactional {
            None => (0..=self.setup.partitions).try_for_each(|place| self.check_place(place, &rank))?,
            Some(_) => self.check_transactions()?,
        }
        self.check_pace()?;
        #[cfg(feature = "telemetry")]
        self.check_told()?;
        if !self.accumulator.is_complete() {
            return Err("batches that have ended are kept".to_owned());
        }
        let memory = self.accumulator.memory();
        if memory.available() != memory.total() {
            return Err(format!("{} bytes are not given back", memory.total() - memory.available()));
        }
        // With some faults no client can know in time that a session ends.
        let is_known = |refusal: &&String| refusal.ends_with("the session of the client has ended");
        match self.brokers.refusals().iter().find(|refusal| !is_known(refusal)) {
            Some(refusal) => Err(format!("a broker cannot make sense of a request: {refusal}")),
            None => Ok(()),
        }
    }

    fn check_results(&self) -> Result<(), String> {
        for record in &self.accepted {
            let Some(delivery) = &record.delivery else { continue };
            if delivery.try_result().is_none() {
                return Err(format!("record {} never gets a result", record.id));
            }
            if !record.woken.take() {
                return Err(format!("the caller that waits for record {} is not woken", record.id));
            }
        }
        if self.callers.is_empty() { Ok(()) } else { Err("a caller waits for memory for ever".to_owned()) }
    }

    fn check_place(&self, place: i32, rank: &BTreeMap<usize, usize>) -> Result<(), String> {
        let (topic, partition) = self.place(place);
        let logs = self.logs(place);
        let name = format!("{topic}-{partition}");
        let is_renewed = logs.len() > 1;
        // By name, a request may be written to a topic that it was not made for.
        let keeps_order = !is_renewed || self.setup.produce_version >= 13;
        let records = || self.accepted.iter().filter(|record| record.place == place);
        // A broker that has forgotten a producer takes a batch again whose first answer was lost. What Kafka does by the
        // timestamps of records, clients cannot help.
        let may_double = self.ops.iter().any(|(_, op)| *op == Op::Expire);
        // Nor that it takes what it finds on a connection that the producer has left long ago, an epoch later.
        let strays: BTreeSet<_> =
            records().filter(|record| may_double && may_come_late(record)).map(|record| record.id).collect();
        for log in &logs {
            let mut seen = BTreeSet::new();
            let first: Log = log.iter().copied().filter(|id| seen.insert(*id)).collect();
            let log = if may_double { &first } else { log };
            if self.setup.is_idempotent {
                let ordered: Log = log.iter().copied().filter(|id| !strays.contains(id)).collect();
                let ranks: Vec<_> = ordered.iter().map(|id| rank.get(id)).collect();
                if let Some(at) = (1..ranks.len()).find(|at| keeps_order && ranks[at - 1] >= ranks[*at]) {
                    return Err(format!("{name} has {} behind {}: {log:?}", ordered[at], ordered[at - 1]));
                }
                let mut once = log.clone();
                once.sort_unstable();
                once.dedup();
                if once.len() != log.len() {
                    return Err(format!("{name} has something twice: {log:?}"));
                }
            }
            if log.iter().any(|id| !rank.contains_key(id)) {
                return Err(format!("{name} has a record that was not accepted: {log:?}"));
            }
        }
        self.check_acknowledged(&name, &logs, records())?;
        self.check_stops(&name, &logs, records())?;
        if let Some(record) =
            records().find(|record| record.is_bad && self.setup.acks != 0 && is_delivered(record))
        {
            return Err(format!("{name}: record {} is delivered, which brokers refuse", record.id));
        }
        if let Some(record) = records().find(|record| self.is_wronged(record)) {
            return Err(format!("{name}: record {} fails for another one", record.id));
        }
        if let Some(record) = records().find(|record| keeps_order && self.is_given_up(record)) {
            return Err(format!("{name}: record {} is given up, but could be sent again", record.id));
        }
        for record in records() {
            Self::check_failure(&name, logs.last().map_or(&[], Vec::as_slice), record)?;
        }
        Ok(())
    }

    /// What is acknowledged is where it is said to be, and in order.
    fn check_acknowledged<'a>(
        &self,
        name: &str,
        logs: &[Log],
        records: impl Iterator<Item = &'a Accepted>,
    ) -> Result<(), String> {
        let partition = name.rsplit('-').next().and_then(|index| index.parse().ok()).unwrap_or(0);
        let topic = name.split('-').next().unwrap_or(ORDERS);
        // With `acks=1` what a leader had alone is lost with it.
        let may_be_lost =
            self.setup.acks == 1 && (self.brokers.truncated(topic, partition) > 0 || logs.len() > 1);
        let mut last = vec![-1; logs.len()];
        for record in records {
            let Some(Ok(metadata)) = record.delivery.as_ref().and_then(|delivery| delivery.try_result())
            else {
                continue;
            };
            if self.setup.acks == 0 || may_be_lost {
                continue;
            }
            // DUPLICATE_SEQUENCE_NUMBER tells none.
            let tells_all = !self.ops.iter().any(|(_, op)| matches!(op, Op::Doubt { code: 46, .. }));
            let Some(offset) = metadata.offset() else {
                if !tells_all && logs.iter().any(|log| log.contains(&record.id)) {
                    continue;
                }
                return Err(format!("{name}: record {} is acknowledged without offset", record.id));
            };
            let found = logs.iter().position(|log| log.get(offset as usize) == Some(&record.id));
            let Some(found) = found else {
                return Err(format!(
                    "{name}: record {} is acknowledged at {offset} and not there: {logs:?}",
                    record.id
                ));
            };
            let keeps_order = logs.len() == 1 || self.setup.produce_version >= 13;
            if keeps_order && offset <= last[found] {
                return Err(format!(
                    "{name}: record {} is written too early, at {offset}: {logs:?}",
                    record.id
                ));
            }
            last[found] = offset;
        }
        Ok(())
    }

    /// Whether a record failed although brokers objected to another one of its batch, and it could be sent again.
    fn is_wronged(&self, record: &Accepted) -> bool {
        let refusal = self.setup.refusal;
        // Where brokers have forgotten the producer, younger records may be in the log.
        let is_excuse = |op: &Op| match op {
            Op::Refusal { code, .. } | Op::Doubt { code, .. } => *code == refusal,
            op => matches!(op, Op::Expire | Op::ForgetProducers | Op::Recreate { .. } | Op::Replace),
        };
        let Some(Err(error)) = record.delivery.as_ref().and_then(|delivery| delivery.try_result()) else {
            return false;
        };
        let is_refused =
            matches!(error.kind(), DeliveryErrorKind::Broker { .. } | DeliveryErrorKind::BatchRefused { .. });
        is_refused
            && !record.is_bad
            && error.persisted() == Persisted::No
            && error.error_code() == Some(ErrorCode::from(refusal))
            && self.setup.retries > 10
            && !self.setup.is_fail_stop
            && !self.ops.iter().any(|(_, op)| is_excuse(op))
            && !self.is_in_front_of_doubt(record)
    }

    /// Whether a record failed for an error that passes, was certainly not written, and had attempts left.
    fn is_given_up(&self, record: &Accepted) -> bool {
        let Some(Err(error)) = record.delivery.as_ref().and_then(|delivery| delivery.try_result()) else {
            return false;
        };
        self.setup.is_idempotent
            && self.setup.trust < 15_000
            && self.setup.retries > 10
            && error.persisted() == Persisted::No
            && matches!(
                error.kind(),
                DeliveryErrorKind::Broker {
                    code: ErrorCode::NotEnoughReplicas | ErrorCode::UnknownTopicId,
                    ..
                }
            )
            && !self.is_in_front_of_doubt(record)
    }

    /// Whether a record failed together with a younger one of its partition that may be in the log: it could only be written
    /// behind that one.
    fn is_in_front_of_doubt(&self, record: &Accepted) -> bool {
        let error = |record: &Accepted| record.delivery.as_ref()?.try_result()?.err();
        // What became of some is not known: their deliveries were dropped.
        let is_in_doubt = |younger: &Accepted| {
            younger.place == record.place
                && (younger.delivery.is_none()
                    || error(younger).is_some_and(|error| error.persisted() == Persisted::Maybe))
        };
        let says_so = error(record).is_some_and(|error| {
            matches!(
                error.kind(),
                DeliveryErrorKind::Broker { message: Some(message), .. } if message.ends_with("a younger batch may be in the log")
            )
        });
        says_so && self.accepted.iter().skip_while(|other| other.id != record.id).skip(1).any(is_in_doubt)
    }

    /// With `fail_stop`, nothing that was accepted behind a record that has failed is written before a caller resumes
    /// the partition.
    fn check_stops<'a>(
        &self,
        name: &str,
        logs: &[Log],
        records: impl Iterator<Item = &'a Accepted>,
    ) -> Result<(), String> {
        // Without topic ids a batch that is under way behind the one that fails may reach the topic that was made in the old
        // one's place, whose brokers know nothing of the producer and take any number.
        let is_made_anew = logs.len() > 1;
        let is_promised = self.setup.is_fail_stop
            && self.setup.trust < 15_000
            && (self.setup.produce_version >= 13 || !is_made_anew);
        let mut failed: Option<&Accepted> = None;
        for record in records.filter(|_| is_promised) {
            if failed.is_some_and(|failed| failed.session != record.session) {
                failed = None;
            }
            let Some(result) = record.delivery.as_ref().and_then(|delivery| delivery.try_result()) else {
                continue;
            };
            match result {
                Ok(_) if let Some(failed) = failed => {
                    return Err(format!(
                        "{name}: {} is written behind {}, which has failed: {logs:?}",
                        record.id, failed.id
                    ));
                }
                Err(error) if error.persisted() == Persisted::No => failed = failed.or(Some(record)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What has failed tells the truth about the log.
    fn check_failure(name: &str, log: &[usize], record: &Accepted) -> Result<(), String> {
        let Some(Err(error)) = record.delivery.as_ref().and_then(|delivery| delivery.try_result()) else {
            return Ok(());
        };
        if error.persisted() == Persisted::No && log.contains(&record.id) {
            return Err(format!("{name}: record {} is said not to be there, but is: {error:?}", record.id));
        }
        let value = error.record().and_then(|record| record.value);
        let id = value.as_deref().and_then(id_of);
        if id != Some(record.id) {
            return Err(format!("{name}: record {} comes back as {id:?}", record.id));
        }
        Ok(())
    }

    /// Nothing is done over and over.
    fn check_pace(&self) -> Result<(), String> {
        let seconds = self.now.as_secs() as usize + 1;
        if self.timeouts > 300 * seconds {
            return Err(format!("the sender wakes up {} times in {seconds} seconds", self.timeouts));
        }
        if self.connects > 50 + 5 * seconds {
            return Err(format!("{} attempts to connect in {seconds} seconds", self.connects));
        }
        let places = self.setup.partitions.unsigned_abs() as usize + 1;
        // A leader whose coordinator is busy is asked again after this.
        let busy = if self.transactional.is_some() { BUSY_BACKOFF.as_millis() as u64 } else { u64::MAX };
        let backoffs = (self.active.as_millis() / u128::from(self.setup.retry_backoff.min(busy))) as usize;
        let connections = self.lines.len();
        let limit = 50 + 2 * self.accepted.len() + places * (backoffs + self.changes + 5 * connections);
        let requests = self.counters.produce_requests_sent.value() as usize;
        if requests > limit {
            return Err(format!("{requests} produce requests in {:?}, not {limit} at most", self.active));
        }
        let requests = self.counters.metadata_requests_sent.value() as usize;
        let limit = 50 + 20 * seconds + 2 * connections + 2 * self.changes;
        if requests > limit {
            return Err(format!("{requests} metadata requests in {seconds} seconds"));
        }
        Ok(())
    }

    /// The log of a partition, behind those that it had in topics of the same name that were deleted.
    fn logs(&self, place: i32) -> Vec<Log> {
        let (topic, partition) = self.place(place);
        let buried = self.buried.iter().filter(|(name, index, _)| (*name, *index) == (topic, partition));
        let buried = buried.map(|(_, _, log)| log.as_slice());
        buried.chain([self.brokers.batches(topic, partition)]).map(ids).collect()
    }
}

/// Whether a broker may write it when the sender has given it up: it failed in doubt, or what became of it is not known.
fn may_come_late(record: &Accepted) -> bool {
    let Some(delivery) = &record.delivery else { return true };
    matches!(delivery.try_result(), Some(Err(error)) if error.persisted() == Persisted::Maybe)
}

fn is_delivered(record: &Accepted) -> bool {
    matches!(record.delivery.as_ref().and_then(|delivery| delivery.try_result()), Some(Ok(_)))
}

fn ids(batches: &[MockBatch]) -> Log {
    let records = batches.iter().flat_map(|batch| batch.records());
    records.map(|record| record.value.as_deref().and_then(id_of).expect("values begin with an id")).collect()
}

pub(super) fn id_of(value: &[u8]) -> Option<usize> {
    let (id, _) = std::str::from_utf8(value).ok()?.split_once(':')?;
    id.parse().ok()
}
