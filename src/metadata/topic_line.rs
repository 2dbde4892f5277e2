//! `TopicLine`: topics in the order in which they came.

use std::collections::BTreeMap;

use crate::topic_partition::Topic;

/// Topics in the order in which they came, each once.
#[derive(Debug, Default)]
pub(super) struct TopicLine {
    places: BTreeMap<Topic, u64>,
    /// The same by place.
    order: BTreeMap<u64, Topic>,
    next_place: u64,
    /// Of all names together.
    bytes: usize,
}

impl TopicLine {
    /// Adds a topic at the end, unless it is in the line. Returns whether it is new.
    pub(super) fn insert(&mut self, topic: &Topic) -> bool {
        if self.places.contains_key(topic.as_str()) {
            return false;
        }
        self.places.insert(topic.clone(), self.next_place);
        self.order.insert(self.next_place, topic.clone());
        self.next_place += 1;
        self.bytes += topic.len();
        true
    }

    /// Returns whether the topic was in the line.
    pub(super) fn remove(&mut self, topic: &str) -> bool {
        let Some(place) = self.places.remove(topic) else { return false };
        self.order.remove(&place);
        self.bytes -= topic.len();
        true
    }

    /// Moves a topic to the end, if it is in the line.
    pub(super) fn postpone(&mut self, topic: &Topic) {
        if self.remove(topic) {
            self.insert(topic);
        }
    }

    pub(super) fn contains(&self, topic: &str) -> bool {
        self.places.contains_key(topic)
    }

    pub(super) fn first(&self) -> Option<&Topic> {
        self.order.values().next()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.order.values()
    }

    /// Whether the first topic came before the one that had this place or would get it.
    pub(super) fn begins_before(&self, place: u64) -> bool {
        self.order.keys().next().is_some_and(|first| *first < place)
    }

    /// Returns the place of the topic that comes next.
    pub(super) fn next_place(&self) -> u64 {
        self.next_place
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the line has more topics, or longer names, than are kept of those that only a caller has asked for.
    pub(super) fn is_too_long(&self) -> bool {
        self.len() > MAX_KEPT || self.bytes > MAX_KEPT_BYTES
    }
}

/// Takes topics for one request off the front: at least one if there are any, and no more than it may name.
pub(super) fn within_one_request<'a>(topics: impl Iterator<Item = &'a Topic>) -> Vec<Topic> {
    let mut bytes = 0;
    let fits = |(index, topic): &(usize, &Topic)| {
        bytes += topic.len();
        *index == 0 || bytes <= MAX_ASKED_BYTES
    };
    topics.take(MAX_ASKED).enumerate().take_while(fits).map(|(_, topic)| topic.clone()).collect()
}

/// How many topics a request names at most. The sender takes a whole answer in at once, and does other work before the next. Few
/// applications use more topics, so most learn of all of theirs from one answer.
const MAX_ASKED: usize = 10_000;

/// How many bytes the names in a request take at most. A broker closes the connection if a request is larger than its
/// `socket.request.max.bytes`, which is 100 MB by default and 1 MB with some hosts.
const MAX_ASKED_BYTES: usize = 512 * 1024;

/// How many topics are kept at most only because a caller has asked for them.
pub(crate) const MAX_KEPT: usize = 1000;

/// How many bytes the names of these take at most: a little more than `MAX_KEPT` valid names need.
pub(crate) const MAX_KEPT_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(names: &[&'static str]) -> TopicLine {
        let mut line = TopicLine::default();
        names.iter().for_each(|name| assert!(line.insert(&Topic::from(*name))));
        line
    }

    fn names(line: &TopicLine) -> Vec<&str> {
        line.iter().map(Topic::as_str).collect()
    }

    #[test]
    fn topics_stay_in_the_order_in_which_they_came() {
        let mut line = line(&["b", "c", "a"]);

        assert!(!line.insert(&Topic::from("b")));
        line.postpone(&Topic::from("c"));
        line.postpone(&Topic::from("absent"));

        assert_eq!(names(&line), ["b", "a", "c"]);
    }

    #[test]
    fn topic_that_comes_again_comes_last() {
        let mut line = line(&["a", "b"]);
        let place = line.next_place();

        assert!(line.remove("a"));
        assert!(!line.remove("a"));
        assert!(line.insert(&Topic::from("a")));

        assert_eq!(names(&line), ["b", "a"]);
        assert!(line.begins_before(place));
        line.remove("b");
        assert!(!line.begins_before(place));
    }

    #[test]
    fn request_takes_so_many_topics_and_bytes_and_at_least_one() {
        let short: Vec<_> = (0..MAX_ASKED + 1).map(|number| Topic::from(format!("{number:05}"))).collect();
        let long: Vec<_> = (0..40).map(|number| Topic::from(format!("{number:032767}"))).collect();
        let huge = [Topic::from("x".repeat(MAX_ASKED_BYTES + 1)), Topic::from("y")];

        assert_eq!(within_one_request(short.iter()), short[..MAX_ASKED]);
        assert_eq!(within_one_request(long.iter()), long[..16]);
        assert_eq!(within_one_request(huge.iter()), huge[..1]);
        assert!(within_one_request([].iter()).is_empty());
    }
}
