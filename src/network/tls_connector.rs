//! Encrypts what another connector makes.

use std::sync::Arc;

use crate::network::dialer::ByteStream;
use crate::network::transport::{Connecting, Connector};
use crate::tls::RotatingTls;

/// Connects by TLS. The handshake is a part of connecting: the limit for that covers it, and no machine knows of it.
#[derive(Debug)]
pub(crate) struct TlsConnector {
    inner: Arc<dyn Connector>,
    tls: RotatingTls,
}

impl TlsConnector {
    pub(crate) fn new(inner: Arc<dyn Connector>, tls: RotatingTls) -> Self {
        Self { inner, tls }
    }
}

impl Connector for TlsConnector {
    fn connect(&self, host: &str, port: u16, attempt: usize) -> Connecting {
        let plain = self.inner.connect(host, port, attempt);
        let (newest, host) = (self.tls.newest(), host.to_owned());
        Box::pin(async move {
            let plain = plain.await?;
            let stream: Box<dyn ByteStream> = Box::new(newest.get().await?.connect(plain, &host).await?);
            Ok(stream)
        })
    }

    fn certificate_ends(&self) -> Option<i64> {
        self.tls.newest().certificate_ends()
    }
}
