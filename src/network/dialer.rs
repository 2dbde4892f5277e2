//! `Dialer`: byte streams to brokers that the application makes.

mod fenced;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::network::resolver::TcpConnector;

pub(crate) use fenced::FencedDialer;

/// A byte stream to a broker, or to something that passes the bytes on.
///
/// Everything that is `AsyncRead + AsyncWrite + Send + Unpin` is one.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> ByteStream for S {}

/// An attempt of a [`Dialer`] to connect.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

/// Connects to brokers in place of the producer, for [`KafkaProducerBuilder::dialer`].
///
/// For networks that the producer cannot cross by TCP alone: a SOCKS proxy (`examples/socks5_proxy.rs`), a Unix socket, or a
/// load balancer that wants a PROXY header. [`dial_with`] makes a dialer of a closure.
///
/// The producer calls the dialer for each attempt to connect to a broker: to those of `bootstrap.servers`, and to each
/// address that brokers advertise. Where `security.protocol` asks for TLS or SASL, the producer speaks them on the stream that
/// the dialer returns, so the dialer does neither.
///
/// An attempt may take `socket.connection.setup.timeout.ms`; then the producer drops its future and tries again later, as
/// after an error. An error or a panic of the dialer, or of its stream, costs this one connection. The dialer
/// runs in the producer's task: code that blocks the thread holds up the whole producer.
///
/// ```no_run
/// use kafka_producer::{DialTarget, Dialer, Dialing, KafkaProducer};
/// use tokio::io::AsyncWriteExt;
///
/// /// Tells a load balancer who is asking, by version 1 of the PROXY protocol.
/// struct BehindLoadBalancer;
///
/// impl Dialer for BehindLoadBalancer {
///     fn dial(&self, target: DialTarget) -> Dialing<'_> {
///         Box::pin(async move {
///             let mut stream = target.connect_tcp().await?;
///             let (from, to) = (stream.local_addr()?, stream.peer_addr()?);
///             let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
///             let header =
///                 format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
///             stream.write_all(header.as_bytes()).await?;
///             Ok(Box::new(stream) as _)
///         })
///     }
/// }
///
/// # async fn example() -> Result<(), kafka_producer::BuildError> {
/// let producer = KafkaProducer::builder()
///     .bootstrap_servers("kafka-1:9092")
///     .dialer(BehindLoadBalancer)
///     .build()?;
/// # drop(producer);
/// # Ok(())
/// # }
/// ```
///
/// [`KafkaProducerBuilder::dialer`]: crate::KafkaProducerBuilder::dialer
pub trait Dialer: Send + Sync + 'static {
    /// Begins to connect to a broker.
    ///
    /// # Errors
    ///
    /// The future's error is logged, and told to callers who wait when their time is over. The producer tries again after
    /// `reconnect.backoff.ms`.
    fn dial(&self, target: DialTarget) -> Dialing<'_>;
}

impl<D: Dialer + ?Sized> Dialer for Arc<D> {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        (**self).dial(target)
    }
}

/// What a [`Dialer`] is to connect to.
#[derive(Clone)]
pub struct DialTarget {
    host: Arc<str>,
    port: u16,
    attempt: usize,
    tcp: TcpConnector,
}

impl DialTarget {
    /// Names a broker, for tests of a dialer. The producer makes its targets itself.
    #[must_use]
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port, attempt: 0, tcp: TcpConnector::default() }
    }

    /// Returns the host: a name or an address, as it was configured or advertised. An IPv6 address has no brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns how many attempts to connect to this broker there were before, so that addresses can take turns.
    #[must_use]
    pub fn attempt(&self) -> usize {
        self.attempt
    }

    /// Connects over TCP, as the producer does without a dialer: it looks the name up on a thread of its own, tries all
    /// addresses, and sets `send.buffer.bytes` and `receive.buffer.bytes`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    ///
    /// # Errors
    ///
    /// That of the lookup, or of the last address.
    pub async fn connect_tcp(&self) -> io::Result<TcpStream> {
        self.tcp.connect_to_one_of(&self.host, self.port, self.attempt).await
    }

    /// Connects over TCP to another host, such as a proxy, in the same way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the attempt.
    ///
    /// # Errors
    ///
    /// That of the lookup, or of the last address.
    pub async fn connect_tcp_to(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        self.tcp.connect_to_one_of(host, port, self.attempt).await
    }
}

impl fmt::Debug for DialTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, attempt, .. } = self;
        f.debug_struct("DialTarget")
            .field("host", host)
            .field("port", port)
            .field("attempt", attempt)
            .finish_non_exhaustive()
    }
}

/// Makes a [`Dialer`] of a closure that returns a future of a stream.
///
/// ```no_run
/// # #[cfg(unix)]
/// # async fn example() -> Result<(), kafka_producer::BuildError> {
/// use kafka_producer::{DialTarget, KafkaProducer, dial_with};
/// use tokio::net::UnixStream;
///
/// // A sidecar listens on a socket for each broker.
/// let sidecar = dial_with(|target: DialTarget| async move {
///     UnixStream::connect(format!("/run/kafka/{}-{}.sock", target.host(), target.port())).await
/// });
/// let producer: KafkaProducer =
///     KafkaProducer::builder().bootstrap_servers("kafka-1:9092").dialer(sidecar).build()?;
/// # drop(producer);
/// # Ok(())
/// # }
/// ```
pub fn dial_with<F, R, S>(dial: F) -> DialWith<F>
where
    F: Fn(DialTarget) -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<S>> + Send + 'static,
    S: ByteStream + 'static,
{
    DialWith(dial)
}

/// A closure that connects. Made by [`dial_with`].
#[derive(Clone, Copy)]
pub struct DialWith<F>(F);

impl<F, R, S> Dialer for DialWith<F>
where
    F: Fn(DialTarget) -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<S>> + Send + 'static,
    S: ByteStream + 'static,
{
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        let connecting = (self.0)(target);
        Box::pin(async move {
            let stream: Box<dyn ByteStream> = Box::new(connecting.await?);
            Ok(stream)
        })
    }
}

impl<F> fmt::Debug for DialWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialWith").finish_non_exhaustive()
    }
}
