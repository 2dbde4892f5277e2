//! `drive`: the steps in which a [`SenderCore`] is driven, and their order. No other file knows that order.
//!
//! The world around a core is an [`Outside`]. There are four: the task of a real producer (`shell.rs`), the simulation, the rig of
//! the tests, and the machine of the fuzzers. An outside has sockets, clocks and a timer, or plays them.
//!
//! ```text
//!  begin_round ─► take_wake_up ─► hand_over ─► SenderCore::poll_as_of ─► poll_action ─► open, transmit, close,
//!       ▲                                                                               publish, seal, take_back_seals
//!       └──────────── something was done ◄──────────────────────────────────────────────┘  │ nothing was done
//!                                                                      set_timer ◄──────────┘
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::SealJob;
use crate::metadata::Cluster;
use crate::network::{ConnectionId, Frame, NetworkAction};
use crate::sender::control::guarded;
use crate::sender::core::{Action, SenderCore};
use crate::topic_partition::NodeId;

/// The world around a core: what happens in it, and how to act on it.
pub(crate) trait Outside {
    fn core(&mut self) -> &mut SenderCore;

    /// Returns the time at which the next round happens.
    fn begin_round(&mut self) -> Moment;

    /// Takes the wake-up that callers have left, and returns whether there was one. A caller whose news come too late for this round
    /// leaves another.
    fn take_wake_up(&mut self) -> bool;

    /// Hands to the core what has happened. `None` ends the sender.
    fn hand_over(&mut self, now: Instant) -> Option<HandedOver>;

    /// Connects, and hands the outcome over once there is one.
    fn open(&mut self, connection: ConnectionId, address: Address);

    /// Ends a connection, or the attempt at it.
    fn close(&mut self, connection: ConnectionId);

    /// Writes a frame after those before it.
    ///
    /// # Errors
    ///
    /// Returns the frame if there is no connection.
    fn transmit(&mut self, connection: ConnectionId, frame: Frame) -> Result<(), Frame>;

    /// Shows callers a view of the cluster.
    fn publish(&mut self, cluster: Arc<Cluster>);

    /// Has a batch compressed, away from the core.
    fn seal(&mut self, job: SealJob);

    /// Takes back the compressions that no other thread has begun.
    fn take_back_seals(&mut self);

    /// Called at the end of each round. Returns whether the sender has come to its end.
    fn has_ended(&mut self, now: Instant) -> bool;

    /// Sets the timer to the [`next_deadline`] of the core. Returns whether the timer has fired already.
    fn set_timer(&mut self, now: Instant) -> bool;
}

/// What clocks show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// In milliseconds since 1970.
    pub(crate) wall_clock: i64,
}

/// What an outside says of what it has handed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandedOver {
    /// All that had come by then was handed over.
    pub(crate) read_until: Instant,
    /// There may be more to hand over at once.
    pub(crate) is_busy: bool,
}

/// Where a connection leads.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) node: NodeId,
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    /// Counts the attempts at this address: each should begin with another IP address.
    pub(crate) attempt: usize,
}

/// Why the driver has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing is left to do before the timer fires or something happens.
    Asleep,
    /// The sender has ended.
    Ended,
    /// There is more to do, after so many rounds that others should have their turn.
    Restless,
}

/// Rounds in a row before others have their turn.
pub(crate) const MAX_ROUNDS: usize = 64;

/// The shortest sleep that the runtime's timer can tell apart. With a shorter one, a deadline that is due again and again would
/// keep the task spinning.
pub(crate) const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// Does what there is to do.
pub(crate) fn drive(outside: &mut impl Outside) -> Rest {
    for _ in 0..MAX_ROUNDS {
        let moment = outside.begin_round();
        let Some(is_busy) = round(outside, moment) else { return Rest::Ended };
        if is_busy {
            continue;
        }
        if !outside.set_timer(moment.now) {
            return Rest::Asleep;
        }
    }
    Rest::Restless
}

/// Returns when to drive a core again if nothing happens before.
pub(crate) fn next_deadline(core: &SenderCore, now: Instant) -> Option<Instant> {
    core.poll_timeout(now).map(|at| at.max(now + SHORTEST_SLEEP))
}

/// Takes in what happened and does what is due. Returns whether there may be more to do at once, `None` at the end.
fn round(outside: &mut impl Outside, moment: Moment) -> Option<bool> {
    let Moment { now, wall_clock } = moment;
    let is_woken = outside.take_wake_up();
    let HandedOver { read_until, is_busy } = outside.hand_over(now)?;
    outside.core().poll_as_of(now, wall_clock, read_until);
    let mut is_busy = is_busy | is_woken;
    while let Some(action) = outside.core().poll_action() {
        is_busy = true;
        act(outside, action, now);
    }
    (!outside.has_ended(now)).then_some(is_busy)
}

fn act(outside: &mut impl Outside, action: Action, now: Instant) {
    match action {
        Action::Network(NetworkAction::Connect { connection, node, host, port, attempt }) => {
            outside.open(connection, Address { node, host, port, attempt });
        }
        Action::Network(NetworkAction::Close { connection }) => outside.close(connection),
        Action::Network(NetworkAction::Transmit { connection, frame }) => {
            if let Err(frame) = outside.transmit(connection, frame) {
                let first_unsent = Some(frame.correlation_id);
                let network = outside.core().network();
                network.handle_closed(connection, "not connected".into(), first_unsent, now);
            }
        }
        Action::Answer(answer) => {
            // Wakes the caller.
            guarded(|| drop(answer));
        }
        Action::Publish(cluster) => outside.publish(cluster),
        Action::Seal(job) => outside.seal(job),
        Action::TakeBackSeals => outside.take_back_seals(),
    }
}
