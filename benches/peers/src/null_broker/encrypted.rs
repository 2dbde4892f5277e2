//! The server's side of TLS 1.3, by the fastest provider there is here, so that a run measures the client.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// For `127.0.0.1`.
const CERTIFICATE: &[u8] = include_bytes!("../../../../mock/certs/server.pem");
const KEY: &[u8] = include_bytes!("../../../../mock/certs/server.key");

static CONFIG: LazyLock<Arc<ServerConfig>> =
    LazyLock::new(|| Arc::new(config().expect("the files are good")));

fn config() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(KEY)?;
    Ok(ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

pub(super) fn accept(stream: TcpStream) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let connection = ServerConnection::new(Arc::clone(&CONFIG)).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}
