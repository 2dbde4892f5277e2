//! What becomes of a request: decided by a broker, done by the shell.

use std::time::Duration;

use bytes::Bytes;

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
    /// There are too few records; ask again when there are more or this time is over.
    Wait { at_most: Duration },
}
