//! One connection to a broker, which asks one thing after the other.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::properties::Failure;

/// A broker that has said which versions of requests it knows.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    address: String,
    versions: ApiVersionsResponse,
    correlation_id: i32,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self, Failure> {
        let stream = connect(address).map_err(|error| format!("cannot connect to {address}: {error}"))?;
        let versions = ApiVersionsResponse::default();
        let mut connection = Self { stream, address: address.to_owned(), versions, correlation_id: 0 };
        // Every broker knows the first version.
        connection.versions = connection.ask_in(0, &ApiVersionsRequest::default())?;
        match connection.versions.error_code {
            0 => Ok(connection),
            code => {
                Err(format!("{address} does not tell which requests it knows: {}", error_name(code)).into())
            }
        }
    }

    /// The newest version of a request that both sides know, and at most `highest`.
    pub(crate) fn version<R: Request>(&self, highest: i16) -> Option<i16> {
        let offered = self.versions.api_keys.iter().find(|offered| offered.api_key == R::KEY)?;
        let version = offered.max_version.min(R::VERSIONS.max).min(highest);
        (version >= offered.min_version.max(R::VERSIONS.min)).then_some(version)
    }

    /// Asks in the newest version that both sides know.
    pub(crate) fn ask<R: Request>(&mut self, highest: i16, request: &R) -> Result<R::Response, Failure> {
        let unknown =
            || format!("{} knows no version of request {} that this tool knows", self.address, R::KEY);
        let version = self.version::<R>(highest).ok_or_else(unknown)?;
        self.ask_in(version, request)
    }

    fn ask_in<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Failure> {
        self.correlation_id += 1;
        let answer = exchange(&mut self.stream, self.correlation_id, version, request);
        answer.map_err(|error| format!("request {} to {}: {error}", R::KEY, self.address).into())
    }
}

/// What Kafka calls an error.
pub(crate) fn error_name(code: i16) -> String {
    match kafka_protocol::ResponseError::try_from_code(code) {
        Some(error) => format!("{error:?}"),
        None => format!("error {code}"),
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
                stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn exchange<R: Request>(
    stream: &mut TcpStream,
    id: i32,
    version: i16,
    request: &R,
) -> io::Result<R::Response> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(StrBytes::from_static_str("kafka-producer-topics")));
    let mut message = BytesMut::from(&[0; 4][..]);
    header.encode(&mut message, R::header_version(version)).map_err(io::Error::other)?;
    request.encode(&mut message, version).map_err(io::Error::other)?;
    let length = i32::try_from(message.len() - 4).map_err(io::Error::other)?;
    message[..4].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&message)?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= MAX_ANSWER);
    let mut body = vec![0; length.ok_or_else(|| io::Error::other("the answer is none of Kafka's"))?];
    stream.read_exact(&mut body)?;
    let mut body = Bytes::from(body);
    let header =
        ResponseHeader::decode(&mut body, R::Response::header_version(version)).map_err(io::Error::other)?;
    if header.correlation_id != id {
        return Err(io::Error::other("the answer is to another request"));
    }
    R::Response::decode(&mut body, version).map_err(io::Error::other)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Brokers take up to `timeout.ms` of a request for its work, which is less.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// As much as Kafka's clients read by default.
const MAX_ANSWER: usize = 100 * 1024 * 1024;
