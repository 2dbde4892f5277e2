//! Brokers of Amazon MSK, which let in clients that sign a request for AWS.

use kafka_mock::{Api, MockCluster};
use kafka_producer::{AwsCredentials, Disposition, Sasl};

use crate::oauth::{builder_with, refused, start};
use crate::support::{TestResult, delivered, enqueue_all, log_of, record, seconds, texts};

fn keys(secret: &'static str) -> Sasl {
    Sasl::aws_msk_iam_with(move || async move {
        Ok(AwsCredentials::new("AKIDEXAMPLE", secret).session_token("s/e+s=").region("eu-west-1"))
    })
}

#[tokio::test]
async fn requests_signed_for_aws_are_accepted_and_sessions_renewed() -> TestResult {
    let cluster =
        MockCluster::builder().auto_create_topics(false, 1).sasl_aws_key("AKIDEXAMPLE", "hunter2/+");
    let cluster = start(cluster.sasl_session_lifetime(seconds(2))).await;
    let producer = builder_with(&cluster, keys("hunter2/+")).build()?;

    let mut number = 0;
    while cluster.requests().of(Api::SaslHandshake) < 3 {
        delivered(enqueue_all(&producer, (number..number + 10).map(record)).await).await;
        number += 10;
    }

    assert_eq!(log_of(&cluster, 0), texts(0..number));
    assert_eq!(cluster.refusals(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn wrong_secret_of_aws_is_told_with_the_words_of_the_broker() -> TestResult {
    let cluster = MockCluster::builder().auto_create_topics(false, 1).sasl_aws_key("AKIDEXAMPLE", "another");
    let cluster = start(cluster).await;
    let producer = builder_with(&cluster, keys("hunter2")).build()?;

    let (kind, disposition) = refused(&producer).await;

    let text = kind.to_string();
    assert!(text.contains("broker refuses the AWS credentials (AWS_MSK_IAM"), "{text}");
    assert!(
        text.contains("[AKIDEXAMPLE]: The signature does not match") && !text.contains("hunter2"),
        "{text}"
    );
    assert_eq!(disposition, Disposition::FixConfiguration);
    Ok(())
}
