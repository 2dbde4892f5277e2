//! `Board`: the accounts of brokers, as callers can read them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::account::{self, Account, Place};
use crate::config::HostPort;
use crate::error::BrokerReport;

/// How brokers have fared, for errors and for health. The sender writes it when connections come and go.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<Place, Account>>);

impl Board {
    /// Returns how all brokers have fared: `leader` first, if that is given, then those that tell most.
    pub(crate) fn reports(&self, leader: Option<&HostPort>, now: Instant) -> Vec<BrokerReport> {
        account::reports(&self.accounts(), leader.map(Place::of).as_ref(), now)
    }

    pub(super) fn set(&self, place: &Place, account: &Account) {
        self.accounts().insert(place.clone(), account.clone());
    }

    pub(super) fn remove(&self, place: &Place) {
        self.accounts().remove(place);
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<Place, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
