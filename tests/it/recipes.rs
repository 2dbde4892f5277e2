//! The properties in `docs/security.md` and `docs/cloud.md`, read from there: each block must be valid as it stands, and work with brokers
//! that ask for just what it is about.

use std::fs;
use std::path::{Path, PathBuf};

use kafka_mock::{
    MockCertificate, MockCluster, MockTls, MockToken, MockTokenEndpoint, SaslMechanism, TokenAnswer,
    TokenRequest,
};
use kafka_producer::{KafkaProducer, ProducerConfig};

use crate::support::{TOPIC, log_of, record, soon};

const DOCUMENTS: [&str; 2] = [include_str!("../../docs/security.md"), include_str!("../../docs/cloud.md")];

/// The credentials that stand in the recipes.
const USERS: [(&str, &str); 4] = [
    ("API_KEY", "API_SECRET"),
    ("alice", "alice-secret"),
    ("avnadmin", "alice-secret"),
    (
        "$ConnectionString",
        "Endpoint=sb://orders.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0",
    ),
];

const AWS_KEY: (&str, &str) = ("AKIDEXAMPLE", "aws/hunter2");

fn blocks() -> Vec<String> {
    let blocks = DOCUMENTS.iter().flat_map(|document| document.split("```properties\n").skip(1));
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Files in the places that recipes name.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kafka-producer-recipes-{test}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("ca.pem"), MockTls::ca_pem()).unwrap();
        let client = [MockCertificate::CLIENT.chain_pem(), MockCertificate::CLIENT.key_pem()].concat();
        fs::write(path.join("client.pem"), client).unwrap();
        fs::write(path.join("secrets.properties"), "password=alice-secret\n").unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Brokers that take what a recipe is about, and nothing else.
async fn cluster_for(text: &str) -> MockCluster {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let wants_certificate = value("ssl.keystore.location").is_some();
    let tls = MockTls::new();
    let tls = if wants_certificate { tls.require_client_certificates() } else { tls };
    let mut builder = MockCluster::builder().auto_create_topics(false, 1).tls(tls);
    if let Some(mechanism) = value("sasl.mechanism") {
        let mechanism = match mechanism {
            "AWS_MSK_IAM" => SaslMechanism::AwsMskIam,
            "OAUTHBEARER" => SaslMechanism::OAuthBearer,
            "PLAIN" => SaslMechanism::Plain,
            "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
            "SCRAM-SHA-512" => SaslMechanism::ScramSha512,
            other => panic!("{other}"),
        };
        for (name, password) in USERS {
            builder = builder.sasl_user(name, password);
        }
        builder = builder.sasl_aws_key(AWS_KEY.0, AWS_KEY.1);
        builder = builder.sasl_token_check(|_, _| Ok(MockToken::of("alice"))).sasl_mechanisms([mechanism]);
    }
    let cluster = builder.start().await.unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

async fn token_endpoint() -> MockTokenEndpoint {
    MockTokenEndpoint::start(|_| TokenAnswer::token("a.token.of.alice", 3600)).await.unwrap()
}

/// Puts the brokers of a test, and its files, in the place of those that the recipe names.
fn adapt(text: &str, cluster: &MockCluster, endpoint: &MockTokenEndpoint, files: &Path) -> String {
    let mut adapted = String::new();
    for line in text.lines() {
        match line.split_once('=') {
            Some(("bootstrap.servers", _)) => {
                adapted.push_str(&format!("bootstrap.servers={}\n", cluster.bootstrap_servers()));
            }
            Some(("sasl.oauthbearer.token.endpoint.url", _)) => {
                adapted.push_str(&format!("sasl.oauthbearer.token.endpoint.url={}\n", endpoint.url()));
            }
            _ => {
                let line = line.replace("/etc/kafka/", &format!("{}/", files.display()));
                adapted.push_str(&format!("{line}\n"));
            }
        }
    }
    if !adapted.contains("ssl.truststore.location") {
        // No operating system trusts the mock.
        let ca = files.join("ca.pem");
        adapted.push_str(&format!("ssl.truststore.type=PEM\nssl.truststore.location={}\n", ca.display()));
    }
    adapted
}

/// Sends by the recipe in a block, to brokers that ask for that.
async fn try_recipe(block: &str, endpoint: &MockTokenEndpoint, files: &Files) {
    let cluster = cluster_for(block).await;
    let config = ProducerConfig::from_properties_text(&adapt(block, &cluster, endpoint, files.path()));
    let producer: KafkaProducer =
        KafkaProducer::builder().config(config).build().unwrap_or_else(|error| panic!("{error}\n{block}"));

    let result = soon("result", producer.send(record("x"))).await;

    assert!(result.is_ok(), "{result:?}\n{block}");
    assert_eq!(log_of(&cluster, 0), ["x"], "{block}");
    assert_eq!(cluster.refusals(), Vec::<String>::new(), "{block}");
}

#[tokio::test]
async fn each_recipe_sends_records_to_brokers_that_ask_for_that() {
    let files = Files::new("each");
    let endpoint = token_endpoint().await;
    let blocks = blocks();
    assert!(blocks.len() >= 16, "{}", blocks.len());
    for block in blocks.iter().filter(|block| !block.contains(AWS)) {
        try_recipe(block, &endpoint, &files).await;
    }
}

/// Gives out credentials of a role to a pod.
async fn sts() -> MockTokenEndpoint {
    let answer = |request: &TokenRequest| {
        if request.form("WebIdentityToken") != Some("e30.pod.x") {
            return TokenAnswer::json(400, "<Error><Code>InvalidIdentityToken</Code></Error>");
        }
        let (id, secret) = AWS_KEY;
        let credentials = format!(
            "<AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>t</SessionToken>"
        );
        TokenAnswer::json(200, &format!("<R><Credentials>{credentials}</Credentials></R>"))
    };
    MockTokenEndpoint::start(answer).await.unwrap()
}

/// Its credentials and its region stand in the environment, which a test cannot change for itself: so it runs in a process of its own, in
/// what a user would set, and in what EKS sets for a pod with a service account.
#[tokio::test]
async fn recipe_of_msk_with_iam_sends_records_in_the_environments_that_it_names() {
    let (sts, files) = (sts().await, Files::new("aws"));
    let token = files.path().join("token");
    fs::write(&token, "e30.pod.x").unwrap();
    let (url, token) = (sts.url(), token.display().to_string());
    for environment in [
        &[("AWS_ACCESS_KEY_ID", AWS_KEY.0), ("AWS_SECRET_ACCESS_KEY", AWS_KEY.1)][..],
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/orders"),
            ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ],
    ] {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "recipes::child_that_sends_by_msk_with_iam", "--ignored", "--nocapture"]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("AWS_REGION", "eu-central-1").envs(environment.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();

        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{environment:?} {output:?}");
    }
    assert_eq!(sts.requests().len(), 1);
}

#[tokio::test]
#[ignore = "it wants an environment with credentials of AWS, which another test gives it"]
async fn child_that_sends_by_msk_with_iam() {
    let files = Files::new("aws-child");
    let endpoint = token_endpoint().await;
    let blocks = blocks();
    let block = blocks.iter().find(|block| block.contains(AWS)).unwrap();

    try_recipe(block, &endpoint, &files).await;
}

const AWS: &str = "sasl.mechanism=AWS_MSK_IAM";

#[test]
fn each_recipe_is_valid_to_the_letter() {
    for block in blocks() {
        // Files are another matter.
        if block.contains("/etc/kafka/") {
            continue;
        }
        ProducerConfig::from_properties_text(&block)
            .validate()
            .unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

/// Brokers that want something else refuse, so the test above would find out.
#[tokio::test]
async fn brokers_of_another_recipe_refuse() {
    let files = Files::new("another");
    let blocks = blocks();
    let plain = blocks.iter().find(|block| block.contains("sasl.mechanism=PLAIN")).unwrap();
    let scram = blocks.iter().find(|block| block.contains("sasl.mechanism=SCRAM-SHA-512")).unwrap();
    let cluster = cluster_for(scram).await;
    let endpoint = token_endpoint().await;
    let config = ProducerConfig::from_properties_text(&adapt(plain, &cluster, &endpoint, files.path()));
    let producer: KafkaProducer = KafkaProducer::builder().config(config).build().unwrap();

    let error = soon("result", producer.send(record("x"))).await.unwrap_err();

    assert!(error.to_string().contains("it offers SCRAM-SHA-512"), "{error}");
}
