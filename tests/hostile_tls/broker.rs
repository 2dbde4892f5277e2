//! Brokers that attack most of the connections that they accept, and answer truly on the others for a while.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use kafka_mock::MockCertificate;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::answers::{HOST, Truth};
use crate::attack::Attack;

#[derive(Debug)]
pub(crate) struct Brokers {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    connections: AtomicUsize,
    /// By place in `Attack::ALL`.
    attacks: [AtomicUsize; Attack::ALL.len()],
    is_sensible: AtomicBool,
    truth: Mutex<Truth>,
}

impl Brokers {
    pub(crate) async fn start(count: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind((HOST, 0)).await.unwrap());
        }
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let state = Arc::new(State {
            config: Arc::new(config()),
            connections: AtomicUsize::new(0),
            attacks: Default::default(),
            is_sensible: AtomicBool::new(false),
            truth: Mutex::new(Truth { ports, topic_id: 1 }),
        });
        for listener in listeners {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                loop {
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    let number = state.connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(serve(stream, Arc::clone(&state), number));
                }
            });
        }
        Self { state }
    }

    pub(crate) fn addresses(&self) -> String {
        let ports = self.state.truth.lock().unwrap().ports.clone();
        ports.iter().map(|port| format!("{HOST}:{port}")).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn attacks(&self) -> Vec<(Attack, usize)> {
        let counts = self.state.attacks.iter().map(|count| count.load(Ordering::Relaxed));
        Attack::ALL.into_iter().zip(counts).collect()
    }

    /// From now on every handshake and every answer is true.
    pub(crate) fn come_to_their_senses(&self) {
        self.state.is_sensible.store(true, Ordering::Relaxed);
    }
}

fn config() -> ServerConfig {
    let certificate = MockCertificate::SERVER;
    let chain =
        CertificateDer::pem_slice_iter(certificate.chain_pem().as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// What goes wrong here does so for the producer, too, which is what all of this is about.
async fn serve(stream: TcpStream, state: Arc<State>, number: usize) -> io::Result<()> {
    let mut random = StdRng::seed_from_u64(number as u64);
    let is_sensible = state.is_sensible.load(Ordering::Relaxed);
    if is_sensible || random.random_bool(0.2) {
        let answers = if is_sensible { usize::MAX } else { random.random_range(1..20) };
        let stream = TlsAcceptor::from(Arc::clone(&state.config)).accept(stream).await?;
        return answer_truly(stream, &state, answers).await;
    }
    let attack = Attack::any(&mut random);
    let place = Attack::ALL.iter().position(|other| *other == attack).expect("all are there");
    state.attacks[place].fetch_add(1, Ordering::Relaxed);
    if attack.comes_after_handshake() {
        let stream = TlsAcceptor::from(Arc::clone(&state.config)).accept(stream).await?;
        attack_stream(attack, stream, &mut random).await
    } else {
        attack_handshake(attack, stream, &state, &mut random).await
    }
}

async fn answer_truly(mut stream: TlsStream<TcpStream>, state: &State, answers: usize) -> io::Result<()> {
    for _ in 0..answers {
        let length = stream.read_i32().await?;
        let mut frame = vec![0; usize::try_from(length).expect("the producer is sensible")];
        stream.read_exact(&mut frame).await?;
        let answer = state.truth.lock().unwrap().answer(frame.into());
        let Some(answer) = answer else { return Ok(()) };
        stream.write_all(&answer).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn attack_stream(
    attack: Attack,
    mut stream: TlsStream<TcpStream>,
    random: &mut StdRng,
) -> io::Result<()> {
    let mut heard = BytesMut::new();
    stream.read_buf(&mut heard).await?;
    let bytes = attack.bytes(random, Vec::new());
    match attack {
        Attack::TrueHandshakeThenNonsense => stream.get_mut().0.write_all(&bytes).await?,
        Attack::TrueHandshakeThenEndlessKeyUpdates => {
            for _ in 0..1_000 {
                stream.get_mut().1.refresh_traffic_keys().map_err(io::Error::other)?;
            }
            stream.flush().await?;
            drain(stream.get_mut().0).await;
        }
        _ => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
        }
    }
    Ok(())
}

async fn attack_handshake(
    attack: Attack,
    mut stream: TcpStream,
    state: &State,
    random: &mut StdRng,
) -> io::Result<()> {
    let words = if attack.needs_words() {
        words(&mut stream, &state.config).await?
    } else {
        stream.read_buf(&mut BytesMut::with_capacity(4096)).await?;
        Vec::new()
    };
    let bytes = attack.bytes(random, words);
    match attack {
        Attack::Silence => drain(&mut stream).await,
        Attack::HangUp => {}
        // As slow as it can be without ever being done, as long as the producer lets it.
        Attack::BytewiseHandshake => {
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Attack::HalfAHandshake => {
            stream.write_all(&bytes).await?;
            drain(&mut stream).await;
        }
        _ => {
            stream.write_all(&bytes).await?;
            // Closed with bytes unread, a connection is reset, and the attack is lost on its way.
            let _ = tokio::time::timeout(Duration::from_millis(20), drain(&mut stream)).await;
        }
    }
    Ok(())
}

/// Returns what a broker says to a client that has said hello.
async fn words(stream: &mut TcpStream, config: &Arc<ServerConfig>) -> io::Result<Vec<u8>> {
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut heard = BytesMut::with_capacity(4096);
    while !connection.wants_write() {
        if stream.read_buf(&mut heard).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !heard.is_empty() && connection.read_tls(&mut (&mut heard).reader())? > 0 {
            connection.process_new_packets().map_err(io::Error::other)?;
        }
    }
    let mut words = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut words)?;
    }
    Ok(words)
}

/// Reads without a word until the other side has had enough.
async fn drain(stream: &mut TcpStream) {
    let mut bytes = Vec::with_capacity(1024);
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        bytes.clear();
    }
}
