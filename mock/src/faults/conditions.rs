//! Which requests a fault hits.

use crate::api::Api;

/// What a request must be like; `None` for whatever it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) api: Option<Api>,
    pub(super) broker: Option<i32>,
    pub(super) topic: Option<String>,
    pub(super) partition: Option<i32>,
    pub(super) connection: Option<u64>,
    pub(super) request: Option<u64>,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Which of the connections to its broker, from 1.
    pub(crate) connection: u64,
    /// Which of the requests of its connection, from 1.
    pub(crate) request: u64,
}

/// A topic or partition that a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
}

impl Conditions {
    pub(super) fn fit(&self, api: Api, broker: i32, arrival: Arrival, targets: &[Target]) -> bool {
        self.api.is_none_or(|wanted| wanted == api)
            && self.broker.is_none_or(|wanted| wanted == broker)
            && self.connection.is_none_or(|wanted| wanted == arrival.connection)
            && self.request.is_none_or(|wanted| wanted == arrival.request)
            && (self.topic.is_none() || targets.iter().any(|target| self.cover(target)))
    }

    /// Whether a topic or partition is meant.
    pub(super) fn cover(&self, target: &Target) -> bool {
        self.topic.as_ref().is_none_or(|topic| *topic == target.topic)
            && self.partition.is_none_or(|partition| target.partition == Some(partition))
    }
}
