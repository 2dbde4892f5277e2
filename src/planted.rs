//! Bugs that the simulation must find, or the models of threads in `loom/`. None of this exists outside of this crate's own tests.
//!
//! `planted!(Name)` is `false`, known when compiling, in every other build. In tests it is true on threads that have
//! planted that bug, so that tests beside each other do not see it. The threads of a model run on one thread of the system.

/// Whether a bug is planted.
#[cfg(not(any(test, loom)))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

#[cfg(any(test, loom))]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_planted($crate::planted::Bug::$bug)
    };
}

pub(crate) use planted;

#[cfg(any(test, loom))]
pub(crate) use self::switch::{Bug, is_planted, plant};

#[cfg(any(test, loom))]
mod switch {
    use std::cell::Cell;

    /// What is wrong while it is planted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[cfg_attr(loom, expect(dead_code, reason = "some are planted in unit tests alone"))]
    pub(crate) enum Bug {
        /// The sender asks for news of an awaited batch only after its look at it.
        AwaitedAskedTooEarly,
        /// The numbers of one cluster are used in another.
        ClusterChangeIgnored,
        /// Every codec panics. That is no bug of this crate, and the simulation finds nothing, since a panic of a codec must change
        /// nothing.
        CodecPanics,
        /// A caller asks whether the sender is coming before its queue is on the list.
        ComingAskedTooEarly,
        /// Nodes are asked for what they do not speak.
        ControllersAreAsked,
        /// Memory that compression frees is not given back.
        CreditNotReturned,
        /// A request that a broken connection took along counts as not written.
        DisconnectedIsNotWritten,
        /// DUPLICATE_SEQUENCE_NUMBER is an error.
        DuplicateIsFailure,
        /// Credentials stay in force when they have ended.
        EndedTokenInForce,
        /// A batch that has ended, and its outcome, stay in memory.
        EndedBatchesKept,
        /// A new epoch begins while batches of the old one are under way.
        EpochBumpWithoutDraining,
        /// An answer to SaslHandshake that comes after the first words were said is taken for the answer to these.
        ConsentTakenForWelcome,
        /// A leader epoch that was seen once is believed for ever.
        EpochsNeverGoBack,
        /// A batch that expires while it is under way counts as not written.
        ExpiredIsNotWritten,
        /// The sender's wake-up is taken before its waker is registered.
        FlagTakenTooEarly,
        /// A flush wakes the sender only for queues that were not announced.
        FlushIsNotTold,
        /// A partition that has idled out begins again with the numbers that it began with.
        ForgottenNumbers,
        /// A gap in the numbers does not lead to a new epoch.
        GapNotHealed,
        /// What was granted to a wait that is given up is not given back.
        GrantDiesWithItsWait,
        /// A retry does not back off.
        HintLoop,
        /// An answer of a topic that is gone counts as one of the topic that has its name now.
        LateAnswerCounts,
        /// A waker is parked although the value is there.
        LateWakerParked,
        /// A log that panics is not fenced in. That is no bug of this crate either: tests use it to have the sender panic in the
        /// middle of its work.
        LogNotFenced,
        /// The sender takes note of an announcement only after it has looked.
        LookNotedTooLate,
        /// Timers of partitions are not reported.
        LostWakeUp,
        /// Answers belong to batches by position.
        MismatchedAnswer,
        /// A refusal that names no record fails all of the batch.
        NamelessFailsAll,
        /// New batches go behind one that is sent again.
        NoMuteOnRetry,
        /// Brokers that do not bear it are asked more than they have answered, again and again.
        NeverPatient,
        /// A second batch goes before the first of an epoch is acknowledged.
        NoPause,
        /// Brokers are believed to remember a producer however old the timestamps of its last batch are.
        OldIsRemembered,
        /// A session goes on for as long as the connection does, whatever the broker has said.
        SessionNotRenewed,
        /// In SCRAM the broker need not prove that it knows the password.
        SignatureNotChecked,
        /// Requests are sent while a session is being renewed.
        SentDuringRenewal,
        /// The sender's task does not look for orders after it has got up.
        OrderLeftBehind,
        /// A batch is sent, or sent again, although a younger one is in the log.
        OvertakenIsSent,
        /// One answer with an error in place of a topic makes the topic unknown.
        PassingErrorCounts,
        /// Brokers are not left alone for as long as they wish.
        QuotaIgnored,
        /// Brokers may create topics that are known already, or were.
        RefreshCreatesTopics,
        /// An exchange does not tell the login that a broker refuses a token.
        RefusedTokenKept,
        /// A session is renewed while requests are under way.
        RenewedWithoutDraining,
        /// A topic that was given up gets more queues.
        RetiredTopicGrows,
        /// A topic that has idled out is forgotten together with the records in it.
        RetiredWithRecords,
        /// A batch that is sent again goes behind those that were not sent so far.
        RetryBehindNewBatch,
        /// What is given back at close, or by a purge, comes as it was found: what is under way before what is queued.
        ReturnedOutOfOrder,
        /// A batch is announced before it is compressed.
        SealedTooLate,
        /// The sender does not look after batches that others are to compress.
        SealingForEver,
        /// The numbers of a batch that has failed are given out again.
        SequenceReuse,
        /// The producer counts as shut before its queues refuse records.
        ShutTooEarly,
        /// The pieces of a batch are written in reverse order.
        SplitLosesOrder,
        /// With `fail_stop`, what is under way behind a failure is sent again.
        StopSparesInFlight,
        /// Batches that come back change places.
        SwappedRetries,
        /// The queue of a partition takes records of the transaction that was open before the queue was made.
        TransactionReadTooEarly,
        /// What lies in a socket is not read before its request is given up.
        UnreadAnswersDoNotCount,
        /// A request that a stream has taken, and has not given to the socket in whole, counts as one of which no byte was written.
        UnflushedIsUnsent,
        /// Batches under way get no result when the producer is closed.
        UnresolvedAtClose,
        /// Exchanges that wait for credentials do not hear that some have come.
        WaitForCredentialsNotEnded,
        /// The sender is woken for a wait for memory before the wait counts.
        WaitToldTooEarly,
        /// A thread that has found no work counts as running until a moment later.
        WorkerLeavesTooLate,
        /// Records of a batch that was cut are told offsets as if it had not been.
        WrongOffset,
        /// A transaction is committed before all of its records have answers.
        CommitUnanswered,
        /// The same broker is asked again after it has said that it does not coordinate.
        CoordinatorKept,
        /// A commit that the coordinator may have heard of counts as one that it has not.
        DoubtIsDenied,
        /// A transaction whose guard is dropped stays open.
        DroppedGuardKept,
        /// A transaction that ends while another cluster is found leaves its records in their queues.
        EndingLeftBehind,
        /// The epoch that comes with the end of a transaction is not taken.
        EpochOfEndIgnored,
        /// A transaction is committed although records of it have failed.
        FailedRecordCommits,
        /// A producer that is fenced takes the transactional id anew.
        FencedGoesOn,
        /// A transactional producer forgets topics, and begins with the same numbers again.
        ForgottenInTransaction,
        /// The epoch of a transaction with a record in doubt is used for the next.
        LateRecordCounts,
        /// A transaction whose guard was forgotten is in the way of the next.
        LeakedGuardBlocks,
        /// A transaction is committed before the coordinator of a group has its offsets.
        OffsetsNotAwaited,
        /// Records are sent before the coordinator knows that their partition is part of the transaction.
        PartitionNotAdded,
        /// Records that are queued when a transaction is aborted stay there.
        QueueOutlivesAbort,
        /// The abort of a transaction that the coordinator has never heard of ends the producer.
        UnknownAbortIsFatal,
    }

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug on this thread, in place of the one before.
    pub(crate) fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
