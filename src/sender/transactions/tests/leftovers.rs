//! Answers that come when what asked for them is over: they change nothing of what has come since.

use super::*;

const EVERY_CODE: std::ops::RangeInclusive<i16> = -1..=140;

/// An old epoch. In version 1 that is fencing.
const FENCING: [i16; 2] = [47, 90];

impl Rig {
    /// An open transaction of which the coordinator has not heard, while it is looked for the one of a group.
    fn looking_for_a_group() -> Self {
        let mut rig = Self::with_offsets();
        rig.transactions.finalized = TransactionVersion::Two;
        if let Some(open) = rig.transactions.open_mut() {
            open.version = TransactionVersion::Two;
        }
        rig.ask(What::Coordinator(CoordinatorKey { kind: CoordinatorType::Group, id: Arc::from(GROUP) }));
        rig
    }

    /// The same while the one of the transactional id is looked for, because a partition is wanted.
    fn looking_for_a_partition() -> Self {
        let mut rig = Self::open();
        rig.transactions.want(&TopicPartition::new(TOPIC, 0));
        let id = Arc::clone(&rig.transactions.id);
        rig.ask(What::Coordinator(CoordinatorKey { kind: CoordinatorType::Transaction, id }));
        rig
    }

    /// A group's coordinator is asked to take offsets.
    fn committing_offsets(version: TransactionVersion) -> Self {
        let mut rig = Self::with_offsets();
        if let Some(open) = rig.transactions.open_mut() {
            open.version = version;
            open.members.note_sent();
        }
        rig.ask(What::Due(Due::CommitOffsets(Arc::from(GROUP))));
        rig
    }

    /// The transaction is aborted.
    fn abort(&mut self) {
        self.call(Wish::Abort);
        self.step();
    }

    fn fail(&mut self) {
        let error = TransactionError::new(TransactionErrorKind::RolledBack("Produce"));
        self.transactions.fail_transaction(error, &mut self.effects);
        self.settle();
    }

    /// The request comes to nothing.
    fn lose(&mut self, reason: FailureReason) {
        let lost = RequestOutcome::Failed { reason, on_wire: true };
        self.transactions.handle_outcome(TransactionQuestion(0), NODE, lost, self.now, &mut self.effects);
        self.settle();
    }

    fn assert_open(&self, case: &str) {
        let State::Open(open) = &self.transactions.state else {
            panic!("{case}: {:?}", self.transactions.state)
        };
        assert_eq!(open.failure, None, "{case}");
        assert_eq!(self.transactions.pause.until, None, "{case}");
    }
}

const LOOKING: [fn() -> Rig; 2] = [Rig::looking_for_a_group, Rig::looking_for_a_partition];

#[test]
fn lookup_for_a_transaction_that_is_over_says_nothing_of_the_next_one() {
    for code in EVERY_CODE {
        for (index, looking) in LOOKING.into_iter().enumerate() {
            let mut rig = looking();
            rig.abort();
            rig.call(Wish::Begin);

            rig.answer(ApiKey::FindCoordinator, code);

            rig.assert_open(&format!("{index}: {code}"));
        }
    }
}

#[test]
fn lookup_for_a_transaction_that_is_over_does_not_end_a_producer_that_is_ready() {
    for code in EVERY_CODE {
        for (index, looking) in LOOKING.into_iter().enumerate() {
            let mut rig = looking();
            rig.abort();

            rig.answer(ApiKey::FindCoordinator, code);
            rig.call(Wish::Begin);

            rig.assert_open(&format!("{index}: {code}"));
        }
    }
}

#[test]
fn lookup_for_a_transaction_that_is_over_does_not_refuse_the_next_begin() {
    for code in EVERY_CODE {
        let mut rig = Rig::looking_for_a_group();
        rig.transactions.note_finalized(TransactionVersion::One, &mut Effects::default());
        rig.abort();
        rig.call(Wish::Begin);

        rig.answer(ApiKey::FindCoordinator, code);

        assert_eq!(rig.transactions.due(), Some(Due::ProducerId), "{code}");
        assert_eq!(rig.reply.as_ref().and_then(CallReply::outcome), None, "{code}");
    }
}

#[test]
fn lookup_for_a_transaction_that_has_failed_does_not_end_the_producer() {
    for code in EVERY_CODE {
        for (index, looking) in LOOKING.into_iter().enumerate() {
            let mut rig = looking();
            rig.fail();

            rig.answer(ApiKey::FindCoordinator, code);

            assert!(matches!(rig.transactions.state, State::Open(_)), "{index}: {code}");
            let error = rig.outcome().unwrap().unwrap_err();
            assert_eq!(error.kind(), &TransactionErrorKind::RolledBack("Produce"), "{index}: {code}");
        }
    }
}

#[test]
fn lookup_that_comes_to_nothing_after_its_transaction_says_nothing_of_the_next_one() {
    let reasons = || {
        [
            FailureReason::TimedOut,
            FailureReason::UnsupportedVersion(ApiKey::FindCoordinator),
            FailureReason::Unencodable(crate::wire::EncodeError::NotInVersion { what: "group", version: 0 }),
        ]
    };
    for (index, looking) in LOOKING.into_iter().enumerate() {
        for reason in reasons() {
            let mut rig = looking();
            rig.abort();
            rig.call(Wish::Begin);

            rig.lose(reason);

            rig.assert_open(&index.to_string());
        }
    }
}

#[test]
fn lookup_that_is_answered_late_is_of_use_to_the_next_transaction() {
    for looking in LOOKING {
        let mut rig = looking();
        let asked = rig.transactions.asked.as_ref().map(|asked| &asked.what);
        let Some(What::Coordinator(key)) = asked else { panic!("{asked:?}") };
        let key = key.clone();
        rig.abort();

        rig.answer(ApiKey::FindCoordinator, 0);

        assert_eq!(rig.transactions.coordinators.of(&key), Some(NODE));
    }
}

#[test]
fn lookup_for_the_next_transaction_too_is_judged_by_that() {
    let mut rig = Rig::looking_for_a_partition();
    rig.abort();
    rig.call(Wish::Begin);
    rig.transactions.want(&TopicPartition::new(TOPIC, 1));

    rig.answer(ApiKey::FindCoordinator, 53);

    assert!(matches!(rig.transactions.state, State::Failed(_)));
}

#[test]
fn offsets_of_a_transaction_that_is_aborted_do_not_keep_it_from_its_end() {
    for version in [TransactionVersion::One, TransactionVersion::Two] {
        for code in EVERY_CODE.filter(|code| !FENCING.contains(code)) {
            let mut rig = Rig::committing_offsets(version);
            rig.abort();

            rig.answer(ApiKey::TxnOffsetCommit, code);

            assert_eq!(rig.transactions.due(), Some(Due::End { commit: false }), "{version:?} {code}");
            assert_eq!(rig.transactions.pause.until, None, "{version:?} {code}");
        }
    }
}

#[test]
fn offsets_tell_of_fencing_also_when_their_transaction_is_aborted() {
    for code in FENCING {
        let mut rig = Rig::committing_offsets(TransactionVersion::One);
        rig.abort();

        rig.answer(ApiKey::TxnOffsetCommit, code);

        let error = rig.outcome().unwrap().unwrap_err();
        assert!(matches!(error.kind(), TransactionErrorKind::Fenced { .. }), "{error}");
    }
}

#[test]
fn producer_that_cannot_go_on_says_the_first_reason_whatever_is_answered_later() {
    for api in REQUESTS {
        for code in EVERY_CODE {
            let mut rig = Rig::of(api, false);
            let first = TransactionError::new(TransactionErrorKind::EpochNotGiven);
            rig.transactions.fail_for_good(first.clone(), &mut rig.effects);
            rig.settle();

            rig.answer(api, code);

            let State::Failed(error) = &rig.transactions.state else { panic!("{api:?} {code}") };
            assert_eq!(*error, first, "{api:?} {code}");
        }
    }
}
