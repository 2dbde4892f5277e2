//! `ActivePartitions`: the partitions that have something to do.

/// The ids of the queues whose batches are queued or under way, in no order.
///
/// Most partitions come and go with each batch, so that costs no more than a place in a list. Each partition knows its own.
#[derive(Debug, Default)]
pub(super) struct ActivePartitions {
    ids: Vec<usize>,
}

impl ActivePartitions {
    /// Adds a partition. Returns its place.
    pub(super) fn push(&mut self, id: usize) -> usize {
        self.ids.push(id);
        self.ids.len() - 1
    }

    /// Takes out the partition at a place. Returns the one that has that place now.
    pub(super) fn remove(&mut self, at: usize) -> Option<usize> {
        if at < self.ids.len() {
            self.ids.swap_remove(at);
        }
        if self.ids.is_empty() && self.ids.capacity() > USUAL_PARTITIONS {
            self.ids = Vec::new();
        }
        self.ids.get(at).copied()
    }

    /// Returns all of them, by id.
    pub(super) fn ids(&self) -> Vec<usize> {
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        ids
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// A list of so many is kept when it runs empty.
const USUAL_PARTITIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(ids: &[usize]) -> ActivePartitions {
        let mut active = ActivePartitions::default();
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(active.push(*id), at);
        }
        active
    }

    #[test]
    fn last_partition_takes_the_place_of_one_that_goes() {
        let mut active = with(&[7, 5, 9]);

        assert_eq!(active.remove(0), Some(9));
        assert_eq!(active.ids(), [5, 9]);
        assert_eq!(active.remove(1), None);
        assert_eq!(active.ids(), [9]);
    }

    #[test]
    fn list_gives_its_memory_back_when_it_has_run_empty() {
        let ids: Vec<_> = (0..1000).collect();
        let mut active = with(&ids);

        for at in (0..1000).rev() {
            assert_eq!(active.remove(at), None);
        }

        assert_eq!((active.len(), active.ids.capacity()), (0, 0));
    }
}
