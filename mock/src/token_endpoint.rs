//! [`MockTokenEndpoint`]: a server that gives out access tokens, over HTTP on loopback.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A token endpoint of OAuth 2 (RFC 6749) on 127.0.0.1, which answers what a test wants. It ends when it is dropped.
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
    requests: Arc<Mutex<Vec<TokenRequest>>>,
    task: JoinHandle<()>,
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
        let address = listener.local_addr()?;
        let requests = Arc::<Mutex<Vec<TokenRequest>>>::default();
        let kept = Arc::clone(&requests);
        let answer: Arc<Answer> = Arc::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&kept)));
            }
        });
        Ok(Self { address, requests, task })
    }

    /// Returns the URL to ask for tokens.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Returns all requests so far.
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

/// Serves one request. What goes wrong is the client's affair.
async fn serve(mut stream: TcpStream, answer: Arc<Answer>, requests: Arc<Mutex<Vec<TokenRequest>>>) {
    let Some(request) = read(&mut stream).await else { return };
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let TokenAnswer(bytes) = answer(&request);
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<TokenRequest> {
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
