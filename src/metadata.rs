//! What the producer knows of the cluster: brokers, topics, partitions and their leaders.
//!
//! [`Metadata`] belongs to the sender. It says when to ask for news and about what, takes in the answers, and makes
//! of each a [`Cluster`], an immutable view that all others read.
//!
//! ```text
//! add_topic, request_update ──▶ Metadata ──▶ next_request ──▶ (a broker)
//!                                  │                              │
//!           Arc<Cluster> ◀─────────┴───────── handle_response ◀───┘
//! ```

mod cluster;
mod doubt;
mod full_update;
mod leader_epochs;
mod node;
mod reading;
mod rebootstrap;
mod refresh;
mod topic_answers;
mod topic_info;
mod topic_line;
mod topic_map;
mod tracked_topics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::config::HostPort;
use crate::planted::planted;
use crate::protocol::ErrorCode;
use crate::protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use crate::protocol::messages::produce::NodeEndpoint;
use crate::topic_partition::{NodeId, Topic, TopicPartition};
use crate::wire::Uuid;

use self::full_update::FullUpdate;
use self::reading::Source;
use self::refresh::RefreshSchedule;
use self::topic_answers::TopicAnswers;
use self::topic_line::within_one_request;
use self::tracked_topics::TrackedTopics;

pub use self::cluster::Cluster;
pub use self::node::Node;
pub use self::topic_info::{PartitionInfo, TopicInfo};
pub(crate) use self::topic_line::{MAX_KEPT, MAX_KEPT_BYTES};

/// How [`Metadata`] goes about its work.
#[derive(Debug, Clone)]
pub(crate) struct MetadataConfig {
    /// After this long all topics are asked for again (`metadata.max.age.ms`).
    pub(crate) max_age: Duration,
    /// After this long without use a topic is forgotten (`metadata.max.idle.ms`).
    pub(crate) max_idle: Duration,
    /// Between requests (`retry.backoff.ms`, `retry.backoff.max.ms`).
    pub(crate) retry_backoff: Backoff,
    /// After this long without success all starts over from the bootstrap servers
    /// (`metadata.recovery.rebootstrap.trigger.ms`); `None` for `metadata.recovery.strategy` = `none`.
    pub(crate) rebootstrap_trigger: Option<Duration>,
}

/// The producer's view of the cluster and the schedule by which it is renewed.
///
/// At most one request is under way at a time. It names a bounded number of topics; what is left goes in the next one, as soon
/// as there is an answer. Calls, in the order of a refresh:
/// - `add_topic`, `request_update`: the sender or a caller wants news;
/// - `is_due`, `time_to_request`: whether to ask, or when;
/// - `next_request`: what to ask, once there is a broker to be asked;
/// - `handle_response` or `handle_failure`, with the request's id.
#[derive(Debug)]
pub(crate) struct Metadata {
    cluster: Arc<Cluster>,
    topics: TrackedTopics,
    schedule: RefreshSchedule,
    /// The nodes to begin with, with ids -1, -2 and so on.
    bootstrap: Vec<Node>,
    /// Whether `cluster` still has the nodes of `bootstrap`.
    is_bootstrap: bool,
    rebootstrap_trigger: Option<Duration>,
    /// All topics are to be asked for, once the full update is over that is under way, if one is.
    needs_full_update: bool,
    full_update: Option<FullUpdate>,
    full_updates: u64,
    /// Topics that are wanted and came before this place in their line are asked for without a pause between the requests.
    wanted_until: u64,
    /// Whether an answer has brought anything new since the last pause between requests.
    has_progressed: bool,
    /// The last request allowed brokers to create topics.
    has_allowed_creation: bool,
    in_flight: Option<InFlight>,
    next_id: u64,
}

#[derive(Debug)]
struct InFlight {
    id: MetadataRequestId,
    may_create: bool,
    topics: Vec<Topic>,
}

/// Tells a request for metadata from the ones before and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetadataRequestId(u64);

/// What an answer has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataUpdate {
    pub(crate) cluster: Arc<Cluster>,
    /// Topics whose description differs from the one before, or is gone, sorted.
    pub(crate) changed_topics: Vec<Topic>,
}

/// Who leads a partition, according to a broker that does not (KIP-951).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderHint {
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    pub(crate) leader: NodeId,
    pub(crate) leader_epoch: i32,
}

/// An answer brought no metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataFailure {
    /// Nothing has changed; there may be a later request under way.
    #[error("metadata answer to a request that was given up")]
    Abandoned,
    /// Counts as a failed request.
    #[error("metadata request refused: {0}")]
    Broker(ErrorCode),
    /// Counts as a failed request; brokers that have just started answer like this.
    #[error("metadata answer names no broker that can be reached")]
    NoBrokers,
    /// Counts as a failed request; [`Metadata::rebootstrap`] should follow.
    #[error("broker demands to start over from the bootstrap servers")]
    RebootstrapRequired,
}

impl Metadata {
    /// Begins with the addresses of the bootstrap servers. The first request is due at once.
    pub(crate) fn new(
        config: &MetadataConfig,
        bootstrap: impl IntoIterator<Item = HostPort>,
        seed: u64,
    ) -> Self {
        let bootstrap = rebootstrap::bootstrap_nodes(bootstrap);
        Self {
            cluster: Arc::new(Cluster::default().with_nodes(bootstrap.clone())),
            topics: TrackedTopics::new(config.max_idle),
            schedule: RefreshSchedule::new(config.max_age, config.retry_backoff, seed),
            bootstrap,
            is_bootstrap: true,
            rebootstrap_trigger: config.rebootstrap_trigger,
            needs_full_update: true,
            full_update: None,
            full_updates: 0,
            wanted_until: 0,
            has_progressed: false,
            has_allowed_creation: false,
            in_flight: None,
            next_id: 0,
        }
    }

    /// Notes the use of a topic, which keeps it from expiring. A topic that is new is asked for at once, whatever
    /// the backoff. Returns whether it is new.
    pub(crate) fn add_topic(&mut self, topic: &Topic, now: Instant) -> bool {
        let is_new = self.topics.touch(topic, now);
        if is_new {
            self.schedule.skip_backoff();
        }
        is_new
    }

    /// Adds a topic that is asked for at once, may be created as for a record, and is never forgotten.
    pub(crate) fn pin_topic(&mut self, topic: &Topic, now: Instant) {
        let is_new = self.topics.pin(topic, now);
        self.ask_for(topic, is_new);
    }

    /// Adds a topic that a record waits for in its queue. If the topic is not known, asks for it so that brokers may create it;
    /// if it is known, asks for news of all topics.
    pub(crate) fn request_topic(&mut self, topic: &Topic, now: Instant) {
        let is_new = self.add_topic(topic, now);
        self.ask_for(topic, is_new);
    }

    /// The same for a topic that a caller asks for. If no caller waits for it and brokers do not describe it, it is kept for
    /// some time, because the caller may come back, unless there are too many topics like it.
    pub(crate) fn request_topic_for_caller(&mut self, topic: &Topic, is_awaited: bool, now: Instant) {
        let is_new = self.topics.note_caller(topic, is_awaited, now);
        if is_new {
            self.schedule.skip_backoff();
        }
        self.ask_for(topic, is_new);
    }

    /// Notes that no caller waits for a topic any more.
    pub(crate) fn note_no_caller(&mut self, topic: &Topic, now: Instant) {
        self.topics.note_no_caller(topic, now);
    }

    /// Asks for news of all topics, as soon as the backoff allows. Answers to requests that are under way may be too old to
    /// bring them, so they do not count.
    pub(crate) fn request_update(&mut self) {
        self.needs_full_update = true;
    }

    /// Returns the request that is due, if one is. It stays under way until `handle_response` or `handle_failure`.
    pub(crate) fn next_request(&mut self, now: Instant) -> Option<(MetadataRequestId, MetadataRequest)> {
        self.topics.expire_loose(now);
        if !self.is_due(now) {
            return None;
        }

        let needs_full = self.needs_full_update || self.schedule.is_stale(now);
        self.schedule.handle_attempt(now);
        let (topics, may_create) = self.next_question(needs_full);
        self.topics.handle_request(&topics);
        self.has_allowed_creation = may_create;
        let id = MetadataRequestId(self.next_id);
        self.next_id += 1;
        let allow_auto_topic_creation = may_create || planted!(RefreshCreatesTopics);
        let request = MetadataRequest { allow_auto_topic_creation, ..metadata_request(&topics) };
        self.in_flight = Some(InFlight { id, may_create, topics });
        Some((id, request))
    }

    /// Returns which topics to ask for next, and whether brokers may create them. `needs_full` says that a full update is due.
    fn next_question(&mut self, needs_full: bool) -> (Vec<Topic>, bool) {
        // A request allows all of its topics to be created or none. Only those that a record waits for are to be created:
        // others may have been deleted.
        let wanted = self.topics.wanted();
        let are_all_wanted = match &self.full_update {
            Some(update) => self.left_of(update).iter().all(|topic| wanted.contains(topic)),
            None => wanted.len() == self.topics.len(),
        };
        let needs_full = needs_full || self.full_update.is_some();
        // The others have their turn after each request that allows it.
        let has_others = needs_full || self.topics.unanswered().any(|topic| !wanted.contains(topic));
        let may_create = !wanted.is_empty() && (are_all_wanted || !(has_others && self.has_allowed_creation));
        if may_create && !wanted.begins_before(self.wanted_until) {
            self.wanted_until = wanted.next_place();
        }
        if needs_full && self.full_update.is_none() && (are_all_wanted || !may_create) {
            self.needs_full_update = false;
            self.full_updates += 1;
            self.full_update = Some(FullUpdate::new(self.full_updates, self.topics.all()));
        }
        let mut topics = match &self.full_update {
            _ if may_create => within_one_request(self.topics.wanted().iter()),
            Some(update) => self.left_of(update),
            None => within_one_request(self.topics.unanswered()),
        };
        topics.sort();
        (topics, may_create)
    }

    /// Returns which topics the next request of a full update names.
    fn left_of(&self, update: &FullUpdate) -> Vec<Topic> {
        within_one_request(update.left().filter(|topic| self.topics.is_left_by(update.number(), topic)))
    }

    /// Makes a request fit for a version. Those before 4 cannot forbid to create topics, so topics that the brokers have
    /// not described, and that may have been deleted, are left out.
    pub(crate) fn adapt(&self, mut request: MetadataRequest, version: i16) -> MetadataRequest {
        if version >= 4 || request.allow_auto_topic_creation {
            return request;
        }
        let is_described = |name: &str| self.cluster.topic(name).is_some() && !self.topics.has_error(name);
        if let Some(topics) = &mut request.topics {
            topics.retain(|topic| topic.name.as_deref().is_some_and(is_described));
        }
        request.allow_auto_topic_creation = true;
        request
    }

    /// Returns a request for what is known of the topics that callers wait for and no answer has been about, if there
    /// are any. It creates no topics, needs version 4, and changes nothing here: see [`Metadata::scouted`].
    pub(crate) fn scout_request(&self) -> Option<MetadataRequest> {
        let topics = within_one_request(self.topics.unanswered());
        Some(metadata_request(&topics)).filter(|_| !topics.is_empty())
    }

    /// Reads the answer to a scout request: all nodes there are, with those that are known already but for entries of
    /// `bootstrap.servers` that turn out to be one of the others, and who leads a partition of the topics.
    pub(crate) fn scouted(&self, response: &MetadataResponse) -> (Vec<Node>, BTreeSet<NodeId>) {
        let mut nodes = reading::read_nodes(response);
        nodes.retain(|node| self.cluster.node(node.id()).is_none());
        let is_found = |known: &Node| nodes.iter().any(|node| node.has_address_of(known));
        let is_kept = |known: &&Node| known.id().0 >= 0 || !is_found(known);
        let known: Vec<_> = self.cluster.nodes().iter().filter(is_kept).cloned().collect();
        nodes.extend(known);
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let leaders = partitions.filter_map(|partition| reading::read_node_id(partition.leader_id));
        (nodes, leaders.collect())
    }

    /// Returns what tells the topics of an answer that are worth reading: those in use, each once.
    pub(crate) fn reads_topic(&self) -> impl FnMut(Option<&str>) -> bool + '_ {
        let mut read = BTreeSet::new();
        move |name| name.and_then(|name| self.topics.name(name)).is_some_and(|name| read.insert(name))
    }

    /// Takes in the answer to a request, in the version of the protocol that it was made in.
    ///
    /// # Errors
    ///
    /// When there is nothing to take in; see [`MetadataFailure`].
    pub(crate) fn handle_response(
        &mut self,
        id: MetadataRequestId,
        response: &MetadataResponse,
        version: i16,
        now: Instant,
    ) -> Result<MetadataUpdate, MetadataFailure> {
        let in_flight = self.in_flight.take_if(|in_flight| in_flight.id == id);
        let in_flight = in_flight.ok_or(MetadataFailure::Abandoned)?;
        let InFlight { may_create, topics: asked, .. } = in_flight;
        let nodes = reading::read_nodes(response);
        if let Some(failure) = find_failure(response, &nodes) {
            self.schedule.handle_failure(now);
            self.ask_later(&asked);
            return Err(failure);
        }

        self.topics.expire(now);
        self.topics.handle_answer(&asked, may_create, self.full_update.as_ref().map(FullUpdate::number));
        let cluster_id = response.cluster_id.as_deref().map(Arc::from);
        let mut cluster = Cluster::clone(&self.cluster)
            .without_obstacle()
            .with_version(self.cluster.version() + 1)
            .with_identity(cluster_id, reading::read_node_id(response.controller_id));
        self.topics.take_forgotten().iter().for_each(|topic| cluster.remove_topic(topic));
        let node_ids = nodes.iter().map(Node::id).collect();
        let mut answers = TopicAnswers::new(cluster.with_nodes(nodes));
        let source = Source { nodes: &node_ids, has_reliable_epochs: version >= RELIABLE_EPOCHS, now };
        answers.read(response, &asked, source, &self.cluster, &mut self.topics);
        self.topics.handle_end(&asked);
        self.plan_next(answers.is_progress, now);

        self.is_bootstrap = false;
        // A partition without a leader is asked about until it has one, whatever the error code says.
        self.needs_full_update |= answers.is_incomplete || answers.cluster.is_incomplete();
        Ok(self.publish(answers.cluster))
    }

    /// Whether an answer that comes now may find topics idle for too long.
    pub(crate) fn may_topics_expire(&self, now: Instant) -> bool {
        self.topics.may_expire(now)
    }

    /// Whether a topic is asked for: it is in use, or was lately.
    pub(crate) fn is_tracked(&self, topic: &Topic) -> bool {
        self.topics.contains(topic)
    }

    /// Notes that a request has failed, or could not even be sent. Unknown ids are ignored.
    pub(crate) fn handle_failure(&mut self, id: MetadataRequestId, now: Instant) {
        if let Some(in_flight) = self.in_flight.take_if(|in_flight| in_flight.id == id) {
            self.schedule.handle_failure(now);
            self.ask_later(&in_flight.topics);
        }
    }

    /// Notes why brokers cannot be asked, for the errors of callers that wait in vain. The note holds until the next answer that
    /// is taken in. Returns a view with the note, unless the present view has it.
    pub(crate) fn note_obstacle(&mut self, obstacle: &str) -> Option<Arc<Cluster>> {
        if self.cluster.obstacle() == Some(obstacle) {
            return None;
        }
        self.cluster = Arc::new(Cluster::clone(&self.cluster).with_obstacle(obstacle));
        Some(Arc::clone(&self.cluster))
    }

    /// Notes that there is no connection to a broker, which is newer than what was noted before. Returns a view without that, if the
    /// present view has any.
    pub(crate) fn clear_obstacle(&mut self) -> Option<Arc<Cluster>> {
        self.cluster.obstacle()?;
        self.cluster = Arc::new(Cluster::clone(&self.cluster).without_note());
        Some(Arc::clone(&self.cluster))
    }

    /// Notes that a broker does not let the producer in. Returns the view that tells it, anew each time: it ends the wait of
    /// callers, those included who have begun to wait since the last time.
    pub(crate) fn note_refusal(&mut self, refusal: &str) -> Arc<Cluster> {
        self.cluster = Arc::new(Cluster::clone(&self.cluster).with_refusal(refusal));
        Arc::clone(&self.cluster)
    }

    /// Notes that one broker does not let the producer in, while others can be asked. Returns the view that tells it, as above.
    pub(crate) fn note_refusal_of(&mut self, node: NodeId, refusal: &str) -> Arc<Cluster> {
        self.cluster = Arc::new(Cluster::clone(&self.cluster).with_refusal_of(node, refusal));
        Arc::clone(&self.cluster)
    }

    /// Notes that the last attempt to connect to a broker did not end with a refusal. Returns a view without that of before, if the
    /// present view has it: callers who begin to wait now would take it for what the broker says.
    pub(crate) fn clear_refusal_of(&mut self, node: NodeId) -> Option<Arc<Cluster>> {
        if !self.cluster.has_refusal_of(node) {
            return None;
        }
        self.cluster = Arc::new(Cluster::clone(&self.cluster).without_refusal_of(node));
        Some(Arc::clone(&self.cluster))
    }

    /// Notes that a broker has accepted the producer. Returns a view without a refusal, if the present view has one.
    pub(crate) fn clear_refusal(&mut self) -> Option<Arc<Cluster>> {
        if !self.cluster.has_refusal() {
            return None;
        }
        self.cluster = Arc::new(Cluster::clone(&self.cluster).without_obstacle());
        Some(Arc::clone(&self.cluster))
    }

    /// Notes that no name in `bootstrap.servers` has had an address in time. Returns the view that tells it, anew each time, as a
    /// refusal.
    pub(crate) fn note_unresolved(&mut self, reason: &str) -> Arc<Cluster> {
        self.cluster = Arc::new(Cluster::clone(&self.cluster).with_unresolved(reason));
        Arc::clone(&self.cluster)
    }

    /// Notes that the connection to a broker was lost or could not be made, and asks for news: the broker may have
    /// moved. If a request is due, there was no broker to take it, so this counts as its failure.
    pub(crate) fn handle_disconnect(&mut self, now: Instant) {
        if self.is_due(now) {
            self.schedule.handle_failure(now);
        }
        self.request_update();
    }

    /// Takes the word of a broker for who leads some partitions (KIP-951); `endpoints` say where the leaders are.
    ///
    /// A hint counts if its epoch is newer than any that was seen and its node can be reached. Waiters for news are
    /// not served by this: it neither counts as an answer nor takes the place of one. Returns `None` if no hint
    /// counts.
    pub(crate) fn update_leaders(
        &mut self,
        hints: &[LeaderHint],
        endpoints: &[NodeEndpoint],
    ) -> Option<MetadataUpdate> {
        if hints.is_empty() {
            return None;
        }
        let endpoints = endpoints.iter().filter_map(reading::read_endpoint);
        let nodes: Vec<_> = endpoints.chain(self.cluster.nodes().iter().cloned()).collect();
        let mut cluster = Cluster::clone(&self.cluster).with_nodes(nodes);
        let mut changed: BTreeMap<&Topic, TopicInfo> = BTreeMap::new();
        for hint in hints.iter().filter(|hint| cluster.node(hint.leader).is_some()) {
            let known = changed.get(&hint.topic).or_else(|| self.cluster.topic(&hint.topic));
            let Some(epochs) = self.topics.leader_epochs_mut(&hint.topic) else { continue };
            if let Some(topic) = known.and_then(|known| known.with_newer_leader(hint, epochs)) {
                changed.insert(&hint.topic, topic);
            }
        }
        if changed.is_empty() {
            return None;
        }

        changed.into_values().for_each(|topic| cluster.set_topic(Arc::new(topic)));
        Some(self.publish(cluster))
    }

    /// Notes that a broker denies to lead a partition, though it does according to metadata. If brokers tell no ids, the topic
    /// may have been made anew, with leader epochs that begin again: the next answer counts whatever its epochs.
    pub(crate) fn doubt_leader(&mut self, partition: &TopicPartition) {
        let TopicPartition { topic, partition } = partition;
        let has_id = self.cluster.topic(topic).is_some_and(|topic| topic.id() != Uuid::default());
        if let Some(epochs) = self.topics.leader_epochs_mut(topic) {
            if !has_id {
                epochs.clear();
            }
            epochs.deny(*partition);
        }
    }

    /// Whether `next_request` would return one.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.time_to_request(now).is_some_and(|time| time.is_zero())
    }

    /// Returns how long it is until a request is due, unless one is under way.
    pub(crate) fn time_to_request(&self, now: Instant) -> Option<Duration> {
        self.in_flight.is_none().then(|| self.wait(now))
    }

    /// Returns when to look again. There is no time for it while a request is due: the sender waits for a node then, not for the
    /// clock.
    #[cfg(test)]
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let time = self.time_to_request(now).filter(|time| !time.is_zero());
        let request = time.and_then(|time| now.checked_add(time));
        [request, self.next_rebootstrap(now)].into_iter().flatten().min()
    }

    /// Returns the latest view.
    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Returns when the last answer about all topics came, if there was one.
    pub(crate) fn refreshed_at(&self) -> Option<Instant> {
        self.schedule.last_success()
    }

    /// Returns how old the last answer about all topics is, if there was one.
    #[cfg(test)]
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.schedule.age(now)
    }

    fn wait(&self, now: Instant) -> Duration {
        let has_questions = self.topics.has_unanswered() || !self.topics.wanted().is_empty();
        let is_wanted = self.needs_full_update || self.full_update.is_some() || has_questions;
        self.schedule.wait(is_wanted, now)
    }

    fn ask_for(&mut self, topic: &Topic, is_new: bool) {
        if self.cluster.topic(topic).is_none() {
            self.topics.want(topic);
        } else if !is_new && !self.topics.is_unanswered(topic) {
            self.request_update();
        }
    }

    /// Decides when to ask again after an answer: at once if it leaves something open that was to be asked with it.
    fn plan_next(&mut self, is_progress: bool, now: Instant) {
        let is_full = self.full_update.take_if(|update| {
            let number = update.number();
            update.handle_answer(|topic| self.topics.is_left_by(number, topic));
            update.is_over()
        });
        self.has_progressed |= is_progress;
        if self.full_update.is_some() || self.topics.wanted().begins_before(self.wanted_until) {
            self.schedule.handle_part(is_full.is_some(), now);
            return;
        }
        let is_progress = std::mem::take(&mut self.has_progressed);
        self.schedule.handle_success(is_full.is_some(), is_progress, now);
        if self.topics.has_unanswered() {
            self.schedule.skip_backoff();
        }
    }

    /// Takes back what a request has asked in vain. A full update that has no answer yet begins again when it is due.
    fn ask_later(&mut self, asked: &[Topic]) {
        self.topics.handle_failure(asked);
        self.topics.handle_end(asked);
        match &mut self.full_update {
            Some(update) if update.is_begun() => update.postpone(asked),
            Some(_) => {
                self.full_update = None;
                self.needs_full_update = true;
            }
            None => {}
        }
    }

    fn publish(&mut self, cluster: Cluster) -> MetadataUpdate {
        let cluster = Arc::new(cluster);
        let before = std::mem::replace(&mut self.cluster, Arc::clone(&cluster));
        let changed_topics = cluster.changed_topics(&before);
        MetadataUpdate { cluster, changed_topics }
    }
}

fn find_failure(response: &MetadataResponse, nodes: &[Node]) -> Option<MetadataFailure> {
    match ErrorCode::from(response.error_code) {
        ErrorCode::None if nodes.is_empty() => Some(MetadataFailure::NoBrokers),
        ErrorCode::None => None,
        ErrorCode::RebootstrapRequired => Some(MetadataFailure::RebootstrapRequired),
        code => Some(MetadataFailure::Broker(code)),
    }
}

fn metadata_request(topics: &[Topic]) -> MetadataRequest {
    let topics = topics.iter().map(|topic| MetadataRequestTopic {
        topic_id: Uuid::default(),
        name: Some(topic.as_str().to_owned()),
    });
    MetadataRequest { topics: Some(topics.collect()), allow_auto_topic_creation: false }
}

/// Brokers that speak only older versions of Metadata give out leader epochs that may lag behind (KIP-320).
const RELIABLE_EPOCHS: i16 = 9;

#[cfg(test)]
mod tests;
