//! Secrets: all that is logged, formatted and told is searched for them, whatever they are for and however it goes wrong.

use std::fmt::{Debug, Display, Write as _};
use std::io;
use std::sync::{Arc, Mutex};

use kafka_mock::{MockCluster, MockTokenEndpoint, SaslMechanism, TokenAnswer};
use kafka_producer::{
    AccessToken, AwsCredentials, AwsRole, KafkaProducer, KafkaProducerBuilder, Oidc, OidcAssertion,
    OidcSignature, ProducerConfig, Sasl, SecurityProtocol, Tls, TokenError,
};
use tracing::subscriber::DefaultGuard;

use crate::support::{TOPIC, builder, millis, record, seconds, soon};

/// It is in every secret, behind as many bytes as tell its three forms in base64 apart.
const SECRETS: [&str; 3] = ["hunter2", "x-hunter2", "xxx-hunter2"];

/// The secret itself, in base64 at each of three places, and in hexadecimal digits.
const FORMS: [&str; 5] = ["hunter2", "aHVudGVyM", "1bnRlcjI", "odW50ZXIy", "68756e74657232"];

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs");

/// All that was shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    /// Takes in what the producer logs on this thread, however unimportant, until the guard is dropped.
    fn listen(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        tracing::subscriber::set_default(subscriber.with_writer(move || log.clone()).finish())
    }

    fn debug(&self, value: &impl Debug) {
        self.add(format_args!("{value:?}\n{value:#?}\n"));
    }

    fn error(&self, error: &(impl Debug + Display)) {
        self.debug(error);
        self.add(format_args!("{error}\n"));
    }

    fn add(&self, text: impl Display) {
        let mut line = String::new();
        write!(line, "{text}").unwrap();
        self.0.lock().unwrap().extend_from_slice(line.as_bytes());
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has panics of this thread shown, too.
fn listen_to_panics(shown: &Shown) {
    let (shown, thread) = (shown.clone(), std::thread::current().id());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == thread {
            shown.add(panic);
        }
        before(panic);
    }));
}

/// Brokers that know other secrets.
async fn brokers() -> MockCluster {
    let mut cluster = MockCluster::builder().auto_create_topics(false, 1);
    cluster = cluster.sasl_user("alice", "another").sasl_aws_key("AKIDEXAMPLE", "another");
    let mechanisms = [
        SaslMechanism::AwsMskIam,
        SaslMechanism::OAuthBearer,
        SaslMechanism::Plain,
        SaslMechanism::ScramSha256,
        SaslMechanism::ScramSha512,
    ];
    let cluster = cluster.sasl_mechanisms(mechanisms).start().await.unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

/// Endpoints that repeat all that they hear, in each way that is read, and one that gives out what brokers refuse.
async fn endpoints(secret: &'static str) -> Vec<MockTokenEndpoint> {
    let echo = |request: &kafka_mock::TokenRequest| {
        let said = request.header("authorization").unwrap_or_default();
        format!("{said} {} {}", request.body(), request.form("assertion").unwrap_or_default())
    };
    let mut endpoints = Vec::new();
    for (status, form) in
        [(200, "TEXT"), (400, "TEXT"), (500, "TEXT"), (401, r#"{"asked":"TEXT"}"#), (200, r#"{"x":"TEXT"}"#)]
    {
        let answer = move |request: &kafka_mock::TokenRequest| {
            TokenAnswer::json(status, &form.replace("TEXT", &echo(request)))
        };
        endpoints.push(MockTokenEndpoint::start(answer).await.unwrap());
    }
    let token = move |_: &kafka_mock::TokenRequest| TokenAnswer::token(secret, 3600);
    endpoints.push(MockTokenEndpoint::start(token).await.unwrap());
    endpoints
}

/// Ways to say who the producer is, each with the secret, that brokers refuse at once.
fn refused(secret: &'static str) -> Vec<Sasl> {
    let token = |text: String| {
        Sasl::oauth_bearer(move || {
            let token = AccessToken::new(text.clone());
            async move { Ok(token) }
        })
    };
    vec![
        Sasl::plain("alice", secret),
        Sasl::scram_sha_256("alice", secret),
        Sasl::scram_sha_512("alice", secret),
        Sasl::scram_sha_256("alice", secret).delegation_token(true),
        token(secret.to_owned()),
        // "{"sub":"x","exp":1}", with the secret as its signature.
        token(format!("e30.eyJzdWIiOiJ4IiwiZXhwIjoxfQ.{secret}")),
        Sasl::aws_msk_iam_with(move || async move {
            Ok(AwsCredentials::new("AKIDEXAMPLE", secret).session_token(secret).region("eu-west-1"))
        }),
    ]
}

/// The same, with credentials that do not come, or not at once.
fn lacking(secret: &'static str, endpoints: &[MockTokenEndpoint]) -> Vec<Sasl> {
    let role = AwsRole::new("arn:x").region("no region");
    let mut logins = vec![
        Sasl::oauth_bearer(move || async move {
            let token = AccessToken::new(secret);
            assert!(token == AccessToken::new("x"), "the vault is away: {token:?}");
            Err(TokenError::temporary("away"))
        }),
        Sasl::oidc(Oidc::client_credentials("http://localhost:1/", "me", secret).extension("a", "1")),
        Sasl::aws_msk_iam_as(role.credentials(AwsCredentials::new("AKIDEXAMPLE", secret))),
    ];
    for endpoint in endpoints {
        logins.push(Sasl::oidc(Oidc::client_credentials(endpoint.url(), "me", secret)));
        let url = format!("{}?key={secret}", endpoint.url());
        logins.push(Sasl::oidc(Oidc::client_credentials(url, "me", secret).urlencode_header(true)));
    }
    let key = format!("{CERTIFICATES}/client-encrypted.key");
    let signed = || OidcAssertion::signed(OidcSignature::Es256, &key, "me").passphrase(secret);
    logins.push(Sasl::oidc(Oidc::client_assertion(endpoints[0].url(), signed())));
    logins.push(Sasl::oidc(Oidc::jwt_bearer(format!("https://me:{secret}@idp/"), signed())));
    logins
}

/// Certificates and keys with the secret as their password, which is wrong, or in them.
fn stores(secret: &str) -> Vec<Tls> {
    let file = |name: &str| format!("{CERTIFICATES}/{name}");
    let text = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    vec![
        Tls::new().keystore_pem(text("client.pem"), text("client-encrypted.key")).key_password(secret),
        Tls::new().keystore_pem(
            text("client.pem"),
            format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY----"),
        ),
        Tls::new().keystore_pem(
            text("client.pem"),
            format!("-----BEGIN PRIVATE KEY----\n{secret}\n-----END PRIVATE KEY-----"),
        ),
        Tls::new().keystore_pem(
            text("client.pem"),
            format!("-----BEGIN PRIVATE KEY-----\n{secret}-----END PRIVATE KEY-----"),
        ),
        Tls::new().keystore_pem(format!("{secret}\n"), text("client.key")),
        Tls::new().keystore_file(file("client-encrypted.key")).key_password(secret),
        Tls::new().keystore_file(file("client-encrypted.key")).keystore_password(secret),
    ]
}

/// Files of Java's that the secret does not open.
fn java_stores(secret: &str) -> Vec<[(&'static str, String); 3]> {
    let mut stores = Vec::new();
    for (name, kind) in
        [("client.p12", "PKCS12"), ("client.jks", "JKS"), ("client-old.p12", "PKCS12"), ("ca.jceks", "JKS")]
    {
        let file = format!("{CERTIFICATES}/{name}");
        for (location, password, of_kind) in [
            ("ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.type"),
            ("ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type"),
        ] {
            stores.push([
                (location, file.clone()),
                (password, secret.to_owned()),
                (of_kind, kind.to_owned()),
            ]);
        }
    }
    stores
}

/// Builds a producer and sends, and shows what comes of each step.
async fn attempt(builder: KafkaProducerBuilder, shown: &Shown) {
    shown.debug(&builder);
    let producer: KafkaProducer = match builder.build() {
        Ok(producer) => producer,
        Err(error) => return shown.error(&error),
    };
    shown.debug(&producer);
    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();
    shown.error(&error);
    shown.debug(&producer.metrics());
    shown.debug(&producer.close(millis(100)).await);
}

fn assert_hidden(shown: &Shown) {
    let text = shown.text();
    for form in FORMS {
        if let Some(at) = text.find(form) {
            let from = (0..=at.saturating_sub(300)).rev().find(|from| text.is_char_boundary(*from)).unwrap();
            panic!("{form} in {}", &text[from..at + form.len()]);
        }
    }
}

#[tokio::test]
async fn secrets_of_each_mechanism_are_shown_nowhere() {
    let (cluster, shown) = (brokers().await, Shown::default());
    listen_to_panics(&shown);
    let _guard = shown.listen();
    for secret in SECRETS {
        let endpoints = endpoints(secret).await;
        let refused = refused(secret).into_iter().map(|sasl| (sasl, seconds(5)));
        let lacking = lacking(secret, &endpoints).into_iter().map(|sasl| (sasl, millis(150)));
        for (sasl, max_block) in refused.chain(lacking) {
            shown.debug(&sasl);
            let builder = builder(&cluster).security_protocol(SecurityProtocol::SaslPlaintext).sasl(sasl);
            attempt(builder.max_block(max_block), &shown).await;
        }
    }

    let text = shown.text();
    // The test looks at something: at the log with its traces, at errors, and at a panic.
    for part in ["[hidden]", "AuthenticationFailed", "TRACE", "WARN", "the vault is away: AccessToken"] {
        assert!(text.contains(part), "{part}");
    }
    assert_hidden(&shown);
}

#[tokio::test]
async fn secrets_of_stores_are_shown_nowhere() {
    let (cluster, shown) = (brokers().await, Shown::default());
    let _guard = shown.listen();
    for secret in SECRETS {
        for tls in stores(secret) {
            shown.debug(&tls);
            attempt(builder(&cluster).security_protocol(SecurityProtocol::Ssl).tls(tls), &shown).await;
        }
        for properties in java_stores(secret) {
            let builder = builder(&cluster).security_protocol(SecurityProtocol::Ssl).properties(properties);
            attempt(builder, &shown).await;
        }
    }

    assert!(shown.text().contains("ssl.key.password"), "{}", shown.text());
    assert_hidden(&shown);
}

#[test]
fn secrets_in_properties_are_shown_nowhere() {
    let shown = Shown::default();
    let _guard = shown.listen();
    for secret in SECRETS {
        let lines = [
            format!("PlainLoginModule required username=\"alice\" password=\"{secret}\";"),
            format!("PlainLoginModule required username=\"alice\" password={secret};"),
            format!("PlainLoginModule required {secret}=\"x\" password=\"y\";"),
            format!("{secret} required;"),
            format!(
                "OAuthBearerLoginModule required clientSecret=\"{secret}\" ssl.truststore.password=\"{secret}\" extension_=\"{secret}\";"
            ),
            format!(
                "IAMLoginModule required awsRoleArn=\"a\" awsRoleAccessKeyId=\"A\" awsRoleSecretAccessKey=\"{secret}\";"
            ),
            format!(
                "IAMLoginModule required awsRoleArn=\"a\" awsRoleSessionToken=\"{secret}\" awsRoleAccessKeyId=\"A\";"
            ),
        ];
        let mut pairs: Vec<(&str, String)> =
            lines.into_iter().map(|line| ("sasl.jaas.config", line)).collect();
        for key in [
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "ssl.key.password",
            "ssl.keystore.certificate.chain",
            "ssl.keystore.key",
            "ssl.keystore.password",
            "ssl.truststore.certificates",
            "ssl.truststore.password",
            // Misspelt ones, which are not known to be secret.
            "sasl.jaas.confg",
            "ssl.keystore.pasword",
            "sasl.password",
        ] {
            pairs.push((key, secret.to_owned()));
        }
        pairs.push(("sasl.oauthbearer.token.endpoint.url", format!("https://me:{secret}@idp/?x={secret}")));
        for (key, value) in pairs {
            for mechanism in ["PLAIN", "OAUTHBEARER", "AWS_MSK_IAM"] {
                let config = ProducerConfig::new()
                    .bootstrap_servers("a:1")
                    .property("security.protocol", "SASL_SSL")
                    .property("sasl.mechanism", mechanism)
                    .property(key, &value);
                shown.debug(&config);
                if let Err(error) = config.validate() {
                    shown.error(&error);
                }
                if !key.ends_with("endpoint.url") {
                    shown.debug(&config.get(key));
                }
            }
        }
    }

    assert!(shown.text().contains("[hidden]"));
    assert_hidden(&shown);
}
