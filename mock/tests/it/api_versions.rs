//! ApiVersions: what is offered, and what happens with what is not.

use kafka_mock::{Api, Fault, MockCluster};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::support::{Client, metadata_request};

const UNSUPPORTED_VERSION: i16 = 35;

fn request() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("test"))
        .with_client_software_version(StrBytes::from_static_str("1"))
}

fn range(response: &ApiVersionsResponse, api: Api) -> Option<(i16, i16)> {
    let entry = response.api_keys.iter().find(|entry| entry.api_key == api.key())?;
    Some((entry.min_version, entry.max_version))
}

#[tokio::test]
async fn every_version_lists_what_is_served() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    for version in 0..=4 {
        let sent = if version >= 3 { request() } else { ApiVersionsRequest::default() };
        let response = client.call(version, &sent).await;
        assert_eq!(response.error_code, 0);
        assert_eq!(range(&response, Api::Produce), Some((0, 13)), "version {version}");
        assert_eq!(range(&response, Api::Metadata), Some((0, 13)), "version {version}");
        // Without users there is no authentication, and telemetry is only for those who ask for it.
        let listed: Vec<_> = Api::ALL.into_iter().filter(|api| range(&response, *api).is_some()).collect();
        let is_for_all = |api: &Api| {
            let is_sasl = matches!(api, Api::SaslHandshake | Api::SaslAuthenticate);
            !is_sasl && !matches!(api, Api::GetTelemetrySubscriptions | Api::PushTelemetry)
        };
        assert_eq!(listed, Api::ALL.into_iter().filter(is_for_all).collect::<Vec<_>>(), "version {version}");
        assert_eq!(response.api_keys.len(), listed.len(), "version {version}");
    }
}

#[tokio::test]
async fn clusters_with_users_list_authentication() {
    let cluster = MockCluster::builder().sasl_user("alice", "secret").start().await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    let response = client.call(4, &request()).await;

    assert_eq!(range(&response, Api::SaslHandshake), Some((0, 1)));
    assert_eq!(range(&response, Api::SaslAuthenticate), Some((0, 2)));
}

#[tokio::test]
async fn an_unknown_version_is_answered_in_version_0_with_the_versions_that_would_do() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    // Key 18, version 99, correlation id 7, no client id, no tags, and a body that the broker cannot know.
    client.write_raw(&[0, 0, 0, 14, 0, 18, 0, 99, 0, 0, 0, 7, 255, 255, 0, 1, 2, 3]).await;

    let mut answer = client.read_frame().await.unwrap();

    assert_eq!(answer.split_to(4).as_ref(), 7_i32.to_be_bytes());
    let response = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    assert_eq!(response.error_code, UNSUPPORTED_VERSION);
    assert_eq!(range(&response, Api::ApiVersions), Some((0, 5)));
    assert_eq!(response.api_keys.len(), 1);
    assert_eq!(client.call(0, &ApiVersionsRequest::default()).await.error_code, 0);
}

/// A client cannot know the versions before it has read the answer, so a refusal is always in the oldest.
#[tokio::test]
async fn an_injected_refusal_of_the_version_is_answered_in_version_0() {
    for version in 0..=4 {
        let cluster = MockCluster::start(1).await.unwrap();
        cluster.inject(Fault::error_code(UNSUPPORTED_VERSION).api(Api::ApiVersions));
        let mut client = Client::connect(&cluster, 0).await;
        let sent = if version >= 3 { request() } else { ApiVersionsRequest::default() };

        let correlation_id = client.write(version, &sent).await;
        let mut answer = client.read_frame().await.unwrap();

        assert_eq!(answer.split_to(4).as_ref(), correlation_id.to_be_bytes());
        let response = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
        assert!(answer.is_empty(), "version {version}: {answer:?}");
        assert_eq!(response.error_code, UNSUPPORTED_VERSION);
        assert_eq!(range(&response, Api::ApiVersions), Some((0, 5)));
        assert_eq!(client.call(version, &sent).await.error_code, 0);
    }
}

#[tokio::test]
async fn a_version_that_is_not_offered_closes_the_connection() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.set_api_versions(Api::Metadata, 0, 5).unwrap();
    let mut client = Client::connect(&cluster, 0).await;

    let response = client.call(0, &ApiVersionsRequest::default()).await;
    client.write(6, &metadata_request(&["t"])).await;

    assert_eq!(range(&response, Api::Metadata), Some((0, 5)));
    assert!(client.is_closed_by_broker().await);
    assert_eq!(cluster.refusals().len(), 1);
}

#[tokio::test]
async fn a_removed_api_is_neither_offered_nor_served() {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.remove_api(Api::Metadata);
    let mut client = Client::connect(&cluster, 0).await;

    let response = client.call(0, &ApiVersionsRequest::default()).await;
    client.write(1, &metadata_request(&["t"])).await;

    assert_eq!(range(&response, Api::Metadata), None);
    assert!(client.is_closed_by_broker().await);
}

/// Version 5 by hand, since `kafka-protocol` knows none of it.
async fn error_code_of(client: &mut Client, cluster_id: Option<&str>, node_id: i32) -> i16 {
    let mut frame = vec![0, 18, 0, 5, 0, 0, 0, 7, 255, 255, 0, 2, b'n', 2, b'v'];
    match cluster_id {
        None => frame.push(0),
        Some(id) => {
            frame.push(u8::try_from(id.len() + 1).unwrap());
            frame.extend_from_slice(id.as_bytes());
        }
    }
    frame.extend_from_slice(&node_id.to_be_bytes());
    frame.push(0);
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    client.write_raw(&[&length[..], &frame].concat()).await;

    let mut answer = client.read_frame().await.unwrap();
    assert_eq!(answer.split_to(4).as_ref(), 7_i32.to_be_bytes());
    let response = ApiVersionsResponse::decode(&mut answer, 4).unwrap();
    assert_eq!(range(&response, Api::ApiVersions), Some((0, 5)));
    response.error_code
}

#[tokio::test]
async fn client_that_means_another_broker_or_cluster_is_told_so() {
    const REBOOTSTRAP_REQUIRED: i16 = 129;
    let cluster = MockCluster::start(2).await.unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    let metadata = client.call(12, &metadata_request(&[])).await;
    let own = metadata.cluster_id.unwrap().to_string();

    for (cluster_id, node_id, expected) in [
        (None, -1, 0),
        (Some(own.as_str()), 1, 0),
        (Some(own.as_str()), -1, 0),
        (None, 1, 0),
        (Some(own.as_str()), 0, REBOOTSTRAP_REQUIRED),
        (Some("another"), 1, REBOOTSTRAP_REQUIRED),
        (None, 0, REBOOTSTRAP_REQUIRED),
    ] {
        assert_eq!(
            error_code_of(&mut client, cluster_id, node_id).await,
            expected,
            "{cluster_id:?} {node_id}"
        );
    }
}
