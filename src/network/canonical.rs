//! The names under which hosts are known to their domain (`client.dns.lookup=resolve_canonical_bootstrap_servers_only`).
//!
//! An entry of `bootstrap.servers` may stand for many brokers. Certificates and principals of Kerberos are for their own names, so each
//! address is asked for its name, as in Java (`ClientUtils.parseAndValidateAddresses`).

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::time::timeout;

use super::lookup::Lookups;
use crate::config::HostPort;
use crate::log;

/// Names to addresses, and back. Both block.
pub(crate) trait NameService: fmt::Debug + Send + Sync {
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    fn name(&self, address: &IpAddr) -> io::Result<String>;
}

/// That of the operating system.
#[derive(Debug)]
pub(crate) struct SystemNames;

impl NameService for SystemNames {
    fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }

    fn name(&self, address: &IpAddr) -> io::Result<String> {
        dns_lookup::lookup_addr(address).map_err(|error| io::Error::other(error.to_string()))
    }
}

/// What the entries of `bootstrap.servers` stand for, as far as that is known.
#[derive(Debug)]
pub(crate) struct CanonicalNames {
    entries: Vec<Entry>,
    /// The names of all, each once. Those that stay keep their places, and the nodes that they stand for with them.
    known: Vec<HostPort>,
}

#[derive(Debug)]
struct Entry {
    address: HostPort,
    /// Those of the last lookup that has found any.
    names: Vec<HostPort>,
    /// Why the last lookup has found none.
    fault: Option<String>,
}

/// What follows from the end of a lookup.
#[derive(Debug, PartialEq, Eq)]
struct Looked {
    is_new: bool,
    /// For the log. A lookup that fails again says nothing new.
    warning: Option<String>,
}

impl CanonicalNames {
    pub(crate) fn new(bootstrap: Vec<HostPort>) -> Self {
        let entry = |address| Entry { address, names: Vec::new(), fault: None };
        Self { entries: bootstrap.into_iter().map(entry).collect(), known: Vec::new() }
    }

    /// Looks all entries up. Calls `tell` with the names whenever one more lookup has changed them: an entry that takes long keeps no
    /// other from being of use. The names of an entry that has no address any more stay.
    ///
    /// # Errors
    ///
    /// No entry has an address, nor had one before.
    pub(crate) async fn look(
        &mut self,
        lookups: &Lookups,
        names: &Arc<dyn NameService>,
        mut tell: impl FnMut(&[HostPort]),
    ) -> Result<(), String> {
        let entries = self.entries.iter().map(|entry| entry.address.clone()).enumerate();
        let look = |(index, address): (usize, HostPort)| async move {
            (index, canonical(&address, lookups, names).await)
        };
        let mut looking: FuturesUnordered<_> = entries.map(look).collect();
        while let Some((index, result)) = looking.next().await {
            let Looked { is_new, warning } = self.handle(index, result);
            if let Some(warning) = warning {
                log::warn!("{warning}");
            }
            if is_new {
                tell(&self.known);
            }
        }
        if self.known.is_empty() {
            let fault = self.entries.iter().rev().find_map(|entry| entry.fault.clone());
            return Err(fault.unwrap_or_else(|| "there is no address".to_owned()));
        }
        Ok(())
    }

    /// Whether some entry had no address at the last look.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.entries.iter().any(|entry| entry.fault.is_some())
    }

    fn handle(&mut self, index: usize, result: io::Result<Vec<HostPort>>) -> Looked {
        let Some(entry) = self.entries.get_mut(index) else { return Looked { is_new: false, warning: None } };
        let warning = match result {
            Ok(names) => {
                entry.names = names;
                entry.fault = None;
                None
            }
            Err(error) => {
                let fault = format!("{}: {error}", entry.address);
                let is_known = entry.fault.replace(fault.clone()).is_some();
                let warning = || {
                    format!("an entry of bootstrap.servers has no address; it is looked up again: {fault}")
                };
                (!is_known).then(warning)
            }
        };
        let found: Vec<&HostPort> = self.entries.iter().flat_map(|entry| &entry.names).collect();
        let mut known: Vec<HostPort> =
            self.known.iter().filter(|name| found.contains(name)).cloned().collect();
        for name in found {
            if !known.contains(name) {
                known.push(name.clone());
            }
        }
        let is_new = known != self.known;
        self.known = known;
        Looked { is_new, warning }
    }
}

async fn canonical(
    entry: &HostPort,
    lookups: &Lookups,
    names: &Arc<dyn NameService>,
) -> io::Result<Vec<HostPort>> {
    let (host, service) = (Arc::clone(entry.host()), Arc::clone(names));
    let addresses = lookups.run(move || service.addresses(&host)).await?;
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    let found = addresses.into_iter().map(|address| name_of(address, lookups, names));
    Ok(join_all(found).await.into_iter().map(|name| HostPort::new(name, entry.port())).collect())
}

/// Returns the name of an address. An address that has none, or none in time, stands for itself: where reverse zones are not served, each
/// lookup takes as long as the operating system has patience.
async fn name_of(address: IpAddr, lookups: &Lookups, names: &Arc<dyn NameService>) -> String {
    let service = Arc::clone(names);
    let name = timeout(PATIENCE, lookups.run(move || believed_name(address, &*service))).await;
    name.ok().and_then(Result::ok).unwrap_or_else(|| address.to_string())
}

/// Blocks. A name that does not lead back to the address is not believed: anyone may claim the name of another.
fn believed_name(address: IpAddr, names: &dyn NameService) -> io::Result<String> {
    let name = names.name(&address)?;
    if names.addresses(&name)?.contains(&address) {
        return Ok(name);
    }
    Err(io::Error::other("the name does not lead back to the address"))
}

/// For the name of an address.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use tokio::time::advance;

    use super::*;

    /// Names with their addresses, and addresses with their names.
    #[derive(Debug)]
    struct Table {
        forward: Vec<(&'static str, Vec<&'static str>)>,
        reverse: Vec<(&'static str, &'static str)>,
        asked: Mutex<usize>,
    }

    impl NameService for Table {
        fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            let found = self.forward.iter().find(|(name, _)| *name == host);
            let addresses = found.ok_or_else(|| io::Error::other("no such name"))?;
            Ok(addresses.1.iter().map(|address| address.parse().unwrap()).collect())
        }

        fn name(&self, address: &IpAddr) -> io::Result<String> {
            *self.asked.lock().unwrap() += 1;
            let found = self.reverse.iter().find(|(known, _)| *known == address.to_string());
            found.map(|(_, name)| (*name).to_owned()).ok_or_else(|| io::Error::other("no name"))
        }
    }

    async fn names(table: Table, bootstrap: &str) -> Result<Vec<String>, String> {
        let names: Arc<dyn NameService> = Arc::new(table);
        let bootstrap = HostPort::parse_list(bootstrap).unwrap();
        let mut canonical = CanonicalNames::new(bootstrap);
        canonical.look(&Lookups::new(), &names, |_| ()).await?;
        Ok(canonical.known.iter().map(ToString::to_string).collect())
    }

    fn table() -> Table {
        Table {
            forward: vec![
                ("kafka", vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "::1"]),
                ("b1.example.com", vec!["10.0.0.1"]),
                ("b2.example.com", vec!["10.0.0.9", "10.0.0.2"]),
                ("b4.example.com", vec!["10.0.0.5"]),
                ("alias", vec!["10.0.0.1"]),
                ("empty", vec![]),
            ],
            reverse: vec![
                ("10.0.0.1", "b1.example.com"),
                ("10.0.0.2", "b2.example.com"),
                // It claims the name of another.
                ("10.0.0.4", "b4.example.com"),
            ],
            asked: Mutex::new(0),
        }
    }

    #[tokio::test]
    async fn each_address_is_taken_by_its_name_if_that_leads_back() {
        let found = names(table(), "kafka:9092").await.unwrap();

        let expected =
            ["b1.example.com:9092", "b2.example.com:9092", "10.0.0.3:9092", "10.0.0.4:9092", "[::1]:9092"];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn entries_that_stand_for_the_same_broker_count_once() {
        let found = names(table(), "alias:9092,kafka:9092,alias:9093").await.unwrap();

        assert_eq!(found.iter().filter(|name| name.as_str() == "b1.example.com:9092").count(), 1);
        // Which lookup ends first is not known.
        assert!(found.iter().any(|name| name == "b1.example.com:9093"), "{found:?}");
        assert_eq!(found.len(), 6, "{found:?}");
    }

    #[tokio::test]
    async fn entry_without_an_address_is_left_out_unless_all_are_such() {
        assert_eq!(names(table(), "nowhere:1,alias:9092").await.unwrap(), ["b1.example.com:9092"]);
        assert_eq!(names(table(), "nowhere:1").await, Err("nowhere:1: no such name".to_owned()));
        assert_eq!(names(table(), "empty:1").await, Err("empty:1: the name has no address".to_owned()));
    }

    fn list(text: &str) -> Vec<HostPort> {
        HostPort::parse_list(text).unwrap()
    }

    #[test]
    fn names_keep_their_places_and_those_of_an_entry_that_fails_stay() {
        let mut canonical = CanonicalNames::new(list("a:1,b:1"));

        assert!(canonical.handle(1, Ok(list("b1:1,b2:1"))).is_new);
        assert!(canonical.handle(0, Ok(list("a1:1,b2:1"))).is_new);
        assert_eq!(canonical.known, list("b1:1,b2:1,a1:1"));

        assert!(!canonical.handle(1, Err(io::Error::other("no such name"))).is_new);
        assert!(canonical.is_incomplete());
        assert!(!canonical.handle(0, Ok(list("b2:1,a1:1"))).is_new);

        assert!(canonical.handle(1, Ok(list("b3:1"))).is_new);
        assert_eq!(canonical.known, list("b2:1,a1:1,b3:1"));
        assert!(!canonical.is_incomplete());
    }

    #[test]
    fn each_entry_without_an_address_is_warned_of_once_until_it_has_one() {
        let mut canonical = CanonicalNames::new(list("a:1,b:1"));
        let fail = |canonical: &mut CanonicalNames, index| {
            canonical.handle(index, Err(io::Error::other("no such name"))).warning
        };

        let first = fail(&mut canonical, 0).unwrap();
        assert!(first.ends_with("a:1: no such name"), "{first}");
        assert_eq!(fail(&mut canonical, 0), None);
        assert!(fail(&mut canonical, 1).is_some_and(|text| text.ends_with("b:1: no such name")));
        assert_eq!(canonical.handle(0, Ok(list("a1:1"))).warning, None);
        assert!(fail(&mut canonical, 0).is_some());
    }

    /// Answers once it may.
    #[derive(Debug)]
    struct Slow {
        slow: &'static str,
        let_go: Mutex<mpsc::Receiver<()>>,
        begun: mpsc::Sender<()>,
    }

    impl Slow {
        fn wait(&self) {
            let _ = self.begun.send(());
            let _ = self.let_go.lock().unwrap().recv();
        }
    }

    impl NameService for Slow {
        fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            if host == self.slow {
                self.wait();
            }
            Ok(vec![IpAddr::from([10, 0, 0, 1])])
        }

        fn name(&self, _: &IpAddr) -> io::Result<String> {
            if self.slow == "reverse" {
                self.wait();
            }
            Ok("b1.example.com".to_owned())
        }
    }

    fn slow(slow: &'static str) -> (Arc<dyn NameService>, mpsc::Sender<()>, mpsc::Receiver<()>) {
        let ((let_go, is_let_go), (begun, has_begun)) = (mpsc::channel(), mpsc::channel());
        (Arc::new(Slow { slow, let_go: Mutex::new(is_let_go), begun }), let_go, has_begun)
    }

    /// As where reverse zones are not served. The clock stands still by itself while a thread of the pool is at work.
    #[tokio::test(start_paused = true)]
    async fn name_of_an_address_is_waited_for_until_its_limit() {
        let (names, let_go, has_begun) = slow("reverse");
        let looking = tokio::spawn(async move {
            let mut canonical = CanonicalNames::new(list("kafka:1"));
            canonical.look(&Lookups::new(), &names, |_| ()).await.map(|()| canonical.known)
        });
        while has_begun.try_recv().is_err() {
            tokio::task::yield_now().await;
        }

        advance(Duration::from_millis(4990)).await;
        assert!(!looking.is_finished());
        advance(Duration::from_millis(20)).await;

        assert_eq!(looking.await.unwrap(), Ok(list("10.0.0.1:1")));
        drop(let_go);
    }

    #[tokio::test]
    async fn entry_that_takes_long_keeps_no_other_waiting() {
        let (names, let_go, _begun) = slow("b");
        let mut let_go = Some(let_go);
        let mut canonical = CanonicalNames::new(list("b:2,a:1"));
        let mut told = Vec::new();

        let tell = |names: &[HostPort]| {
            told.push(names.to_vec());
            drop(let_go.take());
        };

        canonical.look(&Lookups::new(), &names, tell).await.unwrap();

        assert_eq!(told, [list("b1.example.com:1"), list("b1.example.com:1,b1.example.com:2")]);
    }

    #[tokio::test]
    async fn this_machine_has_a_name() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let name = SystemNames.name(&loopback);
        // Without a line for it in the table of hosts, nor a server of names, there is none.
        let is_in_table = std::fs::read_to_string("/etc/hosts")
            .is_ok_and(|text| text.lines().any(|line| line.split_whitespace().next() == Some("127.0.0.1")));
        if is_in_table {
            let addresses = SystemNames.addresses(name.as_deref().unwrap()).unwrap();
            assert!(addresses.iter().any(IpAddr::is_loopback), "{name:?}: {addresses:?}");
        }
        let names: Arc<dyn NameService> = Arc::new(SystemNames);

        let mut canonical = CanonicalNames::new(list("127.0.0.1:9092,localhost:9092"));
        canonical.look(&Lookups::new(), &names, |_| ()).await.unwrap();

        // Whatever the machine calls itself.
        assert!(!canonical.known.is_empty(), "{canonical:?}");
        for name in &canonical.known {
            let addresses = SystemNames.addresses(name.host()).unwrap();
            assert!(addresses.iter().any(IpAddr::is_loopback), "{name}: {addresses:?}");
        }
    }
}
