//! Streams that come to an end: what was taken is sent, and what has come is read.

use kafka_mock::{MockCertificate, MockTls};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuiteCommon, Tls12CipherSuite};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::Peer;
use super::*;

/// So many messages a key of [`short_lived`] is good for.
const KEY_LIMIT: u64 = 8;

/// Returns a provider whose keys of TLS 1.2 are soon used up.
fn short_lived() -> Arc<CryptoProvider> {
    let mut provider = rustls_graviola::default_provider();
    let tls12 = |suite: &SupportedCipherSuite| match suite {
        SupportedCipherSuite::Tls12(suite) => Some(*suite),
        SupportedCipherSuite::Tls13(_) => None,
    };
    let Tls12CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider, .. },
        prf_provider,
        kx,
        sign,
        aead_alg,
    } = *provider.cipher_suites.iter().find_map(tls12).unwrap();
    let common = CipherSuiteCommon { suite, hash_provider, confidentiality_limit: KEY_LIMIT };
    let suite = Tls12CipherSuite { common, prf_provider, kx, sign, aead_alg };
    provider.cipher_suites = vec![SupportedCipherSuite::Tls12(Box::leak(Box::new(suite)))];
    Arc::new(provider)
}

fn client_config(provider: Arc<CryptoProvider>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(MockTls::ca_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn server_config() -> Arc<ServerConfig> {
    let certificate = MockCertificate::SERVER;
    let chain = CertificateDer::from_pem_slice(certificate.chain_pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls_graviola::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![chain], key).unwrap())
}

fn explainer() -> Arc<Explainer> {
    Arc::new(Explainer {
        peer: Peer::Broker,
        identity: None,
        protocols: String::new(),
        cipher_suites: String::new(),
    })
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

#[tokio::test]
async fn flush_fails_where_a_key_is_used_up_and_tells_of_no_byte_that_was_not_sent() {
    let (ours, theirs) = duplex(1 << 20);
    let acceptor = TlsAcceptor::from(server_config());
    let server = tokio::spawn(async move {
        let mut received = Vec::new();
        let mut stream = acceptor.accept(theirs).await.unwrap();
        stream.read_to_end(&mut received).await.unwrap();
        received.len()
    });
    let connector = TlsConnector::from(client_config(short_lived()));
    let stream = connector.connect(name(), ours).await.unwrap();
    let mut stream = TlsStream::new(stream, explainer());

    let mut flushed = 0;
    let error = loop {
        stream.write_all(&[7; 1000]).await.unwrap();
        match stream.flush().await {
            Ok(()) => flushed += 1000,
            Err(error) => break error,
        }
        assert!(flushed < 1000 * KEY_LIMIT as usize, "more messages than the key is good for");
    };

    assert!(error.to_string().contains("used up"), "{error}");
    assert!(flushed > 0);
    drop(stream);
    assert_eq!(server.await.unwrap(), flushed);
}

/// The answer and the alert come in one piece.
#[tokio::test]
async fn answer_in_front_of_an_alert_is_read() {
    let (ours, mut theirs) = duplex(1 << 20);
    let mut server = ServerConnection::new(server_config()).unwrap();
    let server = tokio::spawn(async move {
        while server.is_handshaking() {
            let mut bytes = Vec::new();
            theirs.read_buf(&mut bytes).await.unwrap();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
            }
            server.process_new_packets().unwrap();
            let mut answer = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut answer).unwrap();
            }
            theirs.write_all(&answer).await.unwrap();
        }
        let mut last = Vec::new();
        server.writer().write_all(b"answer").unwrap();
        while server.wants_write() {
            server.write_tls(&mut last).unwrap();
        }
        // A record that cannot be decrypted ends the connection like an alert does.
        last.extend_from_slice(&[0x17, 3, 3, 0, 20]);
        last.extend_from_slice(&[0; 20]);
        theirs.write_all(&last).await.unwrap();
        theirs
    });
    let connector = TlsConnector::from(client_config(Arc::new(rustls_graviola::default_provider())));
    let stream = connector.connect(name(), ours).await.unwrap();
    let mut stream = TlsStream::new(stream, explainer());
    let _theirs = server.await.unwrap();

    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
    for _ in 0..2 {
        assert!(stream.read_u8().await.is_err());
    }
}
