//! The task that looks up what `bootstrap.servers` stand for, with `client.dns.lookup=resolve_canonical_bootstrap_servers_only`. Until it
//! has found names, the sender has no broker to connect to.
//!
//! ```text
//!   look ──▶ names ──▶ the sender ──▶ a broker answers ──▶ all starts over ──┐
//!    ▲  ▲                     │                                              │
//!    │  └── no answer so far ─┘ after a pause                                │
//!    └───────────────────────────────────────────────────────────────────────┘
//! ```

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::log;
use crate::metadata::Cluster;
use crate::network::canonical::{CanonicalNames, NameService};
use crate::network::lookup::Lookups;
use crate::sender::BootstrapNews;

/// What the task needs.
pub(crate) struct BootstrapNames {
    pub(crate) canonical: CanonicalNames,
    pub(crate) lookups: Lookups,
    pub(crate) names: Arc<dyn NameService>,
    /// Between two attempts while an entry has no address (`reconnect.backoff.ms`).
    pub(crate) backoff: Backoff,
    /// The views that the sender publishes.
    pub(crate) clusters: watch::Receiver<Arc<Cluster>>,
    /// Tells the sender.
    pub(crate) tell: Box<dyn Fn(BootstrapNews) + Send + Sync>,
}

impl BootstrapNames {
    /// Looks names up until a broker has answered, and again whenever all starts over: other brokers may stand behind the same names by
    /// then.
    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let looking = self.canonical.look(&self.lookups, &self.names, |found| {
                log::debug!(?found, "bootstrap.servers have these names");
                (self.tell)(BootstrapNews::Names(found.to_vec()));
            });
            if let Err(cause) = looking.await {
                (self.tell)(BootstrapNews::Unresolved(cause));
            }
            let delay = if self.canonical.is_incomplete() {
                self.backoff.delay(failures, rand::rng().random())
            } else {
                WHILE_NO_BROKER_ANSWERS
            };
            failures = if self.starts_over_within(delay).await { 0 } else { failures.saturating_add(1) };
        }
    }

    /// Waits for so long while no broker has answered, and then no longer. Returns whether a broker has answered, and all has started
    /// over since.
    async fn starts_over_within(&mut self, delay: Duration) -> bool {
        tokio::select! {
            biased;
            () = until(&mut self.clusters, knows_brokers) => {}
            () = sleep(delay) => return false,
        }
        until(&mut self.clusters, |cluster| !knows_brokers(cluster)).await;
        true
    }
}

impl fmt::Debug for BootstrapNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootstrapNames").field("canonical", &self.canonical).finish_non_exhaustive()
    }
}

async fn until(clusters: &mut watch::Receiver<Arc<Cluster>>, is_so: impl Fn(&Cluster) -> bool) {
    if clusters.wait_for(|cluster| is_so(cluster)).await.is_err() {
        // The sender has ended, and this task ends with it.
        pending::<()>().await;
    }
}

/// Whether a broker has answered, since the beginning or since all has started over.
fn knows_brokers(cluster: &Cluster) -> bool {
    cluster.nodes().iter().any(|node| node.id().0 >= 0)
}

/// Between two looks at names that all have addresses: of brokers none of which answers.
const WHILE_NO_BROKER_ANSWERS: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;
    use std::net::IpAddr;
    use std::sync::Mutex;

    use tokio::sync::mpsc;

    use super::*;
    use crate::config::HostPort;
    use crate::metadata::Node;
    use crate::topic_partition::NodeId;

    /// The last byte of the address of each name. Each address is called by it.
    #[derive(Debug, Default)]
    struct Names {
        addresses: Mutex<BTreeMap<&'static str, u8>>,
        looks: Mutex<usize>,
    }

    impl Names {
        fn set(&self, name: &'static str, last: u8) {
            self.addresses.lock().unwrap().insert(name, last);
        }

        fn looks(&self) -> usize {
            *self.looks.lock().unwrap()
        }
    }

    impl NameService for Names {
        fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            let of_name = host.strip_prefix("broker-").map(|last| last.parse().unwrap());
            if of_name.is_none() {
                *self.looks.lock().unwrap() += 1;
            }
            let last = of_name.or_else(|| self.addresses.lock().unwrap().get(host).copied());
            let last = last.ok_or_else(|| io::Error::other("no such name"))?;
            Ok(vec![IpAddr::from([10, 0, 0, last])])
        }

        fn name(&self, address: &IpAddr) -> io::Result<String> {
            let address = address.to_string();
            Ok(format!("broker-{}", address.rsplit('.').next().unwrap()))
        }
    }

    struct Rig {
        names: Arc<Names>,
        clusters: watch::Sender<Arc<Cluster>>,
        news: mpsc::UnboundedReceiver<BootstrapNews>,
    }

    impl Rig {
        fn start(bootstrap: &str, names: Names) -> Self {
            let names = Arc::new(names);
            let (clusters, receiver) = watch::channel(Arc::new(view(-1)));
            let (tell, news) = mpsc::unbounded_channel();
            let task = BootstrapNames {
                canonical: CanonicalNames::new(HostPort::parse_list(bootstrap).unwrap()),
                lookups: Lookups::new(),
                names: Arc::<Names>::clone(&names),
                backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
                clusters: receiver,
                tell: Box::new(move |news| drop(tell.send(news))),
            };
            drop(tokio::spawn(task.run()));
            Self { names, clusters, news }
        }

        async fn told(&mut self) -> String {
            match self.news.recv().await.unwrap() {
                BootstrapNews::Names(names) => {
                    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
                }
                BootstrapNews::Unresolved(cause) => cause,
            }
        }

        fn publish(&self, node: i32) {
            self.clusters.send_replace(Arc::new(view(node)));
        }
    }

    /// A view with a node of this id. Those that only `bootstrap.servers` know have negative ones.
    fn view(node: i32) -> Cluster {
        let address = HostPort::parse_list("any:1").unwrap().remove(0);
        Cluster::new([Node::at(NodeId(node), address)], [])
    }

    #[tokio::test(start_paused = true)]
    async fn entries_without_an_address_are_looked_up_again_while_no_broker_answers() {
        let names = Names::default();
        names.set("a", 1);
        let mut rig = Rig::start("a:9092,b:9092", names);
        assert_eq!(rig.told().await, "broker-1:9092");

        sleep(Duration::from_secs(5)).await;
        rig.names.set("b", 2);

        assert_eq!(rig.told().await, "broker-1:9092,broker-2:9092");
    }

    #[tokio::test(start_paused = true)]
    async fn lookups_without_any_address_are_told_each_time() {
        let mut rig = Rig::start("a:9092", Names::default());

        for _ in 0..3 {
            assert_eq!(rig.told().await, "a:9092: no such name");
        }
        rig.names.set("a", 1);
        while rig.told().await != "broker-1:9092" {}
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_looked_up_anew_when_all_starts_over_and_not_before() {
        let names = Names::default();
        names.set("a", 1);
        let mut rig = Rig::start("a:9092", names);
        assert_eq!(rig.told().await, "broker-1:9092");
        rig.publish(7);
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(rig.names.looks(), 1);

        rig.names.set("a", 2);
        rig.publish(-1);

        assert_eq!(rig.told().await, "broker-2:9092");
        assert_eq!(rig.names.looks(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn names_of_brokers_that_do_not_answer_are_looked_up_anew_now_and_then() {
        let names = Names::default();
        names.set("a", 1);
        let mut rig = Rig::start("a:9092", names);
        assert_eq!(rig.told().await, "broker-1:9092");
        sleep(Duration::from_secs(100)).await;
        let looks = rig.names.looks();
        assert!((3..6).contains(&looks), "{looks}");

        rig.names.set("a", 2);

        assert_eq!(rig.told().await, "broker-2:9092");
    }
}
