//! Addresses to TCP connections. `lookup` has the addresses of a name.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use crate::network::dialer::ByteStream;
use crate::network::lookup::{Lookups, Unresolved};
use crate::network::transport::{Connecting, Connector};

/// Connects over TCP. A name is looked up anew for every attempt, so that a broker may move.
#[derive(Debug, Clone)]
pub(crate) struct TcpConnector {
    /// `send.buffer.bytes`; `None` leaves it to the system.
    pub(crate) send_buffer: Option<u32>,
    /// `receive.buffer.bytes`; `None` leaves it to the system.
    pub(crate) receive_buffer: Option<u32>,
    pub(crate) lookups: Lookups,
}

/// As large as Kafka's defaults make it.
impl Default for TcpConnector {
    fn default() -> Self {
        Self { send_buffer: Some(128 * 1024), receive_buffer: Some(32 * 1024), lookups: Lookups::new() }
    }
}

impl Connector for TcpConnector {
    fn connect(&self, host: &str, port: u16, attempt: usize) -> Connecting {
        let this = self.clone();
        let host = host.to_owned();
        Box::pin(async move {
            let stream = this.connect_to_one_of(&host, port, attempt).await?;
            let stream: Box<dyn ByteStream> = Box::new(stream);
            Ok(stream)
        })
    }
}

impl TcpConnector {
    /// Tries the addresses of a name, beginning with another one at each attempt (`client.dns.lookup=use_all_dns_ips`).
    pub(super) async fn connect_to_one_of(
        &self,
        host: &str,
        port: u16,
        attempt: usize,
    ) -> io::Result<TcpStream> {
        let addresses = self.lookups.look_up(host, port).await?;
        self.connect_to_first(in_turn(addresses, attempt)).await
    }

    async fn connect_to_first(&self, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        let mut last_error = Unresolved::error(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match self.connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(size) = self.send_buffer {
            socket.set_send_buffer_size(size)?;
        }
        if let Some(size) = self.receive_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn in_turn(mut addresses: Vec<SocketAddr>, attempt: usize) -> Vec<SocketAddr> {
    if let Some(start) = attempt.checked_rem(addresses.len()) {
        addresses.rotate_left(start);
    }
    addresses
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn connector() -> TcpConnector {
        TcpConnector { send_buffer: None, receive_buffer: None, lookups: Lookups::new() }
    }

    fn addresses(ports: &[u16]) -> Vec<SocketAddr> {
        ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect()
    }

    #[test]
    fn each_attempt_begins_with_the_next_address_and_leaves_none_out() {
        let order = |attempt| in_turn(addresses(&[1, 2, 3]), attempt);

        assert_eq!(order(0), addresses(&[1, 2, 3]));
        assert_eq!(order(1), addresses(&[2, 3, 1]));
        assert_eq!(order(2), addresses(&[3, 1, 2]));
        assert_eq!(order(3), addresses(&[1, 2, 3]));
        assert_eq!(order(usize::MAX).len(), 3);
    }

    #[test]
    fn single_address_is_tried_at_each_attempt() {
        for attempt in 0..3 {
            assert_eq!(in_turn(addresses(&[1]), attempt), addresses(&[1]));
        }
        assert_eq!(in_turn(Vec::new(), 1), []);
    }

    #[tokio::test]
    async fn next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();

        let stream = connector().connect_to_first([addresses(&[1]), vec![open]].concat()).await.unwrap();

        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn last_refusal_is_told_when_all_addresses_refuse() {
        let refused = connector().connect_to_first(addresses(&[1, 2])).await.unwrap_err();
        let nowhere = connector().connect_to_first(Vec::new()).await.unwrap_err();

        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(nowhere.to_string(), "the name has no address");
    }
}
