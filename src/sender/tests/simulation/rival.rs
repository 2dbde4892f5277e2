//! Another producer with the same transactional id, by plain requests.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_mock::Api;
use kafka_mock::sans_io::{Brokers, Reaction};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse,
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
    RequestHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::run::EVENTS;
use super::schedule::RivalAim;
use super::transactions::ID;

/// The other producer.
#[derive(Debug, Default)]
pub(super) struct Rival {
    aim: Option<RivalAim>,
    stage: Stage,
    identity: Option<(i64, i16)>,
    /// The coordinator has given its epoch to the first producer, too.
    is_impersonated: bool,
    pub(super) has_ever_asked: bool,
    /// How many transactions the first producer had begun when the rival took the id last.
    taken_after: usize,
    /// How many of them were begun in clusters that are left.
    begun_elsewhere: usize,
    /// Who had the id when the rival began to take it.
    found: Option<Option<(i64, i16)>>,
    /// The id as the rival had it last.
    last: Option<(i64, i16)>,
    /// The first producer had the id in this cluster when the rival took it.
    is_from_first: bool,
    tries: u32,
    /// Whether each of its transactions was committed.
    pub(super) ends: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Rests,
    Takes,
    Adds,
    Writes,
    Ends,
}

impl Rival {
    pub(super) fn begin(&mut self, then: RivalAim) {
        (self.aim, self.stage, self.tries, self.identity) = (Some(then), Stage::Takes, 0, None);
        self.found = None;
        self.is_impersonated = false;
    }

    /// Whether it has the id at present, and the first producer had it before.
    pub(super) fn has_fenced(&self, current: Option<(i64, i16)>) -> bool {
        let has_id = self.identity.is_some() && self.identity == current;
        has_id && self.is_from_first && self.taken_after > self.begun_elsewhere && !self.is_impersonated
    }

    /// The coordinator gives an id and an epoch to the first producer as its transaction ends. The rival ends its own ones in version 1,
    /// without another epoch. So a late abort in the epoch before the rival's is taken for a repetition of the rival's abort (Kafka's
    /// `TransactionCoordinator`: `retryOnEpochBump`), and no client can help that.
    pub(super) fn note_given(&mut self, identity: (i64, i16)) {
        self.is_impersonated |= self.identity == Some(identity);
    }

    /// What it has written, and the id that it has, are of a cluster that is left.
    pub(super) fn leave(&mut self, begun: usize) {
        *self = Self { has_ever_asked: self.has_ever_asked, begun_elsewhere: begun, ..Self::default() };
    }

    /// Whether it leaves a transaction open.
    pub(super) fn is_holding(&self) -> bool {
        self.identity.is_some()
    }

    /// Goes as far as it can. Returns whether to go on later.
    pub(super) fn go_on(
        &mut self,
        brokers: &mut Brokers,
        begun: usize,
        is_up: impl Fn(i32) -> bool,
        now: Duration,
    ) -> bool {
        self.tries += 1;
        if self.stage == Stage::Rests || self.tries > 400 {
            self.stage = Stage::Rests;
            return false;
        }
        while self.stage != Stage::Rests {
            let node = match self.stage {
                Stage::Writes => brokers.leader(EVENTS, 0),
                _ => brokers.transaction_coordinator(ID),
            };
            let Some(node) = node.filter(|node| is_up(*node)) else { return true };
            let had_id = self.identity.is_some();
            let code = self.step(brokers, node, now);
            if !had_id && self.identity.is_some() {
                self.taken_after = begun;
            }
            match code {
                Some(0) => {}
                // It waits for the transaction before, for a coordinator, or for a leader.
                Some(3 | 6 | 14..=16 | 19 | 51 | -1) | None => return true,
                Some(_) => {
                    self.stage = Stage::Rests;
                    return false;
                }
            }
        }
        false
    }

    fn step(&mut self, brokers: &mut Brokers, node: i32, now: Duration) -> Option<i16> {
        let (id, epoch) = self.identity.unwrap_or((-1, -1));
        match self.stage {
            Stage::Rests => Some(0),
            Stage::Takes => self.take(brokers, node, now),
            Stage::Adds => {
                let topic = AddPartitionsToTxnTopic::default().with_name(topic()).with_partitions(vec![0]);
                let request = AddPartitionsToTxnRequest::default()
                    .with_v3_and_below_transactional_id(transactional_id())
                    .with_v3_and_below_producer_id(ProducerId(id))
                    .with_v3_and_below_producer_epoch(epoch)
                    .with_v3_and_below_topics(vec![topic]);
                let answer: AddPartitionsToTxnResponse =
                    ask(brokers, node, Api::AddPartitionsToTxn, 1, &request, now)?;
                let topics = answer.results_by_topic_v3_and_below;
                let code = topics.first()?.results_by_partition.first()?.partition_error_code;
                if code == 0 {
                    self.stage = Stage::Writes;
                }
                Some(code)
            }
            Stage::Writes => self.write(brokers, node, (id, epoch), now),
            Stage::Ends => {
                let is_commit = self.aim == Some(RivalAim::Commit);
                let request = EndTxnRequest::default()
                    .with_transactional_id(transactional_id())
                    .with_producer_id(ProducerId(id))
                    .with_producer_epoch(epoch)
                    .with_committed(is_commit);
                let answer: EndTxnResponse = ask(brokers, node, Api::EndTxn, 1, &request, now)?;
                if answer.error_code == 0 {
                    if let Some(end) = self.ends.last_mut() {
                        *end = is_commit;
                    }
                    self.stage = Stage::Rests;
                }
                Some(answer.error_code)
            }
        }
    }

    fn take(&mut self, brokers: &mut Brokers, node: i32, now: Duration) -> Option<i16> {
        // An open transaction is aborted before the id is given away, and the answer may be lost.
        self.has_ever_asked = true;
        let holder = || {
            let transactions = brokers.transactions();
            transactions.get(ID).map(|held| (held.producer_id, held.producer_epoch))
        };
        let found = *self.found.get_or_insert_with(holder);
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional_id()))
            .with_transaction_timeout_ms(60_000);
        let answer: InitProducerIdResponse = ask(brokers, node, Api::InitProducerId, 1, &request, now)?;
        if answer.error_code == 0 {
            if found != self.last {
                self.is_from_first = found.is_some();
            }
            self.identity = Some((answer.producer_id.0, answer.producer_epoch));
            self.last = self.identity;
            self.stage = match self.aim {
                Some(RivalAim::Rest) | None => Stage::Rests,
                Some(_) => Stage::Adds,
            };
        }
        Some(answer.error_code)
    }

    fn write(
        &mut self,
        brokers: &mut Brokers,
        node: i32,
        (id, epoch): (i64, i16),
        now: Duration,
    ) -> Option<i16> {
        let value = format!("r{}:", self.ends.len());
        let record = Record {
            transactional: true,
            control: false,
            partition_leader_epoch: -1,
            producer_id: id,
            producer_epoch: epoch,
            timestamp_type: TimestampType::Creation,
            offset: 0,
            sequence: 0,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::from(value)),
            headers: Default::default(),
            delete_horizon: false,
        };
        let mut batch = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut batch, [&record], &options).unwrap();
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch.freeze()));
        let topic = TopicProduceData::default().with_name(topic()).with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(transactional_id()))
            .with_acks(1)
            .with_timeout_ms(1000)
            .with_topic_data(vec![topic]);
        let answer: ProduceResponse = ask(brokers, node, Api::Produce, 3, &request, now)?;
        let code = answer.responses.first()?.partition_responses.first()?.error_code;
        if code == 0 {
            self.ends.push(false);
            self.stage = if self.aim == Some(RivalAim::LeaveOpen) { Stage::Rests } else { Stage::Ends };
        }
        Some(code)
    }
}

fn transactional_id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str(ID))
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(EVENTS))
}

/// Asks a broker, and returns its answer if one comes at once.
fn ask<Request: Encodable + HeaderVersion, Response: Decodable>(
    brokers: &mut Brokers,
    node: i32,
    api: Api,
    version: i16,
    request: &Request,
    now: Duration,
) -> Option<Response> {
    let mut frame = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(api.key())
        .with_request_api_version(version)
        .encode(&mut frame, Request::header_version(version))
        .unwrap();
    request.encode(&mut frame, version).unwrap();
    let Reaction::Reply { frame, .. } = brokers.handle(node, frame.freeze(), now) else { return None };
    let mut body = frame;
    body.advance(8);
    Response::decode(&mut body, version).ok()
}
