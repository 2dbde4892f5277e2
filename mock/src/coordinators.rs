//! Which broker coordinates which transactional id and which group.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::code;

/// What has a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coordinated {
    Group(String),
    Transaction(String),
}

impl Coordinated {
    /// From the key of a FindCoordinator request; `None` for a kind that the mock does not serve.
    pub(crate) fn of_key(key_type: i8, key: &str) -> Option<Self> {
        match key_type {
            0 => Some(Self::Group(key.to_owned())),
            1 => Some(Self::Transaction(key.to_owned())),
            _ => None,
        }
    }

    /// The same number in every run.
    fn hash(&self) -> usize {
        let (Self::Group(key) | Self::Transaction(key)) = self;
        key.bytes().fold(0, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)))
    }
}

/// Who coordinates something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// `None` if no broker is up.
    pub(crate) broker: Option<i32>,
    /// 0 at first, one more at each move; markers carry it.
    pub(crate) epoch: i32,
    /// Until then the coordinator reads what the one before it knew.
    loaded_at: Duration,
}

/// Coordinators of all ids and groups that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Coordinators {
    places: BTreeMap<Coordinated, Place>,
    /// How long a coordinator takes to load, once it has moved.
    loading_time: Duration,
}

impl Coordinators {
    pub(crate) fn set_loading_time(&mut self, time: Duration) {
        self.loading_time = time;
    }

    /// Returns the place of something, which is chosen among the brokers that are up if it has none.
    pub(crate) fn place(&mut self, what: &Coordinated, live: &[i32]) -> Place {
        if let Some(place) = self.places.get(what) {
            return *place;
        }
        let place = Place { broker: choose(what, live), epoch: 0, loaded_at: Duration::ZERO };
        self.places.insert(what.clone(), place);
        place
    }

    /// Returns the place of something that was asked for before.
    pub(crate) fn known(&self, what: &Coordinated) -> Option<Place> {
        self.places.get(what).copied()
    }

    /// Moves something to another broker.
    pub(crate) fn move_to(&mut self, what: &Coordinated, broker: Option<i32>, now: Duration) {
        let loaded_at = now + self.loading_time;
        let epoch = self.places.get(what).map_or(0, |place| place.epoch.saturating_add(1));
        self.places.insert(what.clone(), Place { broker, epoch, loaded_at });
    }

    /// Finds other places for what a broker coordinated that has gone down, and for what had none. Returns what has moved.
    pub(crate) fn settle(&mut self, live: &[i32], now: Duration) -> Vec<Coordinated> {
        let homeless = |place: &Place| place.broker.is_none_or(|broker| !live.contains(&broker));
        let mut moved: Vec<_> =
            self.places.iter().filter(|(_, place)| homeless(place)).map(|(what, _)| what.clone()).collect();
        moved.retain(|what| {
            let broker = choose(what, live);
            let moves = self.known(what).is_some_and(|place| place.broker != broker);
            if moves {
                self.move_to(what, broker, now);
            }
            moves
        });
        moved
    }
}

impl Place {
    /// The error with which a broker answers that does not coordinate, or not yet.
    pub(crate) fn check(self, broker: i32, now: Duration) -> Result<(), i16> {
        if self.broker != Some(broker) {
            Err(code::NOT_COORDINATOR)
        } else if now < self.loaded_at {
            Err(code::COORDINATOR_LOAD_IN_PROGRESS)
        } else {
            Ok(())
        }
    }

    /// The broker that coordinates, unless there is none or it is still loading.
    pub(crate) fn ready(self, now: Duration) -> Result<i32, i16> {
        let broker = self.broker.ok_or(code::COORDINATOR_NOT_AVAILABLE)?;
        self.check(broker, now).map(|()| broker)
    }
}

fn choose(what: &Coordinated, live: &[i32]) -> Option<i32> {
    live.get(what.hash().checked_rem(live.len())?).copied()
}
