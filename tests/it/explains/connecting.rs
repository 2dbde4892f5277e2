//! Brokers that cannot be reached, or that are none.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_mock::{Api, MockCluster};
use kafka_producer::{BrokerState, KafkaProducerBuilder, MetadataRecoveryStrategy, dial_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::sheet::{Told, compare};
use crate::support::logged::Logged;
use crate::support::{TOPIC, TestResult, cluster_with, record, seconds, skip_time, soon, until};

/// Returns what a caller is told who waits for as long as `max.block.ms` allows. At the third attempt to connect the producer knows
/// what came of the second.
async fn in_vain(
    logged: &Logged,
    builder: KafkaProducerBuilder,
    attempts: impl Fn() -> usize,
) -> Result<Told, Box<dyn std::error::Error>> {
    let producer = builder.build()?;
    let sending = producer.send(record("x"));
    let error = logged.run_out("send", sending, || attempts() >= 3, seconds(61)).await.unwrap_err();
    assert!(Told::is_metadata_timeout(&error), "{error:?}");
    Ok(Told::send(&error))
}

/// Counts the connections that are made to a port, and does the same with each.
async fn listener<F, T>(serve: F) -> (String, Arc<AtomicUsize>)
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream));
        }
    });
    (address, accepted)
}

/// A resolver of the test's own: those of systems have different words.
#[tokio::test]
async fn wrong_host() -> TestResult {
    let logged = Logged::by("wrong-host");
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&attempts);
    let dialer = dial_with(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<TcpStream, _>(io::Error::new(
            io::ErrorKind::NotFound,
            "failed to lookup address information: Name or service not known",
        )))
    });
    let builder = logged.builder_at("no-such-host.invalid:9092").dialer(dialer);

    let told = in_vain(&logged, builder, || attempts.load(Ordering::SeqCst)).await?;

    compare(&logged, "Wrong host", &told);
    Ok(())
}

#[tokio::test]
async fn wrong_port() -> TestResult {
    let logged = Logged::by("wrong-port");
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&attempts);
    let dialer = dial_with(move |target| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move { target.connect_tcp().await }
    });
    let builder = logged.builder_at("127.0.0.1:1").dialer(dialer);

    let told = in_vain(&logged, builder, || attempts.load(Ordering::SeqCst)).await?;

    compare(&logged, "Wrong port", &told);
    Ok(())
}

#[tokio::test]
async fn http() -> TestResult {
    let logged = Logged::by("http");
    let (address, accepted) = listener(|mut stream| async move {
        let mut request = [0; 8];
        drop(stream.read_exact(&mut request).await);
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await);
        // The client ends the connection.
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;

    let told = in_vain(&logged, logged.builder_at(address), || accepted.load(Ordering::SeqCst)).await?;

    compare(&logged, "HTTP", &told);
    Ok(())
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_to_a_producer_without() -> TestResult {
    let logged = Logged::by("plaintext-to-tls");
    let cluster = MockCluster::builder().tls(kafka_mock::MockTls::new()).start().await?;
    let producer = logged.builder(&cluster).build()?;

    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();

    compare(&logged, "TLS mix-up: plaintext to TLS", &Told::send(&error));
    Ok(())
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_to_brokers_without() -> TestResult {
    let logged = Logged::by("tls-to-plaintext");
    let cluster = MockCluster::start(1).await?;
    let tls = kafka_producer::Tls::new().truststore_pem(kafka_mock::MockTls::ca_pem());
    let builder = logged.builder(&cluster).security_protocol(kafka_producer::SecurityProtocol::Ssl).tls(tls);

    let attempts = || usize::try_from(cluster.connections_accepted(0)).unwrap();
    let told = in_vain(&logged, builder, attempts).await?;

    compare(&logged, "TLS mix-up: TLS to plaintext", &told);
    Ok(())
}

#[tokio::test]
async fn silent_port() -> TestResult {
    let logged = Logged::by("silent-port");
    let (address, accepted) = listener(|mut stream| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    // Longer than any of the waits below, so that it is the setup that takes too long.
    let producer =
        logged.builder_at(address).delivery_timeout(seconds(120)).request_timeout(seconds(100)).build()?;
    let sending = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(record("x")).await }
    });

    for attempt in 1..3 {
        until("an attempt", || accepted.load(Ordering::SeqCst) == attempt).await;
        if attempt == 1 {
            logged.two_seconds().await;
        }
        // Longer than socket.connection.setup.timeout.ms with its jitter.
        skip_time(seconds(25)).await;
    }
    until("another attempt", || accepted.load(Ordering::SeqCst) == 3).await;
    skip_time(seconds(25)).await;
    let error = soon("send", sending).await?.unwrap_err();

    assert!(Told::is_metadata_timeout(&error), "{error:?}");
    compare(&logged, "Silent port", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn controller_instead_of_a_broker() -> TestResult {
    let logged = Logged::by("controller");
    let cluster = cluster_with(1, 1).await;
    cluster.remove_api(Api::Metadata);
    let producer = logged.builder(&cluster).build()?;

    // The first connection ends at a request that the producer sends before it knows what the server speaks.
    let is_connected = || producer.health().brokers.iter().any(|it| it.state == BrokerState::Connected);
    let is_again = || cluster.connections_accepted(0) >= 2 && is_connected();
    let error = logged.run_out("send", producer.send(record("x")), is_again, seconds(61)).await.unwrap_err();

    compare(&logged, "Controller instead of a broker", &Told::send(&error));
    Ok(())
}

#[tokio::test]
async fn advertised_address_out_of_reach() -> TestResult {
    let logged = Logged::by("advertised-address");
    let cluster = cluster_with(1, 1).await;
    let port = cluster.port(0).unwrap();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&attempts);
    let dialer = dial_with(move |target| {
        let is_bootstrap = target.host() == "kafka.example.com";
        if !is_bootstrap {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        async move {
            if is_bootstrap {
                return target.connect_tcp_to("127.0.0.1", port).await;
            }
            Err(io::Error::from(io::ErrorKind::HostUnreachable))
        }
    });
    let producer = logged
        .builder_at("kafka.example.com:9092")
        .dialer(dialer)
        .delivery_timeout(seconds(1200))
        .metadata_max_idle(seconds(5000))
        .metadata_recovery_strategy(MetadataRecoveryStrategy::None)
        .build()?;

    let delivery = producer.enqueue(record("x")).await?;
    // What has come of a broker is forgotten after `delivery.timeout.ms`, and time is skipped here.
    for time in [600, 601] {
        attempts.store(0, Ordering::SeqCst);
        until("the broker is tried", || attempts.load(Ordering::SeqCst) >= 3).await;
        if time == 600 {
            logged.two_seconds().await;
        }
        skip_time(seconds(time)).await;
    }
    let error = soon("delivery", delivery).await.unwrap_err();

    compare(&logged, "Advertised address out of reach", &Told::delivery(&error));
    Ok(())
}

#[cfg(feature = "sasl")]
mod sasl {
    use kafka_producer::{Sasl, SecurityProtocol};

    use super::*;

    async fn guarded() -> MockCluster {
        let cluster = MockCluster::builder().auto_create_topics(false, 1).sasl_user("alice", "apples");
        let cluster = cluster.start().await.unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        cluster
    }

    #[tokio::test]
    async fn wrong_password() -> TestResult {
        let logged = Logged::by("wrong-password");
        let cluster = guarded().await;
        let sasl = Sasl::scram_sha_512("alice", "pears");
        let producer =
            logged.builder(&cluster).security_protocol(SecurityProtocol::SaslPlaintext).sasl(sasl).build()?;

        let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();

        compare(&logged, "Wrong password", &Told::send(&error));
        Ok(())
    }

    #[tokio::test]
    async fn sasl_expected() -> TestResult {
        let logged = Logged::by("sasl-expected");
        let cluster = guarded().await;
        let producer = logged.builder(&cluster).build()?;

        let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();

        compare(&logged, "SASL expected", &Told::send(&error));
        Ok(())
    }
}
