//! The table of requests, compared with Kafka's specifications of messages.

use std::ops::RangeInclusive;

use super::ApiKey;

macro_rules! spec {
    ($name:literal) => {
        (
            concat!($name, "Request"),
            include_str!(concat!("../testdata/messages/", $name, "Request.json")),
            include_str!(concat!("../testdata/messages/", $name, "Response.json")),
        )
    };
}

/// The name of the request, and Kafka's own specifications of request and response.
fn spec(key: ApiKey) -> (&'static str, &'static str, &'static str) {
    match key {
        ApiKey::AddOffsetsToTxn => spec!("AddOffsetsToTxn"),
        ApiKey::AddPartitionsToTxn => spec!("AddPartitionsToTxn"),
        ApiKey::ApiVersions => spec!("ApiVersions"),
        ApiKey::EndTxn => spec!("EndTxn"),
        ApiKey::FindCoordinator => spec!("FindCoordinator"),
        ApiKey::GetTelemetrySubscriptions => spec!("GetTelemetrySubscriptions"),
        ApiKey::InitProducerId => spec!("InitProducerId"),
        ApiKey::Metadata => spec!("Metadata"),
        ApiKey::Produce => spec!("Produce"),
        ApiKey::PushTelemetry => spec!("PushTelemetry"),
        ApiKey::SaslAuthenticate => spec!("SaslAuthenticate"),
        ApiKey::SaslHandshake => spec!("SaslHandshake"),
        ApiKey::TxnOffsetCommit => spec!("TxnOffsetCommit"),
    }
}

/// Returns what follows `"name": ` on the first line that has it, without quotation marks.
fn property<'a>(spec: &'a str, name: &str) -> &'a str {
    let start = format!("\"{name}\": ");
    let line = spec.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap();
    line.trim_end_matches(',').trim_matches('"')
}

fn valid_versions(spec: &str) -> RangeInclusive<i16> {
    let text = property(spec, "validVersions");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().unwrap()..=last.parse().unwrap()
}

fn first_flexible_version(spec: &str) -> Option<i16> {
    match property(spec, "flexibleVersions") {
        "none" => None,
        text => Some(text.strip_suffix('+').unwrap().parse().unwrap()),
    }
}

#[test]
fn numbers_are_those_of_the_specifications() {
    for key in ApiKey::ALL {
        let (name, request, response) = spec(key);

        assert_eq!(property(request, "name"), name);
        for spec in [request, response] {
            assert_eq!(property(spec, "apiKey"), key.code().to_string(), "{name}");
        }
    }
}

#[test]
fn first_flexible_versions_are_those_of_the_specifications() {
    for key in ApiKey::ALL {
        let (name, request, response) = spec(key);

        for spec in [request, response] {
            assert_eq!(key.first_flexible_version(), first_flexible_version(spec), "{name}");
        }
    }
}

#[test]
fn versions_are_those_of_the_specifications_but_for_known_gaps() {
    for key in ApiKey::ALL {
        let (name, request, response) = spec(key);
        assert_eq!(valid_versions(request), valid_versions(response), "{name}");
        let (first, last) = valid_versions(request).into_inner();

        let expected = match key {
            // The last version is not stable yet (KIP-939).
            ApiKey::InitProducerId => first..=last - 1,
            // Later versions are for brokers (KIP-890).
            ApiKey::AddPartitionsToTxn => first..=3,
            _ => first..=last,
        };
        assert_eq!(key.versions(), expected, "{name}");
    }
}

#[test]
fn header_versions_follow_flexibility() {
    assert_eq!(valid_versions(include_str!("../testdata/messages/RequestHeader.json")), 1..=2);
    assert_eq!(valid_versions(include_str!("../testdata/messages/ResponseHeader.json")), 0..=1);
    assert_eq!(ApiKey::Produce.request_header_version(8), 1);
    assert_eq!(ApiKey::Produce.request_header_version(9), 2);
    assert_eq!(ApiKey::Produce.response_header_version(8), 0);
    assert_eq!(ApiKey::Produce.response_header_version(9), 1);
    assert_eq!(ApiKey::SaslHandshake.request_header_version(1), 1);
    assert_eq!(ApiKey::SaslHandshake.response_header_version(1), 0);
}

#[test]
fn response_of_api_versions_has_no_tags_in_its_header() {
    assert_eq!(ApiKey::ApiVersions.request_header_version(2), 1);
    assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
    for version in 0..=4 {
        assert_eq!(ApiKey::ApiVersions.response_header_version(version), 0);
    }
}
