//! Waits until a topic, and the partition that a record names, is in the published cluster.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::accumulator::RecordAccumulator;
use crate::clock;
use crate::error::BrokerReport;
use crate::metadata::Cluster;
use crate::producer::deadline;
use crate::protocol::ErrorCode;
use crate::sender::{Board, Control};
use crate::topic_partition::Topic;

/// What is waited for.
#[derive(Debug, Clone)]
pub(crate) struct TopicWait<'a> {
    pub(crate) topic: &'a Topic,
    pub(crate) partition: Option<i32>,
    pub(crate) control: &'a Control,
    pub(crate) accumulator: &'a RecordAccumulator,
    /// How brokers have fared.
    pub(crate) board: &'a Board,
}

/// Why a topic is not to be had.
#[derive(Debug, Clone)]
pub(crate) enum TopicWaitError {
    Closed,
    Refused(ErrorCode),
    /// Brokers do not let the producer in, for this reason.
    Unauthenticated(String),
    /// No name in `bootstrap.servers` has had an address in time.
    Unresolved(String),
    TimedOut {
        partition_count: Option<usize>,
        cause: Option<ErrorCode>,
        obstacle: Option<String>,
        brokers: Vec<BrokerReport>,
    },
}

impl TopicWait<'_> {
    /// Returns a cluster in which the topic has the wanted partition (Java: `KafkaProducer.waitOnMetadata`).
    pub(crate) async fn wait(
        &self,
        clusters: &watch::Receiver<Arc<Cluster>>,
        deadline: Instant,
    ) -> Result<Arc<Cluster>, TopicWaitError> {
        let mut clusters = clusters.clone();
        let mut cluster = Arc::clone(&clusters.borrow_and_update());
        if self.is_found(&cluster) {
            return Ok(cluster);
        }
        let _awaiting = self.control.await_topic(self.topic);
        loop {
            self.control.want_topic(self.topic);
            self.accumulator.wake_sender();
            if self.accumulator.is_closed() {
                return Err(TopicWaitError::Closed);
            }
            match deadline::timeout_at(deadline, clusters.changed()).await {
                Some(Ok(())) => cluster = Arc::clone(&clusters.borrow_and_update()),
                Some(Err(_)) => return Err(TopicWaitError::Closed),
                None => {
                    let partition_count = cluster.partition_count(self.topic);
                    let cause = cluster.topic_error(self.topic);
                    let obstacle = cluster.obstacle().map(str::to_owned);
                    let brokers = self.board.reports(None, clock::now());
                    return Err(TopicWaitError::TimedOut { partition_count, cause, obstacle, brokers });
                }
            }
            if let Some(refusal) = cluster.refusal() {
                return Err(TopicWaitError::Unauthenticated(refusal.to_owned()));
            }
            if let Some(reason) = cluster.unresolved() {
                return Err(TopicWaitError::Unresolved(reason.to_owned()));
            }
            if let Some(code) = refusal(&cluster, self.topic) {
                return Err(TopicWaitError::Refused(code));
            }
            if self.is_found(&cluster) {
                return Ok(cluster);
            }
        }
    }

    fn is_found(&self, cluster: &Cluster) -> bool {
        cluster.partition_count(self.topic).is_some_and(|count| match self.partition {
            Some(partition) => usize::try_from(partition).is_ok_and(|partition| partition < count),
            None => count > 0,
        })
    }
}

/// Returns why the brokers refuse a topic, if waiting does not help: only a user who changes its name or the rights
/// does. Every other error may pass, as in Java: brokers that have just started cannot create topics yet, for example.
pub(crate) fn refusal(cluster: &Cluster, topic: &str) -> Option<ErrorCode> {
    let is_final = |code: &ErrorCode| {
        matches!(code, ErrorCode::InvalidTopicException | ErrorCode::TopicAuthorizationFailed)
    };
    cluster.topic_error(topic).filter(is_final)
}
