//! Brokers behind a network on which every round trip takes the same time.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
#[cfg(feature = "tls")]
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_mock::Api;
use kafka_mock::sans_io::{Brokers, Client, Reaction};
use kafka_protocol::messages::{MetadataRequest, RequestHeader};
use kafka_protocol::protocol::Decodable;
#[cfg(feature = "tls")]
use rustls::pki_types::pem::PemObject;
#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

#[cfg(feature = "tls")]
use crate::config::TlsVersion;
use crate::network::dialer::ByteStream;
use crate::network::next_frame;
use crate::network::transport::{Connecting, Connector};

/// Brokers 0, 1 … at ports 9092, 9093 … of 127.0.0.1. To connect takes a round trip, and so does each answer; the brokers
/// themselves take no time.
pub(super) struct Distant {
    round_trip: Duration,
    pub(super) brokers: Mutex<Brokers>,
    /// Whether a topic exists from the moment on in which it was asked for in vain, as with Kafka's
    /// `auto.create.topics.enable`.
    pub(super) creates_topics: bool,
    /// Whether brokers close a connection on which something is asked along with ApiVersions.
    pub(super) dislikes_early_requests: bool,
    /// The version of TLS that brokers speak, if they do.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsVersion>,
    /// What was asked of which broker: `broker: request and version`, or `broker: connect`.
    log: Mutex<Vec<String>>,
}

impl Distant {
    pub(super) fn new(round_trip: Duration, count: i32) -> Self {
        let mut brokers = Brokers::new(count);
        for id in 0..count {
            brokers.broker_up(id, port(id)).unwrap();
        }
        Self {
            round_trip,
            brokers: Mutex::new(brokers),
            creates_topics: false,
            dislikes_early_requests: false,
            #[cfg(feature = "tls")]
            tls: None,
            log: Mutex::default(),
        }
    }

    /// Returns what was asked so far.
    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Has a broker take in a request. Returns its answer.
    fn handle(&self, client: &mut Client, broker: i32, frame: Bytes) -> Option<Bytes> {
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let api = Api::from_key(key).unwrap();
        self.log.lock().unwrap().push(format!("{broker}: {api:?} {version}"));
        let mut brokers = self.brokers.lock().unwrap();
        let reaction = brokers.handle_of(client, broker, frame.clone(), Duration::ZERO);
        // Coordinators take no time either.
        while brokers.write_markers(usize::MAX, |_, _| true) {}
        if api == Api::Metadata && self.creates_topics {
            create_topics(&mut brokers, frame, version);
        }
        match reaction {
            Reaction::Reply { frame, .. } => Some(frame),
            Reaction::Close => None,
            other => panic!("{other:?}"),
        }
    }
}

/// Cuts the versions off a log.
pub(super) fn without_versions(log: &[String]) -> Vec<&str> {
    log.iter().map(|line| line.trim_end_matches(|char: char| char.is_ascii_digit() || char == ' ')).collect()
}

fn port(broker: i32) -> u16 {
    9092 + u16::try_from(broker).unwrap()
}

fn create_topics(brokers: &mut Brokers, mut frame: Bytes, version: i16) {
    RequestHeader::decode(&mut frame, if version >= 9 { 2 } else { 1 }).unwrap();
    let request = MetadataRequest::decode(&mut frame, version).unwrap();
    for topic in request.topics.into_iter().flatten().filter(|_| request.allow_auto_topic_creation) {
        // It may exist.
        let _: Result<(), _> = brokers.create_topic(&topic.name.unwrap(), 1, 1);
    }
}

impl fmt::Debug for Distant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distant").finish_non_exhaustive()
    }
}

/// A connector is shared, and connections outlive the call that makes them.
#[derive(Debug)]
pub(super) struct ToDistant(pub(super) Arc<Distant>);

impl Connector for ToDistant {
    /// Every name but an address leads to broker 0.
    fn connect(&self, _: &str, port: u16, _: usize) -> Connecting {
        let network = Arc::clone(&self.0);
        let broker = i32::from(port) - 9092;
        Box::pin(async move {
            network.log.lock().unwrap().push(format!("{broker}: connect"));
            pause(network.round_trip).await;
            let line = Line {
                broker,
                client: Client::default(),
                wire: Wire::of(&network),
                to_broker: BytesMut::new(),
                answers: VecDeque::new(),
                is_greeted: false,
                is_closed: false,
                timer: None,
                network,
            };
            let stream: Box<dyn ByteStream> = Box::new(line);
            Ok(stream)
        })
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// How bytes travel.
enum Wire {
    Plain,
    /// The broker's part of it.
    #[cfg(feature = "tls")]
    Tls(Box<rustls::ServerConnection>),
}

#[cfg(not(feature = "tls"))]
impl Wire {
    fn of(_: &Distant) -> Self {
        Self::Plain
    }

    fn take_in(&mut self, bytes: &[u8], plain: &mut BytesMut) -> io::Result<()> {
        plain.extend_from_slice(bytes);
        Ok(())
    }

    fn give_out(&mut self, answer: Bytes) -> Option<Bytes> {
        Some(answer)
    }

    fn rest(&mut self) -> Option<Bytes> {
        None
    }
}

#[cfg(feature = "tls")]
impl Wire {
    fn of(network: &Distant) -> Self {
        let Some(version) = network.tls else { return Self::Plain };
        let version = match version {
            TlsVersion::V1_2 => &rustls::version::TLS12,
            TlsVersion::V1_3 => &rustls::version::TLS13,
        };
        let certificate = kafka_mock::MockCertificate::SERVER;
        let chain = CertificateDer::pem_slice_iter(certificate.chain_pem().as_bytes());
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls_graviola::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        Self::Tls(Box::new(rustls::ServerConnection::new(Arc::new(config)).unwrap()))
    }

    /// Takes in what has come from the client.
    fn take_in(&mut self, mut bytes: &[u8], plain: &mut BytesMut) -> io::Result<()> {
        let Self::Tls(tls) = self else {
            plain.extend_from_slice(bytes);
            return Ok(());
        };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            let come = tls.process_new_packets().map_err(io::Error::other)?.plaintext_bytes_to_read();
            let mut decrypted = vec![0; come];
            tls.reader().read_exact(&mut decrypted)?;
            plain.extend_from_slice(&decrypted);
        }
        Ok(())
    }

    /// Returns an answer as it travels, if it does not travel with others.
    fn give_out(&mut self, answer: Bytes) -> Option<Bytes> {
        let Self::Tls(tls) = self else { return Some(answer) };
        tls.writer().write_all(&answer).unwrap();
        None
    }

    /// Returns what is to travel in addition.
    fn rest(&mut self) -> Option<Bytes> {
        let Self::Tls(tls) = self else { return None };
        let mut bytes = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut bytes).unwrap();
        }
        (!bytes.is_empty()).then(|| Bytes::from(bytes))
    }
}

/// The producer's end of a connection.
struct Line {
    network: Arc<Distant>,
    broker: i32,
    client: Client,
    wire: Wire,
    to_broker: BytesMut,
    /// With the times at which they are here.
    answers: VecDeque<(Instant, Bytes)>,
    /// Whether the first answer has arrived.
    is_greeted: bool,
    is_closed: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = &mut *self;
        let due = Instant::from_std(crate::clock::now()) + line.network.round_trip;
        line.wire.take_in(bytes, &mut line.to_broker)?;
        while let Some(frame) = next_frame(&mut line.to_broker, usize::MAX).unwrap() {
            let answer = line.network.handle(&mut line.client, line.broker, frame);
            let is_early = !line.is_greeted && !line.answers.is_empty();
            line.is_closed |= is_early && line.network.dislikes_early_requests;
            match answer.filter(|_| !line.is_closed) {
                Some(answer) => line.answers.extend(line.wire.give_out(answer).map(|bytes| (due, bytes))),
                None => line.is_closed = true,
            }
        }
        line.answers.extend(line.wire.rest().map(|bytes| (due, bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = &mut *self;
        // The sender writes and reads in one go, so no task needs to be woken for what is written later.
        let Some((due, answer)) = line.answers.front_mut() else {
            return if line.is_closed { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        if *due > Instant::from_std(crate::clock::now()) {
            let timer = line.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*due)));
            if timer.deadline() != *due {
                timer.as_mut().reset(*due);
            }
            std::task::ready!(timer.as_mut().poll(cx));
        }
        let len = answer.len().min(buffer.remaining());
        buffer.put_slice(&answer[..len]);
        answer.advance(len);
        if answer.is_empty() {
            line.answers.pop_front();
            line.is_greeted = true;
        }
        Poll::Ready(Ok(()))
    }
}
