//! The loop of the clients whose deliveries are awaited: the same for each of them. `the_loop` measures what it takes by itself.

use std::collections::VecDeque;
use std::error::Error;
use std::time::Instant;

use bytes::Bytes;

use crate::options::{Arguments, Mode, Options};
use crate::outcome::{Run, payloads, timed_one_of};

/// Records that may be on their way, unless the command line says otherwise.
pub const OUTSTANDING: usize = 20_000;

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
    let outstanding = arguments.take("outstanding", OUTSTANDING);
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
    let mut window =
        Window::new(if options.mode == Mode::Lone { 1 } else { outstanding }, timed_one_of(options));
    for payload in payloads.iter().cycle().take(usize::try_from(options.records)?) {
        window.note_time();
        window.deliveries.push_back(client.send(payload).await?);
        if window.deliveries.len() >= window.outstanding {
            window.settle(client, window.outstanding / 2, &mut run).await?;
        }
    }
    window.settle(client, 0, &mut run).await?;
    run.finish(options.records, 0, "");
    Ok(())
}

/// What is on its way, oldest first, and when the timed ones among it were handed over.
struct Window<D> {
    outstanding: usize,
    deliveries: VecDeque<D>,
    times: VecDeque<Instant>,
    every: u64,
    /// Records until the next one that is timed is handed over, and until its delivery is awaited.
    to_send: u64,
    to_settle: u64,
}

impl<D> Window<D> {
    fn new(outstanding: usize, every: u64) -> Self {
        let deliveries = VecDeque::with_capacity(outstanding);
        Self { outstanding, deliveries, times: VecDeque::new(), every, to_send: 0, to_settle: 0 }
    }

    fn note_time(&mut self) {
        if self.to_send == 0 {
            self.times.push_back(Instant::now());
            self.to_send = self.every;
        }
        self.to_send -= 1;
    }

    /// Awaits the oldest deliveries until no more than `most` are on their way.
    async fn settle<C: Client<Delivery = D>>(
        &mut self,
        client: &C,
        most: usize,
        run: &mut Run,
    ) -> Result<(), AnyError> {
        while self.deliveries.len() > most {
            let Some(delivery) = self.deliveries.pop_front() else { break };
            client.settle(delivery).await?;
            if self.to_settle == 0 {
                self.times.pop_front().into_iter().for_each(|time| run.latency(time.elapsed()));
                self.to_settle = self.every;
            }
            self.to_settle -= 1;
        }
        Ok(())
    }
}
