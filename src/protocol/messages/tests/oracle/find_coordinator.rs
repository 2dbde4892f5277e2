//! FindCoordinator against `kafka-protocol`.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Tags, nullable_string, read_by_oracle, read_from_oracle, string, tags, version};
use crate::protocol::messages::find_coordinator as ours;

/// A response as `version` can hold it, and the same in the words of `kafka-protocol`.
pub(in super::super) fn response()
-> impl Strategy<Value = (i16, ours::FindCoordinatorResponse, FindCoordinatorResponse)> {
    let coordinator = || {
        (string(), any::<i32>(), string(), any::<i32>(), any::<i16>(), nullable_string()).prop_map(
            |(key, node_id, host, port, error_code, error_message)| ours::Coordinator {
                key,
                node_id,
                host,
                port,
                error_code,
                error_message,
            },
        )
    };
    let fields = (any::<i32>(), coordinator(), vec(coordinator(), 0..4));
    (version::<ours::FindCoordinatorResponse>(), fields, tags()).prop_map(
        |(version, (throttle_time_ms, mut only, many), tags)| {
            let response = if version >= 4 {
                ours::FindCoordinatorResponse { throttle_time_ms, coordinators: many }
            } else {
                only.key.clear();
                only.error_message = only.error_message.filter(|_| version >= 1);
                let throttle_time_ms = if version >= 1 { throttle_time_ms } else { 0 };
                ours::FindCoordinatorResponse { throttle_time_ms, coordinators: vec![only] }
            };
            let tags = if version >= 3 { tags } else { Tags::new() };
            let theirs = theirs(version, &response, &tags);
            (version, response, theirs)
        },
    )
}

fn theirs(version: i16, response: &ours::FindCoordinatorResponse, tags: &Tags) -> FindCoordinatorResponse {
    let theirs = FindCoordinatorResponse::default()
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_unknown_tagged_fields(tags.clone());
    let text = |text: &String| StrBytes::from_string(text.clone());
    if version >= 4 {
        let coordinators = response.coordinators.iter().map(|found| {
            Coordinator::default()
                .with_key(text(&found.key))
                .with_node_id(found.node_id.into())
                .with_host(text(&found.host))
                .with_port(found.port)
                .with_error_code(found.error_code)
                .with_error_message(found.error_message.as_ref().map(text))
                .with_unknown_tagged_fields(tags.clone())
        });
        return theirs.with_coordinators(coordinators.collect());
    }
    response.coordinators.iter().fold(theirs, |theirs, found| {
        theirs
            .with_node_id(found.node_id.into())
            .with_host(text(&found.host))
            .with_port(found.port)
            .with_error_code(found.error_code)
            .with_error_message(found.error_message.as_ref().map(text))
    })
}

proptest! {
    #[test]
    fn oracle_reads_our_request(
        version in version::<ours::FindCoordinatorResponse>(),
        key in string(),
        is_transaction: bool,
    ) {
        let key_type = match is_transaction && version >= 1 {
            true => ours::CoordinatorType::Transaction,
            false => ours::CoordinatorType::Group,
        };
        let request = ours::FindCoordinatorRequest { key, key_type };
        let read: FindCoordinatorRequest = read_by_oracle(&request, version);

        let keys = if version >= 4 { read.coordinator_keys } else { vec![read.key] };
        prop_assert_eq!(keys.iter().map(|key| key.as_str()).collect::<Vec<_>>(), [request.key]);
        prop_assert_eq!(read.key_type == 1, key_type == ours::CoordinatorType::Transaction);
    }

    #[test]
    fn we_read_the_response_of_the_oracle((version, ours, theirs) in response()) {
        prop_assert_eq!(read_from_oracle::<ours::FindCoordinatorResponse>(&theirs, version), ours);
    }
}
