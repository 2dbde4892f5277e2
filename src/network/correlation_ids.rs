//! Which answer belongs to which request.

/// The correlation ids of one connection, which tell what an answer belongs to.
///
/// Requests without an answer take their ids from the same row. Brokers answer in the order of the requests, so all ids
/// between the last that was answered and the next that should be belong to requests without one. Some servers that are not
/// Apache's answer those all the same: the client can tell these answers from nonsense without remembering each id.
#[derive(Debug, Clone, Copy)]
pub(super) struct CorrelationIds {
    next: i32,
    /// The last one that an answer came with. -1 before the first.
    last_answered: i32,
}

impl CorrelationIds {
    pub(super) fn new() -> Self {
        Self { next: 0, last_answered: -1 }
    }

    /// Ids go round, but skip those that Java clients keep for authentication.
    pub(super) fn take_next(&mut self) -> i32 {
        if self.next >= FIRST_RESERVED {
            self.next = i32::MIN;
        }
        let id = self.next;
        self.next += 1;
        id
    }

    pub(super) fn handle_answered(&mut self, id: i32) {
        self.last_answered = id;
    }

    /// Whether an answer with this id belongs to a request that should have none. `expected` is the id of the oldest request
    /// that awaits one.
    pub(super) fn is_unexpected(&self, id: i32, expected: Option<i32>) -> bool {
        let distance = |id: i32| id.wrapping_sub(self.last_answered).cast_unsigned();
        (1..distance(expected.unwrap_or(self.next))).contains(&distance(id))
    }
}

/// The first of the ids that end with the largest.
const FIRST_RESERVED: i32 = 2_147_483_640;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_skip_those_of_authentication() {
        let mut ids = CorrelationIds { next: FIRST_RESERVED - 1, ..CorrelationIds::new() };

        let taken = [ids.take_next(), ids.take_next(), ids.take_next()];

        assert_eq!(taken, [2_147_483_639, -2_147_483_648, -2_147_483_647]);
    }

    #[test]
    fn ids_between_the_last_answer_and_the_next_are_of_requests_without_one() {
        let mut ids = CorrelationIds::new();
        for expected in 0..6 {
            assert_eq!(ids.take_next(), expected);
        }
        ids.handle_answered(1);

        let unexpected = |expected| (-3..9).filter(|id| ids.is_unexpected(*id, expected)).collect::<Vec<_>>();

        assert_eq!(unexpected(Some(4)), [2, 3]);
        assert_eq!(unexpected(Some(2)), [0; 0]);
        assert_eq!(unexpected(None), [2, 3, 4, 5]);
    }

    #[test]
    fn ids_that_went_round_are_told_apart_as_well() {
        let mut ids = CorrelationIds { next: FIRST_RESERVED - 1, last_answered: FIRST_RESERVED - 2 };
        let taken = [ids.take_next(), ids.take_next(), ids.take_next()];

        assert!(ids.is_unexpected(taken[0], Some(taken[2])));
        assert!(ids.is_unexpected(taken[1], Some(taken[2])));
        assert!(!ids.is_unexpected(taken[2], Some(taken[2])));
        assert!(!ids.is_unexpected(FIRST_RESERVED - 2, Some(taken[2])));
    }
}
