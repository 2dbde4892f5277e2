//! A receiver of OTLP over HTTP, as small as it can be: it takes what comes and keeps the spans.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message;

/// Listens until the process ends.
pub(crate) struct Receiver {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<ReceivedSpan>>>,
}

/// What is of interest of a span.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedSpan {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_id: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Receiver {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, spans) = (listener.local_addr()?, Arc::<Mutex<Vec<_>>>::default());
        let kept = Arc::clone(&spans);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(&connection, &kept));
            }
        });
        Ok(Self { address, spans })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what has come so far.
    pub(crate) fn spans(&self) -> Vec<ReceivedSpan> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers the requests of a connection until it ends.
fn serve(connection: &TcpStream, kept: &Mutex<Vec<ReceivedSpan>>) -> io::Result<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let request = ExportTraceServiceRequest::decode(body.as_slice()).map_err(io::Error::other)?;
        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(spans_of(request));
        // An empty answer is an empty message.
        let mut connection = connection;
        connection.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}

fn spans_of(request: ExportTraceServiceRequest) -> impl Iterator<Item = ReceivedSpan> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(|span| ReceivedSpan {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        attributes: span.attributes.into_iter().map(attribute).collect(),
    })
}

fn attribute(attribute: KeyValue) -> (String, String) {
    let value = match attribute.value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key, value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for ReceivedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, parent_id, name, attributes, .. } = self;
        let parent = if parent_id.is_empty() { "none" } else { parent_id };
        write!(f, "{name}: trace {trace_id}, span {span_id}, parent {parent}")?;
        attributes
            .iter()
            .filter(|(name, _)| name.contains('.'))
            .try_for_each(|(name, value)| write!(f, "\n    {name} = {value}"))
    }
}
