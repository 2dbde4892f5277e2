//! The loop of the clients that write transactions: the same for each of them.

use std::time::Instant;

use crate::deliveries::AnyError;
use crate::options::Options;
use crate::outcome::Run;

/// A client whose transactions the brokers coordinate.
pub trait Client: Send {
    type Payload: Sync;

    /// Begins a transaction, hands over as many records without waiting for them, and returns once it is committed. Its payloads are
    /// those from `first` on, over and over.
    fn transaction(
        &mut self,
        payloads: &[Self::Payload],
        first: usize,
        records: usize,
    ) -> impl Future<Output = Result<(), AnyError>> + Send;
}

/// Transactions that warm up the connections to leaders and coordinator.
const WARM_UP: usize = 5;

/// Writes all records in transactions of `transaction_size`, each once the one before is committed. What is timed is the transaction.
///
/// # Errors
///
/// Those of the client.
pub async fn run<C: Client>(
    name: &'static str,
    client: &mut C,
    options: &Options,
    payloads: &[C::Payload],
) -> Result<(), AnyError> {
    for _ in 0..WARM_UP {
        client.transaction(payloads, 0, 1).await?;
    }
    let size = usize::try_from(options.transaction_size.max(1))?;
    let transactions = (usize::try_from(options.records)? / size).max(1);
    let mut run = Run::start(name);
    for number in 0..transactions {
        let begin = Instant::now();
        client.transaction(payloads, number * size % payloads.len(), size).await?;
        run.latency(begin.elapsed());
    }
    run.finish(u64::try_from(transactions * size)?, 0, "");
    Ok(())
}

/// A `transactional.id` for each topic: the transactions of another run are none of ours.
#[must_use]
pub fn id(options: &Options) -> String {
    format!("transactions-{}-{}", options.topic, std::process::id())
}
