//! How the producer comes by its id (KIP-98).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SenderCore;
use crate::error::DeliveryErrorKind;
use crate::log;
use crate::network::{FailureReason, NetworkRequest};
use crate::protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::sender::partition::Numbering;
use crate::sender::request::Purpose;
use crate::sender::sequence::ProducerId;
use crate::topic_partition::NodeId;
use crate::wire::Reader;

/// Where the producer stands with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProducerIdState {
    Known(ProducerId),
    /// `enable.idempotence` is off.
    NotNeeded,
    /// Brokers have refused it for good. They may be told otherwise one day: asked again when a record needs it, not
    /// before a time.
    Refused {
        until: Instant,
    },
    Requested,
    /// To be asked for, not before a time.
    Wanted {
        not_before: Option<Instant>,
    },
}

/// Before another attempt after brokers have refused the id for good.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);

impl ProducerIdState {
    pub(super) const WANTED: Self = Self::Wanted { not_before: None };

    pub(super) fn new(is_idempotent: bool) -> Self {
        if is_idempotent { Self::WANTED } else { Self::NotNeeded }
    }

    pub(super) fn numbering(self) -> Numbering {
        match self {
            Self::Known(producer) => Numbering::With(producer),
            Self::NotNeeded => Numbering::None,
            Self::Refused { .. } | Self::Requested | Self::Wanted { .. } => Numbering::Awaited,
        }
    }
}

impl SenderCore {
    pub(super) fn send_producer_id_request(&mut self, now: Instant) {
        if !self.is_producer_id_due(now) {
            return;
        }
        let chosen = self.network.least_loaded_node(ApiKey::InitProducerId, now);
        // That the bootstrap servers do not speak it says nothing: they may be controllers.
        if let Some(node) = chosen.incapable.filter(|node| node.0 >= 0) {
            self.refuse_without_ids(node, now);
            return;
        }
        let Some(node) = chosen.node else { return };
        if !self.network.can_send(node, now) {
            self.network.connect(node, now);
            return;
        }
        self.producer_id = ProducerIdState::Requested;
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
        };
        let sending = NetworkRequest {
            node,
            api_key: ApiKey::InitProducerId,
            purpose: Purpose::ProducerId,
            expects_response: true,
            timeout: self.settings.request_timeout,
        };
        self.network.send(sending, now, |version, out| request.encode(out, version));
    }

    fn is_producer_id_due(&self, now: Instant) -> bool {
        match self.producer_id {
            ProducerIdState::Refused { until } => now >= until && !self.is_idle(),
            ProducerIdState::Wanted { not_before } => not_before.is_none_or(|time| now >= time),
            _ => false,
        }
    }

    pub(super) fn producer_id_timeout(&self, now: Instant) -> Option<Instant> {
        match self.producer_id {
            ProducerIdState::Refused { until: time } | ProducerIdState::Wanted { not_before: Some(time) }
                if now < time =>
            {
                Some(time)
            }
            _ if self.is_producer_id_due(now) => self.any_node_timeout(now),
            _ => None,
        }
    }

    pub(super) fn handle_producer_id(&mut self, node: NodeId, version: i16, body: &[u8], now: Instant) {
        let response = match InitProducerIdResponse::decode(&mut Reader::new(body), version) {
            Ok(response) => response,
            Err(error) => {
                self.close_unreadable(node, ApiKey::InitProducerId, version, &error, now);
                self.want_producer_id_later(now);
                return;
            }
        };
        if self.producer_id != ProducerIdState::Requested {
            // It comes from a cluster that was left meanwhile.
            return;
        }
        if version >= 1 {
            self.throttle(node, response.throttle_time_ms, now);
        }
        match ErrorCode::from(response.error_code) {
            ErrorCode::None if response.producer_id >= 0 && response.producer_epoch >= 0 => {
                let producer = ProducerId { id: response.producer_id, epoch: response.producer_epoch };
                log::debug!(?producer, "producer id");
                self.producer_id = ProducerIdState::Known(producer);
                self.look_at_active(now);
            }
            code if code.is_retriable() => self.want_producer_id_later(now),
            code => {
                let message = "no producer id; allow this client to write idempotently (IdempotentWrite on the \
                               cluster) or set enable.idempotence=false";
                let kind = DeliveryErrorKind::Broker { code, message: Some(message.to_owned()) };
                self.refuse_queued(&kind, now);
            }
        }
    }

    pub(super) fn handle_producer_id_failure(&mut self, node: NodeId, reason: &FailureReason, now: Instant) {
        if self.producer_id != ProducerIdState::Requested {
            return;
        }
        match reason {
            FailureReason::UnsupportedVersion(_) => self.refuse_without_ids(node, now),
            _ => self.want_producer_id_later(now),
        }
    }

    /// No broker speaks InitProducerId, for example this one.
    fn refuse_without_ids(&mut self, node: NodeId, now: Instant) {
        let kind = if self.network.lacks(node, ApiKey::Produce) {
            // It is older than Kafka 0.11: without numbers its answer would be the same.
            DeliveryErrorKind::UnsupportedVersion
        } else {
            let broker = self.describe_node(node);
            let message =
                format!("broker {broker} does not speak InitProducerId; set enable.idempotence=false");
            DeliveryErrorKind::Broker { code: ErrorCode::UnsupportedVersion, message: Some(message) }
        };
        self.refuse_queued(&kind, now);
    }

    fn want_producer_id_later(&mut self, now: Instant) {
        let delay = self.settings.retry_backoff.delay(0, 0.5);
        self.producer_id = ProducerIdState::Wanted { not_before: now.checked_add(delay) };
    }

    /// Fails what waits for the id that brokers will not give, and goes on asking in case they change their mind.
    fn refuse_queued(&mut self, kind: &DeliveryErrorKind, now: Instant) {
        for id in 0..self.partitions.len() {
            let Some(partition) = self.partition_mut(id) else { continue };
            let queue = Arc::clone(&partition.queue);
            let batches = if self.settings.is_fail_stop { queue.stop_at_head() } else { queue.take_all() };
            let refused = batches.into_iter().map(|batch| (batch, kind.clone())).collect();
            self.give_up_all(id, refused, now, true);
        }
        self.producer_id = ProducerIdState::Refused { until: now + PAUSE_AFTER_REFUSAL };
    }
}
