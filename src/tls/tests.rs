use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use kafka_mock::{MockCertificate, MockTls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio_rustls::TlsAcceptor;

use super::stream::BUFFER_LIMIT;
use super::*;
use crate::config::{ProducerConfig, Tls};

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs");

fn client(properties: &[(&str, &str)]) -> Result<TlsClient, ConfigProblem> {
    let config = ProducerConfig::from_properties([("bootstrap.servers", "localhost:9093")]);
    let settings = config.properties(properties.iter().copied()).settle().unwrap();
    TlsClient::new(&settings.tls, Peer::Broker)
}

fn trusting() -> TlsClient {
    client(&[("ssl.truststore.certificates", MockTls::ca_pem())]).unwrap()
}

fn server(certificate: &MockCertificate) -> Arc<ServerConfig> {
    let chain =
        CertificateDer::pem_slice_iter(certificate.chain_pem().as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider::choose().unwrap())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Returns a stream to a server that sends back what it reads.
fn echo(config: &Arc<ServerConfig>) -> DuplexStream {
    let (ours, theirs) = duplex(4096);
    let acceptor = TlsAcceptor::from(Arc::clone(config));
    tokio::spawn(async move {
        let mut stream = acceptor.accept(theirs).await?;
        let (mut read, mut write) = tokio::io::split(&mut stream);
        tokio::io::copy(&mut read, &mut write).await
    });
    ours
}

async fn echoed<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut TlsStream<S>, sent: &[u8]) -> Vec<u8> {
    let mut received = vec![0; sent.len()];
    let (mut read, mut write) = tokio::io::split(stream);
    let (written, has_read) = tokio::join!(
        async {
            write.write_all(sent).await?;
            write.flush().await
        },
        read.read_exact(&mut received)
    );
    written.unwrap();
    has_read.unwrap();
    received
}

#[tokio::test]
async fn bytes_travel_both_ways_to_names_and_addresses() {
    let path = format!("{CERTIFICATES}/ca.pem");
    let client = client(&[("ssl.truststore.type", "PEM"), ("ssl.truststore.location", &path)]).unwrap();

    for certificate in [MockCertificate::SERVER, MockCertificate::SERVER_RSA, MockCertificate::SERVER_CHAIN] {
        for host in ["localhost", "127.0.0.1", "::1"] {
            let mut stream = client.connect(echo(&server(&certificate)), host).await.unwrap();
            let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();

            assert!(echoed(&mut stream, &sent).await == sent, "{host}");
        }
    }
}

#[tokio::test]
async fn every_provider_does_its_work() {
    let config = ProducerConfig::new().tls(Tls::new().truststore_pem(MockTls::ca_pem()));
    let settings = config.bootstrap_servers("localhost:9093").settle().unwrap();
    let server = server(&MockCertificate::SERVER_RSA);
    for provider in provider::all() {
        let client = TlsClient::with(&settings.tls, Peer::Broker, || Ok(Arc::new(provider))).unwrap();
        let mut stream = client.connect(echo(&server), "localhost").await.unwrap();

        assert_eq!(echoed(&mut stream, b"2 apples").await, b"2 apples");
    }
}

#[tokio::test]
async fn second_connection_resumes_the_first() {
    let (client, server) = (trusting(), server(&MockCertificate::SERVER));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = client.connect(echo(&server), "localhost").await.unwrap();
        echoed(&mut stream, b"x").await;
        kinds.push(stream.handshake_kind());
    }

    assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
}

/// As Java does it: users put the certificates of single brokers into their truststores.
#[tokio::test]
async fn certificate_is_trusted_that_stands_in_the_truststore_itself() {
    let shown = [MockCertificate::SERVER_OTHER_CA, MockCertificate::SERVER_EXPIRED];
    for (certificate, is_accepted) in shown.into_iter().zip([true, false]) {
        let client = client(&[("ssl.truststore.certificates", certificate.chain_pem())]).unwrap();

        let connected = client.connect(echo(&server(&certificate)), "localhost").await;

        assert_eq!(connected.is_ok(), is_accepted);
        assert!(client.connect(echo(&server(&MockCertificate::SERVER)), "localhost").await.is_err());
    }
}

#[tokio::test]
async fn names_that_no_certificate_can_have_are_told() {
    let error = trusting().connect(echo(&server(&MockCertificate::SERVER)), "a b").await.unwrap_err();

    assert_eq!(error.to_string(), "\"a b\" is no name that a certificate could be for");
}

/// A socket that counts what it takes, and takes no more than it may.
struct Gate {
    inner: DuplexStream,
    taken: Arc<AtomicUsize>,
    may_take: Arc<AtomicUsize>,
}

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let left = self.may_take.load(Ordering::Relaxed).saturating_sub(self.taken.load(Ordering::Relaxed));
        if left == 0 {
            return Poll::Pending;
        }
        let taken =
            std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..left.min(bytes.len())]))?;
        self.taken.fetch_add(taken, Ordering::Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn write_gives_nothing_to_the_socket_and_takes_no_more_than_one_buffer() {
    let (taken, may_take) = (Arc::<AtomicUsize>::default(), Arc::new(AtomicUsize::new(usize::MAX)));
    let (inner, theirs) = duplex(4096);
    let acceptor = TlsAcceptor::from(server(&MockCertificate::SERVER));
    tokio::spawn(async move {
        tokio::io::copy(&mut acceptor.accept(theirs).await?, &mut tokio::io::sink()).await
    });
    let gate = Gate { inner, taken: Arc::clone(&taken), may_take: Arc::clone(&may_take) };
    let mut stream = trusting().connect(gate, "localhost").await.unwrap();
    let batch = vec![7; 1024 * 1024];
    let slices = [IoSlice::new(&batch), IoSlice::new(&batch)];
    let cx = &mut Context::from_waker(Waker::noop());
    let before = taken.load(Ordering::Relaxed);

    let Poll::Ready(Ok(first)) = Pin::new(&mut stream).poll_write_vectored(cx, &slices) else { panic!() };
    assert_eq!(taken.load(Ordering::Relaxed), before, "the caller does not know yet that bytes leave");
    assert!((16_384..=BUFFER_LIMIT).contains(&first), "{first}");

    // The socket takes half a record, and then nothing.
    may_take.store(before + 1000, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(Pin::new(&mut stream).poll_flush(cx).is_pending());
        assert!(
            Pin::new(&mut stream).poll_write_vectored(cx, &slices).is_pending(),
            "the buffer is not empty"
        );
    }
    assert_eq!(taken.load(Ordering::Relaxed), before + 1000);

    may_take.store(usize::MAX, Ordering::Relaxed);
    stream.flush().await.unwrap();
    let sent_all = before + first;
    assert!(taken.load(Ordering::Relaxed) > sent_all, "{sent_all}");
    assert!(Pin::new(&mut stream).poll_write_vectored(cx, &slices).is_ready());
}

fn told(properties: &[(&str, &str)], expected: &str) {
    assert_eq!(client(properties).unwrap_err().to_string(), expected);
}

fn path(name: &str) -> String {
    format!("{CERTIFICATES}/{name}")
}

#[test]
fn what_is_wrong_with_a_truststore_is_told_with_the_key() {
    let (script, key) = (path("make.sh"), path("client.key"));
    told(
        &[("ssl.truststore.location", "/nowhere/ca.pem")],
        "ssl.truststore.location = /nowhere/ca.pem: cannot be read: No such file or directory (os error 2)",
    );
    told(
        &[("ssl.truststore.location", &script)],
        &format!("ssl.truststore.location = {script}: is no PEM file, nor PKCS#12 nor JKS"),
    );
    told(
        &[("ssl.truststore.location", &key)],
        &format!("ssl.truststore.location = {key}: has no certificate"),
    );
    for (text, problem) in [
        ("-----BEGIN CERTIFICATE-----\nMIIB", "CERTIFICATE has no end"),
        ("-----BEGIN CERTIFICATE-----\nM%IB\n-----END CERTIFICATE-----", "CERTIFICATE is no base64"),
        ("ca.pem", "has no certificate"),
    ] {
        told(
            &[("ssl.truststore.certificates", text)],
            &format!("ssl.truststore.certificates = [hidden]: {problem}"),
        );
    }
}

#[test]
fn what_is_wrong_with_a_keystore_is_told_with_the_key() {
    const CHAIN: &str = "ssl.keystore.certificate.chain";
    let ca = ("ssl.truststore.certificates", MockTls::ca_pem());
    let pem = path("client.pem");
    told(
        &[ca, ("ssl.keystore.location", &pem)],
        &format!("ssl.keystore.location = {pem}: has no private key"),
    );
    let with = |key: &MockCertificate, password: &str, expected: &str| {
        let chain = MockCertificate::CLIENT;
        let key = ("ssl.keystore.key", key.key_pem());
        told(&[ca, (CHAIN, chain.chain_pem()), key, ("ssl.key.password", password)], expected);
    };
    with(
        &MockCertificate::CLIENT_SECOND,
        "",
        "ssl.keystore.certificate.chain = [hidden]: the key is not that of the first certificate",
    );
    with(
        &MockCertificate::CLIENT_ENCRYPTED_KEY,
        "",
        "ssl.key.password = [hidden]: is needed, because the key is encrypted",
    );
    with(
        &MockCertificate::CLIENT_ENCRYPTED_KEY,
        "hunter2",
        "ssl.keystore.key = [hidden]: its key cannot be decrypted by ssl.key.password",
    );
    with(
        &MockCertificate::CLIENT_3DES_KEY,
        "kafka-mock",
        "ssl.keystore.key = [hidden]: its key is encrypted in an old way, or damaged; convert it by \
         `openssl pkcs8 -in old.key | openssl pkcs8 -topk8 -v2 aes-256-cbc -out new.key`",
    );
    with(
        &MockCertificate::CLIENT_OLD_ENCRYPTED_KEY,
        "kafka-mock",
        "ssl.keystore.key = [hidden]: its key is encrypted in an old format of OpenSSL's; convert it by \
         `openssl pkcs8 -topk8 -v2 aes-256-cbc -in old.key -out new.key`",
    );
}

#[test]
fn suites_of_no_version_that_is_enabled_are_refused() {
    told(
        &[
            ("ssl.truststore.certificates", MockTls::ca_pem()),
            ("ssl.cipher.suites", "TLS_AES_128_GCM_SHA256"),
            ("ssl.enabled.protocols", "TLSv1.2"),
        ],
        "ssl.cipher.suites = TLS_AES_128_GCM_SHA256: none of them is one of ssl.enabled.protocols=TLSv1.2",
    );
}

/// Seen of Kafka 1.0.2 (by TLS 1.2) and 2.8.2 (by TLS 1.3), whose alerts come behind what is left in a buffer.
#[test]
fn broker_that_repeats_its_hello_in_place_of_an_alert_refuses_the_certificate() {
    let explainer = |identity| Explainer {
        peer: Peer::Broker,
        identity,
        protocols: "TLSv1.2,TLSv1.3".to_owned(),
        cipher_suites: String::new(),
    };
    let broken = || io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
    let lasting = |error: io::Error| {
        let failure = SecurityFailure::of(&error).expect("a failure of security").clone();
        failure.is_lasting.then(|| failure.reason.to_string())
    };

    let without = explainer(None);
    let told = lasting(without.of_stream(broken(), false)).expect("only a change helps");
    assert!(told.contains("ask for a certificate of the producer's: set ssl.keystore.location"), "{told}");
    assert_eq!(lasting(without.of_handshake(broken())), Some(told));
    let shown = |dates| Shown { subject: "CN=client".to_owned(), dates, key: "ssl.keystore.location" };
    let with = explainer(Some(shown(Some((0, i64::MAX)))));
    let told = lasting(with.of_stream(broken(), false)).expect("only a change helps");
    assert!(told.contains("\"CN=client\" of ssl.keystore.location"), "{told}");
    // Later it is damage on the way, which passes.
    assert_eq!(lasting(with.of_stream(broken(), true)), None);
    let ended = explainer(Some(shown(Some((0, 86_400)))));
    let told = lasting(ended.of_stream(broken(), false)).expect("only a change helps");
    let text = "the producer's certificate \"CN=client\" of ssl.keystore.location has ended on 1970-01-02 00:00:00 UTC, and here";
    assert!(told.starts_with(text), "{told}");
}

/// A broker does not tell what it does not like, and the dates are the only thing that the producer can judge by itself.
#[test]
fn certificate_that_does_not_count_today_is_blamed_before_its_issuer() {
    let alert = |dates, alert| {
        let identity = Shown { subject: "CN=client".to_owned(), dates, key: "ssl.keystore.location" };
        let (protocols, cipher_suites) = (String::new(), String::new());
        let explainer = Explainer { peer: Peer::Broker, identity: Some(identity), protocols, cipher_suites };
        let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
        SecurityFailure::of(&explainer.of_stream(error, false))
            .expect("a failure of security")
            .reason
            .to_string()
    };
    use rustls::AlertDescription as Alert;
    const FAR: i64 = 4_000_000_000_000;

    let ended = alert(Some((0, 86_400)), Alert::CertificateUnknown);
    assert!(ended.contains("has ended on 1970-01-02 00:00:00 UTC, and here it is 20"), "{ended}");
    assert!(
        ended.ends_with("; put another one there (the broker refuses it: CertificateUnknown)"),
        "{ended}"
    );
    let early = alert(Some((253_402_300_799, FAR)), Alert::BadCertificate);
    assert!(early.contains("does not count before 9999-12-31 23:59:59 UTC, and here it is 20"), "{early}");
    let strange = alert(Some((0, FAR)), Alert::CertificateUnknown);
    assert!(
        strange.ends_with("its issuer may be missing in the broker's ssl.truststore.location"),
        "{strange}"
    );
    assert_eq!(alert(None, Alert::UnknownCA), strange.replace("CertificateUnknown", "UnknownCA"));
    // Whatever else is wrong with TLS has nothing to do with it.
    let other = alert(Some((0, 86_400)), Alert::ProtocolVersion);
    assert!(other.contains("in common"), "{other}");
}

/// Words of a peer's stand in many of them.
#[test]
fn reasons_are_on_one_line_and_of_bounded_length() {
    let hostile =
        format!("certificate for \"a\n2026-11-29 ERROR forged\u{1b}[2J\u{202e}{}\"", "x".repeat(100_000));
    for failure in [SecurityFailure::lasting(&hostile), SecurityFailure::passing(&hostile)] {
        assert!(
            failure.reason.starts_with("certificate for \"a 2026-11-29 ERROR forged [2J xxx"),
            "{failure}"
        );
        assert!(failure.reason.chars().count() <= 4001);
    }
}
