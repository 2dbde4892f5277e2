//! What the sender of a run meets: simulated sockets, one clock, one timer.

use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use super::line::Line;
use super::run::{Attempt, BOOTSTRAP_PORT, Event, ORDERS, Simulation};
use crate::accumulator::{SealJob, Work};
use crate::metadata::Cluster;
use crate::network::{ConnectionId, Frame};
use crate::sender::drive::SHORTEST_SLEEP;
use crate::sender::{Address, HandedOver, Moment, Outside, SenderCore, next_deadline};

impl Outside for Simulation {
    fn core(&mut self) -> &mut SenderCore {
        &mut self.core
    }

    fn begin_round(&mut self) -> Moment {
        Moment { now: self.instant(), wall_clock: self.wall_clock() }
    }

    fn take_wake_up(&mut self) -> bool {
        self.accumulator.wake_flag().poll(&Context::from_waker(&self.waker()))
    }

    fn hand_over(&mut self, now: Instant) -> Option<HandedOver> {
        if self.handle_orders(now) {
            return None;
        }
        let (waker, lines) = (self.waker(), &mut self.lines);
        let lost = |id| {
            if let Some(line) = lines.get_mut(&id) {
                // The producer has given it up, for instance because a frame makes no sense.
                line.is_left = true;
            }
        };
        self.sockets.poll(self.core.network(), &mut Context::from_waker(&waker), now, lost);
        Some(HandedOver { read_until: now, is_busy: false })
    }

    fn open(&mut self, connection: ConnectionId, address: Address) {
        self.connects += 1;
        let port = address.port;
        let node = self.node_at(port);
        self.connecting.insert(connection, Attempt { node, is_bootstrap: port == BOOTSTRAP_PORT });
        let latency = self.latency(node.unwrap_or(0));
        self.after(latency, Event::Connected(connection));
    }

    fn close(&mut self, connection: ConnectionId) {
        self.connecting.remove(&connection);
        self.sockets.close(connection);
        if let Some(line) = self.lines.get_mut(&connection) {
            // What it has written is on its way all the same.
            line.is_left = true;
        }
    }

    fn transmit(&mut self, connection: ConnectionId, frame: Frame) -> Result<(), Frame> {
        // Who is not let in yet goes on with that, as Java's clients do. The broker reads it when it likes.
        let is_for_entry = self.is_for_entry(connection, &frame);
        let is_told = |line: &&Line| line.told_until > self.now && !is_for_entry;
        if let Some(line) = self.lines.get(&connection).filter(is_told) {
            let wait = line.told_until - self.now;
            self.violate(format!("node {} is asked {wait:?} before its quota ends", line.node));
        }
        self.check_creation(&frame);
        #[cfg(feature = "telemetry")]
        self.check_push(&frame);
        self.check_admission(connection, &frame);
        self.check_token(&frame);
        self.sockets.transmit(connection, frame)
    }

    fn publish(&mut self, cluster: Arc<Cluster>) {
        self.check_forgetting(cluster.topic(ORDERS).is_some());
        self.publish_cluster(cluster);
    }

    fn seal(&mut self, job: SealJob) {
        if let Err(work) = self.accumulator.seal_elsewhere(job) {
            work.run_if_quick();
        }
    }

    fn take_back_seals(&mut self) {
        self.accumulator.take_back_work().into_iter().for_each(Work::run_if_quick);
    }

    /// The simulation itself ends a sender that has no transactions.
    fn has_ended(&mut self, _: Instant) -> bool {
        self.end_if_idle()
    }

    fn set_timer(&mut self, now: Instant) -> bool {
        // In every second run the timers of the log do not wake the sender: nothing else may need them.
        let is_log_asleep = self.setup.noise.is_multiple_of(2);
        let deadline =
            if is_log_asleep { self.deadline_without_log(now) } else { next_deadline(&self.core, now) };
        self.timer = deadline.map(|at| at - self.base);
        false
    }
}

impl Simulation {
    /// When the sender would be woken if it told the log nothing. What it has to do must not depend on that.
    fn deadline_without_log(&self, now: Instant) -> Option<Instant> {
        let mut first: Option<Instant> = None;
        self.core.current_waits(now, |at, timer| {
            if !timer.is_of_log() {
                first = Some(first.map_or(at, |first| first.min(at)));
            }
        });
        first.map(|at| at.max(now + SHORTEST_SLEEP))
    }
}
