//! Addresses to TCP connections. `lookup` has the addresses of a name.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

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
        let connected = self.connect_to_first(in_turn(addresses, attempt)).await;
        // An address in place of a name says by itself what was tried.
        let is_name = host.parse::<IpAddr>().is_err();
        connected.map_err(|failed| if is_name { failed.with_address() } else { failed.error })
    }

    async fn connect_to_first(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, Failed> {
        let others = addresses.len().saturating_sub(1);
        let mut failed: Option<Failed> = None;
        for address in addresses {
            match self.connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let is_as_telling = |failed: &Failed| tells(&error) >= tells(&failed.error);
                    if failed.as_ref().is_none_or(is_as_telling) {
                        failed = Some(Failed { error, address: Some(address.ip()), others });
                    }
                }
            }
        }
        Err(failed.unwrap_or_else(|| {
            let error = Unresolved::error(io::ErrorKind::NotFound, "the name has no address");
            Failed { error, address: None, others: 0 }
        }))
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

/// None of the addresses could be connected to.
#[derive(Debug)]
struct Failed {
    /// Of those that came up the one that tells most.
    error: io::Error,
    /// Where it came up.
    address: Option<IpAddr>,
    /// How many other addresses there are.
    others: usize,
}

impl Failed {
    /// Returns the error with the address in it.
    fn with_address(self) -> io::Error {
        let Self { error, address, others } = self;
        match address {
            Some(address) => io::Error::new(error.kind(), Tried { error, address, others }),
            None => error,
        }
    }
}

/// An error of one of the addresses of a name. It travels inside an [`io::Error`].
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) error: io::Error,
    address: IpAddr,
    others: usize,
}

impl Tried {
    /// Says which address it was.
    pub(super) fn place(&self) -> String {
        let address = self.address;
        match self.others {
            0 => format!("tried {address}"),
            1 => format!("tried {address} and 1 other address"),
            others => format!("tried {address} and {others} other addresses"),
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.error, self.place())
    }
}

impl std::error::Error for Tried {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Returns how much an error says of the host: most if the host itself has said something, and least if this machine has no way
/// to addresses of that kind.
fn tells(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => 3,
        io::ErrorKind::HostUnreachable | io::ErrorKind::PermissionDenied | io::ErrorKind::TimedOut => 2,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::Unsupported => 0,
        _ => 1,
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
    use crate::network::SocketError;

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
    async fn refusal_is_told_when_all_addresses_refuse() {
        let refused = connector().connect_to_first(addresses(&[1, 2])).await.unwrap_err().error;
        let nowhere = connector().connect_to_first(Vec::new()).await.unwrap_err().with_address();

        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(nowhere.to_string(), "the name has no address");
    }

    /// There are no connections to a multicast address, which this machine knows without asking.
    #[tokio::test]
    async fn refusal_tells_more_than_an_address_that_cannot_be_tried() {
        let nowhere = SocketAddr::from(([224, 0, 0, 1], 1));
        for order in [[addresses(&[1])[0], nowhere], [nowhere, addresses(&[1])[0]]] {
            let failed = connector().connect_to_first(order.to_vec()).await.unwrap_err();
            assert_eq!(failed.error.kind(), io::ErrorKind::ConnectionRefused);

            let told = SocketError::from(failed.with_address());

            assert_eq!(told.to_string(), "connection refused (tried 127.0.0.1 and 1 other address)");
            assert_eq!(told.known_words().as_deref(), Some("connection refused"));
            assert!(told.shared_source().is_some_and(|source| source.to_string().contains("os error")));
        }
    }

    #[test]
    fn what_the_host_has_said_tells_most() {
        let [refused, unreachable, no_route] = [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
        ]
        .map(|kind| tells(&io::Error::from(kind)));

        assert!(refused > unreachable && unreachable > no_route);
    }

    #[tokio::test]
    async fn address_is_named_only_in_place_of_a_name() {
        let by_name = connector().connect_to_one_of("localhost", 1, 0).await.unwrap_err();
        let by_address = connector().connect_to_one_of("127.0.0.1", 1, 0).await.unwrap_err();

        let by_name = SocketError::from(by_name).to_string();
        assert!(by_name.starts_with("connection refused (tried "), "{by_name}");
        assert_eq!(SocketError::from(by_address).to_string(), "connection refused");
    }
}
