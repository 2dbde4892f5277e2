//! Which node to ask what any node can answer.

use std::time::Instant;

use crate::topic_partition::NodeId;

/// How fit a node is for a request that any node can answer if it speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is connected, and will take a request later: it is throttled, or has too many unanswered.
    Busy,
    /// There is no connection, but one may be asked for.
    CanConnect {
        last_attempt: Option<Instant>,
        /// Whether the last attempt came to nothing.
        has_failed: bool,
    },
    /// It can take a request now. Holds how many it has not answered yet.
    CanSend(usize),
    /// It has a connection that will be ready soon.
    Connecting,
    /// It is connected and does not speak the request.
    Incapable,
    /// It is backing off.
    Resting { has_failed: bool },
    /// It is on its way out.
    Unavailable,
}

/// The node that should get a request that any node can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeastLoadedNode {
    /// The best of all nodes, if any is of use. It may have to be connected to first.
    pub(crate) node: Option<NodeId>,
    /// Whether some node is connected that speaks the request, even if it takes none now.
    pub(crate) has_ready_connection: bool,
    /// Whether it is worth waiting for these nodes: one is connected or being connected, or has been since an attempt at it
    /// failed last.
    pub(crate) is_promising: bool,
    /// One of the nodes, if all are known not to speak the request.
    pub(crate) incapable: Option<NodeId>,
}

impl LeastLoadedNode {
    /// Whether the request must wait for nodes that are connected.
    pub(crate) fn is_busy(&self) -> bool {
        self.node.is_none() && self.has_ready_connection
    }
}

/// Chooses among `nodes`, beginning at number `start` (modulo their count) so that callers can spread the load.
///
/// A node that can send is best, one without unanswered requests best of all. Next comes one that is being
/// connected to, then one that may be, the one that was tried longest ago first. The order is that of Java's
/// `NetworkClient.leastLoadedNode`, which does not ask what nodes speak, though.
pub(super) fn least_loaded_node(nodes: &[(NodeId, Standing)], start: usize) -> LeastLoadedNode {
    let start = start.checked_rem(nodes.len()).unwrap_or(0);
    let (before, from) = nodes.split_at(start);

    let mut has_ready_connection = false;
    let mut is_promising = false;
    let mut ready: Option<(usize, NodeId)> = None;
    let mut connecting = None;
    let mut connectable: Option<(Option<Instant>, NodeId)> = None;
    for &(node, standing) in from.iter().chain(before) {
        is_promising |= standing.is_promising();
        has_ready_connection |= matches!(standing, Standing::Busy | Standing::CanSend(_));
        match standing {
            Standing::CanSend(in_flight) => {
                if ready.is_none_or(|(least, _)| in_flight < least) {
                    ready = Some((in_flight, node));
                }
            }
            Standing::Connecting => connecting = Some(node),
            Standing::CanConnect { last_attempt, .. } => {
                // Never is earlier than any time.
                if connectable.is_none_or(|(oldest, _)| last_attempt < oldest) {
                    connectable = Some((last_attempt, node));
                }
            }
            Standing::Busy | Standing::Incapable | Standing::Resting { .. } | Standing::Unavailable => {}
        }
    }

    let node = ready.map(|(_, node)| node).or(connecting).or_else(|| connectable.map(|(_, node)| node));
    let is_incapable = nodes.iter().all(|(_, standing)| *standing == Standing::Incapable);
    let incapable = nodes.first().map(|(node, _)| *node).filter(|_| is_incapable);
    LeastLoadedNode { node, has_ready_connection, is_promising, incapable }
}

impl Standing {
    fn is_promising(self) -> bool {
        match self {
            Self::Busy | Self::CanSend(_) | Self::Connecting => true,
            Self::CanConnect { has_failed, .. } | Self::Resting { has_failed } => !has_failed,
            Self::Incapable | Self::Unavailable => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::clock;

    use super::*;

    /// The standings of nodes 0, 1, 2 …
    fn choose(standings: &[Standing], start: usize) -> Option<i32> {
        least_loaded_node(&number(standings), start).node.map(|node| node.0)
    }

    fn can_connect(last_attempt: Option<Instant>) -> Standing {
        Standing::CanConnect { last_attempt, has_failed: false }
    }

    fn number(standings: &[Standing]) -> Vec<(NodeId, Standing)> {
        (0..).map(NodeId).zip(standings.iter().copied()).collect()
    }

    #[test]
    fn no_node_gives_none_whatever_the_start() {
        assert_eq!(choose(&[], 0), None);
        assert_eq!(choose(&[], 7), None);
        assert_eq!(choose(&[Standing::Unavailable], 0), None);
    }

    #[test]
    fn first_idle_node_from_the_start_is_best() {
        let nodes = [Standing::CanSend(0), Standing::CanSend(1), Standing::CanSend(0)];

        assert_eq!(choose(&nodes, 0), Some(0));
        assert_eq!(choose(&nodes, 1), Some(2));
        assert_eq!(choose(&nodes, 2), Some(2));
        assert_eq!(choose(&nodes, 3), Some(0));
        assert_eq!(choose(&nodes, usize::MAX), Some(0));
    }

    #[test]
    fn fewest_unanswered_requests_win_and_the_first_of_equals() {
        let nodes = [Standing::CanSend(3), Standing::CanSend(2), Standing::CanSend(2)];

        assert_eq!(choose(&nodes, 0), Some(1));
        assert_eq!(choose(&nodes, 2), Some(2));
    }

    #[test]
    fn last_of_the_connecting_nodes_is_taken() {
        let nodes = [Standing::Connecting, Standing::Connecting, Standing::Unavailable];

        assert_eq!(choose(&nodes, 0), Some(1));
        assert_eq!(choose(&nodes, 1), Some(0));
    }

    #[test]
    fn node_tried_longest_ago_is_connected_to_and_one_never_tried_before_all() {
        let now = clock::now();
        let later = now + Duration::from_secs(1);
        let tried = [can_connect(Some(later)), can_connect(Some(now))];
        let untried = [can_connect(Some(now)), can_connect(None)];

        assert_eq!(choose(&tried, 0), Some(1));
        assert_eq!(choose(&tried, 1), Some(1));
        assert_eq!(choose(&untried, 0), Some(1));
    }

    #[test]
    fn first_from_the_start_is_taken_of_nodes_never_tried() {
        let nodes = [can_connect(None); 3];

        assert_eq!(choose(&nodes, 0), Some(0));
        assert_eq!(choose(&nodes, 2), Some(2));
    }

    /// Every triple of standings from every start, against the preferences told one after another.
    #[test]
    fn preferences_hold_for_every_combination() {
        let all = [
            Standing::CanSend(0),
            Standing::CanSend(1),
            Standing::Connecting,
            can_connect(None),
            Standing::Busy,
            Standing::Incapable,
            Standing::Resting { has_failed: true },
            Standing::Unavailable,
        ];
        let rank = |standing| all.iter().position(|s| *s == standing).unwrap();
        let is_ready = |s: &Standing| matches!(s, Standing::CanSend(_) | Standing::Busy);
        let count = all.len();
        for number in 0..count.pow(3) {
            let standings = [number, number / count, number / count / count].map(|n| all[n % count]);
            let nodes = self::number(&standings);
            for start in 0..3 {
                let chosen = least_loaded_node(&nodes, start);

                let best = standings.iter().map(|standing| rank(*standing)).min().unwrap();
                let chosen_rank = chosen.node.map(|node| rank(standings[usize::try_from(node.0).unwrap()]));
                assert_eq!(chosen_rank, (best < 4).then_some(best), "{nodes:?} from {start}");
                assert_eq!(chosen.has_ready_connection, standings.iter().any(is_ready), "{nodes:?}");
            }
        }
    }

    #[test]
    fn busy_node_is_waited_for_though_it_is_not_offered() {
        let chosen = least_loaded_node(&number(&[Standing::Busy, Standing::Incapable]), 0);

        assert_eq!((chosen.node, chosen.incapable), (None, None));
        assert!(chosen.is_busy() && chosen.is_promising);
    }

    #[test]
    fn nodes_that_have_failed_promise_nothing_though_they_are_tried() {
        let failed = Standing::CanConnect { last_attempt: Some(clock::now()), has_failed: true };
        let resting = |has_failed| Standing::Resting { has_failed };
        let is_promising = |nodes: &[Standing]| least_loaded_node(&number(nodes), 0).is_promising;

        assert_eq!(choose(&[resting(true), failed], 0), Some(1));
        assert!(!is_promising(&[resting(true), failed, Standing::Incapable, Standing::Unavailable]));
        for hope in [resting(false), can_connect(None), Standing::Connecting, Standing::Busy] {
            assert!(is_promising(&[resting(true), failed, hope]), "{hope:?}");
        }
    }

    #[test]
    fn request_that_no_node_speaks_has_only_nodes_that_are_known_not_to() {
        let incapable = |nodes: &[Standing]| least_loaded_node(&number(nodes), 1).incapable;

        assert_eq!(incapable(&[Standing::Incapable, Standing::Incapable]), Some(NodeId(0)));
        assert_eq!(incapable(&[Standing::Incapable, Standing::Resting { has_failed: true }]), None);
        assert_eq!(incapable(&[]), None);
    }
}
