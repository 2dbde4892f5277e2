//! Telemetry: what brokers ask for, take and refuse.

use std::time::Duration;

use bytes::Bytes;
use kafka_mock::{Api, Compression, MockCluster, PushedKind, TelemetrySubscription};
use kafka_protocol::messages::{
    ApiVersionsRequest, GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
    PushTelemetryRequest,
};

use crate::support::Client;

/// What OpenTelemetry's own Python classes write: two gauges and two sums, the first with an attribute.
const GOLDEN: &[u8] = include_bytes!("../../../src/metrics/testdata/otlp.bin");

const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const INVALID_RECORD: i16 = 87;
const UNKNOWN_SUBSCRIPTION_ID: i16 = 117;
const TELEMETRY_TOO_LARGE: i16 = 118;

async fn cluster() -> MockCluster {
    let wanted =
        TelemetrySubscription::all(Duration::from_secs(5)).metrics(["a.", "b."]).max_bytes(5000).delta(true);
    let wanted = wanted.compressions([Compression::Lz4, Compression::Zstd]);
    MockCluster::builder().telemetry(wanted).start().await.unwrap()
}

async fn ask(client: &mut Client) -> GetTelemetrySubscriptionsResponse {
    client.call(0, &GetTelemetrySubscriptionsRequest::default()).await
}

fn push(subscription: &GetTelemetrySubscriptionsResponse) -> PushTelemetryRequest {
    PushTelemetryRequest::default()
        .with_client_instance_id(subscription.client_instance_id)
        .with_subscription_id(subscription.subscription_id)
        .with_metrics(Bytes::from_static(GOLDEN))
}

#[tokio::test]
async fn a_client_is_told_what_to_push_and_who_it_is() {
    let cluster = cluster().await;
    let mut client = Client::connect(&cluster, 0).await;

    let told = ask(&mut client).await;

    assert_eq!((told.error_code, told.push_interval_ms, told.telemetry_max_bytes), (0, 5000, 5000));
    assert_eq!(told.accepted_compression_types, [3, 4]);
    assert!(told.delta_temporality && !told.client_instance_id.is_nil());
    assert!(told.requested_metrics.iter().map(|name| &**name).eq(["a.", "b."]));
    let known = GetTelemetrySubscriptionsRequest::default().with_client_instance_id(told.client_instance_id);
    assert_eq!(client.call(0, &known).await, told, "the id stays");
    assert_ne!(ask(&mut client).await.client_instance_id, told.client_instance_id);
}

#[tokio::test]
async fn what_is_pushed_can_be_read() {
    let cluster = cluster().await;
    let mut client = Client::connect(&cluster, 0).await;
    let told = ask(&mut client).await;

    assert_eq!(client.call(0, &push(&told).with_terminating(true)).await.error_code, 0);

    let pushed = cluster.pushed_metrics();
    assert_eq!(pushed.len(), 1);
    assert!(pushed[0].is_terminating && pushed[0].client_instance_id == told.client_instance_id.as_u128());
    assert_eq!(pushed[0].data, GOLDEN);
    let metrics = pushed[0].metrics().unwrap();
    let of = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    assert_eq!(of("org.apache.kafka.producer.node.request.latency.avg").attributes["node_id"], "node-1");
    assert_eq!(of("org.apache.kafka.producer.node.request.latency.avg").value, 2.5);
    assert_eq!(of("org.apache.kafka.producer.connection.creation.total").kind, PushedKind::CumulativeSum);
    assert_eq!(pushed[0].resource().unwrap()["client_rack"], "rack-a");
}

#[tokio::test]
async fn what_does_not_fit_the_subscription_is_refused() {
    let cluster = cluster().await;
    let mut client = Client::connect(&cluster, 0).await;
    let told = ask(&mut client).await;
    let table = [
        (push(&told).with_subscription_id(told.subscription_id + 1), UNKNOWN_SUBSCRIPTION_ID),
        (push(&told).with_compression_type(1), UNSUPPORTED_COMPRESSION_TYPE),
        (push(&told).with_compression_type(3), INVALID_RECORD),
        (push(&told).with_metrics(Bytes::from_static(b"nonsense")), INVALID_RECORD),
        (push(&told).with_metrics(vec![0; 5001].into()), TELEMETRY_TOO_LARGE),
    ];
    for (request, code) in table {
        assert_eq!(client.call(0, &request).await.error_code, code);
    }
    assert!(cluster.pushed_metrics().is_empty());

    cluster.set_telemetry(TelemetrySubscription::all(Duration::from_secs(1)));
    assert_eq!(client.call(0, &push(&told)).await.error_code, UNKNOWN_SUBSCRIPTION_ID);
}

#[tokio::test]
async fn it_is_offered_to_those_who_ask_for_it() {
    let offers = async |cluster: &MockCluster| {
        let answer = Client::connect(cluster, 0).await.call(0, &ApiVersionsRequest::default()).await;
        answer.api_keys.iter().filter(|api| [71, 72].contains(&api.api_key)).count()
    };

    assert_eq!(offers(&MockCluster::start(1).await.unwrap()).await, 0);
    assert_eq!(offers(&cluster().await).await, 2);
    assert_eq!((Api::GetTelemetrySubscriptions.key(), Api::PushTelemetry.key()), (71, 72));
}
