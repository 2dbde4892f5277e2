//! A producer whose brokers are in the same process.

use std::fmt;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::network::dialer::ByteStream;
use crate::network::transport::{Connecting, Connector};
use crate::producer::{BuildError, KafkaProducer, KafkaProducerBuilder};

/// Builds a producer that is connected at once to whatever `connect` makes of a host and a port.
///
/// # Errors
///
/// As [`KafkaProducerBuilder::build`].
pub fn build_connected<K, V, S>(
    builder: KafkaProducerBuilder<K, V>,
    connect: impl Fn(&str, u16) -> S + Send + Sync + 'static,
) -> Result<KafkaProducer<K, V>, BuildError>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    builder.build_with(Arc::new(Connected(connect)))
}

struct Connected<F>(F);

impl<F> fmt::Debug for Connected<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}

impl<F, S> Connector for Connected<F>
where
    F: Fn(&str, u16) -> S + Send + Sync,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    fn connect(&self, host: &str, port: u16, _: usize) -> Connecting {
        let stream: Box<dyn ByteStream> = Box::new((self.0)(host, port));
        Box::pin(async move { Ok(stream) })
    }
}
