//! Token endpoints that speak TLS: whom the login module trusts, and what callers hear of everything that is wrong.

use std::path::PathBuf;
use std::process::Command;

use kafka_mock::{Api, MockCertificate, MockTls, MockTokenEndpoint, TlsFault, TokenAnswer};
use kafka_producer::{Disposition, SendErrorKind};

use crate::oauth::{TOKEN, guarded, refused, start};
use crate::oidc::{from_text, properties_of_oidc};
use crate::support::{TestResult, millis, record, seconds, skip_time, soon, until};

const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs");

/// Set for the process in which the operating system trusts the mock's authority.
const INSIDE: &str = "KAFKA_PRODUCER_SYSTEM_TRUSTS_MOCK";

async fn endpoint(tls: MockTls) -> MockTokenEndpoint {
    MockTokenEndpoint::start_tls(tls, |_| TokenAnswer::token(TOKEN, 3600)).await.unwrap()
}

/// The login module of a client with these options beside who it is.
fn login(options: &str) -> String {
    format!(
        "sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
         clientId=\"me\" clientSecret=\"hunter2\" {options};\n"
    )
}

fn trusting(file: &str) -> String {
    format!("ssl.truststore.type=\"PEM\" ssl.truststore.location=\"{CERTIFICATES}/{file}\"")
}

#[tokio::test]
async fn tokens_come_by_https_from_whom_the_login_module_trusts() -> TestResult {
    let cluster = start(guarded()).await;
    let one_line = MockTls::ca_pem().replace('\n', "\\\\n");
    let stores = [("p12", "PKCS12"), ("jks", "JKS")].map(|(end, kind)| {
        format!(
            "ssl.truststore.location=\"{CERTIFICATES}/ca.{end}\" ssl.truststore.type=\"{kind}\" \
             ssl.truststore.password=\"{}\"",
            MockCertificate::PASSWORD
        )
    });
    let texts = [trusting("ca.pem"), format!("ssl.truststore.certificates=\"{one_line}\"")];
    let stores = stores.into_iter().filter(|_| cfg!(feature = "keystores"));
    for options in texts.into_iter().chain(stores) {
        let endpoint = endpoint(MockTls::new()).await;
        let producer = from_text(&(properties_of_oidc(&cluster, &endpoint.url()) + &login(&options)));

        soon("delivery", producer.send(record("x"))).await?;

        assert!(endpoint.url().starts_with("https://127.0.0.1:"));
        assert_eq!(endpoint.requests().len(), 1, "{options}");
    }
    Ok(())
}

#[tokio::test]
async fn tokens_come_by_https_from_whom_the_operating_system_trusts() -> TestResult {
    if std::env::var_os(INSIDE).is_none() {
        let name = concat!(module_path!(), "::tokens_come_by_https_from_whom_the_operating_system_trusts");
        let (_, name) = name.split_once("::").unwrap();
        let mut test = Command::new(std::env::current_exe()?);
        test.args(["--exact", name]).env(INSIDE, "1").env("SSL_CERT_FILE", format!("{CERTIFICATES}/ca.pem"));
        let output = tokio::task::spawn_blocking(move || test.output()).await??;
        let told = String::from_utf8(output.stdout)?;
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return Ok(());
    }
    let cluster = start(guarded()).await;
    let endpoint = endpoint(MockTls::new()).await;
    let text = properties_of_oidc(&cluster, &endpoint.url()) + &login("");
    soon("delivery", from_text(&text).send(record("x"))).await?;

    endpoint.set_tls(MockTls::new().certificate(MockCertificate::SERVER_OTHER_CA))?;
    let (kind, _) = refused(&from_text(&text)).await;
    let words = "is signed by no authority that the operating system vouches for; if you trust it, set the option \
                 ssl.truststore.location of sasl.jaas.config to a file with the certificate of";
    assert!(kind.to_string().contains(words), "{kind}");
    Ok(())
}

#[tokio::test]
async fn endpoint_that_wants_a_certificate_is_shown_that_of_the_login_module() -> TestResult {
    let cluster = start(guarded()).await;
    let endpoint = endpoint(MockTls::new().require_client_certificates()).await;
    let key = MockCertificate::CLIENT_ENCRYPTED_KEY;
    let identity = std::env::temp_dir().join(format!("kafka-producer-endpoint-{}.pem", std::process::id()));
    std::fs::write(&identity, format!("{}{}", key.key_pem(), key.chain_pem()))?;
    let options = format!(
        "{} ssl.keystore.type=\"PEM\" ssl.keystore.location=\"{}\" ssl.key.password=\"{}\"",
        trusting("ca.pem"),
        identity.display(),
        MockCertificate::PASSWORD
    );
    let producer = from_text(&(properties_of_oidc(&cluster, &endpoint.url()) + &login(&options)));

    soon("delivery", producer.send(record("x"))).await?;

    std::fs::remove_file(&identity)?;
    Ok(())
}

/// What an endpoint may be, the file of authorities that the login module trusts, and what users read.
fn mistakes() -> Vec<(MockTls, &'static str, String)> {
    let of = |subject: &str, end: &str| {
        format!(
            "the token endpoint's certificate {subject:?} (issued by \"O=kafka-mock,CN=kafka-mock test CA\", valid until \
             {end}-01-01 00:00:00 UTC)"
        )
    };
    let with = |certificate, told| (MockTls::new().certificate(certificate), "ca.pem", told);
    vec![
        (
            MockTls::new(),
            "other-ca.pem",
            format!(
                "{} is signed by no authority that the option ssl.truststore.location of sasl.jaas.config vouches for; if \
                 you trust it, add to it the certificate of \"O=kafka-mock,CN=kafka-mock test CA\"",
                of("CN=localhost", "2120")
            ),
        ),
        with(
            MockCertificate::SERVER_WRONG_NAME,
            format!(
                "{} is for kafka.example.com, and not for \"127.0.0.1\", which is its name in \
                 sasl.oauthbearer.token.endpoint.url",
                of("CN=kafka.example.com", "2120")
            ),
        ),
        with(
            MockCertificate::SERVER_EXPIRED,
            format!(
                "{} has ended, and here it is TODAY; the token endpoint needs another certificate",
                of("CN=localhost", "2020")
            ),
        ),
        with(
            MockCertificate::SERVER_NOT_YET_VALID,
            format!(
                "{} is not valid before 2119-01-01 00:00:00 UTC, and here it is TODAY; set the clock, or the token \
                 endpoint needs another certificate",
                of("CN=localhost", "2120")
            ),
        ),
        (
            MockTls::new().require_client_certificates(),
            "ca.pem",
            "the token endpoint asks for a certificate of the producer's; set the option ssl.keystore.location of \
             sasl.jaas.config, or there ssl.keystore.certificate.chain and ssl.keystore.key (CertificateRequired)"
                .to_owned(),
        ),
    ]
}

#[tokio::test]
async fn what_is_wrong_with_the_endpoint_is_told_at_once_and_heals() -> TestResult {
    for (theirs, ours, expected) in mistakes() {
        let cluster = start(guarded()).await;
        let endpoint = endpoint(theirs).await;
        let text = properties_of_oidc(&cluster, &endpoint.url()) + &login(&trusting(ours));
        let producer = from_text(&text);

        let (kind, disposition) = refused(&producer).await;

        assert!(matches!(kind, SendErrorKind::AuthenticationFailed { .. }), "{kind:?}");
        let told = kind.to_string();
        let before = format!("no access token: token endpoint {}: ", endpoint.url());
        let (_, told) = told.split_once(&before).unwrap();
        assert_eq!(without_day(told), expected);
        assert_eq!(disposition, Disposition::FixConfiguration);
        if ours == "ca.pem" {
            endpoint.set_tls(MockTls::new())?;
            until("the producer is let in", || cluster.requests().of(Api::Metadata) > 0).await;
            soon("delivery", producer.send(record("y"))).await?;
        }
    }
    Ok(())
}

fn without_day(told: &str) -> String {
    let Some((begin, rest)) = told.split_once("here it is ") else { return told.to_owned() };
    format!("{begin}here it is TODAY{}", &rest["2026-01-01".len()..])
}

#[tokio::test]
async fn plaintext_at_one_end_only_is_told() -> TestResult {
    let cluster = start(guarded()).await;
    let encrypted = endpoint(MockTls::new()).await;
    // As servers of HTTP answer what they do not understand.
    let open = endpoint(MockTls::new()).await;
    open.inject_tls(TlsFault::replace(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]).times(u32::MAX));
    let silent = endpoint(MockTls::new()).await;
    silent.inject_tls(TlsFault::cut(0).times(u32::MAX));
    for (url, words) in [
        (
            encrypted.url().replace("https:", "http:"),
            "the server speaks TLS, so its URL must begin with https:",
        ),
        (
            open.url(),
            "what answers at this address does not speak TLS; sasl.oauthbearer.token.endpoint.url must begin with http: or \
             its port is wrong",
        ),
        (
            silent.url(),
            "closed in the middle of the TLS handshake: the token endpoint may speak plaintext here (then \
             sasl.oauthbearer.token.endpoint.url must begin with http: or its port is wrong)",
        ),
    ] {
        let text = properties_of_oidc(&cluster, &url) + &login(&trusting("ca.pem")) + "max.block.ms=300\n";

        let (kind, _) = refused(&from_text(&text)).await;

        let told = kind.to_string();
        assert!(told.contains(&format!("no access token: token endpoint {url}: ")), "{told}");
        assert!(told.contains(words), "{words:?} in {told}");
    }
    Ok(())
}

#[tokio::test]
async fn authority_of_the_endpoint_changes_with_its_file() -> TestResult {
    let cluster = start(guarded().sasl_session_lifetime(seconds(1))).await;
    let endpoint = MockTokenEndpoint::start_tls(MockTls::new(), |_| TokenAnswer::token(TOKEN, 1)).await?;
    let file =
        Removed(std::env::temp_dir().join(format!("kafka-producer-authority-{}.pem", std::process::id())));
    std::fs::write(&file.0, MockTls::ca_pem())?;
    let options = format!("ssl.truststore.type=\"PEM\" ssl.truststore.location=\"{}\"", file.0.display());
    let text = properties_of_oidc(&cluster, &endpoint.url()) + &login(&options);
    let producer = from_text(&text);
    soon("delivery", producer.send(record("x"))).await?;

    endpoint.set_tls(MockTls::new().certificate(MockCertificate::SERVER_OTHER_CA))?;
    std::fs::write(&file.0, [MockTls::ca_pem(), MockTls::other_ca_pem()].concat())?;
    let before = endpoint.requests().len();
    // The file is looked at once a minute, and what changes must rest for five seconds.
    for pause in [60, 5] {
        skip_time(seconds(pause)).await;
        // The look takes a thread's time, and the clock has to go on after it.
        tokio::time::sleep(millis(50)).await;
    }

    until("a token comes from the endpoint of the other authority", || endpoint.requests().len() > before)
        .await;
    soon("delivery", producer.send(record("y"))).await?;
    Ok(())
}

/// A file that goes with the test.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
