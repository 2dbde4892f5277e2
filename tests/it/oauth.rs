//! Brokers that let in clients with an access token: when tokens end, and what callers hear if there is none. Where tokens come from is in
//! `oidc`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kafka_mock::{Api, MockCluster, MockClusterBuilder, MockToken, SaslMechanism};
use kafka_producer::{
    AccessToken, Disposition, KafkaProducer, KafkaProducerBuilder, ProducerConfig, Sasl, SecurityProtocol,
    SendErrorKind, TokenError,
};

use crate::support::{
    TOPIC, TestResult, builder, delivered, enqueue_all, log_of, millis, record, seconds, soon, texts, until,
};

pub(crate) const TOKEN: &str = "e30.hunter2.x";

pub(crate) fn guarded() -> MockClusterBuilder {
    let cluster = MockCluster::builder().auto_create_topics(false, 1);
    cluster.sasl_token(TOKEN, MockToken::of("alice")).sasl_mechanisms([SaslMechanism::OAuthBearer])
}

pub(crate) async fn start(builder: MockClusterBuilder) -> MockCluster {
    let cluster = builder.start().await.unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

/// Has tokens fetched anew soon after a failure.
pub(crate) fn builder_with(cluster: &MockCluster, sasl: Sasl) -> KafkaProducerBuilder {
    let retries = [("sasl.login.retry.backoff.ms", "5"), ("sasl.login.retry.backoff.max.ms", "20")];
    let periods =
        [("sasl.login.refresh.min.period.seconds", "0"), ("sasl.login.refresh.buffer.seconds", "0")];
    let builder = builder(cluster).properties(retries).properties(periods);
    builder.security_protocol(SecurityProtocol::SaslPlaintext).sasl(sasl)
}

fn always(token: &'static str) -> Sasl {
    Sasl::oauth_bearer(move || async move { Ok(AccessToken::new(token)) })
}

pub(crate) async fn refused(producer: &KafkaProducer) -> (SendErrorKind, Disposition) {
    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();
    (error.kind().clone(), error.disposition())
}

#[tokio::test]
async fn records_go_to_brokers_that_accept_the_token() -> TestResult {
    let cluster = start(guarded()).await;
    let producer = builder_with(&cluster, always(TOKEN)).build()?;

    delivered(enqueue_all(&producer, (0..50).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..50));
    assert_eq!(cluster.refusals(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn brokers_are_told_extensions_with_the_token() -> TestResult {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    let cluster = guarded().sasl_token_check(move |token, extensions| {
        kept.lock().unwrap().push((token.to_owned(), extensions.clone()));
        Ok(MockToken::of("alice"))
    });
    let cluster = start(cluster).await;
    let sasl = Sasl::oauth_bearer(|| async {
        Ok(AccessToken::new("t").extension("logicalCluster", "lkc-1").extension("identityPoolId", "pool-2"))
    });
    let producer = builder_with(&cluster, sasl).build()?;

    soon("delivery", producer.send(record("x"))).await?;

    let heard = heard.lock().unwrap();
    let (token, extensions) = heard.first().unwrap();
    assert_eq!(token, "t");
    let extensions: Vec<_> = extensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(extensions, ["identityPoolId=pool-2", "logicalCluster=lkc-1"]);
    Ok(())
}

#[tokio::test]
async fn unsecured_tokens_of_java_users_are_made_from_their_line() -> TestResult {
    let heard = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&heard);
    let cluster = guarded().sasl_token_check(move |token, extensions| {
        *kept.lock().unwrap() = format!("{token} {extensions:?}");
        Ok(MockToken::of("alice"))
    });
    let cluster = start(cluster).await;
    let text = format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n\
         sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \\\n\
           unsecuredLoginStringClaim_sub=\"alice\" unsecuredLoginExtension_traceId=\"7\";\n",
        cluster.bootstrap_servers()
    );
    let producer: KafkaProducer =
        KafkaProducer::builder().config(ProducerConfig::from_properties_text(&text)).build()?;

    soon("delivery", producer.send(record("x"))).await?;

    let heard = heard.lock().unwrap();
    assert!(
        heard.starts_with("eyJhbGciOiJub25lIn0.") && heard.ends_with(". {\"traceId\": \"7\"}"),
        "{heard}"
    );
    Ok(())
}

#[tokio::test]
async fn connections_wait_for_the_first_token() -> TestResult {
    let cluster = start(guarded()).await;
    let (give, given) = tokio::sync::watch::channel(false);
    let sasl = Sasl::oauth_bearer(move || {
        let mut given = given.clone();
        async move {
            given.wait_for(|given| *given).await.map_err(TokenError::temporary)?;
            Ok(AccessToken::new(TOKEN))
        }
    });
    let producer = builder_with(&cluster, sasl).build()?;
    let sending = producer.send(record("x"));
    let mut sending = std::pin::pin!(sending);
    assert!(futures_pending(&mut sending).await);
    until("a connection waits", || cluster.requests().of(Api::SaslHandshake) > 0).await;

    give.send(true)?;

    soon("delivery", sending).await?;
    assert_eq!(cluster.requests().of(Api::SaslAuthenticate), cluster.requests().of(Api::SaslHandshake));
    Ok(())
}

/// Whether a future has not come to its end when it is polled once.
pub(crate) async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending()))
        .await
}

#[tokio::test]
async fn permanent_lack_of_a_token_fails_callers_soon_and_heals() -> TestResult {
    let cluster = start(guarded()).await;
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let sasl = Sasl::oauth_bearer(move || {
        let is_mended = mended.load(Ordering::Relaxed);
        async move {
            if is_mended {
                Ok(AccessToken::new(TOKEN))
            } else {
                Err(TokenError::permanent("invalid_client: who?"))
            }
        }
    });
    let producer = builder_with(&cluster, sasl).build()?;

    for _ in 0..2 {
        let (kind, disposition) = refused(&producer).await;
        assert!(matches!(kind, SendErrorKind::AuthenticationFailed { .. }), "{kind:?}");
        assert_eq!(
            kind.to_string(),
            format!("record for topic {TOPIC:?} cannot be accepted: no access token: invalid_client: who?")
        );
        assert_eq!(disposition, Disposition::FixConfiguration);
    }

    is_mended.store(true, Ordering::Relaxed);
    until("the producer is let in", || cluster.requests().of(Api::Metadata) > 0).await;
    soon("delivery", producer.send(record("y"))).await?;
    assert_eq!(log_of(&cluster, 0), ["y"]);
    Ok(())
}

#[tokio::test]
async fn passing_lack_of_a_token_is_told_when_a_caller_gives_up() -> TestResult {
    let cluster = start(guarded()).await;
    let sasl = Sasl::oauth_bearer(|| async { Err(TokenError::temporary("the vault is sealed")) });
    let producer = builder_with(&cluster, sasl).max_block(millis(300)).build()?;

    let (kind, disposition) = refused(&producer).await;

    assert!(matches!(kind, SendErrorKind::MetadataTimeout { .. }), "{kind:?}");
    assert!(kind.to_string().contains("no access token: the vault is sealed"), "{kind}");
    assert_eq!(disposition, Disposition::RetryLater);
    Ok(())
}

#[tokio::test]
async fn provider_that_panics_is_told_and_ends_nothing() -> TestResult {
    let cluster = start(guarded()).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let sasl = Sasl::oauth_bearer(move || {
        let call = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(call >= 3, "not yet");
            Ok(AccessToken::new(TOKEN))
        }
    });
    let producer = builder_with(&cluster, sasl).build()?;

    soon("delivery", producer.send(record("x"))).await?;

    assert!(calls.load(Ordering::Relaxed) >= 4);
    Ok(())
}

#[tokio::test]
async fn refused_token_is_told_with_the_words_of_the_broker_and_heals() -> TestResult {
    let cluster = start(guarded()).await;
    let producer = builder_with(&cluster, always("t0ken")).build()?;

    for _ in 0..2 {
        let (kind, disposition) = refused(&producer).await;
        let text = kind.to_string();
        let words = "broker refuses the access token (OAUTHBEARER, SASL_AUTHENTICATION_FAILED (58)): \
                     {\"status\":\"invalid_token\"}; the token is no JWT";
        assert!(text.contains(words), "{text}");
        assert_eq!(disposition, Disposition::FixConfiguration);
    }

    cluster.set_sasl_token("t0ken", MockToken::of("alice"));
    until("the producer is let in", || cluster.requests().of(Api::Metadata) > 0).await;
    soon("delivery", producer.send(record("y"))).await?;
    Ok(())
}

/// What users read of tokens that are wrong in different ways, though brokers say the same of each.
#[tokio::test]
async fn refused_tokens_are_told_by_their_claims() -> TestResult {
    // {"iss":"https://idp","aud":"kafka","sub":"alice","exp":1577836800}, and with aud "others" and exp 7258118400.
    for (claims, words) in [
        (
            "eyJpc3MiOiJodHRwczovL2lkcCIsImF1ZCI6ImthZmthIiwic3ViIjoiYWxpY2UiLCJleHAiOjE1Nzc4MzY4MDB9",
            "; the token claims iss \"https://idp\", aud \"kafka\", sub \"alice\", and has ended on 2020-01-01 00:00:00 UTC",
        ),
        (
            "eyJpc3MiOiJodHRwczovL2lkcCIsImF1ZCI6Im90aGVycyIsInN1YiI6ImFsaWNlIiwiZXhwIjo3MjU4MTE4NDAwfQ",
            "; the token claims iss \"https://idp\", aud \"others\", sub \"alice\", and ends on 2200-01-01",
        ),
    ] {
        let cluster = start(guarded()).await;
        let token = format!("e30.{claims}.hunter2");
        let sasl = Sasl::oauth_bearer(move || std::future::ready(Ok(AccessToken::new(&*token))));
        let producer = builder_with(&cluster, sasl).build()?;

        let (kind, disposition) = refused(&producer).await;

        let text = kind.to_string();
        assert!(text.ends_with(words) && !text.contains("hunter2") && !text.contains(claims), "{text}");
        assert_eq!(disposition, Disposition::FixConfiguration);
    }
    Ok(())
}

#[tokio::test]
async fn token_that_is_withdrawn_is_fetched_anew() -> TestResult {
    let cluster = start(guarded().sasl_session_lifetime(millis(200))).await;
    let token = Arc::new(Mutex::new(TOKEN));
    let current = Arc::clone(&token);
    let sasl = Sasl::oauth_bearer(move || {
        let token = *current.lock().unwrap();
        async move { Ok(AccessToken::new(token)) }
    });
    let producer = builder_with(&cluster, sasl).build()?;
    soon("delivery", producer.send(record("0"))).await?;

    *token.lock().unwrap() = "another";
    cluster.set_sasl_token("another", MockToken::of("alice"));
    cluster.revoke_sasl_token(TOKEN);
    for number in 1..40 {
        soon("delivery", producer.send(record(number))).await?;
        tokio::time::sleep(millis(10)).await;
    }

    assert_eq!(log_of(&cluster, 0), texts(0..40));
    Ok(())
}

#[tokio::test]
async fn sessions_end_with_their_tokens_and_are_renewed_with_new_ones_under_load() -> TestResult {
    let lifetime = seconds(2);
    let issued = Arc::new(AtomicUsize::new(0));
    let cluster = guarded().sasl_token_check(move |token, _| match token.strip_prefix("token-") {
        Some(_) => Ok(MockToken::of("alice").ends_after(lifetime)),
        None => Err("{\"status\":\"invalid_token\"}".to_owned()),
    });
    let cluster = start(cluster).await;
    let counted = Arc::clone(&issued);
    let sasl = Sasl::oauth_bearer(move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(AccessToken::new(format!("token-{number}")).expires_in(lifetime)) }
    });
    let producer = builder_with(&cluster, sasl).build()?;

    let mut deliveries = Vec::new();
    let mut number = 0;
    while cluster.requests().of(Api::SaslHandshake) < 4 {
        deliveries.extend(enqueue_all(&producer, (number..number + 100).map(record)).await);
        number += 100;
        tokio::time::sleep(millis(1)).await;
    }
    delivered(deliveries).await;

    assert_eq!(log_of(&cluster, 0), texts(0..number));
    assert!(issued.load(Ordering::Relaxed) >= 3);
    assert!(cluster.connections_accepted(0) <= 2, "bootstrap and broker");
    assert_eq!(cluster.refusals(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn fetching_ends_with_the_producer() -> TestResult {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    for with_close in [true, false] {
        let cluster = start(guarded()).await;
        let (is_over, is_asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (over, asked) = (Arc::clone(&is_over), Arc::clone(&is_asked));
        let sasl = Sasl::oauth_bearer(move || {
            asked.store(true, Ordering::Relaxed);
            let flag = Flag(Arc::clone(&over));
            async move {
                let _flag = flag;
                std::future::pending().await
            }
        });
        let producer = builder_with(&cluster, sasl).build()?;
        until("a token is fetched", || is_asked.load(Ordering::Relaxed)).await;

        let kept = if with_close {
            let _ = producer.close(seconds(1)).await;
            Some(producer)
        } else {
            drop(producer);
            None
        };

        until("fetching ends", || is_over.load(Ordering::Relaxed)).await;
        drop(kept);
    }
    Ok(())
}

#[tokio::test]
async fn tokens_are_shown_nowhere() -> TestResult {
    let cluster = start(guarded()).await;
    let sasl = always("hunter2-not-known");
    let builder = builder_with(&cluster, sasl.clone());
    let token = AccessToken::new("hunter2");
    let mut shown = format!("{token:?} {token:#?} {sasl:?} {sasl:#?} {builder:?} {builder:#?}");
    let producer = builder.build()?;

    let error = soon("a refusal", producer.send(record("x"))).await.unwrap_err();
    shown += &format!("{producer:?} {producer:#?} {error} {error:?} {error:#?} {:?}", producer.metrics());

    assert!(!shown.contains("hunter2"), "{shown}");
    Ok(())
}
