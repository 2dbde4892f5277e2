use std::time::Instant;

use crate::topic_partition::NodeId;

/// How fit a node is for a request that any node can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is no connection, but one may be asked for. Holds when that was done last.
    CanConnect(Option<Instant>),
    /// It can take a request now. Holds how many it has not answered yet.
    CanSend(usize),
    /// It has a connection that will be ready soon.
    Connecting,
    /// It is ready, but cannot take one more request.
    Full,
    /// It is backing off, throttled or on its way out.
    Unavailable,
}

/// The node that should get a request that any node can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeastLoadedNode {
    /// The best of all nodes, if any is of use. It may have to be connected to first.
    pub(crate) node: Option<NodeId>,
    /// Whether some node is connected and ready, even if it cannot take one more request.
    pub(crate) has_ready_connection: bool,
}

impl LeastLoadedNode {
    /// Whether some node will be able to take the request without outside help.
    pub(crate) fn has_usable_node(&self) -> bool {
        self.node.is_some() || self.has_ready_connection
    }
}

/// Chooses among `nodes`, beginning at number `start` (modulo their count) so that callers can spread the load.
///
/// A node that can send is best, one without unanswered requests best of all. Next comes one that is being
/// connected to, then one that may be, the one that was tried longest ago first. The order is that of Java's
/// `NetworkClient.leastLoadedNode`.
pub(super) fn least_loaded_node(nodes: &[(NodeId, Standing)], start: usize) -> LeastLoadedNode {
    let start = start.checked_rem(nodes.len()).unwrap_or(0);
    let (before, from) = nodes.split_at(start);

    let mut has_ready_connection = false;
    let mut ready: Option<(usize, NodeId)> = None;
    let mut connecting = None;
    let mut connectable: Option<(Option<Instant>, NodeId)> = None;
    for &(node, standing) in from.iter().chain(before) {
        match standing {
            Standing::CanSend(0) => return LeastLoadedNode { node: Some(node), has_ready_connection: true },
            Standing::CanSend(in_flight) => {
                has_ready_connection = true;
                if ready.is_none_or(|(least, _)| in_flight < least) {
                    ready = Some((in_flight, node));
                }
            }
            Standing::Connecting => connecting = Some(node),
            Standing::CanConnect(last_attempt) => {
                // Never is earlier than any time.
                if connectable.is_none_or(|(oldest, _)| last_attempt < oldest) {
                    connectable = Some((last_attempt, node));
                }
            }
            Standing::Full => has_ready_connection = true,
            Standing::Unavailable => {}
        }
    }

    let node = ready.map(|(_, node)| node).or(connecting).or_else(|| connectable.map(|(_, node)| node));
    LeastLoadedNode { node, has_ready_connection }
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
        let tried = [Standing::CanConnect(Some(later)), Standing::CanConnect(Some(now))];
        let untried = [Standing::CanConnect(Some(now)), Standing::CanConnect(None)];

        assert_eq!(choose(&tried, 0), Some(1));
        assert_eq!(choose(&tried, 1), Some(1));
        assert_eq!(choose(&untried, 0), Some(1));
    }

    #[test]
    fn first_from_the_start_is_taken_of_nodes_never_tried() {
        let nodes = [Standing::CanConnect(None); 3];

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
            Standing::CanConnect(None),
            Standing::Full,
            Standing::Unavailable,
        ];
        let rank = |standing| all.iter().position(|s| *s == standing).unwrap();
        let is_ready = |s: &Standing| matches!(s, Standing::CanSend(_) | Standing::Full);
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
    fn full_connection_is_usable_though_no_node_is_offered() {
        let chosen = least_loaded_node(&number(&[Standing::Full]), 0);

        assert_eq!(chosen.node, None);
        assert!(chosen.has_usable_node());
    }
}
