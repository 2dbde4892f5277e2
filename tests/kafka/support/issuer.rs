//! An issuer of access tokens, which tells brokers its key.

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

/// Signed tokens, and an address at which the key can be had for as long as this lives.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) jwks_url: String,
    pub(crate) right: String,
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
        Self {
            jwks_url: format!("http://{}/keys", listener.local_addr().expect("bound")),
            right: right.to_owned(),
            expired: expired.to_owned(),
            for_others: for_others.to_owned(),
            of_another_key: of_another_key.to_owned(),
            server: tokio::spawn(serve(listener, keys.to_owned())),
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Answers every request with the keys.
async fn serve(listener: TcpListener, keys: String) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{keys}",
        keys.len()
    );
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut asked = Vec::new();
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            if !stream.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {
                break;
            }
        }
        if let Err(error) = stream.write_all(answer.as_bytes()).await {
            eprintln!("keys of the issuer: {error}");
        }
    }
}
