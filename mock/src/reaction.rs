//! What becomes of a request: decided by a broker, done by the shell.

use std::time::Duration;

use bytes::Bytes;

use crate::groups::Ticket;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Close the connection once earlier answers are out.
    Close,
    /// Answer nothing and do not go on with this connection, but leave it open.
    Hang,
    /// Send this frame, this long after the request came.
    Reply { frame: Bytes, delay: Duration },
    /// The client expects no answer.
    Silence,
    /// Something must happen first; ask again when something has, and at this time since the cluster started.
    Wait { until: Option<Duration> },
}

/// How far a request has come that may have to wait.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When it came.
    pub(crate) since: Duration,
    /// What it waits for in a group.
    pub(crate) ticket: Option<Ticket>,
}

impl Progress {
    pub(crate) fn since(now: Duration) -> Self {
        Self { since: now, ticket: None }
    }
}
