//! `TopicMap`: a map by topic whose copies share what is the same.

use std::array;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::iter;
use std::mem;
use std::sync::Arc;

use crate::topic_partition::Topic;

/// A map by topic that is cheap to copy, and cheap to change afterwards: a map and its copies share the parts that are the same.
///
/// It is a tree that branches by the hash of the name, four bits at each level. A change copies the parts on the way to the
/// topic, so its cost grows with the logarithm of the number of topics.
#[derive(Clone)]
pub(super) struct TopicMap<V> {
    root: Arc<Part<V>>,
    len: usize,
    /// The same in all copies, because the parts that they share are ordered by it.
    hasher: RandomState,
}

#[derive(Debug, Clone)]
enum Part<V> {
    /// By the next bits of the hash.
    Branch(Box<[Arc<Self>; FAN_OUT]>),
    /// In no particular order.
    Leaf(Vec<Entry<V>>),
}

#[derive(Debug, Clone)]
struct Entry<V> {
    hash: u64,
    topic: Topic,
    value: V,
}

const BITS: u32 = 4;

const FAN_OUT: usize = 1 << BITS;

/// A larger leaf becomes a branch. Comparing a few hashes is quicker than another level, and a change copies few entries.
const MAX_LEAF: usize = 8;

impl<V: Clone + PartialEq> TopicMap<V> {
    /// Sets the value of a topic. Returns the value it had.
    pub(super) fn insert(&mut self, topic: &Topic, value: V) -> Option<V> {
        let hash = self.hash(topic);
        if self.root.find(hash, topic, 0) == Some(&value) {
            // Copies go on sharing the parts on the way to it.
            return Some(value);
        }
        let entry = Entry { hash, topic: topic.clone(), value };
        let before = Arc::make_mut(&mut self.root).insert(entry, 0);
        self.len += usize::from(before.is_none());
        before
    }

    /// Removes a topic. Returns the value it had.
    pub(super) fn remove(&mut self, topic: &str) -> Option<V> {
        let hash = self.hash(topic);
        self.root.find(hash, topic, 0)?;
        let before = Arc::make_mut(&mut self.root).remove(hash, topic, 0);
        self.len -= usize::from(before.is_some());
        before
    }

    /// Returns the topics whose values differ in `other`, or that only one of both has, in no particular order.
    pub(super) fn differences(&self, other: &Self) -> Vec<Topic> {
        let mut topics = Vec::new();
        // Maps that do not stem from each other have other hashes for the same names.
        if self.hash("") == other.hash("") {
            self.root.add_differences(&other.root, 0, &mut topics);
        } else {
            let is_same = |(topic, value): &(&Topic, &V)| other.get(topic) == Some(*value);
            topics.extend(self.iter().filter(|entry| !is_same(entry)).map(|(topic, _)| topic.clone()));
            let is_extra = |topic: &&Topic| self.get(topic).is_none();
            topics.extend(other.iter().map(|(topic, _)| topic).filter(is_extra).cloned());
        }
        topics
    }
}

impl<V> TopicMap<V> {
    pub(super) fn get(&self, topic: &str) -> Option<&V> {
        self.root.find(self.hash(topic), topic, 0)
    }

    /// Returns all topics and their values, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Topic, &V)> {
        self.root.entries().map(|Entry { topic, value, .. }| (topic, value))
    }

    fn hash(&self, topic: &str) -> u64 {
        self.hasher.hash_one(topic)
    }
}

impl<V> Default for TopicMap<V> {
    fn default() -> Self {
        Self { root: Arc::default(), len: 0, hasher: RandomState::new() }
    }
}

impl<V: fmt::Debug> fmt::Debug for TopicMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.root.entries().map(|entry| (&entry.topic, &entry.value))).finish()
    }
}

impl<V: Clone + PartialEq> PartialEq for TopicMap<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.differences(other).is_empty()
    }
}

impl<V: Clone + Eq> Eq for TopicMap<V> {}

impl<V> Default for Part<V> {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl<V> Part<V> {
    fn find(&self, hash: u64, topic: &str, depth: u32) -> Option<&V> {
        let mut part = self;
        let mut depth = depth;
        loop {
            match part {
                Self::Branch(below) => {
                    part = below.get(index(hash, depth))?;
                    depth += 1;
                }
                Self::Leaf(entries) => {
                    let entry = entries.iter().find(|entry| entry.is(hash, topic))?;
                    return Some(&entry.value);
                }
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<V>> {
        let mut parts = vec![self];
        let mut leaf = [].iter();
        iter::from_fn(move || {
            loop {
                if let Some(entry) = leaf.next() {
                    return Some(entry);
                }
                match parts.pop()? {
                    Self::Branch(below) => parts.extend(below.iter().map(|part| &**part)),
                    Self::Leaf(entries) => leaf = entries.iter(),
                }
            }
        })
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Leaf(entries) if entries.is_empty())
    }
}

impl<V: Clone + PartialEq> Part<V> {
    fn insert(&mut self, new: Entry<V>, depth: u32) -> Option<V> {
        let entries = match self {
            Self::Branch(below) => {
                let part = below.get_mut(index(new.hash, depth))?;
                return Arc::make_mut(part).insert(new, depth + 1);
            }
            Self::Leaf(entries) => entries,
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.is(new.hash, &new.topic)) {
            return Some(mem::replace(&mut entry.value, new.value));
        }
        entries.push(new);
        // Below the last level there are no bits of the hash left.
        if entries.len() > MAX_LEAF && depth * BITS < u64::BITS {
            let entries = mem::take(entries);
            let empty = Arc::default();
            *self = Self::Branch(Box::new(array::from_fn(|_| Arc::clone(&empty))));
            for entry in entries {
                self.insert(entry, depth);
            }
        }
        None
    }

    fn remove(&mut self, hash: u64, topic: &str, depth: u32) -> Option<V> {
        let below = match self {
            Self::Branch(below) => below,
            Self::Leaf(entries) => {
                let place = entries.iter().position(|entry| entry.is(hash, topic))?;
                let entry = entries.swap_remove(place);
                entries.shrink_to_fit();
                return Some(entry.value);
            }
        };
        let before = Arc::make_mut(below.get_mut(index(hash, depth))?).remove(hash, topic, depth + 1);
        if below.iter().all(|part| part.is_empty()) {
            *self = Self::default();
        }
        before
    }

    /// Adds what differs in another part of the same place.
    fn add_differences(&self, other: &Self, depth: u32, topics: &mut Vec<Topic>) {
        if let (Self::Branch(one), Self::Branch(other)) = (self, other) {
            for (one, other) in one.iter().zip(other.iter()).filter(|(one, other)| !Arc::ptr_eq(one, other)) {
                one.add_differences(other, depth + 1, topics);
            }
            return;
        }
        for Entry { hash, topic, value } in self.entries() {
            if other.find(*hash, topic, depth) != Some(value) {
                topics.push(topic.clone());
            }
        }
        for Entry { hash, topic, .. } in other.entries() {
            if self.find(*hash, topic, depth).is_none() {
                topics.push(topic.clone());
            }
        }
    }
}

impl<V> Entry<V> {
    fn is(&self, hash: u64, topic: &str) -> bool {
        self.hash == hash && &*self.topic == topic
    }
}

/// Returns which way a hash goes at a branch.
fn index(hash: u64, depth: u32) -> usize {
    (hash >> (depth * BITS)) as usize % FAN_OUT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn topic(number: u16) -> Topic {
        Topic::from(format!("t{number}"))
    }

    fn sorted(mut topics: Vec<Topic>) -> Vec<Topic> {
        topics.sort();
        topics
    }

    fn contents(map: &TopicMap<u8>) -> BTreeMap<Topic, u8> {
        map.iter().map(|(topic, value)| (topic.clone(), *value)).collect()
    }

    fn expected_differences(one: &BTreeMap<Topic, u8>, other: &BTreeMap<Topic, u8>) -> Vec<Topic> {
        let topics = one.keys().chain(other.keys().filter(|topic| !one.contains_key(*topic)));
        sorted(topics.filter(|topic| one.get(*topic) != other.get(*topic)).cloned().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn map_and_its_copies_hold_what_a_tree_of_the_standard_library_holds(
            steps in vec((0_u16..600, proptest::option::of(0_u8..3), 0_u8..20), 0..800),
        ) {
            let (mut map, mut model) = (TopicMap::default(), BTreeMap::new());
            let (mut copy, mut model_copy) = (map.clone(), model.clone());
            for (number, value, copies) in steps {
                let topic = topic(number);
                match value {
                    Some(value) => prop_assert_eq!(map.insert(&topic, value), model.insert(topic, value)),
                    None => prop_assert_eq!(map.remove(&topic), model.remove(&topic)),
                }
                if copies == 0 {
                    (copy, model_copy) = (map.clone(), model.clone());
                }
            }
            let other: TopicMap<u8> = model.iter().fold(TopicMap::default(), |mut map, (topic, value)| {
                map.insert(topic, *value);
                map
            });

            prop_assert_eq!(&contents(&map), &model);
            prop_assert_eq!(&contents(&copy), &model_copy);
            prop_assert_eq!(map.len, model.len());
            prop_assert!((0..600).map(topic).all(|topic| map.get(&topic) == model.get(&topic)));
            prop_assert_eq!(sorted(map.differences(&copy)), expected_differences(&model, &model_copy));
            prop_assert_eq!(sorted(other.differences(&copy)), expected_differences(&model, &model_copy));
            prop_assert_eq!(&map, &other);
        }
    }

    #[test]
    fn topics_whose_hashes_are_equal_are_told_apart() {
        let mut part = Part::default();
        let entry = |number| Entry { hash: 7, topic: topic(number), value: number };

        (0..100).for_each(|number| assert_eq!(part.insert(entry(number), 0), None));

        assert_eq!(part.entries().count(), 100);
        assert!((0..100).all(|number| part.find(7, &topic(number), 0) == Some(&number)));
        assert!((0..100).all(|number| part.remove(7, &topic(number), 0) == Some(number)));
        assert!(part.is_empty());
    }

    #[test]
    fn value_that_is_the_same_changes_no_part() {
        let mut map = TopicMap::default();
        (0..1000).for_each(|number| assert_eq!(map.insert(&topic(number), 1), None));
        let copy = map.clone();

        assert_eq!(map.insert(&topic(500), 1), Some(1));
        assert_eq!(map.remove("absent"), None);

        assert!(Arc::ptr_eq(&map.root, &copy.root));
    }

    #[test]
    fn map_from_which_all_is_removed_is_a_single_empty_part() {
        let mut map = TopicMap::default();
        (0..1000).for_each(|number| assert_eq!(map.insert(&topic(number), 1), None));

        (0..1000).for_each(|number| assert_eq!(map.remove(&topic(number)), Some(1)));

        assert!(map.root.is_empty());
    }
}
