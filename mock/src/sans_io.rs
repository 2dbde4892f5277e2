//! The brokers without sockets, threads or clocks, for simulations: a frame in, a reaction out.
//!
//! [`Brokers`] judges requests by the same code as [`MockCluster`](crate::MockCluster). Bytes, time and faults of the
//! network are the caller's: it cuts frames, says what time it is, and carries answers. In addition each replica has a log
//! of its own here. Followers copy when they are told to ([`Brokers::fetch`]), requests with `acks=all` wait for those in
//! sync, and a new leader lacks what it had not copied. Transactions that end have their markers written when the caller says so
//! ([`Brokers::write_markers`]), and time out when it says what time it is ([`Brokers::time_out_transactions`]).
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use kafka_mock::sans_io::{Brokers, Reaction};
//!
//! # fn main() -> Result<(), kafka_mock::MockError> {
//! let mut brokers = Brokers::new(3);
//! (0..3).try_for_each(|id| brokers.broker_up(id, 9092))?;
//! brokers.create_topic("orders", 2, 3)?;
//!
//! let api_versions = Bytes::from_static(&[0, 18, 0, 0, 0, 0, 0, 7, 255, 255]);
//! let reaction = brokers.handle(0, api_versions, Duration::ZERO);
//!
//! assert!(matches!(reaction, Reaction::Reply { frame, .. } if frame[4..8] == [0, 0, 0, 7]));
//! # Ok(())
//! # }
//! ```

mod transactions;

use std::time::Duration;

use bytes::Bytes;

use crate::access_tokens::MockToken;
use crate::api::Api;
use crate::batch::{CheckedBatch, MockBatch};
use crate::broker::Broker;
use crate::error::MockError;
use crate::faults::{Arrival, Fault, FaultPlan, Loss};
use crate::handlers::produce::Producing;
use crate::log::{Appending, PartitionLog};
use crate::reaction::{self, Progress};
use crate::replication::Replication;
use crate::request::{Body, Request};
use crate::sasl::{Admission, Session};
use crate::state::{ClusterState, Settings, unknown};
use crate::telemetry::{PushedMetrics, TelemetrySubscription};
use crate::topic::Partition;
use crate::versions::VersionTable;

pub use crate::record_judge::RecordJudge;

/// A cluster of brokers that do nothing by themselves.
///
/// The brokers have the ids 0, 1 and so on, and are down until [`broker_up`](Self::broker_up).
#[derive(Debug)]
pub struct Brokers {
    state: ClusterState,
}

/// The log of one partition, for brokers whose other answers are made up by a test.
#[derive(Debug, Default)]
pub struct Log(PartitionLog);

impl Log {
    /// Appends a record batch and returns the offset of its first record, or that of its twin if it is there already.
    ///
    /// # Errors
    ///
    /// The error code with which a broker refuses the batch.
    pub fn append(&mut self, batch: Bytes) -> Result<i64, i16> {
        let batch = CheckedBatch::check(Some(&batch), i16::MAX).map_err(|rejection| rejection.code)?;
        let appending = Appending {
            leader_epoch: 0,
            now: Duration::ZERO,
            keeps_records: false,
            knows_all_producers: false,
        };
        self.0.append(&batch, appending).map_err(|rejection| rejection.code)
    }

    /// Forgets of each producer all but its last batch, as a broker that is restarted does.
    pub fn restart(&mut self) {
        self.0.restart();
    }

    /// Forgets all producers, as a broker does with those whose last records are too old.
    pub fn forget_producers(&mut self) {
        self.0.forget_producers(Duration::from_nanos(1));
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reaction {
    /// Close the connection once earlier answers are out.
    Close,
    /// Answer nothing and read nothing more from this connection, but leave it open.
    Hang,
    /// Send this frame, its length included, this long after the request came.
    Reply {
        /// The bytes.
        frame: Bytes,
        /// Ordered by [`Fault::delay`].
        delay: Duration,
        /// Ordered by [`Fault::throttle`]: read nothing from the connection for this long once the answer is sent.
        mute: Duration,
    },
    /// The client expects no answer.
    Silence,
    /// Something must happen first. Ask again with [`Brokers::resume`], and meanwhile read nothing from the connection.
    Wait(Box<Waiting>),
}

/// A request that waits for replicas, for records or for members of its group.
#[derive(Debug)]
pub struct Waiting {
    broker: i32,
    request: Request,
    plan: FaultPlan,
    producing: Option<Producing>,
    progress: Progress,
    until: Option<Duration>,
}

impl Waiting {
    /// Returns when to ask again whatever happens, in time since the cluster began.
    pub fn until(&self) -> Duration {
        self.until.unwrap_or(Duration::MAX)
    }
}

/// What a broker knows of one connection: who the client has said that it is.
#[derive(Debug, Default)]
pub struct Client(Session);

impl Client {
    /// Whether the next frame has words of a SASL mechanism, and is no request.
    pub fn awaits_words(&self) -> bool {
        self.0.awaits_words()
    }

    /// Whether the client has said who it is, and is not about to say it again.
    pub fn is_let_in(&self) -> bool {
        self.0.is_let_in()
    }

    /// Returns how long the session lasts that has begun last, if it has a limit.
    pub fn session_lifetime(&self) -> Option<Duration> {
        self.0.lifetime()
    }
}

/// Who is let in.
impl Brokers {
    /// Lets in only clients that say by SASL that they are this user, for as long as a session lasts. `is_without_headers` is as in
    /// [`MockClusterBuilder::sasl_without_headers`](crate::MockClusterBuilder::sasl_without_headers).
    pub fn demand_sasl(
        &mut self,
        name: &str,
        password: &str,
        session_lifetime: Option<Duration>,
        is_without_headers: bool,
    ) {
        let admission = Admission { session_lifetime, is_without_headers, ..Admission::default() };
        self.state.settings.admission = Some(admission);
        self.state.versions.add_sasl(is_without_headers);
        self.set_sasl_user(name, password);
    }

    /// Gives a user another password. Sessions that have begun go on.
    pub fn set_sasl_user(&mut self, name: &str, password: &str) {
        if let Some(admission) = &mut self.state.settings.admission {
            admission.users.insert(name.to_owned(), password.to_owned());
        }
    }

    /// Lets in clients with an access token, too, if brokers demand SASL (OAUTHBEARER).
    pub fn set_sasl_token(&mut self, token: &str, is: MockToken) {
        if let Some(admission) = &mut self.state.settings.admission {
            admission.tokens.insert(token.to_owned(), is);
        }
    }

    /// Lets clients in with this access token as a user, until the token ends if it does. `ends` is a time as in
    /// [`handle`](Self::handle).
    pub fn add_sasl_token(&mut self, token: &str, user: &str, ends: Option<Duration>) {
        if let Some(admission) = &mut self.state.settings.admission {
            admission.tokens.insert(token.to_owned(), MockToken::of(user).ending_at(ends));
        }
    }

    /// Lets clients in with none of the access tokens that there are. Sessions that have begun go on.
    pub fn revoke_sasl_tokens(&mut self) {
        if let Some(admission) = &mut self.state.settings.admission {
            admission.tokens.clear();
        }
    }
}

/// Requests.
impl Brokers {
    /// Makes a cluster of this many brokers, without topics; none are created by asking for them.
    pub fn new(brokers: i32) -> Self {
        let settings = Settings { auto_create_topics: false, replicates: true, ..Settings::default() };
        let mut state = ClusterState::new("simulated".to_owned(), brokers, settings, VersionTable::newest());
        state.count_topic_ids();
        Self { state }
    }

    /// Makes a cluster of other brokers, as many and with the same settings, without topics: what is found where the first
    /// one was. Ids of topics are others, and producer ids that were given out belong to others.
    pub fn replacement(&self, cluster_id: &str) -> Self {
        let brokers = i32::try_from(self.state.broker_ids().count()).unwrap_or(i32::MAX);
        let (settings, versions) = (self.state.settings.clone(), self.state.versions.clone());
        let mut state = ClusterState::new(cluster_id.to_owned(), brokers, settings, versions);
        state.count_on(&self.state);
        Self { state }
    }

    /// Hands a broker a frame, without its length. `now` is the time since the cluster began, and never goes back.
    pub fn handle(&mut self, broker: i32, frame: Bytes, now: Duration) -> Reaction {
        self.handle_of(&mut Client::default(), broker, frame, now)
    }

    /// The same with what the broker knows of the client from earlier frames of the connection.
    pub fn handle_of(&mut self, client: &mut Client, broker: i32, frame: Bytes, now: Duration) -> Reaction {
        self.state.now = self.state.now.max(now);
        let Client(session) = client;
        session.set_time(now);
        if session.awaits_words() {
            return match self.broker(broker).sasl_words(&frame, session) {
                Some(frame) => Reaction::Reply { frame, delay: Duration::ZERO, mute: Duration::ZERO },
                None => Reaction::Close,
            };
        }
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(reason) => {
                self.state.refuse(format!("broker {broker}: {reason}"));
                return Reaction::Close;
            }
        };
        let Some(plan) = self.broker(broker).receive(&request, Arrival::default(), session) else {
            return Reaction::Close;
        };
        let mut waiting = Box::new(Waiting {
            broker,
            request,
            plan,
            producing: None,
            progress: Progress::since(now),
            until: None,
        });
        if let Body::Produce(produce) = &waiting.request.body {
            if matches!(waiting.plan.loss, Some(Loss::DisconnectBefore | Loss::ResetBefore)) {
                return Reaction::Close;
            }
            waiting.producing = Some(self.broker(broker).begin_produce(produce, &waiting.plan));
            waiting.until = Some(now + produce.timeout);
        }
        self.go_on(waiting, session, now)
    }

    /// Asks again what becomes of a request that had to wait.
    pub fn resume(&mut self, waiting: Box<Waiting>, now: Duration) -> Reaction {
        // Only clients that were let in wait.
        self.go_on(waiting, &mut Session::default(), now)
    }

    fn go_on(&mut self, mut waiting: Box<Waiting>, session: &mut Session, now: Duration) -> Reaction {
        self.state.now = self.state.now.max(now);
        let is_late = waiting.until.is_some_and(|until| now >= until);
        let mut broker = self.broker(waiting.broker);
        let Waiting { request, plan, producing, progress, .. } = &mut *waiting;
        let reaction = match (&request.body, producing) {
            (Body::Produce(produce), Some(producing)) => {
                if !broker.state.is_up(broker.id) {
                    return Reaction::Close;
                }
                if !is_late && broker.is_waiting(producing, produce.acks) {
                    return Reaction::Wait(waiting);
                }
                let reaction = broker.end_produce(producing, produce, request, plan);
                broker.conclude(plan, reaction)
            }
            _ => broker.answer(request, plan, session, progress),
        };
        match reaction {
            reaction::Reaction::Close => Reaction::Close,
            reaction::Reaction::Hang => Reaction::Hang,
            reaction::Reaction::Reply { frame, delay } => {
                Reaction::Reply { frame, delay, mute: waiting.plan.throttle.unwrap_or_default() }
            }
            reaction::Reaction::Silence => Reaction::Silence,
            reaction::Reaction::Wait { until } => {
                waiting.until = until;
                Reaction::Wait(waiting)
            }
        }
    }

    /// Returns why requests were refused by closing their connection, oldest first, up to the newest 100.
    pub fn refusals(&self) -> &[String] {
        &self.state.refusals
    }

    fn broker(&mut self, id: i32) -> Broker<'_> {
        Broker { state: &mut self.state, id }
    }
}

/// Topics, leaders and replicas.
impl Brokers {
    /// Creates a topic as [`MockCluster::create_topic`](crate::MockCluster::create_topic) does.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
    ) -> Result<(), MockError> {
        self.state.create_topic(name, partitions, replication_factor)
    }

    /// Deletes a topic and its records.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownTopicOrPartition`].
    pub fn delete_topic(&mut self, name: &str) -> Result<(), MockError> {
        self.state.delete_topic(name)
    }

    /// Adds partitions until there are `total`.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownTopicOrPartition`], and [`MockError::InvalidPartitions`] if there are more already.
    pub fn add_partitions(&mut self, name: &str, total: i32) -> Result<(), MockError> {
        self.state.add_partitions(name, total)
    }

    /// Brings a broker up, at this port of 127.0.0.1. It leads those of its partitions that have no leader and for which
    /// it is in sync.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub fn broker_up(&mut self, broker: i32, port: u16) -> Result<(), MockError> {
        self.state.broker_up(broker, port)
    }

    /// Takes a broker out: it is in sync no longer, and its partitions move to the first replica in sync, or are left
    /// without a leader if there is none.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub fn broker_down(&mut self, broker: i32) -> Result<(), MockError> {
        self.state.broker_down(broker)
    }

    /// Whether a broker is up.
    pub fn is_up(&self, broker: i32) -> bool {
        self.state.is_up(broker)
    }

    /// Moves a partition to another leader, or to none, and raises its leader epoch. A replica that lacks something that
    /// was acknowledged is not elected, nor is one that is down; one that is merely not in sync is, alone in sync then,
    /// and the others lose what it lacks. Returns whether it leads.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownTopicOrPartition`].
    pub fn elect(&mut self, topic: &str, partition: i32, leader: Option<i32>) -> Result<bool, MockError> {
        let is_up = leader.is_none_or(|leader| self.state.is_up(leader));
        let found = self.partition_mut(topic, partition)?;
        let may_lead = |id: i32| {
            let replication = found.replication.as_ref();
            found.replicas.contains(&id)
                && replication.is_none_or(|all| all.has_all_committed(id, &found.log))
        };
        let is_elected = is_up && leader.is_none_or(may_lead);
        if is_elected {
            found.move_leader(leader);
        }
        Ok(is_elected)
    }

    /// Returns the leader of a partition; `None` if it has none or does not exist.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.state.partition(topic, partition)?.leader
    }

    /// Returns the number of partitions of a topic, 0 if it does not exist.
    pub fn partition_count(&self, topic: &str) -> usize {
        self.state.topic(topic).map_or(0, |topic| topic.partitions.len())
    }

    /// Has a follower copy up to `batches` batches of each of its partitions whose leader it can reach, and tell the
    /// leaders what it held before. It is back in sync if that was all there is. Returns whether there was anything to
    /// copy or to tell.
    pub fn fetch(&mut self, follower: i32, batches: usize, can_reach: impl Fn(i32) -> bool) -> bool {
        let mut is_news = false;
        self.replicas(|(log, leader), replication| {
            if leader.is_some_and(&can_reach) && replication.is_behind(follower, log) {
                is_news = true;
                replication.fetch(follower, log, batches);
            }
        });
        is_news
    }

    /// Whether [`fetch`](Self::fetch) would change anything.
    pub fn is_behind(&mut self, follower: i32) -> bool {
        let mut is_behind = false;
        self.replicas(|(log, leader), replication| {
            is_behind |= leader.is_some() && replication.is_behind(follower, log);
        });
        is_behind
    }

    /// Takes a follower that is too slow off the lists of those in sync, wherever something is missing and it is not the
    /// leader.
    pub fn remove_from_sync(&mut self, follower: i32) {
        self.replicas(|(log, leader), replication| {
            if leader != Some(follower) && replication.is_behind(follower, log) {
                replication.remove_from_sync(follower, log);
            }
        });
    }

    /// Has all replicas forget the producers that have written nothing for this long.
    pub fn forget_producers(&mut self, idle: Duration) {
        let time = self.state.now.saturating_sub(idle);
        for partition in self.state.partitions_mut() {
            partition.log.forget_producers(time);
        }
    }

    /// Has all replicas forget the producers whose newest records bear timestamps before this one, in milliseconds since
    /// 1970: so Kafka does after `producer.id.expiration.ms`, however lately the records were written.
    pub fn expire_producers(&mut self, timestamp: i64) {
        self.state.expire_producers(timestamp);
    }

    /// Has the replicas of a topic, which must be empty, know the producers of the topic of the same name in another
    /// cluster, as if they were others that have the same ids, and have written a little more, in every second partition in their
    /// next epoch.
    pub fn know_producers_of(&mut self, other: &Self, topic: &str) {
        let now = self.state.now;
        for index in 0..i32::try_from(self.partition_count(topic)).unwrap_or(0) {
            let Some(model) = other.state.partition(topic, index) else { continue };
            let Some(found) = self.state.partition_mut(topic, index) else { continue };
            found.log.know_producers_of(&model.log, index % 2 == 0, now);
            if let Some(replication) = &mut found.replication {
                replication.share_producers(&found.log);
            }
        }
    }

    /// Has clients be told of a leader epoch that is this much higher than the one that counts, as from a broker that an
    /// unclean election has made leader, and whose word the others do not know.
    pub fn set_epoch_lead(&mut self, topic: &str, partition: i32, lead: i32) {
        if let Some(found) = self.state.partition_mut(topic, partition) {
            found.epoch_lead = lead;
        }
    }

    /// Returns the batches of a partition, as its leader has them; none if it does not exist.
    pub fn batches(&self, topic: &str, partition: i32) -> &[MockBatch] {
        self.state.partition(topic, partition).map_or(&[], |partition| partition.log.batches())
    }

    /// Returns how many batches replicas of a partition have cut off because a leader lacked them.
    pub fn truncated(&self, topic: &str, partition: i32) -> usize {
        let replication = self.state.partition(topic, partition).and_then(|found| found.replication.as_ref());
        replication.map_or(0, Replication::truncated)
    }

    fn partition_mut(&mut self, topic: &str, partition: i32) -> Result<&mut Partition, MockError> {
        self.state.partition_mut(topic, partition).ok_or_else(|| unknown(topic, partition))
    }

    fn replicas(&mut self, mut act: impl FnMut((&PartitionLog, Option<i32>), &mut Replication)) {
        for partition in self.state.partitions_mut() {
            if let Some(replication) = &mut partition.replication {
                act((&partition.log, partition.leader), replication);
            }
        }
    }
}

/// Settings and faults, as of [`MockCluster`](crate::MockCluster).
impl Brokers {
    /// Adds a fault to those that are waiting for their requests.
    ///
    /// Those that hold the broker up or change the bytes of an answer have no effect here: time and bytes are the
    /// caller's.
    pub fn inject(&mut self, fault: Fault) {
        self.state.faults.inject(fault);
    }

    /// Forgets all injected faults.
    pub fn clear_faults(&mut self) {
        self.state.faults.clear();
    }

    /// Offers only these versions of a kind of request from now on.
    ///
    /// # Errors
    ///
    /// [`MockError::InvalidVersions`] if the lowest is negative or above the highest.
    pub fn set_api_versions(&mut self, api: Api, min: i16, max: i16) -> Result<(), MockError> {
        self.state.versions.set(api, min, max)
    }

    /// Offers a kind of request no longer.
    pub fn remove_api(&mut self, api: Api) {
        self.state.versions.remove(api);
    }

    /// Asks clients for metrics from now on, or for other ones.
    pub fn set_telemetry(&mut self, subscription: TelemetrySubscription) {
        self.state.versions.add_telemetry();
        self.state.telemetry.subscribe(subscription);
    }

    /// Returns the metrics that clients have pushed, oldest first, up to the newest 1000 pushes.
    pub fn pushed_metrics(&self) -> &[PushedMetrics] {
        &self.state.telemetry.pushed
    }

    /// Refuses batches with records that do not please, `None` for none.
    pub fn set_record_judge(&mut self, judge: Option<RecordJudge>) {
        self.state.settings.record_judge = judge;
    }

    /// Sets how many replicas must be in sync for `acks=all`.
    pub fn set_min_insync_replicas(&mut self, replicas: usize) {
        self.state.settings.min_insync_replicas = replicas;
    }

    /// Sets the size of the largest batch, in bytes.
    pub fn set_max_message_bytes(&mut self, bytes: usize) {
        self.state.settings.max_message_bytes = bytes;
    }

    /// Sets whether a producer that is not known must begin with sequence 0 (UNKNOWN_PRODUCER_ID otherwise), as before
    /// Kafka 2.5 (KIP-360).
    pub fn set_knows_all_producers(&mut self, knows: bool) {
        self.state.settings.knows_all_producers = knows;
    }
}
