//! [`MockTokenEndpoint`]: a server that gives out access tokens, over HTTP on loopback.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[cfg(feature = "tls")]
use crate::error::MockError;
#[cfg(feature = "tls")]
use crate::tls::{MockTls, Opened, Tls, TlsFault, listen_to_the_end, shake_hands};

/// A token endpoint of OAuth 2 (RFC 6749) on 127.0.0.1, which answers what a test wants. It ends when it is dropped.
///
/// With the feature `tls` it speaks TLS if it is started by `start_tls`.
///
/// ```
/// use kafka_mock::{MockTokenEndpoint, TokenAnswer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let endpoint = MockTokenEndpoint::start(|request| match request.form("grant_type") {
///     Some("client_credentials") => TokenAnswer::token("t0ken", 3600),
///     _ => TokenAnswer::error(400, "unsupported_grant_type", "only client_credentials"),
/// })
/// .await?;
/// assert!(endpoint.url().starts_with("http://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
pub struct MockTokenEndpoint {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What the endpoint and its connections share.
struct Shared {
    answer: Box<Answer>,
    requests: Mutex<Vec<TokenRequest>>,
    /// Off unless the endpoint was started with TLS.
    #[cfg(feature = "tls")]
    tls: Tls,
}

/// What a client has asked.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    first_line: String,
    headers: BTreeMap<String, String>,
    body: String,
    form: BTreeMap<String, String>,
}

/// What the endpoint answers.
#[derive(Debug, Clone)]
pub struct TokenAnswer(Vec<u8>);

type Answer = dyn Fn(&TokenRequest) -> TokenAnswer + Send + Sync;

impl TokenRequest {
    /// Returns the method and the path, as in `POST /token HTTP/1.1`.
    pub fn first_line(&self) -> &str {
        &self.first_line
    }

    /// Returns a header; the name is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the body as it came.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Returns a field of the form in the body.
    pub fn form(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str)
    }
}

impl TokenAnswer {
    /// A token that ends after so many seconds.
    pub fn token(token: &str, expires_in: u64) -> Self {
        Self::json(
            200,
            &format!(
                "{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":{expires_in}}}"
            ),
        )
    }

    /// An error as RFC 6749 has it.
    pub fn error(status: u16, error: &str, description: &str) -> Self {
        Self::json(status, &format!("{{\"error\":\"{error}\",\"error_description\":\"{description}\"}}"))
    }

    /// Any JSON with any status.
    pub fn json(status: u16, body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self([head.as_bytes(), body.as_bytes()].concat())
    }

    /// Any bytes, after which the connection is closed.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }
}

impl MockTokenEndpoint {
    /// Starts to serve. `answer` says what to answer to each request.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn start(
        answer: impl Fn(&TokenRequest) -> TokenAnswer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Self::serve_at(listener, "http", Shared::new(answer))
    }

    /// Starts to serve over TLS. `answer` says what to answer to each request.
    ///
    /// # Errors
    ///
    /// There is no port to listen on, or `tls` cannot be used.
    #[cfg(feature = "tls")]
    pub async fn start_tls(
        tls: MockTls,
        answer: impl Fn(&TokenRequest) -> TokenAnswer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let shared = Shared::new(answer);
        shared.tls.set(&tls).map_err(io::Error::other)?;
        Self::serve_at(listener, "https", shared)
    }

    fn serve_at(listener: TcpListener, scheme: &'static str, shared: Shared) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(shared);
        let of_connections = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&of_connections)));
            }
        });
        Ok(Self { address, scheme, shared, task })
    }

    /// Has new connections speak TLS in another way.
    ///
    /// # Errors
    ///
    /// [`MockError::InvalidTls`]: `tls` cannot be used. Everything stays as it was.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, tls: MockTls) -> Result<(), MockError> {
        self.shared.tls.set(&tls)
    }

    /// Has handshakes fail; the endpoint counts as broker 0.
    #[cfg(feature = "tls")]
    pub fn inject_tls(&self, fault: TlsFault) {
        self.shared.tls.inject(fault);
    }

    /// Returns the URL to ask for tokens.
    pub fn url(&self) -> String {
        format!("{}://{}/token", self.scheme, self.address)
    }

    /// Returns all requests so far.
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn new(answer: impl Fn(&TokenRequest) -> TokenAnswer + Send + Sync + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            requests: Mutex::default(),
            #[cfg(feature = "tls")]
            tls: Tls::default(),
        }
    }
}

impl Drop for MockTokenEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for MockTokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockTokenEndpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Serves one connection.
#[cfg(not(feature = "tls"))]
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    serve_request(stream, &shared).await;
}

/// Serves one connection.
#[cfg(feature = "tls")]
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    match shake_hands(&shared.tls, 0, stream).await {
        Ok(Opened::Plain(stream)) => serve_request(stream, &shared).await,
        Ok(Opened::Tls(stream)) => serve_request(stream, &shared).await,
        Ok(Opened::Refused(_, stream)) => listen_to_the_end(stream).await,
        Ok(Opened::Ended) | Err(_) => {}
    }
}

/// Serves one request. What goes wrong is the client's affair.
async fn serve_request(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let Some(request) = read(&mut stream).await else { return };
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let TokenAnswer(bytes) = (shared.answer)(&request);
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<TokenRequest> {
    let mut bytes = Vec::new();
    loop {
        if let Some(request) = parse(&bytes) {
            return Some(request);
        }
        stream.read_buf(&mut bytes).await.ok().filter(|count| *count > 0)?;
        if bytes.len() > MAX_REQUEST {
            return None;
        }
    }
}

/// Reads a request, once it has come as a whole.
fn parse(bytes: &[u8]) -> Option<TokenRequest> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let first_line = lines.next()?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if body.len() < length {
        return None;
    }
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let form = pairs.map(|(name, value)| (decode(name), decode(value))).collect();
    Some(TokenRequest { first_line, headers, body: body.to_owned(), form })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.extend(u8::from_str_radix(&digits, 16));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const MAX_REQUEST: usize = 1024 * 1024;
