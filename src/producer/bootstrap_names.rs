//! The task that looks up what `bootstrap.servers` stand for, with `client.dns.lookup=resolve_canonical_bootstrap_servers_only`. Until it
//! has found names, the sender has no broker to connect to.

use std::sync::Arc;

use rand::RngExt;
use tokio::time::sleep;

use crate::accumulator::RecordAccumulator;
use crate::backoff::Backoff;
use crate::config::HostPort;
use crate::log;
use crate::network::canonical::{NameService, canonical_names};
use crate::network::lookup::Lookups;
use crate::sender::{BootstrapNews, Control};

/// What the task needs.
pub(crate) struct BootstrapNames {
    pub(crate) bootstrap: Vec<HostPort>,
    pub(crate) lookups: Lookups,
    pub(crate) names: Arc<dyn NameService>,
    /// Between two attempts (`reconnect.backoff.ms`).
    pub(crate) backoff: Backoff,
    pub(crate) control: Arc<Control>,
    pub(crate) accumulator: Arc<RecordAccumulator>,
}

impl BootstrapNames {
    /// Tries until a name has an address.
    pub(crate) async fn run(self) {
        for failures in 0_u32.. {
            match canonical_names(&self.bootstrap, &self.lookups, &self.names).await {
                Ok(found) => {
                    log::debug!(?found, "bootstrap.servers have these names");
                    return self.tell(BootstrapNews::Names(found));
                }
                Err(cause) => self.tell(BootstrapNews::Unresolved(cause)),
            }
            let delay = self.backoff.delay(failures, rand::rng().random());
            sleep(delay).await;
        }
    }

    fn tell(&self, news: BootstrapNews) {
        self.control.note_bootstrap(news);
        self.accumulator.wake_sender();
    }
}
