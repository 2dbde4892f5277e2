//! Where access tokens come from: token endpoints, with what they are told, and files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_mock::{Api, MockCluster, MockTokenEndpoint, TokenAnswer};
use kafka_producer::{Disposition, KafkaProducer, ProducerConfig};

use crate::oauth::{TOKEN, futures_pending, guarded, refused, start};
use crate::support::{TestResult, record, soon, until};

/// The properties of a client that gets its tokens from an endpoint.
pub(crate) fn properties_of_oidc(cluster: &MockCluster, url: &str) -> String {
    format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n\
         sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n\
         sasl.oauthbearer.token.endpoint.url={url}\nsasl.login.retry.backoff.ms=5\nsasl.login.retry.backoff.max.ms=20\n\
         retry.backoff.ms=5\nreconnect.backoff.ms=5\nsasl.login.connect.timeout.ms=500\nsasl.login.read.timeout.ms=500\n",
        cluster.bootstrap_servers()
    )
}

pub(crate) const BY_SECRET: &str = "sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                         clientId=\"me\" clientSecret=\"hunter2\" scope=\"kafka\" extension_logicalCluster=\"lkc-1\";\n";

pub(crate) fn from_text(text: &str) -> KafkaProducer {
    let config = ProducerConfig::from_properties_text(text);
    KafkaProducer::builder().config(config).build().unwrap()
}

#[tokio::test]
async fn tokens_come_from_an_endpoint_by_the_properties_of_java_users() -> TestResult {
    let cluster = start(guarded()).await;
    let endpoint = MockTokenEndpoint::start(|_| TokenAnswer::token(TOKEN, 3600)).await?;
    let producer = from_text(&(properties_of_oidc(&cluster, &endpoint.url()) + BY_SECRET));

    soon("delivery", producer.send(record("x"))).await?;

    let requests = endpoint.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.first_line(), "POST /token HTTP/1.1");
    // "me:hunter2" by another implementation.
    assert_eq!(request.header("authorization"), Some("Basic bWU6aHVudGVyMg=="));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.body(), "grant_type=client_credentials&scope=kafka");
    Ok(())
}

// Without TLS the crate signs nothing.
#[cfg(feature = "tls")]
#[tokio::test]
async fn tokens_come_from_an_endpoint_by_the_typed_way() -> TestResult {
    use kafka_producer::{Oidc, OidcAssertion, OidcSignature, Sasl};

    use crate::oauth::builder_with;

    const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs/client.key");

    let cluster = start(guarded()).await;
    let endpoint = MockTokenEndpoint::start(|_| TokenAnswer::token(TOKEN, 3600)).await?;
    let assertion = || OidcAssertion::signed(OidcSignature::Es256, KEY, "me").subject("me");
    for (oidc, grant, proof) in [
        (Oidc::client_credentials(endpoint.url(), "me", "hunter2"), "client_credentials", "authorization"),
        (Oidc::client_assertion(endpoint.url(), assertion()), "client_credentials", "client_assertion"),
        (
            Oidc::jwt_bearer(endpoint.url(), assertion()),
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion",
        ),
    ] {
        let producer = builder_with(&cluster, Sasl::oidc(oidc.scope("kafka"))).build()?;

        soon("delivery", producer.send(record("x"))).await?;

        let requests = endpoint.requests();
        let request = requests.last().unwrap();
        assert_eq!((request.form("grant_type"), request.form("scope")), (Some(grant), Some("kafka")));
        assert!(request.form(proof).or_else(|| request.header(proof)).is_some(), "{request:?}");
    }
    Ok(())
}

#[tokio::test]
async fn assertions_are_read_from_their_file_for_each_token() -> TestResult {
    let cluster = start(guarded()).await;
    let directory = std::env::temp_dir().join(format!("kafka-producer-oauth-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("assertion");
    std::fs::write(&file, "a.b-c.d_e\n")?;
    let endpoint = MockTokenEndpoint::start(|_| TokenAnswer::token(TOKEN, 3600)).await?;
    let text = properties_of_oidc(&cluster, &endpoint.url())
        + &format!("sasl.oauthbearer.assertion.file={}\nsasl.oauthbearer.scope=s\n", file.display());
    let bearer = "sasl.oauthbearer.jwt.retriever.class=org.apache.kafka.common.security.oauthbearer.JwtBearerJwtRetriever\n";

    for (more, body) in [
        (
            "sasl.oauthbearer.client.credentials.client.id=me\n",
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion=a.b-c.d_e&grant_type=client_credentials&client_id=me&scope=s",
        ),
        (
            bearer,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b-c.d_e&scope=s",
        ),
    ] {
        let producer = from_text(&(text.clone() + more));
        soon("delivery", producer.send(record("x"))).await?;
        assert_eq!(endpoint.requests().last().unwrap().body(), body);
        assert_eq!(endpoint.requests().last().unwrap().header("authorization"), None);
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

#[tokio::test]
async fn tokens_come_from_a_file_once_it_is_there() -> TestResult {
    let cluster = start(guarded()).await;
    let directory = std::env::temp_dir().join(format!("kafka-producer-token-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("token");
    let producer = from_text(&properties_of_oidc(&cluster, &format!("file://{}", file.display())));
    let sending = producer.send(record("x"));
    let mut sending = std::pin::pin!(sending);
    assert!(futures_pending(&mut sending).await);

    std::fs::write(&file, format!("{TOKEN}\n"))?;

    soon("delivery", sending).await?;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

/// Everything that goes wrong at the endpoint, with what a caller reads, and whether it is told at once.
fn everything_wrong_at_the_endpoint() -> Vec<(TokenAnswer, &'static str, bool)> {
    let chunked_nonsense = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    vec![
        (
            TokenAnswer::error(401, "invalid_client", "no such client"),
            "answers 401: invalid_client: no such client; check clientSecret in sasl.jaas.config",
            true,
        ),
        (
            TokenAnswer::error(400, "invalid_scope", "kafka?"),
            "answers 400: invalid_scope: kafka?; check sasl.oauthbearer.scope",
            true,
        ),
        (TokenAnswer::json(404, ""), "answers 404: it does not say why", true),
        (
            TokenAnswer::bytes(
                "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
            ),
            "answers 302: it does not say why; it sends the producer elsewhere, which is not followed",
            true,
        ),
        (
            TokenAnswer::json(503, "busy, said hunter2"),
            "answers 503: it does not say why in a way that is known (in 18 bytes)",
            false,
        ),
        (TokenAnswer::json(200, "{}"), "the answer has no access_token", false),
        (TokenAnswer::json(200, "hunter2"), "the answer is no JSON", false),
        (TokenAnswer::bytes("SSH-2.0\r\n"), "what came is no answer of HTTP/1.1: the first line", false),
        (TokenAnswer::bytes(chunked_nonsense), "a part without its length", false),
        (
            TokenAnswer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"),
            "longer than 1048576 bytes",
            false,
        ),
        (TokenAnswer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), "closed before the end", false),
        (TokenAnswer::bytes(""), "closed before the end", false),
        (
            TokenAnswer::json(200, "{\"access_token\":\"a b\"}"),
            "a character that no access token may have",
            true,
        ),
    ]
}

#[tokio::test]
async fn what_goes_wrong_at_the_endpoint_is_told_and_heals() -> TestResult {
    for (answer, words, is_permanent) in everything_wrong_at_the_endpoint() {
        let cluster = start(guarded()).await;
        let is_mended = Arc::new(AtomicBool::new(false));
        let mended = Arc::clone(&is_mended);
        let endpoint = MockTokenEndpoint::start(move |_| {
            if mended.load(Ordering::Relaxed) { TokenAnswer::token(TOKEN, 3600) } else { answer.clone() }
        })
        .await?;
        let max_block = if is_permanent { "60000" } else { "200" };
        let text = properties_of_oidc(&cluster, &endpoint.url()) + BY_SECRET;
        let producer = from_text(&format!("{text}max.block.ms={max_block}\n"));

        let (kind, disposition) = refused(&producer).await;

        let text = kind.to_string();
        assert!(text.contains("no access token: ") && text.contains(words), "{words:?} in {text}");
        assert!(!text.contains("hunter2"), "{text}");
        let expected = if is_permanent { Disposition::FixConfiguration } else { Disposition::RetryLater };
        assert_eq!(disposition, expected, "{text}");
        is_mended.store(true, Ordering::Relaxed);
        until("the producer is let in", || cluster.requests().of(Api::Metadata) > 0).await;
    }
    Ok(())
}

#[tokio::test]
async fn endpoint_that_is_away_or_silent_is_told() -> TestResult {
    let cluster = start(guarded()).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let silent = from_text(
        &(properties_of_oidc(&cluster, &format!("http://{address}/t")) + BY_SECRET + "max.block.ms=1500\n"),
    );
    let (kind, _) = refused(&silent).await;
    assert!(kind.to_string().contains("waiting for the answer took longer than 500 ms"), "{kind}");

    drop(listener);
    let away = from_text(
        &(properties_of_oidc(&cluster, &format!("http://{address}/t")) + BY_SECRET + "max.block.ms=300\n"),
    );
    let (kind, _) = refused(&away).await;
    assert!(kind.to_string().contains("no access token: token endpoint http://127.0.0.1:"), "{kind}");
    assert!(kind.to_string().to_lowercase().contains("refused"), "{kind}");
    Ok(())
}
