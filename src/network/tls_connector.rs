//! Encrypts what another connector makes.

use std::sync::Arc;

use crate::network::dialer::ByteStream;
use crate::network::transport::{Connecting, Connector};
use crate::tls::TlsClient;

/// Connects by TLS. The handshake is a part of connecting: the limit for that covers it, and no machine knows of it.
#[derive(Debug)]
pub(crate) struct TlsConnector {
    inner: Arc<dyn Connector>,
    tls: TlsClient,
}

impl TlsConnector {
    pub(crate) fn new(inner: Arc<dyn Connector>, tls: TlsClient) -> Self {
        Self { inner, tls }
    }
}

impl Connector for TlsConnector {
    fn connect(&self, host: &str, port: u16, attempt: usize) -> Connecting {
        let plain = self.inner.connect(host, port, attempt);
        let (tls, host) = (self.tls.clone(), host.to_owned());
        Box::pin(async move {
            let stream: Box<dyn ByteStream> = Box::new(tls.connect(plain.await?, &host).await?);
            Ok(stream)
        })
    }
}
