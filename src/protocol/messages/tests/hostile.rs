//! Responses from strangers: an error or a value, never a panic, and never more memory than the bytes account
//! for.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::protocol::Encodable;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest};
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;

use super::oracle::{self, version, written_by_oracle};
use super::{Response, decode};
use crate::protocol::ApiKey;
use crate::protocol::messages::add_offsets_to_txn::AddOffsetsToTxnResponse;
use crate::protocol::messages::add_partitions_to_txn::AddPartitionsToTxnResponse;
use crate::protocol::messages::api_versions::ApiVersionsResponse;
use crate::protocol::messages::end_txn::EndTxnResponse;
use crate::protocol::messages::find_coordinator::FindCoordinatorResponse;
use crate::protocol::messages::get_telemetry_subscriptions::GetTelemetrySubscriptionsResponse;
use crate::protocol::messages::init_producer_id::InitProducerIdResponse;
use crate::protocol::messages::metadata::MetadataResponse;
use crate::protocol::messages::produce::{ProduceAsked, ProduceResponse};
use crate::protocol::messages::push_telemetry::PushTelemetryResponse;
use crate::protocol::messages::sasl_authenticate::SaslAuthenticateResponse;
use crate::protocol::messages::sasl_handshake::SaslHandshakeResponse;
use crate::protocol::messages::txn_offset_commit::TxnOffsetCommitResponse;
use crate::protocol::testdata::golden;
use crate::wire::{DecodeError, DecodeProblem, Reader};

/// How many bytes of memory a value holds on to outside of itself.
trait Footprint {
    fn footprint(&self) -> usize;
}

fn of_vec<T>(elements: &Vec<T>, each: impl Fn(&T) -> usize) -> usize {
    elements.capacity() * size_of::<T>() + elements.iter().map(each).sum::<usize>()
}

fn of_string<'a>(string: impl Into<Option<&'a String>>) -> usize {
    string.into().map_or(0, String::capacity)
}

impl Footprint for AddOffsetsToTxnResponse {
    fn footprint(&self) -> usize {
        0
    }
}

impl Footprint for AddPartitionsToTxnResponse {
    fn footprint(&self) -> usize {
        of_vec(&self.topics, |topic| of_string(&topic.name) + of_vec(&topic.partitions, |_| 0))
    }
}

impl Footprint for ApiVersionsResponse {
    fn footprint(&self) -> usize {
        of_vec(&self.api_keys, |_| 0)
            + of_vec(&self.supported_features, |feature| of_string(&feature.name))
            + of_vec(&self.finalized_features, |feature| of_string(&feature.name))
    }
}

impl Footprint for EndTxnResponse {
    fn footprint(&self) -> usize {
        0
    }
}

impl Footprint for FindCoordinatorResponse {
    fn footprint(&self) -> usize {
        of_vec(&self.coordinators, |found| {
            of_string(&found.key) + of_string(&found.host) + of_string(found.error_message.as_ref())
        })
    }
}

impl Footprint for GetTelemetrySubscriptionsResponse {
    fn footprint(&self) -> usize {
        of_vec(&self.accepted_compression_types, |_| 0)
            + of_vec(&self.requested_metrics, |name| of_string(name))
    }
}

impl Footprint for InitProducerIdResponse {
    fn footprint(&self) -> usize {
        0
    }
}

impl Footprint for MetadataResponse {
    fn footprint(&self) -> usize {
        let brokers =
            of_vec(&self.brokers, |broker| of_string(&broker.host) + of_string(broker.rack.as_ref()));
        let topics = of_vec(&self.topics, |topic| {
            let partitions = of_vec(&topic.partitions, |partition| {
                [&partition.replica_nodes, &partition.isr_nodes]
                    .map(|nodes| of_vec(nodes, |_| 0))
                    .iter()
                    .sum()
            });
            of_string(topic.name.as_ref()) + partitions
        });
        of_string(self.cluster_id.as_ref()) + brokers + topics
    }
}

impl Footprint for ProduceResponse {
    fn footprint(&self) -> usize {
        let nodes =
            of_vec(&self.node_endpoints, |node| of_string(&node.host) + of_string(node.rack.as_ref()));
        let topics = of_vec(&self.topics, |topic| {
            let partitions = of_vec(&topic.partitions, |partition| {
                let errors = of_vec(&partition.record_errors, |error| of_string(error.message.as_ref()));
                errors + of_string(partition.error_message.as_ref())
            });
            of_string(&topic.name) + partitions
        });
        nodes + topics
    }
}

impl Footprint for PushTelemetryResponse {
    fn footprint(&self) -> usize {
        0
    }
}

impl Footprint for SaslAuthenticateResponse {
    fn footprint(&self) -> usize {
        of_string(self.error_message.as_ref()) + of_vec(&self.auth_bytes, |_| 0)
    }
}

impl Footprint for SaslHandshakeResponse {
    fn footprint(&self) -> usize {
        of_vec(&self.mechanisms, String::capacity)
    }
}

impl Footprint for TxnOffsetCommitResponse {
    fn footprint(&self) -> usize {
        of_vec(&self.topics, |topic| of_string(&topic.name) + of_vec(&topic.partitions, |_| 0))
    }
}

/// The most memory for one byte on the wire. A topic without name and partitions takes 3 bytes there and 64
/// here, and a list of one makes room for four.
const MAX_GROWTH: usize = 128;

/// Reads bytes that may be anything.
fn assert_harmless<R: Response + Footprint>(bytes: &[u8], version: i16) -> Result<(), TestCaseError> {
    match decode::<R>(bytes, version) {
        Ok(response) => {
            let footprint = response.footprint();
            prop_assert!(footprint <= bytes.len() * MAX_GROWTH, "{footprint} from {} bytes", bytes.len());
        }
        Err(DecodeError { position, .. }) => prop_assert!(position <= bytes.len()),
    }
    Ok(())
}

/// Damages bytes as a broken network or a broken broker might.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Overwrite(Index, u32),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            1 => any::<Index>().prop_map(Self::Cut),
            4 => (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Self::Flip(at, bits)),
            2 => (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            // Lengths and counts at their limits.
            4 => (any::<Index>(), select(vec![0, 1, u32::MAX, u32::MAX >> 1, 1 << 31, 0xffff_ff7f]))
                .prop_map(|(at, bytes)| Self::Overwrite(at, bytes)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            _ if bytes.is_empty() => (),
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Flip(at, bits) => *at.get_mut(bytes) ^= bits,
            Self::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Overwrite(at, value) => {
                let at = at.index(bytes.len());
                bytes.iter_mut().skip(at).zip(value.to_be_bytes()).for_each(|(byte, new)| *byte = new);
            }
        }
    }
}

fn assert_harmless_when_damaged<R: Response + Footprint>(
    response: &(impl Encodable + kafka_protocol::protocol::Message),
    version: i16,
    damages: &[Damage],
) -> Result<(), TestCaseError> {
    let mut bytes = written_by_oracle(response, version);
    damages.iter().for_each(|damage| damage.apply(&mut bytes));
    assert_harmless::<R>(&bytes, version)
}

/// Checks that a message is taken whole or not at all, whatever follows it.
fn assert_whole<R: Response>(bytes: &[u8], version: i16) -> Result<(), TestCaseError> {
    prop_assert!(decode::<R>(bytes, version).is_ok());
    for length in 0..bytes.len() {
        prop_assert!(decode::<R>(&bytes[..length], version).is_err(), "{length} of {} bytes", bytes.len());
    }
    for more in [&[0][..], &[0xff; 9]] {
        let longer = [bytes, more].concat();
        prop_assert_eq!(decode::<R>(&longer, version), decode::<R>(bytes, version));
    }
    Ok(())
}

fn assert_golden_is_whole<R: Response>(name: &str) {
    for (version, bytes) in golden(name) {
        if R::KEY.versions().contains(&version) {
            assert_whole::<R>(&bytes, version).unwrap();
        }
    }
}

#[test]
fn bytes_of_java_are_taken_whole_or_not_at_all() {
    assert_golden_is_whole::<ApiVersionsResponse>(
        "ApiVersionsResponse[Produce 0..13, epoch 12, transaction.version supported 0..2 finalized 2]",
    );
    assert_golden_is_whole::<EndTxnResponse>("EndTxnResponse[ok,pid=4000,epoch=4]");
    assert_golden_is_whole::<FindCoordinatorResponse>("FindCoordinatorResponse[(1,h,9092)]");
    assert_golden_is_whole::<FindCoordinatorResponse>("FindCoordinatorResponse[tx->(1,h,9092)]");
    assert_golden_is_whole::<InitProducerIdResponse>("InitProducerIdResponse[pid=4000,epoch=3]");
    assert_golden_is_whole::<MetadataResponse>(
        "MetadataResponse[cid,ctl=1,broker(1,h,9092,null),topic-1 p0 leader1 epoch5]",
    );
    assert_golden_is_whole::<ProduceResponse>("ProduceResponse[throttle=7,p3 ok base=42 logStart=0]");
    assert_golden_is_whole::<ProduceResponse>(
        "ProduceResponse[throttle=7,p3 err6 leader(2,9) msg=moved,p4 err87 recordErrors[1:bad] \
         logStart=5,node(2,b2,9093,r)] v<10 without leader fields fails by design unless ignorable",
    );
    assert_golden_is_whole::<SaslAuthenticateResponse>(
        "SaslAuthenticateResponse[ok,bytes=01,lifetime=3600000]",
    );
}

#[test]
fn count_of_two_thousand_million_brokers_in_four_bytes_is_an_error() {
    let problem = DecodeProblem::Count { count: 2_147_483_647, remaining: 0 };

    assert_eq!(
        decode::<MetadataResponse>(&[0x7f, 0xff, 0xff, 0xff], 0),
        Err(DecodeError { expected: "array", position: 0, problem })
    );
}

#[test]
fn produce_answer_that_tells_of_far_more_than_was_asked_is_an_error() {
    fn answer(partitions: usize, culprits: usize) -> Vec<u8> {
        let culprits = vec![BatchIndexAndErrorMessage::default(); culprits];
        let partition = PartitionProduceResponse::default().with_record_errors(culprits);
        let topic = TopicProduceResponse::default().with_partition_responses(vec![partition; partitions]);
        let response = kafka_protocol::messages::ProduceResponse::default();
        written_by_oracle(&response.with_responses(vec![topic]), 9)
    }
    let read = |bytes: Vec<u8>| {
        let asked = ProduceAsked { batches: 2, records: 30 };
        ProduceResponse::decode_asked(&mut Reader::new(&bytes), 9, asked).map_err(|error| error.problem)
    };

    assert!(read(answer(2, 15)).is_ok());
    assert!(read(answer(9, 9)).is_ok(), "a few that were not asked for do not keep us from the others");
    let problem = DecodeProblem::MoreThanAsked { count: 1000, limit: 66 };
    assert_eq!(read(answer(1000, 0)), Err(problem));
    let problem = DecodeProblem::MoreThanAsked { count: 1000, limit: 94 };
    assert_eq!(read(answer(1, 1000)), Err(problem));
}

#[test]
fn answer_of_a_web_server_is_an_error() {
    let bytes = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

    for version in ApiKey::ApiVersions.versions() {
        assert!(decode::<ApiVersionsResponse>(bytes, version).is_err());
    }
    for version in ApiKey::Metadata.versions() {
        assert!(decode::<MetadataResponse>(bytes, version).is_err());
    }
}

#[test]
fn response_in_a_version_that_we_do_not_speak_is_an_error() {
    fn assert_refused<R: Response>() {
        let (first, last) = R::KEY.versions().into_inner();
        for version in [i16::MIN, first - 1, last + 1, i16::MAX] {
            let error = decode::<R>(&[0; 64], version).unwrap_err();
            assert_eq!(error.problem, DecodeProblem::UnknownVersion(version));
        }
    }

    assert_refused::<AddOffsetsToTxnResponse>();
    assert_refused::<AddPartitionsToTxnResponse>();
    assert_refused::<ApiVersionsResponse>();
    assert_refused::<EndTxnResponse>();
    assert_refused::<FindCoordinatorResponse>();
    assert_refused::<GetTelemetrySubscriptionsResponse>();
    assert_refused::<InitProducerIdResponse>();
    assert_refused::<MetadataResponse>();
    assert_refused::<ProduceResponse>();
    assert_refused::<PushTelemetryResponse>();
    assert_refused::<SaslAuthenticateResponse>();
    assert_refused::<SaslHandshakeResponse>();
    assert_refused::<TxnOffsetCommitResponse>();
}

macro_rules! hostile {
    ($($api:ident: $response:ident;)*) => {$(
        mod $api {
            use super::*;

            proptest! {
                #[test]
                fn random_bytes_are_harmless(
                    version in version::<$response>(),
                    bytes in vec(any::<u8>(), 0..200),
                ) {
                    assert_harmless::<$response>(&bytes, version)?;
                }

                #[test]
                fn small_random_bytes_are_harmless(
                    version in version::<$response>(),
                    bytes in vec(0_u8..4, 0..200),
                ) {
                    assert_harmless::<$response>(&bytes, version)?;
                }

                #[test]
                fn damaged_response_is_harmless(
                    (version, _, response) in oracle::$api::response(),
                    damages in vec(Damage::any(), 1..4),
                ) {
                    assert_harmless_when_damaged::<$response>(&response, version, &damages)?;
                }

                #[test]
                fn response_is_taken_whole_or_not_at_all(
                    (version, _, response) in oracle::$api::response(),
                ) {
                    let bytes = written_by_oracle(&response, version);
                    // Cutting a long one at every length takes long, and teaches nothing more.
                    prop_assume!(bytes.len() < 1500);
                    assert_whole::<$response>(&bytes, version)?;
                }
            }
        }
    )*};
}

hostile! {
    add_offsets_to_txn: AddOffsetsToTxnResponse;
    add_partitions_to_txn: AddPartitionsToTxnResponse;
    api_versions: ApiVersionsResponse;
    end_txn: EndTxnResponse;
    find_coordinator: FindCoordinatorResponse;
    get_telemetry_subscriptions: GetTelemetrySubscriptionsResponse;
    init_producer_id: InitProducerIdResponse;
    metadata: MetadataResponse;
    produce: ProduceResponse;
    push_telemetry: PushTelemetryResponse;
    sasl_authenticate: SaslAuthenticateResponse;
    sasl_handshake: SaslHandshakeResponse;
    txn_offset_commit: TxnOffsetCommitResponse;
}
