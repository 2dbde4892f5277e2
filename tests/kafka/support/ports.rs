//! Ports for brokers that do not run yet.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up). Inside it, a
/// client that keeps connecting to a dead broker's port would, sooner or later, be given that very port and connect
/// to itself, and the broker could not come back.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// Finds `count` ports that no process listens on at this moment.
///
/// They are all held until the last is found, then released: another process may still be faster, which is why starting
/// a cluster is tried again with other ports.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let port = rand::random_range(RANGE);
        if let Ok(listener) = TcpListener::bind(address(port)) {
            held.push((port, listener));
        }
    }
    held.into_iter().map(|(port, _)| port).collect()
}

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
