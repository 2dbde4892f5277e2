//! Names to addresses, addresses to TCP connections.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::network::transport::{Connecting, Connector, Stream};

/// Connects over TCP. A name is looked up anew for every attempt, so that a broker may move.
#[derive(Debug, Clone)]
pub(crate) struct TcpConnector {
    /// `send.buffer.bytes`; `None` leaves it to the system.
    pub(crate) send_buffer: Option<u32>,
    /// `receive.buffer.bytes`; `None` leaves it to the system.
    pub(crate) receive_buffer: Option<u32>,
}

impl Connector for TcpConnector {
    fn connect(&self, host: &str, port: u16, attempt: usize) -> Connecting {
        let this = self.clone();
        let host = host.to_owned();
        Box::pin(async move {
            let stream = this.connect_to_one_of(&host, port, attempt).await?;
            let stream: Box<dyn Stream> = Box::new(stream);
            Ok(stream)
        })
    }
}

impl TcpConnector {
    /// Tries the addresses of a name, beginning with another one at each attempt (`client.dns.lookup=use_all_dns_ips`).
    async fn connect_to_one_of(&self, host: &str, port: u16, attempt: usize) -> io::Result<TcpStream> {
        let mut addresses: Vec<_> = lookup_host((host, port)).await?.collect();
        if !addresses.is_empty() {
            let start = attempt % addresses.len();
            addresses.rotate_left(start);
        }
        let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
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
