//! What became of each transaction, as its caller was told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Names a transaction: the producer's id and a number.
pub(super) type Name = (String, u64);

/// All transactions of a test.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<Name, Entry>>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The version of the protocol, for the figures.
    pub(super) protocol: &'static str,
    pub(super) records: u64,
    /// How many tasks have sent them, in turns.
    pub(super) tasks: u64,
    /// `None` while it is open.
    pub(super) told: Option<Told>,
    /// A broker that it needs was killed before its end.
    pub(super) was_hit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Committed,
    Aborted,
    /// The producer could not find out.
    InDoubt,
}

impl Ledger {
    pub(super) fn open(&self, name: &Name, protocol: &'static str, records: u64, tasks: u64) {
        let entry = Entry { protocol, records, tasks, told: None, was_hit: false };
        let before = self.entries().insert(name.clone(), entry);
        assert!(before.is_none(), "{name:?} is there twice");
    }

    pub(super) fn tell(&self, name: &Name, told: Told) {
        self.entries().get_mut(name).expect("it was opened").told = Some(told);
    }

    /// Notes what is open now: a broker was killed. Returns how many that are.
    pub(super) fn hit(&self) -> usize {
        let mut entries = self.entries();
        let open = entries.values_mut().filter(|entry| entry.told.is_none());
        open.map(|entry| entry.was_hit = true).count()
    }

    /// How many transactions of a producer have ended.
    pub(super) fn ended(&self, id: &str) -> usize {
        let entries = self.entries();
        entries.iter().filter(|((of, _), entry)| of == id && entry.told.is_some()).count()
    }

    pub(super) fn all(&self) -> BTreeMap<Name, Entry> {
        self.entries().clone()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Name, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
