//! Single requests to a broker, encoded by the `kafka-protocol` crate.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::HeaderVersion;
use kafka_protocol::protocol::Request;
use kafka_protocol::protocol::StrBytes;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Connects, asks once, and hangs up.
pub(crate) async fn call<R: Request>(
    address: SocketAddr,
    version: i16,
    request: &R,
    limit: Duration,
) -> io::Result<R::Response> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&encode(version, request)?).await?;
        let length = usize::try_from(stream.read_i32().await?).map_err(io::Error::other)?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        decode::<R>(version, body.into())
    };
    tokio::time::timeout(limit, asking).await?
}

fn encode<R: Request>(version: i16, request: &R) -> io::Result<BytesMut> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(1)
        .with_client_id(Some(StrBytes::from_static_str("harness")));
    let mut message = BytesMut::new();
    header.encode(&mut message, R::header_version(version)).map_err(io::Error::other)?;
    request.encode(&mut message, version).map_err(io::Error::other)?;
    let length = i32::try_from(message.len()).map_err(io::Error::other)?;
    let mut frame = BytesMut::from(&length.to_be_bytes()[..]);
    frame.extend_from_slice(&message);
    Ok(frame)
}

fn decode<R: Request>(version: i16, mut body: Bytes) -> io::Result<R::Response> {
    ResponseHeader::decode(&mut body, R::Response::header_version(version)).map_err(io::Error::other)?;
    R::Response::decode(&mut body, version).map_err(io::Error::other)
}
