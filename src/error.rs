//! What can go wrong with a record, and what to do about it.
//!
//! `send`, `enqueue` and `try_enqueue` return a [`SendError`]; a [`Delivery`](crate::Delivery) resolves to a
//! [`DeliveryError`]. Both give the record back, say by [`Persisted`] whether it may stand in the log, and advise by
//! [`Disposition`] what to do.

use std::error::Error as StdError;
use std::sync::Arc;

mod broker_report;
mod delivery_error;
mod disposition;
mod remedy;
mod send_error;
mod spent;
mod transaction_error;
mod why;

pub use self::broker_report::{BrokerFailure, BrokerReport, BrokerState, ConnectionStep};
pub(crate) use self::delivery_error::{BatchFailure, Explained, FailedBatch};
pub use self::delivery_error::{DeliveryError, DeliveryErrorKind, TimeSpent};
pub use self::disposition::Disposition;
pub(crate) use self::send_error::OF_CALL;
pub use self::send_error::{SendError, SendErrorKind};
pub use self::transaction_error::{TransactionError, TransactionErrorKind};

pub(crate) use self::remedy::of_code as remedy_for;
pub(crate) use self::spent::Spent;
pub(crate) use self::why::{Why, no_broker, none_connected};

use self::delivery_error::Detail;

/// An error of the user's own code, or of a room below, as a cause.
pub(crate) type SharedError = Arc<dyn StdError + Send + Sync + 'static>;

/// Whether a record may stand in the log although its delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a record that is known to be in the log has not failed: there is no third"
)]
pub enum Persisted {
    /// It was never put on the wire, or the broker refused it: it is not in the log.
    No,
    /// The producer sent it, and no answer said whether the broker has written it. Sending it again may write it twice.
    Maybe,
}

#[cfg(test)]
mod tests;
