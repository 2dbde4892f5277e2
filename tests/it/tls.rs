//! Clusters that speak TLS.

use kafka_mock::TlsVersion as MockVersion;
use kafka_mock::{Api, MockCertificate, MockCluster, MockClusterBuilder, MockTls, TlsFault};
use kafka_producer::{
    Disposition, KafkaProducer, KafkaProducerBuilder, ProducerConfig, Sasl, SecurityProtocol, SendErrorKind,
    Tls, TlsVersion,
};

use crate::support::{
    TOPIC, TestResult, builder, delivered, enqueue_all, log_of, millis, record, record_for, soon, texts,
    until,
};

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs");

fn encrypted(tls: MockTls) -> MockClusterBuilder {
    MockCluster::builder().auto_create_topics(false, 1).tls(tls)
}

async fn start(builder: MockClusterBuilder, partitions: i32) -> MockCluster {
    let cluster = builder.start().await.unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

fn builder_with(cluster: &MockCluster, tls: Tls) -> KafkaProducerBuilder {
    builder(cluster).security_protocol(SecurityProtocol::Ssl).tls(tls)
}

fn trusting() -> Tls {
    Tls::new().truststore_pem(MockTls::ca_pem())
}

async fn refused(producer: &KafkaProducer) -> String {
    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::AuthenticationFailed { .. }), "{error}");
    assert_eq!(error.disposition(), Disposition::FixConfiguration);
    error.kind().to_string()
}

#[tokio::test]
async fn records_travel_over_tls_to_each_broker() -> TestResult {
    let cluster = start(encrypted(MockTls::new()).brokers(3), 6).await;
    let producer = builder_with(&cluster, trusting()).build()?;

    let records = (0..600).map(|number| record_for(number % 6, number));
    delivered(enqueue_all(&producer, records).await).await;

    for partition in 0..6 {
        assert_eq!(log_of(&cluster, partition).len(), 100);
    }
    assert_eq!(cluster.refusals(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn properties_of_java_users_are_enough() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    let one_line = MockTls::ca_pem().replace('\n', "\\n");
    for ca in [
        format!("ssl.truststore.location={CERTIFICATES}/ca.pem"),
        format!("ssl.truststore.certificates={one_line}"),
    ] {
        let servers = cluster.bootstrap_servers();
        let text =
            format!("bootstrap.servers={servers}\nsecurity.protocol=SSL\nssl.truststore.type=PEM\n{ca}\n");
        let config = ProducerConfig::from_properties_text(&text);
        let producer: KafkaProducer = KafkaProducer::builder().config(config).build()?;

        soon("delivery", producer.send(record("x"))).await?;
    }
    assert_eq!(log_of(&cluster, 0), ["x", "x"]);
    Ok(())
}

#[cfg(feature = "sasl")]
#[tokio::test]
async fn records_travel_over_tls_to_brokers_that_are_told_who_sends_them() -> TestResult {
    let cluster = start(encrypted(MockTls::new()).sasl_user("alice", "hunter2"), 1).await;
    for sasl in [Sasl::plain("alice", "hunter2"), Sasl::scram_sha_512("alice", "hunter2")] {
        let builder = builder_with(&cluster, trusting()).security_protocol(SecurityProtocol::SaslSsl);
        let producer = builder.sasl(sasl).build()?;

        delivered(enqueue_all(&producer, (0..50).map(record)).await).await;
    }
    assert_eq!(log_of(&cluster, 0), [texts(0..50), texts(0..50)].concat());
    Ok(())
}

async fn wait_for_refusal(tls: MockTls, ours: Tls) -> String {
    let cluster = start(encrypted(tls), 1).await;
    let producer = builder_with(&cluster, ours).build().unwrap();
    let first = refused(&producer).await;
    // The second caller comes after the first attempt.
    assert_eq!(refused(&producer).await, first);
    // The port is another one each time.
    let (_, told) = first.split_once(": TLS failed: ").unwrap();
    told.to_owned()
}

fn showing(certificate: &MockCertificate) -> Tls {
    trusting().keystore_pem(certificate.chain_pem(), certificate.key_pem())
}

/// What users read.
#[tokio::test]
async fn wrong_certificates_of_brokers_are_told_with_what_to_do() {
    let server = MockTls::new;
    let of = |subject: &str, issuer: &str, end: &str| {
        format!(
            "the broker's certificate {subject:?} (issued by {issuer:?}, valid until {end}-01-01 00:00:00 UTC)"
        )
    };
    let ca = "O=kafka-mock,CN=kafka-mock test CA";
    let intermediate = "O=kafka-mock,CN=kafka-mock intermediate CA";
    let unknown = |issuer: &str| {
        format!(
            "{} is signed by no authority that ssl.truststore.certificates vouches for; if you trust it, add to it the \
             certificate of {issuer:?}",
            of("CN=localhost", issuer, "2120")
        )
    };
    for (theirs, ours, expected) in [
        (server(), Tls::new().truststore_pem(MockTls::other_ca_pem()), unknown(ca)),
        (
            server().certificate(MockCertificate::SERVER_WITHOUT_INTERMEDIATE),
            trusting(),
            unknown(intermediate),
        ),
        (
            server().certificate(MockCertificate::SERVER_EXPIRED),
            trusting(),
            format!(
                "{} has ended, and here it is TODAY; give the broker another certificate (its ssl.keystore.location)",
                of("CN=localhost", ca, "2020")
            ),
        ),
        (
            server().certificate(MockCertificate::SERVER_NOT_YET_VALID),
            trusting(),
            format!(
                "{} is not valid before 2119-01-01 00:00:00 UTC, and here it is TODAY; set the clock, or give the broker \
                 another certificate (its ssl.keystore.location)",
                of("CN=localhost", ca, "2120")
            ),
        ),
        (
            server().certificate(MockCertificate::SERVER_WRONG_NAME),
            trusting(),
            format!(
                "{} is for kafka.example.com, and not for \"127.0.0.1\", which is the broker's name in bootstrap.servers \
                 or in its advertised.listeners (ssl.endpoint.identification.algorithm=https)",
                of("CN=kafka.example.com", ca, "2120")
            ),
        ),
    ] {
        assert_eq!(without_today(&wait_for_refusal(theirs, ours).await), expected);
    }
}

/// What users read.
#[tokio::test]
async fn what_brokers_do_not_like_is_told_with_what_to_do() {
    let server = MockTls::new;
    let no_certificate = "the broker asks for a certificate of the producer's; set ssl.keystore.location, or \
                          ssl.keystore.certificate.chain and ssl.keystore.key (CertificateRequired)";
    let no_version = |offered: &str| {
        format!(
            "broker and producer have no TLS version, cipher suite or kind of key in common; the producer offers \
             ssl.enabled.protocols={offered} (ProtocolVersion)"
        )
    };
    for (theirs, ours, expected) in [
        (server().require_client_certificates(), trusting(), no_certificate.to_owned()),
        (
            server().require_client_certificates().versions([MockVersion::V1_2]),
            trusting(),
            no_certificate.to_owned(),
        ),
        (
            server().require_client_certificates(),
            showing(&MockCertificate::CLIENT_OTHER_CA),
            "the broker refuses the producer's certificate \"CN=stranger\" of ssl.keystore.certificate.chain (UnknownCA); \
             its issuer may be missing in the broker's ssl.truststore.location"
                .to_owned(),
        ),
        (
            server().require_client_certificates(),
            showing(&MockCertificate::CLIENT_EXPIRED),
            "the producer's certificate \"CN=client\" of ssl.keystore.certificate.chain has ended on 2020-01-01 00:00:00 UTC, \
             and here it is TODAY; put another one there (the broker refuses it: CertificateExpired)"
                .to_owned(),
        ),
        (
            server().versions([MockVersion::V1_2]),
            trusting().enabled_protocols([TlsVersion::V1_3]),
            no_version("TLSv1.3"),
        ),
        (
            server().versions([MockVersion::V1_3]),
            trusting().enabled_protocols([TlsVersion::V1_2]),
            no_version("TLSv1.2"),
        ),
    ] {
        assert_eq!(without_today(&wait_for_refusal(theirs, ours).await), expected);
    }
}

fn without_today(text: &str) -> String {
    match text.split_once("here it is ") {
        Some((before, after)) => format!("{before}here it is TODAY{}", &after["2026-01-01".len()..]),
        None => text.to_owned(),
    }
}

/// They may be a broker that restarts, or a firewall: callers wait for as long as they want, and are told then.
#[tokio::test]
async fn handshakes_that_are_cut_off_are_told_when_the_wait_ends() -> TestResult {
    let plaintext = MockCluster::start(1).await?;
    let broken = start(encrypted(MockTls::new()), 1).await;
    broken.inject_tls(TlsFault::cut(100).times(u32::MAX));
    for cluster in [plaintext, broken] {
        let producer = builder_with(&cluster, trusting()).max_block(millis(300)).build()?;

        let error = soon("the end of max.block.ms", producer.send(record("x"))).await.unwrap_err();

        let text = error.kind().to_string();
        assert!(text.contains("TLS failed: closed in the middle of the TLS handshake"), "{text}");
        assert!(text.contains("security.protocol or the port is wrong"), "{text}");
        assert_eq!(error.disposition(), Disposition::RetryLater);
    }
    Ok(())
}

#[tokio::test]
async fn servers_that_speak_something_else_are_told() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    cluster.inject_tls(TlsFault::replace(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]).times(u32::MAX));
    let producer = builder_with(&cluster, trusting()).build()?;

    let text = refused(&producer).await;

    assert!(text.contains("does not speak TLS; security.protocol or the port is wrong"), "{text}");
    Ok(())
}

#[tokio::test]
async fn what_goes_wrong_for_a_moment_costs_no_record() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    for fault in
        [TlsFault::alert_after_handshake(), TlsFault::cut(0), TlsFault::cut(500), TlsFault::delay(millis(50))]
    {
        cluster.inject_tls(fault);
        let producer = builder_with(&cluster, trusting()).build()?;

        soon("delivery", producer.send(record("x"))).await?;

        assert_eq!(cluster.pending_tls_faults(), []);
    }
    assert_eq!(log_of(&cluster, 0), ["x"; 4]);
    Ok(())
}

#[tokio::test]
async fn silent_server_is_left_after_the_time_for_connecting() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    cluster.inject_tls(TlsFault::stall(200));
    let builder = builder_with(&cluster, trusting());
    let producer = builder.socket_connection_setup_timeout(millis(200)).build()?;

    soon("delivery", producer.send(record("x"))).await?;

    assert_eq!(log_of(&cluster, 0), ["x"]);
    Ok(())
}

#[tokio::test]
async fn producer_recovers_when_the_broker_gets_another_certificate() -> TestResult {
    let cluster = start(encrypted(MockTls::new().certificate(MockCertificate::SERVER_EXPIRED)), 1).await;
    let producer = builder_with(&cluster, trusting()).build()?;
    refused(&producer).await;

    cluster.set_tls(MockTls::new())?;
    until("the producer is connected", || cluster.requests().of(Api::Metadata) > 0).await;

    soon("delivery", producer.send(record("x"))).await?;
    Ok(())
}

#[tokio::test]
async fn name_is_not_checked_where_the_user_wants_that_but_the_chain_is() -> TestResult {
    let cluster = start(encrypted(MockTls::new().certificate(MockCertificate::SERVER_WRONG_NAME)), 1).await;
    let by_name = Tls::new().truststore_pem(MockTls::ca_pem()).danger_accept_any_name();
    let producer = builder_with(&cluster, by_name).build()?;
    soon("delivery", producer.send(record("x"))).await?;

    cluster.set_tls(MockTls::new().certificate(MockCertificate::SERVER_OTHER_CA))?;
    let producer =
        builder_with(&cluster, trusting()).property("ssl.endpoint.identification.algorithm", "").build()?;

    let text = refused(&producer).await;
    assert!(text.contains("is signed by no authority"), "{text}");
    Ok(())
}

#[tokio::test]
async fn producer_shows_its_certificate_whatever_form_its_key_has() -> TestResult {
    let cluster = start(encrypted(MockTls::new().require_client_certificates()), 1).await;
    let all = [
        MockCertificate::CLIENT,
        MockCertificate::CLIENT_SEC1_KEY,
        MockCertificate::CLIENT_ENCRYPTED_KEY,
        MockCertificate::CLIENT_SCRYPT_KEY,
        MockCertificate::CLIENT_RSA,
        MockCertificate::CLIENT_RSA_PKCS1_KEY,
        MockCertificate::CLIENT_CHAIN,
    ];
    for certificate in &all {
        let tls = showing(certificate).key_password(MockCertificate::PASSWORD);
        let producer = builder_with(&cluster, tls).build()?;

        soon("delivery", producer.send(record("x"))).await?;

        let seen = cluster.tls_connections().last().unwrap().client_certificate.clone();
        assert_eq!(seen, Some(certificate.der()));
    }
    assert_eq!(log_of(&cluster, 0).len(), all.len());
    Ok(())
}

#[tokio::test]
async fn keystore_file_has_certificate_and_key() -> TestResult {
    let cluster = start(encrypted(MockTls::new().require_client_certificates()), 1).await;
    let path = std::env::temp_dir().join(format!("kafka-producer-keystore-{}.pem", std::process::id()));
    let certificate = MockCertificate::CLIENT_CHAIN;
    std::fs::write(&path, [certificate.key_pem(), certificate.chain_pem()].concat())?;
    let producer = builder_with(&cluster, trusting().keystore_file(&path)).build()?;
    std::fs::remove_file(&path)?;

    soon("delivery", producer.send(record("x"))).await?;
    Ok(())
}

#[tokio::test]
async fn versions_and_suites_are_those_of_the_users_choice() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    for (versions, suites, expected) in [
        ("TLSv1.3,TLSv1.2", "TLS_AES_128_GCM_SHA256", (MockVersion::V1_3, "TLS13_AES_128_GCM_SHA256")),
        ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", (MockVersion::V1_3, "TLS13_CHACHA20_POLY1305_SHA256")),
        (
            "TLSv1.2,TLSv1.1",
            "TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            (MockVersion::V1_2, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        ),
    ] {
        let builder = builder_with(&cluster, trusting()).property("ssl.enabled.protocols", versions);
        let producer = builder.property("ssl.cipher.suites", suites).build()?;

        soon("delivery", producer.send(record("x"))).await?;

        let seen = cluster.tls_connections().last().unwrap().clone();
        assert_eq!((seen.version, seen.cipher_suite.as_deref()), (Some(expected.0), Some(expected.1)));
    }
    Ok(())
}

#[tokio::test]
async fn configuration_of_rustls_is_taken_as_it_is() -> TestResult {
    use kafka_producer::rustls::{ClientConfig, RootCertStore, pki_types};
    use pki_types::pem::PemObject;

    let cluster = start(encrypted(MockTls::new()), 1).await;
    let provider = std::sync::Arc::new(rustls_graviola::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki_types::CertificateDer::from_pem_slice(MockTls::ca_pem().as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let producer = builder_with(&cluster, Tls::new().client_config(config.into())).build()?;

    soon("delivery", producer.send(record("x"))).await?;
    Ok(())
}

#[tokio::test]
async fn brokers_that_are_not_trusted_fail_callers_soon() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    let producer = builder_with(&cluster, Tls::new().truststore_pem(MockTls::other_ca_pem())).build()?;

    // The second caller comes after the first attempt.
    for _ in 0..2 {
        refused(&producer).await;
    }
    Ok(())
}

#[tokio::test]
async fn plaintext_to_brokers_that_speak_tls_fails_callers_soon() -> TestResult {
    let cluster = start(encrypted(MockTls::new()), 1).await;
    let producer = builder(&cluster).build()?;

    let text = refused(&producer).await;

    assert!(text.contains("TLS failed: the broker speaks TLS at this address, and the producer does not: set security.protocol to SSL or SASL_SSL"), "{text}");
    Ok(())
}
