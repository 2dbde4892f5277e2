//! A broker that attacks most of the connections that it accepts, and answers truly on the others for a while.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use kafka_mock::MockCertificate;
use rand::RngExt;
use rand::rngs::StdRng;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::attack::Attack;
use crate::brokers::{Attacker, State, drain};

#[derive(Debug)]
pub(crate) struct TlsBroker {
    config: Arc<ServerConfig>,
}

impl TlsBroker {
    pub(crate) fn new() -> Self {
        Self { config: Arc::new(config()) }
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await
    }
}

impl Attacker for TlsBroker {
    type Attack = Attack;
    const ATTACKS: &'static [Attack] = &Attack::ALL;

    async fn serve(&self, stream: TcpStream, state: &State<Self>, mut random: StdRng) -> Option<()> {
        let is_sensible = state.is_sensible();
        if is_sensible || random.random_bool(0.2) {
            let answers = if is_sensible { usize::MAX } else { random.random_range(1..20) };
            let stream = self.shake_hands(stream).await.ok()?;
            return answer_truly(stream, state, answers).await.ok();
        }
        let attack = Attack::any(&mut random);
        state.count(attack);
        if attack.comes_after_handshake() {
            let stream = self.shake_hands(stream).await.ok()?;
            attack_stream(attack, stream, &mut random).await.ok()
        } else {
            attack_handshake(attack, stream, self, &mut random).await.ok()
        }
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

async fn answer_truly(
    mut stream: TlsStream<TcpStream>,
    state: &State<TlsBroker>,
    answers: usize,
) -> io::Result<()> {
    for _ in 0..answers {
        let length = stream.read_i32().await?;
        let mut frame = vec![0; usize::try_from(length).expect("the producer is sensible")];
        stream.read_exact(&mut frame).await?;
        let Some(answer) = state.truth().answer(frame.into()) else { return Ok(()) };
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
    broker: &TlsBroker,
    random: &mut StdRng,
) -> io::Result<()> {
    let words = if attack.needs_words() {
        words(&mut stream, &broker.config).await?
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
