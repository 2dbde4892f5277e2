//! The loop of the clients whose deliveries are awaited, as of `ours`: the same for each of them.

use std::collections::VecDeque;
use std::error::Error;
use std::time::Instant;

use bytes::Bytes;

use crate::options::{Arguments, Mode, Options};
use crate::outcome::{Run, payloads, timed_one_of};

pub type AnyError = Box<dyn Error + Send + Sync>;

/// A client, and the topic that it sends to.
pub trait Client: Sync {
    type Payload: Sync;
    type Delivery: Send;

    /// Returns once the client has taken the record.
    fn send(&self, payload: &Self::Payload) -> impl Future<Output = Result<Self::Delivery, AnyError>> + Send;

    /// Waits for the acknowledgement.
    fn settle(&self, delivery: Self::Delivery) -> impl Future<Output = Result<(), AnyError>> + Send;
}

/// Runs a client with the options of the process, and with the most deliveries that may be outstanding. It runs on a task: that of `main` has
/// no thread of the runtime's.
///
/// # Errors
///
/// Those of the client.
pub async fn with_options<F>(run: impl FnOnce(Options, usize) -> F) -> Result<(), AnyError>
where
    F: Future<Output = Result<(), AnyError>> + Send + 'static,
{
    let mut arguments = Arguments::of_process();
    let options = Options::take(&mut arguments);
    let outstanding = arguments.take("outstanding", 10_000);
    arguments.finish();
    tokio::spawn(run(options, outstanding)).await?
}

/// The values of all records, for clients that take bytes which are shared.
#[must_use]
pub fn shared_payloads(options: &Options) -> Vec<Bytes> {
    payloads(options).into_iter().map(|payload| Bytes::from_static(payload.leak())).collect()
}

/// Sends all records, once one has warmed up the connection. At `outstanding` on their way the older half is awaited.
///
/// # Errors
///
/// Those of the client.
pub async fn run<C: Client>(
    name: &'static str,
    client: &C,
    options: &Options,
    outstanding: usize,
    payloads: &[C::Payload],
) -> Result<(), AnyError> {
    client.settle(client.send(&payloads[0]).await?).await?;

    let mut run = Run::start(name);
    let every = timed_one_of(options);
    let outstanding = if options.mode == Mode::Lone { 1 } else { outstanding };
    let mut deliveries = VecDeque::new();
    for (number, payload) in (1..=options.records).zip(payloads.iter().cycle()) {
        let sent = ((number - 1).is_multiple_of(every)).then(Instant::now);
        deliveries.push_back((client.send(payload).await?, sent));
        let most = match number {
            last if last == options.records => 0,
            _ if deliveries.len() >= outstanding => outstanding / 2,
            _ => continue,
        };
        while deliveries.len() > most {
            let Some((delivery, sent)) = deliveries.pop_front() else { break };
            client.settle(delivery).await?;
            if let Some(sent) = sent {
                run.latency(sent.elapsed());
            }
        }
    }
    run.finish(options.records, 0, "");
    Ok(())
}
