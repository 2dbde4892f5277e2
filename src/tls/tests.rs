use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::ProducerConfig;

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs/ca.pem");
const OTHER_CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs/other-ca.pem");
const SERVER: &[u8] = include_bytes!("../../mock/certs/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("../../mock/certs/server.key");

fn client(properties: &[(&str, &str)]) -> Result<TlsClient, ConfigProblem> {
    let config = ProducerConfig::from_properties([("bootstrap.servers", "localhost:9093")]);
    let settings = config.properties(properties.iter().copied()).settle().unwrap();
    TlsClient::new(&settings.tls)
}

/// A server that sends back what it reads.
fn echo() -> DuplexStream {
    let (ours, theirs) = duplex(4096);
    let chain = CertificateDer::pem_slice_iter(SERVER).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap();
    let config = ServerConfig::builder_with_provider(provider::choose().unwrap())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(theirs).await?;
        let (mut read, mut write) = tokio::io::split(&mut stream);
        tokio::io::copy(&mut read, &mut write).await
    });
    ours
}

#[tokio::test]
async fn bytes_travel_both_ways_over_a_stream_to_a_server_that_is_trusted() {
    let client = client(&[("ssl.truststore.type", "PEM"), ("ssl.truststore.location", CA)]).unwrap();

    for host in ["localhost", "127.0.0.1", "::1"] {
        let mut stream = client.connect(echo(), host).await.unwrap();
        let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let mut received = vec![0; sent.len()];
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let (written, has_read) = tokio::join!(
            async {
                write.write_all(&sent).await?;
                write.flush().await
            },
            read.read_exact(&mut received)
        );

        written.unwrap();
        has_read.unwrap();
        assert!(received == sent, "{host}");
    }
}

#[tokio::test]
async fn server_that_another_authority_vouches_for_is_refused() {
    let client = client(&[("ssl.truststore.type", "PEM"), ("ssl.truststore.location", OTHER_CA)]).unwrap();

    let error = client.connect(echo(), "localhost").await.unwrap_err();

    assert!(SecurityFailure::of(&error).unwrap().is_lasting, "{error}");
}
