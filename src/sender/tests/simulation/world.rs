//! What happens on the brokers' side, and what goes wrong.

use std::time::Duration;

use bytes::Bytes;
use kafka_mock::sans_io::Reaction;
use kafka_mock::{Api, Fault};

use super::super::rig::millis;
use super::damage::inflict;
use super::line::End;
use super::run::{EVENTS, Event, ORDERS, Simulation, port};
use super::sasl::{PASSWORD, USER};
use super::schedule::{Damage, Loss, NODES, Op, Rest};
use crate::network::ConnectionId;

impl Simulation {
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Abort => self.abort(),
            Event::Alarm(waker) => waker.wake(),
            Event::Alert(id) => self.alert(id),
            Event::Arrive(id) => self.arrive(id),
            Event::ArriveLate(id, chunks) => {
                if let Some(line) = self.lines.get_mut(&id) {
                    chunks.iter().for_each(|chunk| line.arrived(chunk));
                    self.serve(id);
                }
            }
            Event::Connected(id) => self.connected(id),
            Event::Create => self.create(),
            Event::EndFlush => drop(self.flushes.pop_front()),
            Event::Fetch(node) => self.fetch(node),
            Event::Fetched(number) => self.fetched(number),
            Event::Mark => self.mark(),
            Event::Rival => self.rival_goes_on(),
            Event::LogIn => self.look_at_login(),
            Event::Noticed(node) => self.notice(node),
            Event::Password => self.brokers.set_sasl_user(USER, PASSWORD),
            Event::Op(index) if self.is_left_out(self.ops[index].1) => {}
            Event::Op(index) => self.operate(self.ops[index].1),
            Event::Relead(place) => self.relead(place),
            Event::Restart(node) => self.restart(node),
            Event::Resume(id) => self.resume(id),
            Event::Return(id) => self.come_back(id),
            Event::WorkersFree => self.free_workers(),
            Event::Sealed => self.sealed(),
            Event::Serve(id) => self.serve(id),
            Event::Writable => self.wake(),
        }
    }

    fn arrive(&mut self, id: ConnectionId) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let stalled_until = self.nodes[line.node as usize].stalled_until;
        if stalled_until > self.now {
            return self.at(stalled_until, Event::Arrive(id));
        }
        if let Some(chunk) = line.up.chunks.pop_front() {
            line.arrived(&chunk);
            self.after(Duration::ZERO, Event::Serve(id));
            self.after(Duration::ZERO, Event::Writable);
        }
    }

    fn come_back(&mut self, id: ConnectionId) {
        let longest_pause = millis(self.setup.delivery_timeout);
        let Some(line) = self.lines.get_mut(&id) else { return };
        let stalled_until = self.nodes[line.node as usize].stalled_until;
        if stalled_until > self.now {
            return self.at(stalled_until, Event::Return(id));
        }
        match line.down.chunks.pop_front() {
            Some(chunk) => {
                line.receive(&chunk);
                line.heard += chunk.len();
                line.hear_welcome(self.now);
                while let Some((at, time)) = line.orders.front().copied()
                    && at <= line.heard
                {
                    line.orders.pop_front();
                    // The sender waits no longer than records may wait.
                    line.told_until = line.told_until.max(self.now + time.min(longest_pause));
                }
            }
            None if line.down.is_ended => line.end(End::Closed),
            None => {}
        }
        self.wake();
    }

    /// A broker reads the next request of a connection.
    fn serve(&mut self, id: ConnectionId) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let node = line.node;
        let state = &self.nodes[node as usize];
        if state.is_dead || line.is_busy || line.is_deaf {
            return;
        }
        let later = state.frozen_until.max(line.muted_until);
        if later > self.now {
            return self.at(later, Event::Serve(id));
        }
        if let Some(frame) = line.next_frame() {
            line.is_busy = true;
            line.api = match line.client.awaits_words() {
                true => WORDS,
                false => (i16::from_be_bytes([frame[0], frame[1]]), i16::from_be_bytes([frame[2], frame[3]])),
            };
            let is_strict = self.setup.sasl.is_some_and(|sasl| sasl.is_strict);
            self.note_late_question(id);
            let Some(line) = self.lines.get_mut(&id) else { return };
            let reaction = match node {
                _ if is_strict && !line.client.is_let_in() && !line.inbox.is_empty() => Reaction::Close,
                0..NODES => self.brokers.handle_of(&mut line.client, node, frame, self.now),
                _ => self.controllers.handle_of(&mut line.client, node - NODES, frame, self.now),
            };
            self.react(id, reaction);
            self.tend();
        }
    }

    fn react(&mut self, id: ConnectionId, reaction: Reaction) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let node = line.node;
        match reaction {
            Reaction::Close => {
                line.is_deaf = true;
                line.down.is_ended = true;
                let at = line.down.clock.max(self.now);
                self.at(at, Event::Return(id));
            }
            Reaction::Hang => line.is_deaf = true,
            Reaction::Reply { frame, delay, mute } => {
                line.is_busy = false;
                line.muted_until = self.now + delay + mute;
                self.answer(id, node, frame, delay, mute);
                let pause = delay + self.noise.micros(0, 500);
                self.after(pause, Event::Serve(id));
            }
            Reaction::Silence => {
                line.is_busy = false;
                self.after(Duration::ZERO, Event::Serve(id));
            }
            Reaction::Wait(waiting) => {
                let until = waiting.until();
                line.waiting = Some(waiting);
                self.at(until, Event::Resume(id));
            }
        }
    }

    fn answer(&mut self, id: ConnectionId, node: i32, frame: Bytes, delay: Duration, mute: Duration) {
        let api = self.lines[&id].api;
        if node < NODES && api != WORDS {
            self.note_answer(&frame, api);
            self.note_given_epoch(&frame, api);
        }
        self.note_admission(id, &frame, api);
        let fits = |damage: &Damage| {
            let is_for_produce = matches!(damage, Damage::LeftOut | Damage::Swapped);
            api != WORDS && (api.0 == Api::Produce.key() || !is_for_produce)
        };
        let damages = &mut self.node_mut(node).damages;
        let before = damages.len();
        let (mut frame, is_torn) = match damages.iter().position(fits).and_then(|at| damages.remove(at)) {
            None => (frame, false),
            Some(damage) => inflict(frame, damage, api.1),
        };
        let is_damaged = self.node(node).damages.len() < before;
        if let Some(line) = self.lines.get_mut(&id) {
            line.sent += frame.len();
            if !mute.is_zero() && !is_damaged && obeys(api) && !refuses_version(&frame, api) {
                line.orders.push_back((line.sent, mute));
            }
        }
        while !frame.is_empty() {
            let len = if self.noise.is(85) { frame.len() } else { self.noise.between(1, 100) as usize };
            let chunk = frame.split_to(len.min(frame.len()));
            let latency = self.latency(node);
            let now = self.now;
            let Some(line) = self.lines.get_mut(&id) else { return };
            line.down.clock = line.down.clock.max(now + delay + latency);
            line.down.chunks.push_back(chunk);
            let at = line.down.clock;
            self.at(at, Event::Return(id));
        }
        if is_torn && let Some(line) = self.lines.get_mut(&id) {
            line.is_deaf = true;
            line.down.is_ended = true;
            let at = line.down.clock;
            self.at(at, Event::Return(id));
        }
    }

    fn resume(&mut self, id: ConnectionId) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let node = line.node;
        let frozen_until = self.nodes[node as usize].frozen_until;
        if line.waiting.is_some() && frozen_until > self.now {
            return self.at(frozen_until, Event::Resume(id));
        }
        if let Some(waiting) = line.waiting.take() {
            let reaction = self.brokers.resume(waiting, self.now);
            self.react(id, reaction);
        }
    }

    /// Something has changed on the brokers: requests may wait no longer, followers may have something to copy.
    pub(super) fn tend(&mut self) {
        self.tend_transactions();
        let waiting = self.lines.iter().filter(|(_, line)| line.waiting.is_some());
        let waiting: Vec<_> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            self.resume(id);
        }
        for node in 0..NODES {
            if !self.node(node).is_dead && self.brokers.is_behind(node) {
                let delay = self.noise.micros(300, 4000);
                self.schedule_fetch(node, delay);
            }
        }
    }

    fn schedule_fetch(&mut self, node: i32, delay: Duration) {
        if !self.set_fetching(node, true) {
            let state = self.node(node);
            let at = (self.now + delay).max(state.lags_until).max(state.frozen_until);
            self.at(at, Event::Fetch(node));
        }
    }

    fn fetch(&mut self, node: i32) {
        self.set_fetching(node, false);
        let state = self.node(node);
        if state.is_dead {
            return;
        }
        if state.lags_until.max(state.frozen_until) > self.now {
            return self.schedule_fetch(node, Duration::ZERO);
        }
        let batches = self.noise.between(1, 6) as usize;
        let (nodes, now) = (&self.nodes, self.now);
        let can_reach = |leader: i32| {
            let leader = &nodes[leader as usize];
            !leader.is_dead && leader.frozen_until <= now
        };
        if self.brokers.fetch(node, batches, can_reach) {
            self.tend();
        } else if self.brokers.is_behind(node) {
            self.schedule_fetch(node, millis(20));
        }
    }

    fn crash(&mut self, node: i32) {
        self.node_mut(node).is_dead = true;
        let ids: Vec<_> =
            self.lines.iter().filter(|(_, line)| line.node == node).map(|(id, _)| *id).collect();
        for id in ids {
            self.cut(id, Rest::IsLost, Rest::IsLost);
            // A broker that starts anew knows nothing of what had come for it, also where the producer had left before.
            if let Some(line) = self.lines.get_mut(&id) {
                line.forget();
            }
        }
    }

    fn notice(&mut self, node: i32) {
        if self.node(node).is_dead {
            self.changes += 1;
            self.brokers.broker_down(node).unwrap();
            self.tend();
        }
    }

    fn restart(&mut self, node: i32) {
        if std::mem::take(&mut self.node_mut(node).is_dead) {
            self.changes += 1;
            let port = self.node(node).port;
            self.brokers.broker_up(node, port).unwrap();
            self.tend();
        }
    }

    /// Breaks a connection.
    pub(super) fn cut(&mut self, id: ConnectionId, up: Rest, down: Rest) {
        let end = self.end_of_cut();
        let Some(line) = self.lines.get_mut(&id).filter(|line| !line.is_left) else { return };
        match up {
            Rest::Arrives => {}
            Rest::ArrivesLate(delay) => {
                let late = std::mem::take(&mut line.up.chunks).into();
                self.after(millis(delay), Event::ArriveLate(id, late));
            }
            Rest::ArrivesUpTo(len) => line.up.keep(len),
            Rest::IsLost => line.forget(),
        }
        let Some(line) = self.lines.get_mut(&id) else { return };
        match down {
            Rest::Arrives | Rest::ArrivesLate(_) => {}
            Rest::ArrivesUpTo(len) => line.down.keep(len),
            Rest::IsLost => line.down.chunks.clear(),
        }
        for chunk in std::mem::take(&mut line.down.chunks) {
            line.receive(&chunk);
        }
        line.end(end);
        self.wake();
    }

    fn relead(&mut self, place: i32) {
        let (topic, partition) = self.place(place);
        if self.brokers.leader(topic, partition).is_none() {
            for node in 0..NODES {
                if self.brokers.elect(topic, partition, Some(node)).unwrap_or(false) {
                    self.changes += 1;
                    break;
                }
            }
        }
        self.tend();
    }

    fn lead(&mut self, place: i32, node: Option<i32>) {
        let (topic, partition) = self.place(place);
        if node.is_none_or(|node| !self.node(node).is_dead)
            && self.brokers.elect(topic, partition, node).unwrap_or(false)
        {
            self.changes += 1;
        }
        self.tend();
    }

    fn operate(&mut self, op: Op) {
        let now = self.now;
        tracing::debug!(?now, ?op, "simulated");
        match op {
            Op::AddPartition => self.add_partition(),
            Op::Crash { node, noticed, lasts, moves } => {
                if !self.node(node).is_dead {
                    self.crash(node);
                    if moves {
                        self.node_mut(node).port += port(0, 1) - port(0, 0);
                    }
                    self.after(millis(noticed), Event::Noticed(node));
                    self.after(millis(noticed + lasts), Event::Restart(node));
                }
            }
            Op::Cut { node, up, down } => {
                let lines = self.lines.iter().filter(|(_, line)| line.node == node);
                for id in lines.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.cut(id, up, down);
                }
            }
            Op::DropDeliveries => self.accepted.iter_mut().for_each(|accepted| accepted.delivery = None),
            Op::Flush { lasts } => {
                self.flush();
                self.after(millis(lasts), Event::EndFlush);
            }
            Op::ForgetProducers => {
                // After this time nothing that these producers have sent can still be under way.
                let idle = millis(self.setup.delivery_timeout) + FORGOTTEN_AFTER;
                self.brokers.forget_producers(idle);
            }
            Op::Freeze { node, lasts } => self.node_mut(node).frozen_until = now + millis(lasts),
            Op::Jump { lasts } => self.advance(now + millis(lasts)),
            Op::Lag { node, lasts } => self.node_mut(node).lags_until = now + millis(lasts),
            Op::Lead { partition, node } => self.lead(partition, Some(node)),
            Op::Leaderless { partition, lasts } => {
                self.lead(partition, None);
                self.after(millis(lasts), Event::Relead(partition));
            }
            Op::Mangle { node, how } => self.node_mut(node).damages.push_back(how),
            Op::Pause { lasts } => self.asleep_until = now + millis(lasts),
            Op::Recreate { lasts } => {
                self.delete();
                self.after(millis(lasts), Event::Create);
            }
            Op::Refuse { node, lasts } => self.node_mut(node).refuses_until = now + millis(lasts),
            Op::Send { partition, spread, count, len } => {
                let places = self.setup.partitions + 1;
                let place = |index: u32| (partition + index as i32 % spread) % places;
                (0..count).for_each(|index| self.send(place(index), len));
            }
            Op::Shrink { node } => {
                self.brokers.remove_from_sync(node);
                self.tend();
            }
            Op::Slow { node, latency, lasts } => {
                let state = self.node_mut(node);
                (state.latency, state.slow_until) = (millis(latency), now + millis(lasts));
            }
            Op::Stall { node, lasts } => self.node_mut(node).stalled_until = now + millis(lasts),
            op => self.trouble(op),
        }
    }

    /// What only some runs have.
    fn trouble(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::Backfill { partition, spread, count, age } => {
                let places = self.setup.partitions + 1;
                let place = |index: u32| (partition + index as i32 % spread) % places;
                (0..count).for_each(|index| self.send_as(place(index), 10, millis(age), false));
            }
            Op::BadRecord { partition, before, after } => {
                (0..before).for_each(|_| self.send(partition, 10));
                self.send_as(partition, 10, Duration::ZERO, true);
                (0..after).for_each(|_| self.send(partition, 10));
            }
            Op::BusyPool { lasts } => self.busy_workers(millis(lasts)),
            Op::ChangePassword { lasts } => {
                self.brokers.set_sasl_user(USER, "another");
                self.after(millis(lasts), Event::Password);
            }
            Op::Close { patience } => self.close(millis(patience)),
            Op::DropWork => self.drop_work(),
            Op::EpochLead { partition, lead } => {
                let (topic, partition) = self.place(partition);
                self.brokers.set_epoch_lead(topic, partition, lead);
            }
            Op::Expire => {
                let oldest = self.wall_clock() - FORGOTTEN_AFTER.as_millis() as i64;
                self.brokers.expire_producers(oldest);
            }
            Op::Hide { lasts } => {
                for node in 0..NODES {
                    self.node_mut(node).hidden_until = now + millis(lasts);
                }
            }
            Op::Purge { all } => self.purge(all),
            Op::Withdraw { every } => self.withdraw(every),
            Op::Quota { time, times } => {
                (0..NODES).for_each(|node| self.inject(Op::Throttle { node, time, times }));
            }
            Op::Relocate { lasts } => {
                for node in 0..NODES {
                    self.operate(Op::Crash { node, noticed: lasts / 2, lasts: lasts / 2, moves: true });
                }
            }
            Op::Replace => self.replace(),
            Op::Resume => self.resume_partitions(),
            Op::CancelCallers => {
                self.callers.clear();
                if let Some(side) = &self.transactional {
                    side.desk.cancel();
                }
            }
            Op::DelayTokens { .. } | Op::HaltTokens { .. } | Op::RevokeTokens => self.trouble_login(op),
            Op::Distrust { .. } => self.distrust(op),
            op if self.operate_transactions(op) => {}
            fault => self.inject(fault),
        }
    }

    fn inject(&mut self, op: Op) {
        let fault = match op {
            Op::Deny { times } => Fault::error_code(58).api(Api::SaslAuthenticate).times(times),
            Op::Pretend { times } => Fault::wrong_proof().api(Api::SaslAuthenticate).times(times),
            Op::Doubt { node, code, times } => {
                Fault::error_code_after_append(code).api(Api::Produce).broker(node).times(times)
            }
            Op::IdError { code, times } => Fault::error_code(code).api(Api::InitProducerId).times(times),
            Op::Lose { node, api, what } => {
                let fault = match what {
                    Loss::Answer => Fault::drop_response(),
                    Loss::Request => Fault::disconnect_before(),
                    Loss::Connection => Fault::disconnect_after(),
                };
                fault.api(Api::from_key(api).unwrap()).broker(node)
            }
            Op::MetadataError { code, times } => {
                Fault::error_code(code).api(Api::Metadata).topic(ORDERS).times(times)
            }
            Op::Refusal { node, code, times } => {
                Fault::error_code(code).api(Api::Produce).broker(node).times(times)
            }
            Op::Throttle { node, time, times } => Fault::throttle(millis(time)).broker(node).times(times),
            _ => return,
        };
        self.brokers.inject(fault);
    }

    /// Ends everything that is wrong.
    pub(super) fn heal(&mut self) {
        let now = self.now;
        self.asleep_until = now;
        self.brokers.clear_faults();
        self.brokers.set_sasl_user(USER, PASSWORD);
        self.heal_login();
        self.heal_transactions();
        self.flushes.clear();
        for node in 0..NODES {
            let state = self.node_mut(node);
            state.damages.clear();
            for until in [
                &mut state.frozen_until,
                &mut state.stalled_until,
                &mut state.refuses_until,
                &mut state.slow_until,
                &mut state.lags_until,
                &mut state.hidden_until,
                &mut state.distrusts_until,
            ] {
                *until = (*until).min(now);
            }
            if state.is_dead && self.brokers.is_up(node) {
                self.notice(node);
            }
            self.restart(node);
            // One that was to come late need not wait for that time.
            self.set_fetching(node, false);
        }
        // What was to go on late need not wait for that time.
        self.hurry_attempts();
        let ids: Vec<_> = self.lines.keys().copied().collect();
        for id in ids {
            self.lines.entry(id).and_modify(|line| line.muted_until = now);
            self.after(Duration::ZERO, Event::Serve(id));
        }
        while self.partitions < self.setup.partitions {
            self.add_partition();
        }
        self.create();
        for place in 0..=self.setup.partitions {
            self.relead(place);
            let (topic, partition) = self.place(place);
            self.brokers.set_epoch_lead(topic, partition, 0);
        }
        debug_assert!(self.brokers.leader(EVENTS, 0).is_some());
        self.tend();
    }
}

/// Kind and version of words of a mechanism that are no request.
const WORDS: (i16, i16) = (36, -1);

/// Kafka's code.
const UNSUPPORTED_VERSION: i16 = 35;

const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);

/// Whether an answer refuses the version of ApiVersions. It comes in version 0, which has no place for a wait.
fn refuses_version(frame: &[u8], (api, _): (i16, i16)) -> bool {
    api == Api::ApiVersions.key() && frame.get(8..10) == Some(&UNSUPPORTED_VERSION.to_be_bytes())
}

/// Whether an answer of this kind and version has clients wait, rather than only their broker (KIP-219).
fn obeys((api, version): (i16, i16)) -> bool {
    match Api::from_key(api) {
        Some(Api::Produce | Api::Metadata) => version >= 6,
        Some(Api::ApiVersions) => version >= 2,
        // There is no place for it.
        Some(Api::SaslAuthenticate | Api::SaslHandshake) => false,
        _ => version >= 1,
    }
}
