//! What a fault does to a request.

use std::time::Duration;

use bytes::Bytes;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Delay(Duration),
    Error(InjectedError),
    Forge(Forgery),
    Freeze(Duration),
    LeaveOut,
    Lose(Loss),
    MoveLeader { to: Option<i32>, when: When },
    Throttle(Duration),
    Trickle(Pace),
    WrongProof,
}

/// Whether something happens before or after a request is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    After,
    Before,
}

/// An error code to answer, and whether the request is carried out all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InjectedError {
    pub(crate) code: i16,
    pub(crate) carry_out: bool,
}

/// How an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// This many bytes are sent, then the connection is closed.
    Cut(usize),
    DisconnectAfter,
    DisconnectBefore,
    DropResponse,
    ResetAfter,
    ResetBefore,
    /// This many bytes are sent, then nothing more.
    Stall(usize),
}

/// How fast an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// At least 1.
    pub(crate) bytes: usize,
    pub(crate) pause: Duration,
}

/// A change of the bytes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Forgery {
    CorrelationId(i32),
    Garble(u64),
    Length(i32),
    Repeat,
    Replace(Bytes),
}
