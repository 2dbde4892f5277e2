//! From the bytes of a frame to a request, without knowing anything of the cluster.

use std::time::Duration;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnRequest;
use kafka_protocol::messages::create_topics_request::CreateTopicsRequest;
use kafka_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_protocol::messages::end_txn_request::EndTxnRequest;
use kafka_protocol::messages::fetch_request::FetchRequest;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use kafka_protocol::messages::heartbeat_request::HeartbeatRequest;
use kafka_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequest;
use kafka_protocol::messages::leave_group_request::LeaveGroupRequest;
use kafka_protocol::messages::list_offsets_request::ListOffsetsRequest;
use kafka_protocol::messages::metadata_request::MetadataRequest;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequest;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequest;
use kafka_protocol::messages::push_telemetry_request::PushTelemetryRequest;
use kafka_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use kafka_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use kafka_protocol::messages::sync_group_request::SyncGroupRequest;
use kafka_protocol::messages::{ApiVersionsRequest, ProduceRequest, RequestHeader};
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::api::Api;
use crate::batch::{self, CheckedBatch, Rejection};
use crate::compact;
use crate::offset_commit::OffsetCommit;
use crate::shape;
use crate::topic::{TopicId, TopicRef};

/// A decoded request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) api: Api,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<StrBytes>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    AddOffsetsToTxn(AddOffsetsToTxnRequest),
    AddPartitionsToTxn(AddPartitionsToTxnRequest),
    ApiVersions(Intended),
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    EndTxn(EndTxnRequest),
    Fetch(FetchRequest),
    FindCoordinator(FindCoordinatorRequest),
    GetTelemetrySubscriptions(GetTelemetrySubscriptionsRequest),
    Heartbeat(HeartbeatRequest),
    InitProducerId(InitProducerIdRequest),
    JoinGroup(JoinGroupRequest),
    LeaveGroup(LeaveGroupRequest),
    ListOffsets(ListOffsetsRequest),
    Metadata(MetadataRequest),
    OffsetCommit(OffsetCommitRequest),
    OffsetFetch(OffsetFetchRequest),
    Produce(Produce),
    PushTelemetry(PushTelemetryRequest),
    SaslAuthenticate(SaslAuthenticateRequest),
    SaslHandshake(SaslHandshakeRequest),
    SyncGroup(SyncGroupRequest),
    TxnOffsetCommit(OffsetCommit),
    /// ApiVersions in a version that the mock does not know. The broker answers with the versions that it knows.
    UnknownApiVersions,
}

/// Which broker a client means to reach (KIP-1242).
#[derive(Debug, Default)]
pub(crate) struct Intended {
    pub(crate) cluster_id: Option<String>,
    /// -1 for none.
    pub(crate) node_id: i32,
}

/// A Produce request whose batches have been checked, because that takes long and needs no lock.
#[derive(Debug)]
pub(crate) struct Produce {
    pub(crate) version: i16,
    pub(crate) acks: i16,
    pub(crate) transactional_id: Option<String>,
    /// Holds the batch of a transaction, but names no transaction.
    pub(crate) lacks_transactional_id: bool,
    /// How long replicas in sync may take.
    pub(crate) timeout: Duration,
    pub(crate) topics: Vec<ProduceTopic>,
}

#[derive(Debug)]
pub(crate) struct ProduceTopic {
    pub(crate) topic: TopicRef,
    pub(crate) partitions: Vec<(i32, Result<CheckedBatch, Rejection>)>,
}

impl Request {
    /// Decodes a frame, without its length.
    ///
    /// The error says why the frame is no request that the mock could answer.
    pub(crate) fn decode(mut frame: Bytes) -> Result<Self, String> {
        let Some(&[k0, k1, v0, v1, c0, c1, c2, c3]) = frame.first_chunk::<8>() else {
            return Err(format!("frame of {} bytes is too short for a request", frame.len()));
        };
        let (key, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
        let correlation_id = i32::from_be_bytes([c0, c1, c2, c3]);
        let api = Api::from_key(key).ok_or_else(|| format!("requests of key {key} are not served"))?;
        if !api.served().contains(version) {
            return match api {
                Api::ApiVersions => {
                    let body = Body::UnknownApiVersions;
                    Ok(Self { api, version, correlation_id, client_id: None, body })
                }
                _ => Err(format!("{api:?} requests of version {version} are not served")),
            };
        }
        let client_id = decode_header(api, version, &mut frame)?.client_id;
        shape::check(api, version, &frame)?;
        let body = Body::decode(api, version, &mut frame)?;
        if frame.has_remaining() {
            return Err(format!("{api:?} request of version {version} has {} bytes too many", frame.len()));
        }
        Ok(Self { api, version, correlation_id, client_id, body })
    }
}

impl Body {
    fn decode(api: Api, version: i16, bytes: &mut Bytes) -> Result<Self, String> {
        Ok(match api {
            Api::AddOffsetsToTxn => Self::AddOffsetsToTxn(decode(version, bytes)?),
            Api::AddPartitionsToTxn => Self::AddPartitionsToTxn(decode(version, bytes)?),
            Api::ApiVersions => Self::ApiVersions(Intended::decode(version, bytes)?),
            Api::CreateTopics => Self::CreateTopics(decode(version, bytes)?),
            Api::DeleteTopics => Self::DeleteTopics(decode(version, bytes)?),
            Api::EndTxn => Self::EndTxn(decode(version, bytes)?),
            Api::Fetch => Self::Fetch(decode(version, bytes)?),
            Api::FindCoordinator => Self::FindCoordinator(decode(version, bytes)?),
            Api::GetTelemetrySubscriptions => Self::GetTelemetrySubscriptions(decode(version, bytes)?),
            Api::Heartbeat => Self::Heartbeat(decode(version, bytes)?),
            Api::InitProducerId => Self::InitProducerId(decode(version, bytes)?),
            Api::JoinGroup => Self::JoinGroup(decode(version, bytes)?),
            Api::LeaveGroup => Self::LeaveGroup(decode(version, bytes)?),
            Api::ListOffsets => Self::ListOffsets(decode(version, bytes)?),
            Api::Metadata => Self::Metadata(decode(version, bytes)?),
            Api::OffsetCommit => Self::OffsetCommit(decode(version, bytes)?),
            Api::OffsetFetch => Self::OffsetFetch(decode(version, bytes)?),
            Api::Produce => Self::Produce(Produce::check(decode(version, bytes)?, version)),
            Api::PushTelemetry => Self::PushTelemetry(decode(version, bytes)?),
            Api::SaslAuthenticate => Self::SaslAuthenticate(decode(version, bytes)?),
            Api::SaslHandshake => Self::SaslHandshake(decode(version, bytes)?),
            Api::SyncGroup => Self::SyncGroup(decode(version, bytes)?),
            Api::TxnOffsetCommit => Self::TxnOffsetCommit(OffsetCommit::decode(version, bytes)?),
        })
    }
}

impl Intended {
    fn decode(version: i16, bytes: &mut Bytes) -> Result<Self, String> {
        if version < 5 {
            decode::<ApiVersionsRequest>(version, bytes)?;
            return Ok(Self { cluster_id: None, node_id: -1 });
        }
        // `kafka-protocol` does not know this version.
        let cut_off = || format!("body of version {version} is cut off");
        compact::string(bytes).ok_or_else(cut_off)?;
        compact::string(bytes).ok_or_else(cut_off)?;
        let cluster_id = compact::string(bytes).ok_or_else(cut_off)?;
        let node_id = bytes.try_get_i32().map_err(|_| cut_off())?;
        // What tags there may be is not for this broker.
        bytes.clear();
        Ok(Self { cluster_id, node_id })
    }
}

impl Produce {
    fn check(request: ProduceRequest, version: i16) -> Self {
        let mut batches = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
        let is_transactional = batches.any(|partition| batch::is_transactional(partition.records.as_ref()));
        let lacks_transactional_id = is_transactional && request.transactional_id.is_none();
        let topics = request.topic_data.into_iter().map(|topic| {
            let partitions = topic
                .partition_data
                .into_iter()
                .map(|partition| (partition.index, CheckedBatch::check(partition.records.as_ref(), version)));
            let id = TopicId::from_u128(topic.topic_id.as_u128());
            let name = || topic.name.as_str().to_owned();
            let reference = if version >= 13 { TopicRef::Id(id) } else { TopicRef::Name(name()) };
            ProduceTopic { topic: reference, partitions: partitions.collect() }
        });
        let timeout = Duration::from_millis(request.timeout_ms.try_into().unwrap_or(0));
        Self {
            version,
            acks: request.acks,
            transactional_id: request.transactional_id.map(|id| id.as_str().to_owned()),
            lacks_transactional_id,
            timeout,
            topics: topics.collect(),
        }
    }
}

fn decode_header(api: Api, version: i16, frame: &mut Bytes) -> Result<RequestHeader, String> {
    let header_version = if api.has_flexible_request_header(version) { 2 } else { 1 };
    let header = RequestHeader::decode(frame, header_version);
    header.map_err(|error| format!("header of {api:?} request of version {version}: {error}"))
}

pub(crate) fn decode<T: Decodable>(version: i16, bytes: &mut Bytes) -> Result<T, String> {
    T::decode(bytes, version).map_err(|error| format!("body of version {version}: {error}"))
}
