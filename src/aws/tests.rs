//! The chain, with an environment and endpoints of the test's own.

use std::collections::BTreeMap;

use kafka_mock::{MockTokenEndpoint, TokenAnswer};

use super::*;
use crate::network::resolver::TcpConnector;

fn source(variables: &[(&str, &str)]) -> AwsSource {
    let variables: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment: Environment = Arc::new(move |name| variables.get(name).cloned());
    let origin = AwsOrigin::Chain { profile: None };
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
