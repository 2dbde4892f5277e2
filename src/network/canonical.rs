//! The names under which hosts are known to their domain (`client.dns.lookup=resolve_canonical_bootstrap_servers_only`).
//!
//! An entry of `bootstrap.servers` may stand for many brokers. Certificates and principals of Kerberos are for their own names, so each
//! address is asked for its name, as in Java (`ClientUtils.parseAndValidateAddresses`).

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
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

/// Returns what entries of `bootstrap.servers` stand for, each once.
///
/// # Errors
///
/// None of them has an address.
pub(crate) async fn canonical_names(
    bootstrap: &[HostPort],
    lookups: &Lookups,
    names: &Arc<dyn NameService>,
) -> Result<Vec<HostPort>, String> {
    let found_for = bootstrap.iter().map(|entry| canonical(entry, lookups, names));
    let mut found: Vec<HostPort> = Vec::new();
    let mut faults = Vec::new();
    for (entry, result) in bootstrap.iter().zip(join_all(found_for).await) {
        match result {
            Ok(ours) => ours.into_iter().for_each(|name| {
                if !found.contains(&name) {
                    found.push(name);
                }
            }),
            Err(error) => faults.push(format!("{entry}: {error}")),
        }
    }
    if found.is_empty() {
        return Err(faults.pop().unwrap_or_else(|| "there is no address".to_owned()));
    }
    for fault in faults {
        log::warn!("an entry of bootstrap.servers is left out, because its name has no address: {fault}");
    }
    Ok(found)
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
    use std::sync::Mutex;

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
        let found = canonical_names(&bootstrap, &Lookups::new(), &names).await?;
        Ok(found.iter().map(ToString::to_string).collect())
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
        assert_eq!(found.last().map(String::as_str), Some("b1.example.com:9093"));
    }

    #[tokio::test]
    async fn entry_without_an_address_is_left_out_unless_it_is_the_last() {
        assert_eq!(names(table(), "nowhere:1,alias:9092").await.unwrap(), ["b1.example.com:9092"]);
        assert_eq!(names(table(), "nowhere:1").await, Err("nowhere:1: no such name".to_owned()));
        assert_eq!(names(table(), "empty:1").await, Err("empty:1: the name has no address".to_owned()));
    }

    #[tokio::test]
    async fn this_machine_has_a_name() {
        let names: Arc<dyn NameService> = Arc::new(SystemNames);
        let bootstrap = HostPort::parse_list("127.0.0.1:9092,localhost:9092").unwrap();

        let found = canonical_names(&bootstrap, &Lookups::new(), &names).await.unwrap();

        // Whatever the machine calls itself.
        assert!(!found.is_empty(), "{found:?}");
        for name in &found {
            let addresses = SystemNames.addresses(name.host()).unwrap();
            assert!(addresses.iter().any(IpAddr::is_loopback), "{name}: {addresses:?}");
        }
    }
}
