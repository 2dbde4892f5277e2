//! The chain, with an environment and endpoints of the test's own.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

#[cfg(feature = "tls")]
use kafka_mock::MockTls;
use kafka_mock::{MockTokenEndpoint, TokenAnswer};

use super::*;
use crate::network::resolver::TcpConnector;

fn source(variables: &[(&str, &str)]) -> AwsSource {
    source_of(AwsOrigin::Chain { profile: None }, variables)
}

fn source_of(origin: AwsOrigin, variables: &[(&str, &str)]) -> AwsSource {
    let variables: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment: Environment = Arc::new(move |name| variables.get(name).cloned());
    AwsSource::new(origin, environment, Arc::new(TcpConnector::default()))
}

const ANSWER: &str =
    r#"{"AccessKeyId":"A","SecretAccessKey":"hunter2","Token":"t","Expiration":"2100-03-01T00:00:00Z"}"#;

fn answered() -> AwsCredentials {
    let end = UNIX_EPOCH + Duration::from_secs(4_107_542_400);
    AwsCredentials::new("A", "hunter2").session_token("t").expires_at(end)
}

#[tokio::test]
async fn environment_comes_first() {
    let found =
        source(&[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")]);
    assert_eq!(found.get().await.unwrap(), AwsCredentials::new("A", "s").session_token("t"));
}

#[tokio::test]
async fn container_is_asked_with_its_token() {
    let endpoint = MockTokenEndpoint::start(|_| TokenAnswer::json(200, ANSWER)).await.unwrap();
    let url = endpoint.url();
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer x"),
    ];

    assert_eq!(source(&variables).get().await.unwrap(), answered());
    assert_eq!(endpoint.requests()[0].header("authorization"), Some("Bearer x"));
}

#[tokio::test]
async fn machine_is_asked_for_a_token_for_its_role_and_for_the_keys() {
    let endpoint = MockTokenEndpoint::start(|request| match request.first_line() {
        "PUT /latest/api/token HTTP/1.1" => TokenAnswer::json(200, "imds"),
        _ if request.header("x-aws-ec2-metadata-token") != Some("imds") => TokenAnswer::json(401, ""),
        "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" => TokenAnswer::json(200, "role\n"),
        "GET /latest/meta-data/iam/security-credentials/role HTTP/1.1" => TokenAnswer::json(200, ANSWER),
        _ => TokenAnswer::json(404, ""),
    })
    .await
    .unwrap();
    let url = endpoint.url();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.trim_end_matches("/token"))];

    assert_eq!(source(&variables).get().await.unwrap(), answered());
}

#[tokio::test]
async fn nothing_anywhere_is_told_with_the_places() {
    let error = source(&[("AWS_EC2_METADATA_DISABLED", "true")]).get().await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");

    let endpoint = MockTokenEndpoint::start(|_| TokenAnswer::json(200, "{}")).await.unwrap();
    let error = source(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &endpoint.url())]).get().await.unwrap_err();
    assert!(error.to_string().ends_with("the answer has no AccessKeyId"), "{error}");
}

/// An answer of STS, as AWS's documentation shows it.
fn of_sts(action: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n <{action}Result>\n  <AssumedRoleUser>\n   \
         <Arn>arn:aws:sts::1:assumed-role/orders/x</Arn>\n  </AssumedRoleUser>\n  <Credentials>\n   <AccessKeyId>A</AccessKeyId>\n   \
         <SecretAccessKey>hunter2</SecretAccessKey>\n   <SessionToken>t</SessionToken>\n   \
         <Expiration>2100-03-01T00:00:00Z</Expiration>\n  </Credentials>\n </{action}Result>\n <ResponseMetadata>\n  \
         <RequestId>c6104cbe</RequestId>\n </ResponseMetadata>\n</{action}Response>"
    )
}

const ROLE: &str = "arn:aws:iam::123456789012:role/orders";

async fn sts() -> MockTokenEndpoint {
    let answer = |action: &str| TokenAnswer::json(200, &of_sts(action));
    MockTokenEndpoint::start(move |request| answer(request.form("Action").unwrap_or_default())).await.unwrap()
}

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kafka-producer-aws-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// What EKS puts into the environment of a pod with a service account.
#[tokio::test]
async fn pod_with_a_web_identity_gets_the_credentials_of_its_role() {
    let endpoint = sts().await;
    let url = endpoint.url();
    let token = Scratch::new("pod", "e30.first.x\n");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
    ];
    let source = source(&variables);

    assert_eq!(source.get().await.unwrap(), answered());
    // Kubernetes puts another token there.
    std::fs::write(token.path(), "e30.second.x\n").unwrap();
    source.get().await.unwrap();

    let requests = endpoint.requests();
    for (request, token) in requests.iter().zip(["e30.first.x", "e30.second.x"]) {
        assert_eq!(request.first_line(), "POST /token HTTP/1.1");
        let form = ["Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken"]
            .map(|name| request.form(name));
        let expected = ["AssumeRoleWithWebIdentity", "2011-06-15", ROLE, "aws-msk-iam-auth", token];
        assert_eq!(form, expected.map(Some));
        assert_eq!(request.header("authorization"), None, "the token proves enough");
    }
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn role_is_assumed_by_a_signed_request() {
    let endpoint = sts().await;
    let url = endpoint.url();
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter3"),
        ("AWS_SESSION_TOKEN", "hunter4"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
    ];
    let role = AwsRole::new(ROLE).external_id("orders 7").session_name("me");

    let found = source_of(AwsOrigin::Role(Box::new(role.clone())), &variables).get().await.unwrap();
    let own = role.region("us-west-2").credentials(AwsCredentials::new("AKIDOTHER", "hunter5"));
    source_of(AwsOrigin::Role(Box::new(own)), &variables).get().await.unwrap();

    assert_eq!(found, answered());
    let requests = endpoint.requests();
    assert_eq!(requests[0].form("ExternalId"), Some("orders 7"));
    assert_eq!(requests[0].form("RoleSessionName"), Some("me"));
    let signed = |index: usize| requests[index].header("authorization").unwrap().to_owned();
    assert!(signed(0).starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{}", signed(0));
    assert!(signed(0).contains(
        "/eu-west-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"
    ));
    assert_eq!(requests[0].header("x-amz-security-token"), Some("hunter4"));
    assert!(
        signed(1).contains("Credential=AKIDOTHER/") && signed(1).contains("/us-west-2/sts/"),
        "{}",
        signed(1)
    );
}

#[tokio::test]
async fn profile_may_name_a_role_and_whose_key_assumes_it() {
    let endpoint = sts().await;
    let url = endpoint.url();
    let token = Scratch::new("profile-token", "e30.x.y");
    let text = format!(
        "[profile by-key]\nrole_arn={ROLE}\nsource_profile=base\nexternal_id=e\nregion=eu-west-1\n[profile base]\n\
         aws_access_key_id=AKIDBASE\naws_secret_access_key=hunter3\n[profile by-token]\nrole_arn={ROLE}\n\
         web_identity_token_file={}\nrole_session_name=me\n[profile process]\ncredential_process=/bin/x\n[profile sso]\n\
         sso_session=corp\n[profile half]\nrole_arn={ROLE}\n",
        token.path()
    );
    let config = Scratch::new("config", &text);
    let variables = [("AWS_CONFIG_FILE", config.path()), ("AWS_ENDPOINT_URL", url.as_str())];
    let get = |profile: &str| {
        let source = source_of(AwsOrigin::Chain { profile: Some(profile.to_owned()) }, &variables);
        async move { source.get().await }
    };

    assert_eq!(get("by-key").await.unwrap(), answered());
    assert_eq!(get("by-token").await.unwrap(), answered());
    let requests = endpoint.requests();
    assert!(requests[0].header("authorization").unwrap().contains("Credential=AKIDBASE/"));
    assert_eq!(requests[0].form("ExternalId"), Some("e"));
    assert_eq!(
        (requests[1].form("WebIdentityToken"), requests[1].form("RoleSessionName")),
        (Some("e30.x.y"), Some("me"))
    );
    for (profile, text) in [
        (
            "process",
            "profile process has credential_process, which is not done here: let `Sasl::aws_msk_iam_with`",
        ),
        ("sso", "profile sso has sso_session, which is not done here"),
        ("half", "profile half has a role_arn, and neither source_profile nor credential_source"),
        ("none", "profile none has no access key and no role in the shared files"),
    ] {
        let error = get(profile).await.unwrap_err();
        assert!(error.is_permanent() && error.to_string().starts_with(text), "{error}");
    }
}

/// Everything that STS may answer in place of credentials, with what a user reads.
#[tokio::test]
async fn refusals_of_sts_are_told_in_its_words() {
    let error = |code: &str| {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no &amp; no\n\nx-amz-security-token:hunter2</Message></Error></ErrorResponse>"
        )
    };
    let token = Scratch::new("refused", "hunter2");
    for (status, body, words, is_permanent) in [
        (403, error("AccessDenied"), "it answers 403: AccessDenied: no & no", true),
        (400, error("InvalidIdentityToken"), "it answers 400: InvalidIdentityToken: no & no", true),
        (400, error("Throttling"), "it answers 400: Throttling: no & no", false),
        (400, error("IDPCommunicationError"), "it answers 400: IDPCommunicationError: no & no", false),
        // On one line, for all that is known of other endpoints.
        (
            403,
            error("SignatureDoesNotMatch").replace("no &amp; no\n\n", "no: "),
            "it answers 403: SignatureDoesNotMatch",
            true,
        ),
        (503, "busy, hunter2".to_owned(), "it answers 503: it does not say why (in 13 bytes)", false),
        (200, "<A>hunter2</A>".to_owned(), "the answer has no AccessKeyId", false),
        (200, of_sts("X").replace("SessionToken", "Other"), "the answer has no SessionToken", false),
    ] {
        let endpoint = MockTokenEndpoint::start(move |_| TokenAnswer::json(status, &body)).await.unwrap();
        let url = endpoint.url();
        let variables = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path()),
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ];

        let error = source(&variables).get().await.unwrap_err();

        assert_eq!(error.to_string(), format!("{url} for the role {ROLE}: {words}"));
        assert_eq!(error.is_permanent(), is_permanent, "{error}");
    }
    let error = source(&[("AWS_WEB_IDENTITY_TOKEN_FILE", token.path())]).get().await.unwrap_err();
    assert_eq!(error.to_string(), "AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not");
}

/// The chain does not go on to the role of a container: the producer would be another principal.
#[tokio::test]
async fn profile_that_is_named_and_not_there_is_an_error() {
    let files =
        Scratch::new("profiles", "[default]\naws_access_key_id = A\naws_secret_access_key = hunter2\n");
    let endpoint = MockTokenEndpoint::start(|_| TokenAnswer::json(200, ANSWER)).await.unwrap();
    let url = endpoint.url();
    let variables = [
        ("AWS_SHARED_CREDENTIALS_FILE", files.path()),
        ("AWS_CONFIG_FILE", "/nonexistent"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_PROFILE", "ordres"),
    ];

    let error = source(&variables).get().await.unwrap_err();

    let text = "profile ordres has no access key and no role in the shared files";
    assert_eq!((error.to_string().as_str(), error.is_permanent()), (text, true));
    assert!(endpoint.requests().is_empty());
}

/// EKS Pod Identity: the agent on the node wants a token that it puts into a file, and replaces.
#[tokio::test]
async fn container_is_asked_with_the_token_that_is_in_the_file() {
    let endpoint = MockTokenEndpoint::start(|_| TokenAnswer::json(200, ANSWER)).await.unwrap();
    let url = endpoint.url();
    let token = Scratch::new("agent", "first\n");
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "no"),
    ];
    let source = source(&variables);

    assert_eq!(source.get().await.unwrap(), answered());
    std::fs::write(token.path(), "second").unwrap();
    source.get().await.unwrap();

    let requests = endpoint.requests();
    let said: Vec<_> = requests.iter().map(|request| request.header("authorization").unwrap()).collect();
    assert_eq!(said, ["first", "second"]);
}

#[tokio::test]
async fn token_for_a_container_does_not_go_out_in_clear() {
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://credentials.example/x"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2"),
    ];
    let error = source(&variables).get().await.unwrap_err();

    assert!(error.is_permanent() && error.to_string().contains("must begin with https://"), "{error}");
}

#[tokio::test]
async fn sts_is_in_the_region_that_is_set() {
    let at = |region: Option<&str>, variables: &[(&str, &str)]| {
        source(variables).sts(region).map(|endpoint| (endpoint.url.to_string(), endpoint.region))
    };
    let found = |url: &str, region: &str| Ok((url.to_owned(), region.to_owned()));

    assert_eq!(at(None, &[]), found("https://sts.amazonaws.com/", "us-east-1"));
    assert_eq!(
        at(Some("aws-global"), &[("AWS_REGION", "eu-west-1")]),
        found("https://sts.amazonaws.com/", "us-east-1")
    );
    assert_eq!(
        at(None, &[("AWS_REGION", "eu-west-1")]),
        found("https://sts.eu-west-1.amazonaws.com/", "eu-west-1")
    );
    assert_eq!(
        at(None, &[("AWS_DEFAULT_REGION", "cn-north-1")]),
        found("https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1")
    );
    assert_eq!(
        at(Some("us-west-2"), &[("AWS_REGION", "eu-west-1")]),
        found("https://sts.us-west-2.amazonaws.com/", "us-west-2")
    );
    let own = [("AWS_ENDPOINT_URL_STS", "https://vpce.example:8443/x"), ("AWS_REGION", "eu-west-1")];
    assert_eq!(at(None, &own), found("https://vpce.example:8443/x", "eu-west-1"));
    assert!(at(Some("evil.example/?"), &[]).is_err_and(|error| error.is_permanent()));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn sts_is_asked_by_tls_and_its_certificate_checked() {
    let endpoint = MockTokenEndpoint::start_tls(MockTls::new(), |request| {
        TokenAnswer::json(200, &of_sts(request.form("Action").unwrap_or_default()))
    })
    .await
    .unwrap();
    let url = endpoint.url();
    let (token, ca) = (Scratch::new("tls-token", "e30.x.y"), Scratch::new("tls-ca", MockTls::ca_pem()));
    let of_others = Scratch::new("tls-other-ca", MockTls::other_ca_pem());
    let get = |ca: &Scratch| {
        let source = source(&[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.path()),
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_ENDPOINT_URL_STS", url.as_str()),
            ("AWS_CA_BUNDLE", ca.path()),
        ]);
        async move { source.get().await }
    };

    assert_eq!(get(&ca).await.unwrap(), answered());
    let error = get(&of_others).await.unwrap_err();

    let text = error.to_string();
    assert!(
        error.is_permanent() && text.contains("is signed by no authority that AWS_CA_BUNDLE vouches for"),
        "{text}"
    );
}

#[test]
fn tokens_that_go_out_in_clear_are_warned_of() {
    let warning = |url| sts::in_clear("AWS_ENDPOINT_URL", &Url::parse(url).unwrap());

    let text = warning("http://proxy.corp:4566").unwrap();
    assert!(text.starts_with("AWS_ENDPOINT_URL is http://proxy.corp:4566"), "{text}");
    for fine in ["https://proxy.corp:4566", "http://127.0.0.1:4566", "http://localhost:4566"] {
        assert_eq!(warning(fine), None);
    }
    assert!(!source(&[]).has_warned.load(Ordering::Relaxed));
    let source = source(&[("AWS_ENDPOINT_URL", "http://proxy.corp:4566")]);
    source.sts(None).unwrap();
    assert!(source.has_warned.load(Ordering::Relaxed));
}

/// As in an application whose tasks wait on that thread for records that wait for the credentials.
#[test]
fn profiles_and_authorities_are_read_while_other_tasks_hold_the_blocking_threads() {
    use std::sync::mpsc;

    use tokio::runtime::Builder;

    let profile = Scratch::new("held", "[default]\naws_access_key_id=A\naws_secret_access_key=s\n");
    let ca = format!("{}/mock/certs/ca.pem", env!("CARGO_MANIFEST_DIR"));
    let runtime = Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    let (let_go, is_let_go) = mpsc::channel::<()>();
    drop(runtime.spawn_blocking(move || is_let_go.recv()));

    runtime.block_on(async {
        let variables = [("AWS_SHARED_CREDENTIALS_FILE", profile.path()), ("AWS_CA_BUNDLE", ca.as_str())];
        let source = source(&variables);
        assert_eq!(source.get().await.unwrap(), AwsCredentials::new("A", "s"));
        #[cfg(feature = "tls")]
        source.secure().await.unwrap();
    });

    drop(let_go);
}
