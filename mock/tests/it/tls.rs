//! TLS as a client sees it that knows nothing of this project.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_mock::{Api, Fault, MockCertificate, MockCluster, MockError, MockTls, TlsFault, TlsVersion};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::PATIENCE;

/// ApiVersions 0 with correlation id 7.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255];

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

fn config(
    ca: &str,
    identity: Option<&MockCertificate>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.chain_pem().as_bytes());
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    }
}

fn trusting() -> ClientConfig {
    config(MockTls::ca_pem(), None, BOTH)
}

async fn connect(
    cluster: &MockCluster,
    name: &'static str,
    config: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", cluster.port(0).unwrap())).await?;
    let connecting =
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream);
    tokio::time::timeout(PATIENCE, connecting).await.expect("handshake ends")
}

/// Asks for the versions, and returns the correlation id of the answer.
async fn ask(stream: &mut TlsStream<TcpStream>) -> io::Result<i32> {
    stream.write_all(&API_VERSIONS).await?;
    let length = stream.read_i32().await?;
    let mut answer = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut answer).await?;
    Ok(i32::from_be_bytes(*answer.first_chunk().unwrap()))
}

async fn start(tls: MockTls) -> MockCluster {
    MockCluster::builder().tls(tls).start().await.unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_ca_is_served_by_name_and_by_address() {
    for certificate in [MockCertificate::SERVER, MockCertificate::SERVER_RSA, MockCertificate::SERVER_CHAIN] {
        let cluster = start(MockTls::new().certificate(certificate)).await;
        for name in ["localhost", "127.0.0.1", "::1"] {
            let mut stream = connect(&cluster, name, trusting()).await.unwrap();
            for _ in 0..3 {
                assert_eq!(ask(&mut stream).await.unwrap(), 7);
            }
        }
        let seen = cluster.tls_connections();
        assert_eq!(seen.iter().map(|one| one.version).collect::<Vec<_>>(), [Some(TlsVersion::V1_3); 3]);
        assert_eq!(seen[0].server_name.as_deref(), Some("localhost"));
        assert_eq!(seen[1].server_name, None);
        assert_eq!(cluster.requests().of(Api::ApiVersions), 9);
        assert_eq!(cluster.refusals(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn each_certificate_is_wrong_in_its_own_way() {
    let cluster = start(MockTls::new()).await;
    for (certificate, error) in [
        (MockCertificate::SERVER_EXPIRED, "certificate expired"),
        (MockCertificate::SERVER_NOT_YET_VALID, "certificate not valid yet"),
        (MockCertificate::SERVER_WRONG_NAME, "not valid for name \"localhost\""),
        (MockCertificate::SERVER_OTHER_CA, "UnknownIssuer"),
        (MockCertificate::SERVER_WITHOUT_INTERMEDIATE, "UnknownIssuer"),
    ] {
        cluster.set_tls(MockTls::new().certificate(certificate)).unwrap();
        let got = connect(&cluster, "localhost", trusting()).await.unwrap_err().to_string();
        assert!(got.contains(error), "{error}: {got}");
    }
}

#[tokio::test]
async fn the_mock_tells_why_a_client_broke_the_handshake_off() {
    let cluster = start(MockTls::new()).await;
    connect(&cluster, "localhost", config(MockTls::other_ca_pem(), None, BOTH)).await.unwrap_err();
    let mut plain = TcpStream::connect(cluster.bootstrap_servers()).await.unwrap();
    plain.write_all(&API_VERSIONS).await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();

    assert_eq!(answer[0], 21, "an alert");
    // The mock notes the first as soon as it has read the alert.
    while cluster.refusals().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut refusals = cluster.refusals();
    refusals.sort();
    assert_eq!(
        refusals,
        [
            "broker 0: TLS handshake failed: received corrupt message of type InvalidContentType",
            "broker 0: TLS handshake failed: received fatal alert: UnknownCA",
        ]
    );
}

#[tokio::test]
async fn versions_of_tls_can_be_left_out() {
    for (offered, version) in
        [(TlsVersion::V1_2, &rustls::version::TLS12), (TlsVersion::V1_3, &rustls::version::TLS13)]
    {
        let cluster = start(MockTls::new().versions([offered])).await;
        let mut stream = connect(&cluster, "localhost", trusting()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 7);
        assert_eq!(cluster.tls_connections()[0].version, Some(offered));

        let others: Vec<_> = BOTH.iter().copied().filter(|other| *other != version).collect();
        let error =
            connect(&cluster, "localhost", config(MockTls::ca_pem(), None, &others)).await.unwrap_err();
        assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    }
}

#[tokio::test]
async fn clients_must_show_a_certificate_if_the_mock_requires_it() {
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let cluster = start(MockTls::new().require_client_certificates()).await;
        for certificate in
            [MockCertificate::CLIENT, MockCertificate::CLIENT_RSA, MockCertificate::CLIENT_CHAIN]
        {
            let config = config(MockTls::ca_pem(), Some(&certificate), versions);
            let mut stream = connect(&cluster, "localhost", config).await.unwrap();
            assert_eq!(ask(&mut stream).await.unwrap(), 7);
            let seen = cluster.tls_connections().pop().unwrap();
            assert_eq!(seen.client_certificate, Some(certificate.der()));
        }
        for (certificate, alert) in [
            (None, "CertificateRequired"),
            (Some(MockCertificate::CLIENT_EXPIRED), "CertificateExpired"),
            (Some(MockCertificate::CLIENT_OTHER_CA), "UnknownCA"),
        ] {
            let config = config(MockTls::ca_pem(), certificate.as_ref(), versions);
            // In TLS 1.3 the client hears of it only when it reads.
            let error = match connect(&cluster, "localhost", config).await {
                Ok(mut stream) => ask(&mut stream).await.unwrap_err(),
                Err(error) => error,
            };
            let error = error.to_string();
            assert!(
                error.contains(alert) || error.contains("HandshakeFailure") && certificate.is_none(),
                "{alert}: {error}"
            );
        }
        assert_eq!(cluster.requests().of(Api::ApiVersions), 3);
    }
}

#[tokio::test]
async fn clients_may_do_without_a_certificate_if_the_mock_only_requests_it() {
    let cluster = start(MockTls::new().request_client_certificates()).await;
    for identity in [None, Some(MockCertificate::CLIENT)] {
        let mut stream =
            connect(&cluster, "localhost", config(MockTls::ca_pem(), identity.as_ref(), BOTH)).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 7);
        let seen = cluster.tls_connections().pop().unwrap();
        assert_eq!(seen.client_certificate, identity.map(|identity| identity.der()));
    }
}

#[tokio::test]
async fn a_certificate_that_is_changed_counts_for_new_connections() {
    let cluster = start(MockTls::new()).await;
    let mut old = connect(&cluster, "localhost", trusting()).await.unwrap();
    cluster.set_tls(MockTls::new().certificate(MockCertificate::SERVER_SECOND)).unwrap();
    let mut new = connect(&cluster, "localhost", trusting()).await.unwrap();

    for (stream, certificate) in
        [(&mut old, MockCertificate::SERVER), (&mut new, MockCertificate::SERVER_SECOND)]
    {
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec(), certificate.der());
        assert_eq!(ask(stream).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_changes_nothing() {
    let cluster = start(MockTls::new()).await;
    let server = MockCertificate::SERVER;
    for tls in [
        MockTls::new().certificate(MockCertificate::from_pem(server.chain_pem(), "no key")),
        MockTls::new().certificate(MockCertificate::from_pem("no chain", server.key_pem())),
        MockTls::new()
            .certificate(MockCertificate::from_pem(server.chain_pem(), MockCertificate::CLIENT.key_pem())),
        MockTls::new().certificate(MockCertificate::CLIENT_ENCRYPTED_KEY),
        MockTls::new().versions([]),
        MockTls::new().require_client_certificates().client_ca_pem(""),
    ] {
        let error = cluster.set_tls(tls.clone()).unwrap_err();
        assert!(matches!(error, MockError::InvalidTls { .. }), "{tls:?}: {error}");
        assert!(MockCluster::builder().tls(tls).start().await.is_err());
    }
    let mut stream = connect(&cluster, "localhost", trusting()).await.unwrap();
    assert_eq!(ask(&mut stream).await.unwrap(), 7);
}

#[tokio::test]
async fn handshakes_fail_as_ordered() {
    let cluster = start(MockTls::new()).await;
    let reaction = async |fault: TlsFault| {
        cluster.inject_tls(fault);
        connect(&cluster, "localhost", trusting()).await.map(drop).map_err(|error| error.to_string())
    };

    assert_eq!(reaction(TlsFault::cut(0)).await, Err("tls handshake eof".to_owned()));
    assert_eq!(reaction(TlsFault::cut(300)).await, Err("tls handshake eof".to_owned()));
    let garbage = reaction(TlsFault::replace(&b"HTTP/1.1 400 Bad Request\r\n"[..])).await;
    assert_eq!(garbage, Err("received corrupt message of type InvalidContentType".to_owned()));
    assert_eq!(reaction(TlsFault::delay(Duration::from_millis(5))).await, Ok(()));

    assert_eq!(cluster.pending_tls_faults(), []);
    assert_eq!(cluster.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn a_handshake_stops_half_way_and_stays_there() {
    let cluster = start(MockTls::new()).await;
    cluster.inject_tls(TlsFault::stall(300).times(2));
    for _ in 0..2 {
        let stream = TcpStream::connect(cluster.bootstrap_servers()).await.unwrap();
        let connecting = TlsConnector::from(Arc::new(trusting()))
            .connect(ServerName::try_from("localhost").unwrap(), stream);
        tokio::time::timeout(Duration::from_millis(50), connecting).await.map(drop).unwrap_err();
    }
    assert_eq!(cluster.pending_tls_faults(), []);
    connect(&cluster, "localhost", trusting()).await.unwrap();
}

#[tokio::test]
async fn an_alert_after_the_handshake_reaches_the_client() {
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let cluster = start(MockTls::new()).await;
        cluster.inject_tls(TlsFault::alert_after_handshake());
        let is_13 = versions[0].version == rustls::ProtocolVersion::TLSv1_3;
        let error = match connect(&cluster, "localhost", config(MockTls::ca_pem(), None, versions)).await {
            Ok(mut stream) => ask(&mut stream).await.unwrap_err(),
            // In TLS 1.2 the broker says the last word of a handshake, so the alert may come with it.
            Err(error) if !is_13 => error,
            Err(error) => panic!("the client was done before the alert, but: {error}"),
        };
        assert_eq!(error.to_string(), "received fatal alert: BadRecordMac");
    }
}

#[tokio::test]
async fn faults_of_requests_work_through_tls() {
    let cluster = start(MockTls::new()).await;
    let reaction = async |fault: Fault| {
        cluster.inject(fault);
        let mut stream = connect(&cluster, "localhost", trusting()).await.unwrap();
        ask(&mut stream).await.map_err(|error| error.kind())
    };

    assert_eq!(reaction(Fault::cut_response(5)).await, Err(io::ErrorKind::UnexpectedEof));
    assert_eq!(reaction(Fault::reset_after()).await, Err(io::ErrorKind::ConnectionReset));
    assert_eq!(reaction(Fault::trickle(1, Duration::ZERO)).await, Ok(7));
    assert_eq!(reaction(Fault::freeze(Duration::from_millis(5))).await, Ok(7));
}

#[tokio::test]
async fn a_frozen_broker_shakes_no_hands() {
    let cluster = start(MockTls::new()).await;
    cluster.freeze(0).unwrap();
    let mut connecting = std::pin::pin!(connect(&cluster, "localhost", trusting()));
    tokio::time::timeout(Duration::from_millis(20), &mut connecting).await.map(drop).unwrap_err();

    cluster.unfreeze(0).unwrap();

    assert_eq!(ask(&mut connecting.await.unwrap()).await.unwrap(), 7);
}
