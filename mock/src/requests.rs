//! Counters of what the brokers received.

use std::collections::BTreeMap;

use crate::api::Api;

/// How many requests the brokers have received, by kind, version and broker.
///
/// A request counts when it has arrived whole, whatever becomes of it afterwards. This is a snapshot: it does
/// not follow later requests.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kafka_mock::MockError> {
/// use kafka_mock::{Api, MockCluster};
///
/// let cluster = MockCluster::start(1).await?;
/// let requests = cluster.requests();
/// assert_eq!(requests.of(Api::Metadata), 0);
/// assert_eq!(requests.total(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    counts: BTreeMap<(Api, i16, i32), u64>,
}

impl Requests {
    pub(crate) fn count(&mut self, api: Api, version: i16, broker: i32) {
        *self.counts.entry((api, version, broker)).or_default() += 1;
    }

    /// Returns the number of all requests.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Returns the number of requests of this kind.
    pub fn of(&self, api: Api) -> u64 {
        self.sum(|of, _, _| of == api)
    }

    /// Returns the number of requests of this kind in this version.
    pub fn of_version(&self, api: Api, version: i16) -> u64 {
        self.sum(|of, in_version, _| of == api && in_version == version)
    }

    /// Returns the number of requests of this kind to this broker.
    pub fn to_broker(&self, api: Api, broker: i32) -> u64 {
        self.sum(|of, _, to| of == api && to == broker)
    }

    fn sum(&self, wanted: impl Fn(Api, i16, i32) -> bool) -> u64 {
        let counts = self.counts.iter();
        counts
            .filter(|((api, version, broker), _)| wanted(*api, *version, *broker))
            .map(|(_, count)| count)
            .sum()
    }
}
