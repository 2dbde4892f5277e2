//! The exchange of brokers before Kafka 1.0: words of a mechanism without headers, after SaslHandshake 0. Later brokers understand it,
//! up to Kafka 3. So that the producer chooses it, something on the way leaves out of a broker's offer what old ones lack.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use kafka_producer::DialTarget;
use kafka_producer::Dialer;
use kafka_producer::Dialing;
use kafka_producer::KafkaProducer;
use kafka_producer::ProducerConfig;
use kafka_producer::ProducerRecord;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;

use super::CLOSE_LIMIT;
use super::client;
use super::client::Mechanism;
use crate::support::KafkaCluster;
use crate::support::Listener;
use crate::support::security::PASSWORD;

const TOPIC: &str = "in_words";
const UNSUPPORTED_VERSION: i16 = 35;

pub(super) async fn words_without_headers_are_understood(cluster: &KafkaCluster) {
    cluster.create_topic(TOPIC, 1, 1, &[]).await;
    for mechanism in Mechanism::BY_PASSWORD {
        let properties = client::properties(cluster, Listener::SaslPlaintext, Some(mechanism));
        for (properties, is_right) in [(properties.replace(PASSWORD, "wrong"), false), (properties, true)] {
            let before = BeforeHeaders::default();
            let config = ProducerConfig::from_properties_text(&properties);
            let builder = KafkaProducer::builder().config(config).dialer(before.clone());
            let producer: KafkaProducer = builder.build().expect("a valid configuration");

            let sent = producer.send(ProducerRecord::to(TOPIC).value("x")).await;

            match sent {
                Ok(_) => assert!(is_right, "{mechanism:?}: a wrong password is accepted"),
                Err(error) => assert!(!is_right, "{mechanism:?}: {error}"),
                // What a broker says to a wrong password: nothing.
            }
            let handshakes = before.handshakes.lock().expect("no panic").clone();
            // A first one may have come ahead of the offer.
            let later = handshakes.get(1..).unwrap_or_default();
            assert!(handshakes.contains(&0) && later.iter().all(|version| *version == 0), "{handshakes:?}");
            let _ = producer.close(CLOSE_LIMIT).await;
        }
        println!("words of {} without headers: understood", mechanism.name());
    }
}

/// Leads to brokers that seem to be older than they are.
#[derive(Clone, Default)]
struct BeforeHeaders {
    /// The versions of SaslHandshake that were used.
    handshakes: Arc<Mutex<Vec<i16>>>,
}

impl Dialer for BeforeHeaders {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        Box::pin(async move {
            let broker = target.connect_tcp().await?;
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(self.clone().pass_on(theirs, broker));
            Ok(Box::new(ours) as _)
        })
    }
}

impl BeforeHeaders {
    /// Passes on one request after the other up to the handshake, and then everything.
    async fn pass_on(self, mut client: DuplexStream, mut broker: TcpStream) -> io::Result<()> {
        loop {
            let request = read_frame(&mut client).await?;
            let (mut key_and_version, frame) = (request.clone(), request);
            let (key, version) = (key_and_version.get_i16(), key_and_version.get_i16());
            write_frame(&mut broker, &frame).await?;
            let answer = read_frame(&mut broker).await?;
            let is_offer = key == ApiKey::ApiVersions as i16;
            let answer = if is_offer { without_headers(answer, version) } else { answer };
            write_frame(&mut client, &answer).await?;
            if key == ApiKey::SaslHandshake as i16 {
                self.handshakes.lock().map_err(|_| io::Error::other("a panic"))?.push(version);
                tokio::io::copy_bidirectional(&mut client, &mut broker).await?;
                return Ok(());
            }
        }
    }
}

/// Leaves out of an answer to ApiVersions what came with Kafka 1.0.
fn without_headers(answer: Bytes, version: i16) -> Bytes {
    let (id, mut body) = (answer.slice(..4), answer.slice(4..));
    if body.clone().get_i16() == UNSUPPORTED_VERSION {
        return answer;
    }
    let mut response = ApiVersionsResponse::decode(&mut body, version).expect("an answer");
    response.api_keys.retain(|api| api.api_key != ApiKey::SaslAuthenticate as i16);
    for api in &mut response.api_keys {
        if api.api_key == ApiKey::SaslHandshake as i16 {
            api.max_version = 0;
        }
    }
    let mut answer = BytesMut::from(&id[..]);
    response.encode(&mut answer, version).expect("an answer");
    answer.freeze()
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let length = usize::try_from(from.read_i32().await?).map_err(io::Error::other)?;
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(frame.into())
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), frame: &Bytes) -> io::Result<()> {
    to.write_i32(i32::try_from(frame.len()).map_err(io::Error::other)?).await?;
    to.write_all(frame).await?;
    to.flush().await
}
