//! The faults that wait, and what they come to for one request.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::{Action, Forgery, InjectedError, Loss, Pace, When};
use super::conditions::{Arrival, Target};
use super::fault::Fault;
use crate::api::Api;

/// An order to move a leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderMove {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) to: Option<i32>,
}

/// All faults of a cluster that have not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Oldest first; none with nothing left.
    faults: Vec<Fault>,
    delays: BTreeMap<(Option<i32>, Option<Api>), Duration>,
}

impl Faults {
    pub(crate) fn pending(&self) -> Vec<Fault> {
        self.faults.clone()
    }

    pub(crate) fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn set_delay(&mut self, broker: Option<i32>, api: Option<Api>, delay: Duration) {
        if delay.is_zero() {
            self.delays.remove(&(broker, api));
        } else {
            self.delays.insert((broker, api), delay);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
        self.delays.clear();
    }

    /// Whether targets need not be worked out.
    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Decides what happens to a request, and counts the faults down.
    pub(crate) fn plan(&mut self, api: Api, broker: i32, arrival: Arrival, targets: &[Target]) -> FaultPlan {
        let mut plan = FaultPlan { delay: self.standing_delay(api, broker), ..FaultPlan::default() };
        for fault in &mut self.faults {
            if !fault.fits(api, broker, arrival, targets) {
                continue;
            }
            if !fault.lets_pass() && plan.take_up(fault, targets) {
                fault.count_hit();
            }
        }
        self.faults.retain(|fault| !fault.is_used_up());
        plan
    }

    fn standing_delay(&self, api: Api, broker: i32) -> Duration {
        let fits = |wanted: &(Option<i32>, Option<Api>)| {
            wanted.0.is_none_or(|wanted| wanted == broker) && wanted.1.is_none_or(|wanted| wanted == api)
        };
        self.delays
            .iter()
            .filter(|(wanted, _)| fits(wanted))
            .map(|(_, delay)| *delay)
            .max()
            .unwrap_or_default()
    }
}

/// What will happen to one request.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    pub(crate) delay: Duration,
    pub(crate) throttle: Option<Duration>,
    /// Whether the broker says in SCRAM what only a broker says that does not know the password.
    pub(crate) has_wrong_proof: bool,
    pub(crate) loss: Option<Loss>,
    pub(super) forgery: Option<Forgery>,
    pub(super) pace: Option<Pace>,
    /// How long the broker hangs before it carries out the request.
    pub(crate) freeze: Option<Duration>,
    /// Moves of leaders before and after the request is carried out; each partition once.
    pub(crate) moves_before: Vec<LeaderMove>,
    pub(crate) moves_after: Vec<LeaderMove>,
    /// For requests that are about no topic.
    request_error: Option<InjectedError>,
    errors: Vec<(Target, InjectedError)>,
    left_out: Vec<Target>,
    is_delayed_by_fault: bool,
}

impl FaultPlan {
    /// The error code for the whole response, 0 if there is none.
    pub(crate) fn request_error(&self) -> i16 {
        self.request_error.map_or(0, |error| error.code)
    }

    /// The error for a topic (partition `None`) or a partition.
    pub(crate) fn error(&self, topic: &str, partition: Option<i32>) -> Option<InjectedError> {
        let hit = |target: &Target| target.topic == topic && target.partition == partition;
        self.errors.iter().find(|(target, _)| hit(target)).map(|(_, error)| *error)
    }

    /// The error for a topic that is not to be carried out, 0 if there is none.
    pub(crate) fn topic_error(&self, topic: &str) -> i16 {
        self.error(topic, None).map_or(0, |error| error.code)
    }

    /// Whether a topic (partition `None`) or a partition is missing in the answer.
    pub(crate) fn leaves_out(&self, topic: &str, partition: Option<i32>) -> bool {
        self.left_out.iter().any(|target| target.topic == topic && target.partition == partition)
    }

    /// Any error that a topic or partition will get.
    pub(crate) fn has_error(&self, code: i16) -> bool {
        self.request_error() == code || self.errors.iter().any(|(_, error)| error.code == code)
    }

    pub(crate) fn throttle_time_ms(&self) -> i32 {
        self.throttle.map_or(0, |time| i32::try_from(time.as_millis()).unwrap_or(i32::MAX))
    }

    /// Returns false if an older fault of the same kind has the place.
    fn take_up(&mut self, fault: &Fault, targets: &[Target]) -> bool {
        match *fault.action() {
            Action::Delay(_) if self.is_delayed_by_fault => false,
            Action::Delay(delay) => {
                self.delay = self.delay.max(delay);
                self.is_delayed_by_fault = true;
                true
            }
            Action::Error(error) => self.take_up_error(fault, error, targets),
            Action::Forge(ref forgery) => put_first(&mut self.forgery, forgery.clone()),
            Action::Freeze(time) => put_first(&mut self.freeze, time),
            Action::LeaveOut => {
                let before = self.left_out.len();
                let covered = targets.iter().filter(|target| fault.covers(target));
                let new: Vec<_> = covered.filter(|target| !self.left_out.contains(target)).cloned().collect();
                self.left_out.extend(new);
                self.left_out.len() > before
            }
            Action::Lose(loss) => put_first(&mut self.loss, loss),
            Action::MoveLeader { to, when: When::After } => {
                take_up_move(&mut self.moves_after, fault, to, targets)
            }
            Action::MoveLeader { to, when: When::Before } => {
                take_up_move(&mut self.moves_before, fault, to, targets)
            }
            Action::Throttle(time) => put_first(&mut self.throttle, time),
            Action::Trickle(pace) => put_first(&mut self.pace, pace),
            Action::WrongProof => !std::mem::replace(&mut self.has_wrong_proof, true),
        }
    }

    fn take_up_error(&mut self, fault: &Fault, error: InjectedError, targets: &[Target]) -> bool {
        if targets.is_empty() && self.request_error.is_none() {
            self.request_error = Some(error);
            return true;
        }
        let mut used = false;
        for target in targets {
            if fault.covers(target) && self.error(&target.topic, target.partition).is_none() {
                self.errors.push((target.clone(), error));
                used = true;
            }
        }
        used
    }
}

/// Returns false if the place is taken.
fn put_first<T>(place: &mut Option<T>, value: T) -> bool {
    let is_free = place.is_none();
    place.get_or_insert(value);
    is_free
}

/// Returns false if there is nothing to move that an older fault does not move already.
fn take_up_move(moves: &mut Vec<LeaderMove>, fault: &Fault, to: Option<i32>, targets: &[Target]) -> bool {
    let before = moves.len();
    for target in targets.iter().filter(|target| fault.covers(target)) {
        let Some(partition) = target.partition else { continue };
        if !moves.iter().any(|known| known.topic == target.topic && known.partition == partition) {
            moves.push(LeaderMove { topic: target.topic.clone(), partition, to });
        }
    }
    moves.len() > before
}
