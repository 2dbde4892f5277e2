//! An issuer of access tokens, which tells brokers its keys and gives producers tokens.

use std::time::Duration;
use std::time::SystemTime;

use kafka_mock::MockTls;
use kafka_mock::MockTokenEndpoint;
use kafka_mock::TokenAnswer;
use kafka_mock::TokenRequest;

use super::jars::Jars;
use super::security::CERTIFICATES;
use super::security::USER;

/// Who the tokens say that they are from, and whom they are for.
pub(crate) const ISSUER: &str = "https://issuer.example.com";
pub(crate) const AUDIENCE: &str = "kafka";

/// What producers show at the token endpoint.
pub(crate) const CLIENT_ID: &str = "producer";
pub(crate) const CLIENT_SECRET: &str = "token-hunter2";
/// The two with a colon between them, in Base64.
const BASIC: &str = "cHJvZHVjZXI6dG9rZW4taHVudGVyMg==";

/// Of whose signatures the brokers are told, as the files of `mock/certs` are called.
const CLIENTS: [&str; 2] = ["client-rsa", "client"];

/// Signed tokens, and addresses at which the keys and right tokens can be had for as long as this lives: tokens by TLS only, from an
/// endpoint that shows the certificate of brokers.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) expired: String,
    pub(crate) for_others: String,
    pub(crate) of_another_key: String,
    keys: MockTokenEndpoint,
    tokens: MockTokenEndpoint,
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
        java.arg("Tokens").args(CLIENTS.map(|name| format!("{CERTIFICATES}/{name}.pem"))).arg("--claims");
        java.args([&right, &expired, &claims("others", now, now + hour), "--strange", &right]);
        let output = tokio::process::Command::from(java).kill_on_drop(true).output().await.expect("java");
        let output = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        let lines: Vec<&str> = output.lines().collect();
        let &[keys, right, expired, for_others, of_another_key] = &lines[..] else { panic!("{output}") };
        let (keys, right) = (keys.to_owned(), right.to_owned());
        let keys = MockTokenEndpoint::start(move |_| TokenAnswer::json(200, &keys)).await;
        let tokens = MockTokenEndpoint::start_tls(MockTls::new(), move |asked| answer(asked, &right)).await;
        Self {
            expired: expired.to_owned(),
            for_others: for_others.to_owned(),
            of_another_key: of_another_key.to_owned(),
            keys: keys.expect("a port"),
            tokens: tokens.expect("a port and TLS"),
        }
    }

    /// Where brokers get the keys.
    pub(crate) fn jwks_url(&self) -> String {
        self.keys.url()
    }

    /// Where producers get tokens.
    pub(crate) fn token_url(&self) -> String {
        self.tokens.url()
    }
}

/// Gives the token to those who know the secret. Those who have signed something get that back: brokers check it.
fn answer(asked: &TokenRequest, token: &str) -> TokenAnswer {
    if let Some(signed) = asked.form("assertion") {
        return TokenAnswer::token(signed, 300);
    }
    match asked.header("authorization").and_then(|header| header.strip_prefix("Basic ")) {
        Some(BASIC) => TokenAnswer::token(token, 3_600),
        _ => TokenAnswer::error(401, "invalid_client", "who are you?"),
    }
}
