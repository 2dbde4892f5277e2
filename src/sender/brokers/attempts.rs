//! `Attempts`: which brokers are being connected to, and when to look whether they answer.

use std::collections::BTreeMap;
use std::time::Instant;

use super::PATIENCE;
use super::account::Place;
use crate::topic_partition::NodeId;

/// Attempts to connect that are under way.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    under_way: BTreeMap<Place, Attempt>,
    /// No attempt is looked at before. Not set while none is to be looked at.
    first_look: Option<Instant>,
}

#[derive(Debug)]
struct Attempt {
    node: NodeId,
    began: Instant,
    look_at: Option<Instant>,
    /// Whether the log was told that it takes long.
    is_told: bool,
}

impl Attempts {
    pub(super) fn begin(&mut self, place: Place, node: NodeId, now: Instant) {
        let attempt = Attempt { node, began: now, look_at: None, is_told: false };
        self.under_way.insert(place.clone(), attempt);
        self.look_again(&place, now + PATIENCE);
    }

    /// The broker is known by another id from now on.
    pub(super) fn rename(&mut self, place: &Place, node: NodeId) {
        if let Some(attempt) = self.under_way.get_mut(place) {
            attempt.node = node;
        }
    }

    /// The attempt has come a step further.
    pub(super) fn advance(&mut self, place: &Place, now: Instant) {
        self.look_again(place, now + PATIENCE);
    }

    /// Has the attempt looked at again.
    pub(super) fn look_again(&mut self, place: &Place, at: Instant) {
        if let Some(attempt) = self.under_way.get_mut(place) {
            attempt.look_at = Some(at);
            self.first_look = Some(self.first_look.map_or(at, |first| first.min(at)));
        }
    }

    /// The log is told that the attempt takes long. It is looked at again once it has come a step further.
    pub(super) fn tell(&mut self, place: &Place) {
        if let Some(attempt) = self.under_way.get_mut(place) {
            attempt.is_told = true;
        }
    }

    /// The attempt is over. Returns when it began, if the log was told that it takes long.
    pub(super) fn end(&mut self, place: &Place) -> Option<Instant> {
        let attempt = self.under_way.remove(place)?;
        if self.under_way.is_empty() {
            self.first_look = None;
        }
        attempt.is_told.then_some(attempt.began)
    }

    /// Returns when to look at the first, or a little earlier.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.first_look
    }

    /// Returns the next attempt that is to be looked at, which is not looked at again by itself.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<(Place, NodeId)> {
        if self.first_look.is_none_or(|first| now < first) {
            return None;
        }
        let is_due = |attempt: &Attempt| attempt.look_at.is_some_and(|at| at <= now);
        if let Some((place, attempt)) = self.under_way.iter_mut().find(|(_, attempt)| is_due(attempt)) {
            attempt.look_at = None;
            return Some((place.clone(), attempt.node));
        }
        self.first_look = self.under_way.values().filter_map(|attempt| attempt.look_at).min();
        None
    }
}
