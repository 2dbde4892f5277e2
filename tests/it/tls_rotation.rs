//! Certificates that change while records are sent, and connections that break meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kafka_mock::{Api, Fault, MockCertificate, MockCluster, MockTls, TlsFault};
use kafka_producer::{KafkaProducer, ProducerConfig, Sasl, SecurityProtocol, Tls};

use crate::support::{
    TOPIC, TestResult, builder, delivered, enqueue_all, log_of, millis, record, record_for, seconds,
    skip_time, soon, texts, until,
};

/// A folder of its own, which is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kafka-producer-it-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file, at once for those who look, as Kubernetes does.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let (new, file) = (self.0.join(format!("{name}.new")), self.0.join(name));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &file).unwrap();
        file
    }

    fn write_identity(&self, certificate: &MockCertificate) -> PathBuf {
        self.write("client.pem", &format!("{}{}", certificate.key_pem(), certificate.chain_pem()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(brokers: i32, tls: MockTls) -> MockCluster {
    let cluster =
        MockCluster::builder().brokers(brokers).auto_create_topics(false, 1).tls(tls).start().await.unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    cluster
}

fn shown(cluster: &MockCluster) -> Option<Vec<u8>> {
    cluster.tls_connections().pop().and_then(|connection| connection.client_certificate)
}

fn years(years: u64) -> SystemTime {
    // As `date -u -d 2110-01-01 +%s` and 2120-01-01 print it.
    let seconds = match years {
        2110 => 4_417_977_600,
        _ => 4_733_510_400,
    };
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn mutual(cluster: &MockCluster, ca: &Path, identity: &Path) -> KafkaProducer {
    let tls = Tls::new().truststore_file(ca).keystore_file(identity).reload_interval(millis(24));
    builder(cluster).security_protocol(SecurityProtocol::Ssl).tls(tls).build().unwrap()
}

#[tokio::test]
async fn new_connections_show_new_certificates_and_old_ones_live_on() -> TestResult {
    let cluster = start(1, MockTls::new().require_client_certificates()).await;
    let folder = Folder::new("rotation");
    let ca = folder.write("ca.pem", MockTls::ca_pem());
    let identity = folder.write_identity(&MockCertificate::CLIENT);
    let producer = mutual(&cluster, &ca, &identity);
    delivered(enqueue_all(&producer, (0..100).map(|number| record_for(0, number))).await).await;
    assert_eq!(shown(&cluster), Some(MockCertificate::CLIENT.der()));
    assert_eq!(producer.metrics().certificate_ends, Some(years(2120)));

    folder.write_identity(&MockCertificate::CLIENT_SECOND);
    until("the new certificate is in use", || producer.metrics().certificate_ends == Some(years(2110))).await;
    delivered(enqueue_all(&producer, (100..200).map(|number| record_for(0, number))).await).await;
    assert_eq!(cluster.connections_accepted(0), 1, "the old connection lives on");
    cluster.inject(Fault::disconnect_before().api(Api::Produce));
    delivered(enqueue_all(&producer, (200..300).map(|number| record_for(0, number))).await).await;

    assert_eq!(shown(&cluster), Some(MockCertificate::CLIENT_SECOND.der()));
    assert_eq!(log_of(&cluster, 0), texts(0..300));
    assert_eq!(cluster.refusals(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn certificates_that_cannot_be_read_leave_those_of_before() -> TestResult {
    let cluster = start(1, MockTls::new().require_client_certificates()).await;
    let folder = Folder::new("unreadable");
    let ca = folder.write("ca.pem", MockTls::ca_pem());
    let identity = folder.write_identity(&MockCertificate::CLIENT);
    let producer = mutual(&cluster, &ca, &identity);

    folder.write("client.pem", "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n");
    // Long enough for many looks. If there were none, nothing of this test would fail that should not.
    tokio::time::sleep(millis(100)).await;
    for number in 0..3 {
        cluster.inject(Fault::disconnect_after().api(Api::Produce));
        delivered(enqueue_all(&producer, [record_for(0, number)]).await).await;
    }
    assert_eq!(shown(&cluster), Some(MockCertificate::CLIENT.der()));
    assert_eq!(producer.metrics().certificate_ends, Some(years(2120)));

    folder.write_identity(&MockCertificate::CLIENT_SECOND);
    until("the new certificate is in use", || producer.metrics().certificate_ends == Some(years(2110))).await;
    assert_eq!(log_of(&cluster, 0), texts(0..3));
    Ok(())
}

#[tokio::test]
async fn brokers_that_change_their_authority_are_trusted_after_the_file_has_changed() -> TestResult {
    let cluster = start(1, MockTls::new()).await;
    let folder = Folder::new("authority");
    let ca = folder.write("ca.pem", MockTls::ca_pem());
    let tls = Tls::new().truststore_file(&ca).reload_interval(millis(24));
    let producer = builder(&cluster).security_protocol(SecurityProtocol::Ssl).tls(tls).build()?;
    delivered(enqueue_all(&producer, [record_for(0, 0)]).await).await;

    cluster.set_tls(MockTls::new().certificate(MockCertificate::SERVER_OTHER_CA))?;
    cluster.inject(Fault::disconnect_before().api(Api::Produce));
    let waiting = enqueue_all(&producer, (1..50).map(|number| record_for(0, number))).await;
    until("the producer is refused", || !cluster.refusals().is_empty()).await;
    folder.write("ca.pem", &format!("{}{}", MockTls::ca_pem(), MockTls::other_ca_pem()));

    delivered(waiting).await;
    assert_eq!(log_of(&cluster, 0), texts(0..50));
    Ok(())
}

#[tokio::test]
async fn provider_of_certificates_is_waited_for_and_asked_again() -> TestResult {
    let cluster = start(1, MockTls::new().require_client_certificates()).await;
    let (answers, asked) = tokio::sync::mpsc::unbounded_channel::<MockCertificate>();
    let asked = Arc::new(tokio::sync::Mutex::new(asked));
    let producer = builder(&cluster)
        .security_protocol(SecurityProtocol::Ssl)
        .certificate_provider(move || {
            let asked = Arc::clone(&asked);
            async move {
                let next = asked.lock().await.recv().await.ok_or("there are no more")?;
                let tls = Tls::new().truststore_pem(MockTls::ca_pem());
                Ok(tls.keystore_pem(next.chain_pem(), next.key_pem()))
            }
        })
        .build()?;

    for (number, certificate) in
        [MockCertificate::CLIENT, MockCertificate::CLIENT_SECOND].into_iter().enumerate()
    {
        let ends = if number == 0 { years(2120) } else { years(2110) };
        answers.send(certificate.clone())?;
        until("the certificate is in use", || producer.metrics().certificate_ends == Some(ends)).await;
        cluster.inject(Fault::disconnect_before().api(Api::Produce));
        delivered(enqueue_all(&producer, [record_for(0, number)]).await).await;
        assert_eq!(shown(&cluster), Some(certificate.der()));
    }
    assert_eq!(log_of(&cluster, 0), texts(0..2));
    Ok(())
}

#[tokio::test]
async fn files_are_looked_at_every_minute() -> TestResult {
    let cluster = start(1, MockTls::new().require_client_certificates()).await;
    let folder = Folder::new("minute");
    let identity = folder.write_identity(&MockCertificate::CLIENT);
    let config = ProducerConfig::from_properties_text(&format!(
        "bootstrap.servers={}\nsecurity.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
         ssl.keystore.type=PEM\nssl.keystore.location={}\n",
        cluster.bootstrap_servers(),
        folder.write("ca.pem", MockTls::ca_pem()).display(),
        identity.display(),
    ));
    let producer: KafkaProducer = KafkaProducer::builder().config(config).build()?;
    soon("delivery", producer.send(record("x"))).await?;
    folder.write_identity(&MockCertificate::CLIENT_SECOND);

    skip_time(seconds(60)).await;
    // The look takes a thread's time, and the clock has to go on after it.
    for _ in 0..50 {
        tokio::time::sleep(millis(1)).await;
    }
    assert_eq!(producer.metrics().certificate_ends, Some(years(2120)), "what changes must rest first");
    skip_time(seconds(5)).await;

    until("the new certificate is in use", || producer.metrics().certificate_ends == Some(years(2110))).await;
    Ok(())
}

#[tokio::test]
async fn order_lasts_through_connections_and_handshakes_that_break() -> TestResult {
    let cluster = start(3, MockTls::new().require_client_certificates()).await;
    let tls = Tls::new()
        .truststore_pem(MockTls::ca_pem())
        .keystore_pem(MockCertificate::CLIENT.chain_pem(), MockCertificate::CLIENT.key_pem());
    let builder = builder(&cluster).security_protocol(SecurityProtocol::Ssl).tls(tls);
    let producer = builder.batch_size(512).request_timeout(millis(500)).build()?;
    let faults = [
        Fault::disconnect_after(),
        Fault::disconnect_before(),
        Fault::reset_after(),
        Fault::cut_response(7),
        Fault::stall_response(7),
        Fault::trickle(3, Duration::ZERO),
    ];
    let broken = [
        TlsFault::cut(0),
        TlsFault::cut(300),
        TlsFault::replace(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
        TlsFault::alert_after_handshake(),
        TlsFault::delay(millis(5)),
    ];
    let mut waiting = Vec::new();
    for round in 0..12 {
        cluster.inject(faults[round % faults.len()].clone().api(Api::Produce));
        cluster.inject_tls(broken[round % broken.len()].clone());
        let records = (round * 20..round * 20 + 20).map(|number| record_for(0, number));
        waiting.extend(enqueue_all(&producer, records).await);
        if round % 3 == 2 {
            delivered(waiting.drain(..)).await;
        }
    }

    delivered(waiting).await;
    assert_eq!(log_of(&cluster, 0), texts(0..240));
    Ok(())
}

#[cfg(feature = "sasl")]
#[tokio::test]
async fn passwords_travel_over_tls_also_when_connections_break() -> TestResult {
    let builder_of_mock = MockCluster::builder().auto_create_topics(false, 1).tls(MockTls::new());
    let cluster = builder_of_mock.sasl_user("alice", "hunter2").start().await?;
    cluster.create_topic(TOPIC, 1, 1)?;
    let tls = Tls::new().truststore_pem(MockTls::ca_pem());
    let producer = builder(&cluster)
        .security_protocol(SecurityProtocol::SaslSsl)
        .tls(tls)
        .sasl(Sasl::scram_sha_256("alice", "hunter2"))
        .build()?;

    for round in 0..10 {
        cluster.inject(Fault::disconnect_after().api(Api::Produce));
        cluster.inject_tls(TlsFault::cut(200));
        let records = (round * 10..round * 10 + 10).map(record);
        delivered(enqueue_all(&producer, records).await).await;
    }

    assert_eq!(log_of(&cluster, 0), texts(0..100));
    Ok(())
}

#[cfg(feature = "keystores")]
#[tokio::test]
async fn stores_of_java_users_are_enough() -> TestResult {
    let cluster = start(1, MockTls::new().require_client_certificates()).await;
    let certificates = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs");
    for (truststore, keystore) in [
        ("ca.jks", "client.jks"),
        ("ca.p12", "client-java.p12"),
        ("ca-old.p12", "client-java-old.p12"),
        ("ca-openssl.p12", "client.p12"),
    ] {
        let config = ProducerConfig::from_properties_text(&format!(
            "bootstrap.servers={}\nsecurity.protocol=SSL\n\
             ssl.truststore.location={certificates}/{truststore}\nssl.truststore.password=kafka-mock\n\
             ssl.keystore.location={certificates}/{keystore}\nssl.keystore.password=kafka-mock\n\
             ssl.key.password=kafka-mock\n",
            cluster.bootstrap_servers(),
        ));
        let producer: KafkaProducer = KafkaProducer::builder().config(config).build()?;

        soon("delivery", producer.send(record_for(0, keystore))).await?;
        assert_eq!(shown(&cluster), Some(MockCertificate::CLIENT.der()), "{keystore}");
    }
    Ok(())
}
