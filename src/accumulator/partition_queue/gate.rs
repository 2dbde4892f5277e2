//! `Gate`: whether a queue takes records, and of which transaction.

use super::Appended;

/// What keeps records out of a queue. One comparison tells whether a record may come in.
#[derive(Debug)]
pub(super) struct Gate {
    /// The transaction whose records come in; [`SHUT`] if none do.
    open_for: u64,
    /// [`NO_TRANSACTION`](super::NO_TRANSACTION) without transactions, and between two of them.
    transaction: u64,
    is_closed: bool,
    /// The sender no longer knows the queue: another is made for the next record of the partition.
    is_retired: bool,
    /// A record has failed, and no more are taken until a caller resumes (`fail_stop`).
    is_stopped: bool,
}

/// The number of no transaction and of no record without one.
const SHUT: u64 = u64::MAX;

impl Gate {
    pub(super) fn new(is_closed: bool) -> Self {
        let mut gate = Self {
            open_for: SHUT,
            transaction: super::NO_TRANSACTION,
            is_closed,
            is_retired: false,
            is_stopped: false,
        };
        gate.update();
        gate
    }

    /// Returns whether a record of a transaction may come in.
    #[inline]
    pub(super) fn is_open_for(&self, transaction: u64) -> bool {
        self.open_for == transaction
    }

    /// Returns what keeps a record of a transaction out, if something does.
    pub(super) fn refusal(&self, transaction: u64) -> Option<Appended> {
        if self.is_retired {
            Some(Appended::Retired)
        } else if self.is_closed {
            Some(Appended::Closed)
        } else if self.is_stopped {
            Some(Appended::Stopped)
        } else if self.transaction != transaction {
            Some(Appended::TransactionOver)
        } else {
            None
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired
    }

    pub(super) fn set_transaction(&mut self, transaction: u64) {
        self.transaction = transaction;
        self.update();
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.update();
    }

    pub(super) fn set_retired(&mut self, is_retired: bool) {
        self.is_retired = is_retired;
        self.update();
    }

    /// Returns whether it was stopped before.
    pub(super) fn set_stopped(&mut self, is_stopped: bool) -> bool {
        let before = std::mem::replace(&mut self.is_stopped, is_stopped);
        self.update();
        before
    }

    fn update(&mut self) {
        let is_shut = self.is_closed || self.is_retired || self.is_stopped;
        self.open_for = if is_shut { SHUT } else { self.transaction };
    }
}

#[cfg(test)]
mod tests {
    use super::super::NO_TRANSACTION;
    use super::*;

    #[test]
    fn comparison_agrees_with_the_reasons_whatever_changes() {
        let changes: [fn(&mut Gate); 8] = [
            |gate| gate.set_transaction(7),
            |gate| {
                gate.set_stopped(true);
            },
            |gate| gate.set_retired(true),
            |gate| gate.set_transaction(NO_TRANSACTION),
            |gate| {
                gate.set_stopped(false);
            },
            |gate| gate.set_retired(false),
            |gate| gate.set_transaction(7),
            Gate::close,
        ];
        let mut gate = Gate::new(false);
        let mut open = Vec::new();

        for change in changes {
            for transaction in [NO_TRANSACTION, 7] {
                let is_open = gate.is_open_for(transaction);
                assert_eq!(is_open, gate.refusal(transaction).is_none());
                open.push(is_open);
            }
            change(&mut gate);
        }

        let shut = [false, false];
        let expected = [[true, false], [false, true], shut, shut, shut, shut, [true, false], [false, true]];
        assert_eq!(open, expected.concat());
        assert!(!gate.is_open_for(7));
    }

    #[test]
    fn queue_of_a_closed_producer_is_shut_from_the_beginning() {
        assert!(matches!(Gate::new(true).refusal(NO_TRANSACTION), Some(Appended::Closed)));
    }
}
