//! `Logged`: what one producer logs at the default level, that is, at `INFO` and above.
//!
//! One subscriber listens for the whole process. It tells the producers of tests apart by the field `client_id`, and lines without that
//! field by the thread: each test has one, and its producer's task runs there.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Write as _};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

use kafka_mock::MockCluster;
use kafka_producer::{BootstrapServers, KafkaProducerBuilder};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::{builder, builder_at, seconds, skip_time, soon, until};

/// The log of the producers that have this name as their `client.id`.
pub(crate) struct Logged {
    client_id: String,
    /// What was there after two seconds, if the test has looked then.
    early: OnceLock<Vec<String>>,
}

impl Logged {
    /// Begins to listen.
    pub(crate) fn by(client_id: &str) -> Self {
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(Keep);
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        let mut logs = logs();
        logs.lines.insert(client_id.to_owned(), Vec::new());
        logs.threads.insert(thread::current().id(), client_id.to_owned());
        Self { client_id: client_id.to_owned(), early: OnceLock::new() }
    }

    /// As [`super::builder`].
    pub(crate) fn builder(&self, cluster: &MockCluster) -> KafkaProducerBuilder {
        builder(cluster).client_id(&self.client_id)
    }

    /// As [`super::builder_at`].
    pub(crate) fn builder_at(&self, bootstrap_servers: impl Into<BootstrapServers>) -> KafkaProducerBuilder {
        builder_at(bootstrap_servers).client_id(&self.client_id)
    }

    /// Returns the lines of the first two seconds, or, if all was over before, those so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.early.get().cloned().unwrap_or_else(|| self.all())
    }

    /// Forgets what there is so far: it belongs to another failure.
    pub(crate) fn forget(&self) {
        logs().lines.insert(self.client_id.clone(), Vec::new());
    }

    /// Waits for the first line.
    pub(crate) async fn told(&self) {
        until("the log tells something", || !self.all().is_empty()).await;
    }

    /// Lets two seconds pass, and waits for what is told of a producer that delivers nothing for so long.
    pub(crate) async fn two_seconds(&self) {
        skip_time(seconds(2)).await;
        until("the log tells of it", || self.all().iter().any(|line| line.contains(STALLED))).await;
        let mut lines = self.all();
        let told = lines.iter().position(|line| line.contains(STALLED)).unwrap_or_default();
        lines.truncate(told + 1);
        drop(self.early.set(lines));
    }

    /// As [`super::run_out`], and looks at the log two seconds after the condition holds.
    pub(crate) async fn run_out<F: Future>(
        &self,
        what: &str,
        call: F,
        condition: impl FnMut() -> bool,
        time: std::time::Duration,
    ) -> F::Output {
        let mut call = pin!(call);
        let waits = async {
            until("the call waits", condition).await;
            self.two_seconds().await;
        };
        tokio::select! {
            biased;
            output = &mut call => return output,
            () = waits => {}
        }
        skip_time(time).await;
        soon(what, call).await
    }

    fn all(&self) -> Vec<String> {
        logs().lines[&self.client_id].clone()
    }
}

/// So the line begins that says why nothing is delivered.
const STALLED: &str = "nothing delivered";

/// What was logged by producers that tests listen to.
struct Logs {
    lines: BTreeMap<String, Vec<String>>,
    /// Whom the thread has listened to last.
    threads: HashMap<ThreadId, String>,
}

fn logs() -> MutexGuard<'static, Logs> {
    static LOGS: OnceLock<Mutex<Logs>> = OnceLock::new();
    let logs = LOGS.get_or_init(|| Mutex::new(Logs { lines: BTreeMap::new(), threads: HashMap::new() }));
    logs.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // The mock's brokers log, too.
        if !event.metadata().target().starts_with("kafka_producer") {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut logs = logs();
        let Logs { lines, threads } = &mut *logs;
        let client_id = line.client_id.as_ref().or_else(|| threads.get(&thread::current().id()));
        let Some(lines) = client_id.and_then(|client_id| lines.get_mut(client_id)) else { return };
        lines.push(format!("{} {}{}", event.metadata().level(), line.message, line.fields));
    }
}

#[derive(Default)]
struct Line {
    client_id: Option<String>,
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "client_id" => self.client_id = Some(value.to_owned()),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            // How often the same came up before: it differs from run to run.
            "folded" => {}
            name => write!(self.fields, " {name}={value:?}").unwrap(),
        }
    }
}
