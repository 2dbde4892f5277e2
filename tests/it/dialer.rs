//! Connections that the application makes: through a Unix socket, behind a load balancer, and by dialers that misbehave.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{ByteStream, DialTarget, Dialer, Dialing, dial_with};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{
    builder, builder_at, cluster_with, delivered, enqueue_all, log_of, millis, record, soon, texts,
};

fn broker_of(cluster: &MockCluster) -> String {
    cluster.bootstrap_servers()
}

#[cfg(unix)]
#[tokio::test]
async fn brokers_may_be_behind_a_unix_socket() {
    use tokio::net::{UnixListener, UnixStream};

    let cluster = cluster_with(1, 1).await;
    let broker = broker_of(&cluster);
    let path = std::env::temp_dir().join(format!("kafka-producer-dialer-{}.sock", std::process::id()));
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path).unwrap();
    let sidecar = tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&broker).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let socket = path.clone();
    let dialer = dial_with(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await }
    });

    // No resolver knows this name.
    let producer = builder_at("kafka.invalid:9092").dialer(dialer).build().unwrap();
    soon("result", producer.send(record(0))).await.unwrap();

    assert_eq!(log_of(&cluster, 0), ["0"]);
    sidecar.abort();
    std::fs::remove_file(&path).unwrap();
}

/// As the documentation of `Dialer` shows it.
struct BehindLoadBalancer {
    address: String,
}

impl Dialer for BehindLoadBalancer {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        Box::pin(async move {
            let (host, port) = self.address.split_once(':').unwrap();
            let mut stream = target.connect_tcp_to(host, port.parse().unwrap()).await?;
            let (from, to) = (stream.local_addr()?, stream.peer_addr()?);
            let header = format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
            stream.write_all(header.as_bytes()).await?;
            Ok(Box::new(stream) as _)
        })
    }
}

#[tokio::test]
async fn load_balancer_may_be_told_who_asks() {
    let cluster = cluster_with(1, 1).await;
    let broker = broker_of(&cluster);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let headers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&headers);
    let balancer = tokio::spawn(async move {
        while let Ok((near, from)) = listener.accept().await {
            let mut near = BufReader::new(near);
            let mut header = String::new();
            near.read_line(&mut header).await.unwrap();
            seen.lock().unwrap().push((header, from.port()));
            let mut far = TcpStream::connect(&broker).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });

    let producer = builder(&cluster).dialer(BehindLoadBalancer { address: address.clone() }).build().unwrap();
    soon("result", producer.send(record(0))).await.unwrap();

    assert_eq!(log_of(&cluster, 0), ["0"]);
    let port = address.rsplit(':').next().unwrap();
    for (header, from) in headers.lock().unwrap().iter() {
        assert_eq!(*header, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {port}\r\n"));
    }
    balancer.abort();
}

/// What a dialer does at its first attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misdeed {
    PanicsAtOnce,
    PanicsLater,
    NeverReturns,
    Fails,
    StreamPanicsOnRead,
    StreamPanicsOnWrite,
    StreamPanicsWhenDropped,
    StreamEnds,
    StreamTellsNonsense,
    StreamTakesAllAndGivesNothing,
    StreamSaysThatItWroteMore,
    StreamWritesNothing,
}

const MISDEEDS: [Misdeed; 12] = [
    Misdeed::PanicsAtOnce,
    Misdeed::PanicsLater,
    Misdeed::NeverReturns,
    Misdeed::Fails,
    Misdeed::StreamPanicsOnRead,
    Misdeed::StreamPanicsOnWrite,
    Misdeed::StreamPanicsWhenDropped,
    Misdeed::StreamEnds,
    Misdeed::StreamTellsNonsense,
    Misdeed::StreamTakesAllAndGivesNothing,
    Misdeed::StreamSaysThatItWroteMore,
    Misdeed::StreamWritesNothing,
];

/// Misbehaves at every other attempt.
struct Hostile {
    misdeed: Misdeed,
    attempts: Arc<AtomicUsize>,
}

impl Dialer for Hostile {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        let misdeed = self.misdeed;
        if self.attempts.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            return Box::pin(async move { Ok(Box::new(target.connect_tcp().await?) as _) });
        }
        assert!(misdeed != Misdeed::PanicsAtOnce, "at once");
        Box::pin(async move {
            match misdeed {
                Misdeed::PanicsLater => panic!("later"),
                Misdeed::NeverReturns => std::future::pending().await,
                Misdeed::Fails => Err(io::Error::other("the proxy refuses")),
                Misdeed::StreamPanicsWhenDropped => {
                    let stream: Box<dyn ByteStream> =
                        Box::new(Spoilt { inner: target.connect_tcp().await?, misdeed });
                    Ok(stream)
                }
                _ => Ok(Box::new(Spoilt { inner: tokio::io::empty(), misdeed }) as _),
            }
        })
    }
}

struct Spoilt<S> {
    inner: S,
    misdeed: Misdeed,
}

impl<S: AsyncRead + Unpin> AsyncRead for Spoilt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.misdeed {
            Misdeed::StreamPanicsOnRead => panic!("on reading"),
            Misdeed::StreamTellsNonsense => {
                buffer.put_slice(&[0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
                Poll::Ready(Ok(()))
            }
            Misdeed::StreamEnds => Poll::Ready(Ok(())),
            Misdeed::StreamPanicsWhenDropped => Pin::new(&mut self.inner).poll_read(cx, buffer),
            _ => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spoilt<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.misdeed {
            Misdeed::StreamPanicsOnWrite => panic!("on writing"),
            Misdeed::StreamSaysThatItWroteMore => Poll::Ready(Ok(usize::MAX)),
            Misdeed::StreamWritesNothing => Poll::Ready(Ok(0)),
            Misdeed::StreamPanicsWhenDropped => Pin::new(&mut self.inner).poll_write(cx, bytes),
            _ => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for Spoilt<S> {
    fn drop(&mut self) {
        if self.misdeed == Misdeed::StreamPanicsWhenDropped && !std::thread::panicking() {
            panic!("when dropped");
        }
    }
}

#[tokio::test]
async fn dialer_that_misbehaves_costs_one_connection_and_no_record() {
    for misdeed in MISDEEDS {
        let cluster = cluster_with(2, 2).await;
        let attempts = Arc::new(AtomicUsize::new(0));
        let producer = builder(&cluster)
            // What never comes to an end must not take the test's time.
            .socket_connection_setup_timeout(millis(50))
            .request_timeout(millis(300))
            .delivery_timeout(Duration::from_secs(60))
            .dialer(Hostile { misdeed, attempts: Arc::clone(&attempts) })
            .build()
            .unwrap();

        let records = (0..40).map(|number| record(number).partition(number % 2));
        let deliveries = enqueue_all(&producer, records).await;

        delivered(deliveries).await;
        for partition in 0..2 {
            let expected: Vec<_> = texts(0..40).into_iter().skip(partition).step_by(2).collect();
            assert_eq!(log_of(&cluster, i32::try_from(partition).unwrap()), expected, "{misdeed:?}");
        }
        assert!(attempts.load(Ordering::Relaxed) >= 2, "{misdeed:?}");
        let report = producer.close(Duration::from_secs(60)).await;
        assert!(report.undelivered.is_empty(), "{misdeed:?}");
    }
}

/// Panics when it is dropped.
struct Delicate;

impl Dialer for Delicate {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        Box::pin(async move { Ok(Box::new(target.connect_tcp().await?) as _) })
    }
}

impl Drop for Delicate {
    fn drop(&mut self) {
        panic!("when dropped");
    }
}

#[tokio::test]
async fn dialer_may_panic_when_the_producer_lets_go_of_it() {
    let cluster = cluster_with(1, 1).await;
    let producer = builder(&cluster).dialer(Delicate).build().unwrap();

    soon("result", producer.send(record(0))).await.unwrap();
    let report = producer.close(Duration::from_secs(60)).await;

    assert!(report.undelivered.is_empty());
    assert_eq!(log_of(&cluster, 0), ["0"]);
}

#[tokio::test(flavor = "current_thread")]
async fn close_ends_while_a_dialer_never_returns() {
    let dialer = dial_with(|_| std::future::pending::<io::Result<TcpStream>>());
    let producer = builder_at("kafka-1:9092").dialer(dialer).build().unwrap();
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(record(0)).await }
    });

    let report = soon("close", producer.close(Duration::ZERO)).await;

    assert!(report.undelivered.is_empty());
    soon("result", waiting).await.unwrap().unwrap_err();
}
