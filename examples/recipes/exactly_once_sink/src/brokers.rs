//! Asks brokers, one request after the other.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What ends the program, or an attempt.
pub type Failure = Box<dyn Error + Send + Sync>;

const METADATA_VERSION: i16 = 5;

/// How long a broker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the address of the leader of the only partition of a topic.
pub(crate) async fn leader(servers: &str, topic: &str) -> Result<String, Failure> {
    let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    let mut last: Failure = "no servers".into();
    for server in servers.split(',') {
        let response = match ask(server, METADATA_VERSION, &request).await {
            Ok(response) => response,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let partitions: Vec<_> = response.topics.iter().flat_map(|topic| &topic.partitions).collect();
        let [partition] = partitions.as_slice() else {
            return Err(format!("{topic} has {} partitions; it must have one", partitions.len()).into());
        };
        let leader = response.brokers.iter().find(|broker| broker.node_id == partition.leader_id);
        return leader
            .map(|leader| format!("{}:{}", leader.host, leader.port))
            .ok_or_else(|| format!("{topic} has no leader").into());
    }
    Err(last)
}

/// Asks one broker, over a connection of its own.
pub(crate) async fn ask<R: Request>(
    address: &str,
    version: i16,
    request: &R,
) -> Result<R::Response, Failure> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&frame(version, request)?).await?;
        let mut body = vec![0; usize::try_from(stream.read_i32().await?)?];
        stream.read_exact(&mut body).await?;
        Ok::<_, Failure>(Bytes::from(body))
    };
    let mut body = tokio::time::timeout(PATIENCE, exchange).await??;
    ResponseHeader::decode(&mut body, R::Response::header_version(version)).map_err(io::Error::other)?;
    Ok(R::Response::decode(&mut body, version).map_err(io::Error::other)?)
}

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn frame<R: Request>(version: i16, request: &R) -> Result<BytesMut, Failure> {
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    let mut message = BytesMut::new();
    header.encode(&mut message, R::header_version(version)).map_err(io::Error::other)?;
    request.encode(&mut message, version).map_err(io::Error::other)?;
    let mut frame = BytesMut::from(&i32::try_from(message.len())?.to_be_bytes()[..]);
    frame.extend_from_slice(&message);
    Ok(frame)
}
