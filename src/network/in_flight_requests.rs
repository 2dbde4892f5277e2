//! Requests that have been sent and not been answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::protocol::ApiKey;
use crate::topic_partition::NodeId;

/// Requests that have been sent and not been answered, per node, oldest first.
#[derive(Debug)]
pub(super) struct InFlightRequests<P> {
    max_per_node: usize,
    /// A queue that runs empty is kept until the connection ends: most connections have one request at a time, and would
    /// make a queue for each.
    requests: BTreeMap<NodeId, VecDeque<InFlightRequest<P>>>,
    /// How many of them callers have sent.
    of_callers: usize,
}

/// A request that has been sent and not been answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InFlightRequest<P> {
    pub(super) correlation_id: i32,
    pub(super) api_key: ApiKey,
    pub(super) version: i16,
    pub(super) asker: Asker<P>,
    /// Otherwise the request is done once it is written.
    pub(super) expects_response: bool,
    pub(super) sent_at: Instant,
    /// How long after `sent_at` the answer is too late.
    pub(super) timeout: Duration,
}

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asker<P> {
    /// One of the caller's, with its purpose.
    Caller(P),
    /// The client itself, which gets a connection ready for the caller's requests.
    Handshake,
    /// The client itself, by bytes that are no request. Neither they nor the answer have a header.
    Words,
}

impl<P> InFlightRequests<P> {
    pub(super) fn new(max_per_node: usize) -> Self {
        Self { max_per_node, requests: BTreeMap::new(), of_callers: 0 }
    }

    pub(super) fn add(&mut self, node: NodeId, request: InFlightRequest<P>) {
        self.of_callers += usize::from(request.is_of_caller());
        self.requests.entry(node).or_default().push_back(request);
    }

    /// Takes out the oldest request of a node.
    pub(super) fn complete_next(&mut self, node: NodeId) -> Option<InFlightRequest<P>> {
        self.take(node, 0)
    }

    /// Takes out a request that expects no response, if there is one with this id.
    pub(super) fn complete_written(
        &mut self,
        node: NodeId,
        correlation_id: i32,
    ) -> Option<InFlightRequest<P>> {
        let queue = self.requests.get(&node)?;
        let is_it = |r: &InFlightRequest<P>| r.correlation_id == correlation_id && !r.expects_response;
        let index = queue.iter().position(is_it)?;
        self.take(node, index)
    }

    /// Takes out all requests of a node, oldest first.
    pub(super) fn clear(&mut self, node: NodeId) -> VecDeque<InFlightRequest<P>> {
        let requests = self.requests.remove(&node).unwrap_or_default();
        self.of_callers -= requests.iter().filter(|request| request.is_of_caller()).count();
        requests
    }

    /// Makes the requests of a node those of another, which has none.
    pub(super) fn hand_over(&mut self, node: NodeId, heir: NodeId) {
        if let Some(requests) = self.requests.remove(&node) {
            self.requests.insert(heir, requests);
        }
    }

    /// Gives the requests of a node more time to be answered.
    pub(super) fn extend_timeouts(&mut self, node: NodeId, by: Duration) {
        for request in self.requests.get_mut(&node).into_iter().flatten() {
            request.timeout = request.timeout.saturating_add(by);
        }
    }

    /// Has the oldest request of a node time out after so long, if it would not before.
    pub(super) fn hasten(&mut self, node: NodeId, now: Instant, timeout: Duration) {
        if let Some(request) = self.requests.get_mut(&node).and_then(VecDeque::front_mut) {
            let waited = now.saturating_duration_since(request.sent_at);
            request.timeout = request.timeout.min(waited.saturating_add(timeout));
        }
    }

    /// Returns the oldest request of a node.
    pub(super) fn peek_next(&self, node: NodeId) -> Option<&InFlightRequest<P>> {
        self.requests.get(&node)?.front()
    }

    /// Returns the request that the next response of a node belongs to.
    pub(super) fn next_to_be_answered(&self, node: NodeId) -> Option<&InFlightRequest<P>> {
        self.requests.get(&node)?.iter().find(|request| request.expects_response)
    }

    pub(super) fn can_send_more(&self, node: NodeId) -> bool {
        self.count(node) < self.max_per_node
    }

    pub(super) fn count(&self, node: NodeId) -> usize {
        self.requests.get(&node).map_or(0, VecDeque::len)
    }

    /// Returns how many requests of the caller there are, to all nodes.
    pub(super) fn of_callers(&self) -> usize {
        self.of_callers
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.requests.values().all(VecDeque::is_empty)
    }

    /// Returns when the first of a node's requests times out. Their timeouts may differ.
    pub(super) fn deadline(&self, node: NodeId) -> Option<Instant> {
        self.requests.get(&node)?.iter().filter_map(InFlightRequest::deadline).min()
    }

    fn take(&mut self, node: NodeId, index: usize) -> Option<InFlightRequest<P>> {
        let request = self.requests.get_mut(&node)?.remove(index)?;
        self.of_callers -= usize::from(request.is_of_caller());
        Some(request)
    }
}

impl<P> InFlightRequest<P> {
    fn is_of_caller(&self) -> bool {
        matches!(self.asker, Asker::Caller(_))
    }

    /// `None` if that is never.
    fn deadline(&self) -> Option<Instant> {
        self.sent_at.checked_add(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use crate::clock;

    use super::*;

    const NODE: NodeId = NodeId(1);

    fn request(correlation_id: i32, sent_at: Instant) -> InFlightRequest<&'static str> {
        InFlightRequest {
            correlation_id,
            api_key: ApiKey::Produce,
            version: 9,
            asker: Asker::Caller("purpose"),
            expects_response: true,
            sent_at,
            timeout: Duration::from_secs(30),
        }
    }

    /// Three requests to one node, with ids 1, 2 and 3, a second apart.
    fn three(start: Instant) -> InFlightRequests<&'static str> {
        let mut requests = InFlightRequests::new(3);
        for id in 1..=3_u8 {
            requests.add(NODE, request(id.into(), start + Duration::from_secs(id.into())));
        }
        requests
    }

    #[test]
    fn requests_complete_oldest_first() {
        let mut requests = three(clock::now());

        let ids: Vec<_> =
            std::iter::from_fn(|| requests.complete_next(NODE)).map(|r| r.correlation_id).collect();

        assert_eq!(ids, [1, 2, 3]);
        assert!(requests.is_empty());
        assert_eq!(requests.complete_next(NODE), None);
    }

    #[test]
    fn clearing_gives_all_oldest_first_and_leaves_other_nodes_alone() {
        let start = clock::now();
        let mut requests = three(start);
        requests.add(NodeId(2), request(4, start));

        let ids: Vec<_> = requests.clear(NODE).into_iter().map(|r| r.correlation_id).collect();

        assert_eq!(ids, [1, 2, 3]);
        assert_eq!((requests.count(NODE), requests.of_callers()), (0, 1));
        assert_eq!(requests.count(NodeId(2)), 1);
        assert!(requests.clear(NODE).is_empty());
    }

    #[test]
    fn limit_counts_per_node() {
        let mut requests = three(clock::now());

        assert!(!requests.can_send_more(NODE));
        assert!(requests.can_send_more(NodeId(2)));
        requests.complete_next(NODE);
        assert!(requests.can_send_more(NODE));
    }

    #[test]
    fn requests_of_the_client_itself_do_not_count_as_the_callers() {
        let mut requests = three(clock::now());

        requests.add(NODE, InFlightRequest { asker: Asker::Handshake, ..request(4, clock::now()) });
        assert_eq!((requests.count(NODE), requests.of_callers()), (4, 3));
        requests.complete_next(NODE);
        requests.complete_next(NODE);
        requests.complete_next(NODE);

        assert_eq!((requests.count(NODE), requests.of_callers()), (1, 0));
        requests.complete_next(NODE);
        assert_eq!(requests.of_callers(), 0);
    }

    #[test]
    fn deadline_is_that_of_the_first_request_to_time_out() {
        let start = clock::now();
        let mut requests = three(start);
        assert_eq!(requests.deadline(NODE), Some(start + Duration::from_secs(31)));

        requests.add(NODE, InFlightRequest { timeout: Duration::from_secs(1), ..request(4, start) });
        assert_eq!(requests.deadline(NODE), Some(start + Duration::from_secs(1)));

        requests.extend_timeouts(NODE, Duration::from_secs(60));
        assert_eq!(requests.deadline(NODE), Some(start + Duration::from_secs(61)));
        assert_eq!(requests.deadline(NodeId(2)), None);
    }

    #[test]
    fn endless_timeout_has_no_deadline() {
        let start = clock::now();
        let mut requests = InFlightRequests::new(1);
        requests.add(NODE, InFlightRequest { timeout: Duration::MAX, ..request(1, start) });

        requests.extend_timeouts(NODE, Duration::MAX);

        assert_eq!(requests.deadline(NODE), None);
    }

    #[test]
    fn response_belongs_to_the_oldest_request_that_expects_one() {
        let start = clock::now();
        let mut requests = InFlightRequests::new(5);
        requests.add(NODE, InFlightRequest { expects_response: false, ..request(1, start) });
        requests.add(NODE, request(2, start));

        assert_eq!(requests.peek_next(NODE).map(|r| r.correlation_id), Some(1));
        assert_eq!(requests.next_to_be_answered(NODE).map(|r| r.correlation_id), Some(2));
        assert_eq!(requests.complete_written(NODE, 2), None);
        assert_eq!(requests.complete_written(NODE, 1).map(|r| r.correlation_id), Some(1));
    }
}
