//! The messages against Java's bytes (`golden`), against the `kafka-protocol` crate (`oracle`) and against
//! strangers (`hostile`).

use super::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use super::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use super::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use super::end_txn::{EndTxnRequest, EndTxnResponse};
use super::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use super::get_telemetry_subscriptions::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use super::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use super::metadata::{MetadataRequest, MetadataResponse};
use super::produce::{ProduceRequest, ProduceResponse};
use super::push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
use super::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use super::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use super::txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use crate::protocol::ApiKey;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

mod golden;
mod hostile;
mod oracle;
mod requests;
mod smallest;

/// What the tests need to know about a request.
trait Request {
    const KEY: ApiKey;

    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// What the tests need to know about a response.
trait Response: Sized + std::fmt::Debug + PartialEq {
    const KEY: ApiKey;

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;
}

macro_rules! messages {
    ($($key:ident: $request:ident, $response:ident;)*) => {$(
        impl Request for $request {
            const KEY: ApiKey = ApiKey::$key;

            fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
                Self::encode(self, out, version)
            }
        }

        impl Response for $response {
            const KEY: ApiKey = ApiKey::$key;

            fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
                Self::decode(reader, version)
            }
        }
    )*};
}

messages! {
    AddOffsetsToTxn: AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;
    AddPartitionsToTxn: AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;
    ApiVersions: ApiVersionsRequest, ApiVersionsResponse;
    EndTxn: EndTxnRequest, EndTxnResponse;
    FindCoordinator: FindCoordinatorRequest, FindCoordinatorResponse;
    GetTelemetrySubscriptions: GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse;
    InitProducerId: InitProducerIdRequest, InitProducerIdResponse;
    Metadata: MetadataRequest, MetadataResponse;
    Produce: ProduceRequest, ProduceResponse;
    PushTelemetry: PushTelemetryRequest, PushTelemetryResponse;
    SaslAuthenticate: SaslAuthenticateRequest, SaslAuthenticateResponse;
    SaslHandshake: SaslHandshakeRequest, SaslHandshakeResponse;
    TxnOffsetCommit: TxnOffsetCommitRequest, TxnOffsetCommitResponse;
}

fn encode(request: &impl Request, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut out = Writer::new();
    request.encode(&mut out, version)?;
    Ok(out.finish()?.concat().split_off(4))
}

fn decode<R: Response>(bytes: &[u8], version: i16) -> Result<R, DecodeError> {
    R::decode(&mut Reader::new(bytes), version)
}
