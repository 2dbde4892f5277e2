//! What an application sees of a producer at work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accumulator::EnqueueWaits;
use crate::clock;
use crate::metadata::Cluster;
use crate::metrics::{Metrics, PartitionMetrics};
use crate::sender::snapshot;
use crate::topic_partition::Topic;

use super::enqueue::{TimeLimit, far};
use super::topic_wait::TopicWaitError;
use super::{Health, KafkaProducer, NotReady, ProducerCore, deadline};

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Returns a snapshot of what the producer has done and does. [`Metrics`] has the numbers.
    ///
    /// It takes a short lock on the queue of each partition in use, so ask once a second rather than once a record.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }

    /// Returns whether the producer gets anywhere, and what keeps it from that: for a readiness probe, and for an operator who asks why
    /// nothing is delivered.
    #[must_use]
    pub fn health(&self) -> Health {
        self.core.health()
    }

    /// Waits until brokers have described the cluster and every topic of [`pin_topics`](crate::KafkaProducerBuilder::pin_topics), for at
    /// most `timeout`. For the start of an application, or for a probe that asks whether it may be given work.
    ///
    /// From then on [`try_enqueue`](Self::try_enqueue) knows these topics. Each call looks at what is known now: brokers that are lost
    /// later do not make a producer unready that knows its topics.
    ///
    /// # Cancel safety
    ///
    /// Safe to drop at any time.
    ///
    /// # Errors
    ///
    /// [`NotReady`] says what is missing. It comes before the timeout if waiting does not help.
    pub async fn ready(&self, timeout: Duration) -> Result<(), NotReady> {
        let deadline = far(clock::now(), timeout);
        self.core.wait_for_cluster(deadline, timeout).await?;
        for topic in &self.core.pinned {
            self.core.wait_for_pinned(topic, deadline, timeout).await?;
        }
        Ok(())
    }
}

impl ProducerCore {
    /// Waits until a broker has described the cluster.
    async fn wait_for_cluster(&self, deadline: Instant, timeout: Duration) -> Result<(), NotReady> {
        let mut clusters = self.clusters.clone();
        loop {
            let cluster = Arc::clone(&clusters.borrow_and_update());
            if self.accumulator.is_closed() {
                return Err(self.end().into());
            }
            // Nodes have their real ids once a broker has answered.
            if cluster.nodes().iter().any(|node| node.id().0 >= 0) {
                return Ok(());
            }
            let is_hopeless = cluster.refusal().is_some() || cluster.unresolved().is_some();
            if is_hopeless {
                return Err(self.no_cluster(&cluster, timeout));
            }
            match deadline::timeout_at(deadline, clusters.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) => return Err(self.end().into()),
                None => return Err(self.no_cluster(&cluster, timeout)),
            }
        }
    }

    fn no_cluster(&self, cluster: &Cluster, waited: Duration) -> NotReady {
        let obstacle = cluster.obstacle().map(str::to_owned);
        NotReady::NoCluster { waited, obstacle, brokers: self.board.reports(None, clock::now()) }
    }

    /// Waits until a broker has described a topic.
    async fn wait_for_pinned(
        &self,
        topic: &Topic,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<(), NotReady> {
        match self.wait_for_topic(topic, None, deadline).await {
            Ok(_) => Ok(()),
            Err(TopicWaitError::TimedOut { .. }) => {
                let cluster = Arc::clone(&self.clusters.borrow());
                let obstacle = cluster.obstacle().map(str::to_owned);
                let (topic, cause) = (topic.clone(), cluster.topic_error(topic));
                let brokers = self.board.reports(None, clock::now());
                Err(NotReady::NoTopic { topic, waited: timeout, cause, obstacle, brokers })
            }
            Err(error) => {
                Err(self.topic_error(topic, None, error, EnqueueWaits::default(), TimeLimit::MaxBlock).into())
            }
        }
    }

    fn health(&self) -> Health {
        let now = clock::now();
        Health {
            brokers: self.board.reports(None, now),
            last_delivery_age: self.counters.delivered_at.age(now),
            metadata_age: self.counters.metadata_at.age(now),
            oldest_waiting: self.accumulator.oldest_batch().map(|at| now.saturating_duration_since(at)),
            end: self.accumulator.is_closed().then(|| self.end()),
        }
    }

    fn metrics(&self) -> Metrics {
        let (client_id, start_time) = (&self.settings.client_id, self.wall_clock.began());
        let certificate_ends = self.connector.certificate_ends().and_then(clock::time_of);
        let topics = self.accumulator.topics();
        let partitions = topics.iter().flat_map(|topic| topic.made()).map(|queue| PartitionMetrics {
            topic: queue.topic_partition().topic.clone(),
            partition: queue.topic_partition().partition,
            buffered_bytes: queue.memory().held(),
            queued_batches: queue.queued_batches(),
        });
        let metrics = snapshot(&self.counters, &self.accumulator, client_id, start_time, clock::now());
        Metrics { certificate_ends, partitions: partitions.collect(), ..metrics }
    }
}
