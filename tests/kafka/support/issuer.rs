//! An issuer of access tokens, which tells brokers its key and gives producers tokens.

use std::time::Duration;
use std::time::SystemTime;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::jars::Jars;
use super::security::USER;

/// Who the tokens say that they are from, and whom they are for.
pub(crate) const ISSUER: &str = "https://issuer.example.com";
pub(crate) const AUDIENCE: &str = "kafka";

/// What producers show at the token endpoint.
pub(crate) const CLIENT_ID: &str = "producer";
pub(crate) const CLIENT_SECRET: &str = "token-hunter2";
/// The two with a colon between them, in Base64.
const BASIC: &str = "cHJvZHVjZXI6dG9rZW4taHVudGVyMg==";

/// Signed tokens, and addresses at which the key and right tokens can be had for as long as this lives.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) jwks_url: String,
    pub(crate) token_url: String,
    pub(crate) expired: String,
    pub(crate) for_others: String,
    pub(crate) of_another_key: String,
    server: JoinHandle<()>,
}

impl Issuer {
    pub(crate) async fn start(jars: &Jars) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
        let claims = |audience: &str, from: Duration, to: Duration| {
            format!(
                "{{\"iss\":\"{ISSUER}\",\"aud\":\"{audience}\",\"sub\":\"{USER}\",\"iat\":{},\"exp\":{}}}",
                from.as_secs(),
                to.as_secs()
            )
        };
        let hour = Duration::from_secs(3_600);
        let right = claims(AUDIENCE, now, now + hour);
        let expired = claims(AUDIENCE, now - 2 * hour, now - hour);
        let mut java = jars.java(&[]);
        java.args(["Tokens", &right, &expired, &claims("others", now, now + hour), "--strange", &right]);
        let output = tokio::process::Command::from(java).kill_on_drop(true).output().await.expect("java");
        let output = String::from_utf8(output.stdout).expect("text");
        let lines: Vec<&str> = output.lines().collect();
        let &[keys, right, expired, for_others, of_another_key] = &lines[..] else { panic!("{output}") };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let token = format!("{{\"access_token\":\"{right}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
        Self {
            jwks_url: format!("http://{address}/keys"),
            token_url: format!("http://{address}/token"),
            expired: expired.to_owned(),
            for_others: for_others.to_owned(),
            of_another_key: of_another_key.to_owned(),
            server: tokio::spawn(serve(listener, keys.to_owned(), token)),
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Gives the keys to everyone, and the token to those who know the secret.
async fn serve(listener: TcpListener, keys: String, token: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut asked = Vec::new();
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            if !stream.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {
                break;
            }
        }
        let asked = String::from_utf8_lossy(&asked);
        let (status, body) = match () {
            () if asked.starts_with("GET /keys ") => ("200 OK", keys.as_str()),
            () if asked.contains(&format!("Basic {BASIC}\r\n")) => ("200 OK", token.as_str()),
            () => ("401 Unauthorized", r#"{"error":"invalid_client","error_description":"who are you?"}"#),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        if let Err(error) = stream.write_all(answer.as_bytes()).await {
            eprintln!("issuer of tokens: {error}");
        }
    }
}
