//! The handle through which a test owns and drives a cluster.

mod groups;
mod transactions;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access_tokens::MockToken;
use crate::api::Api;
use crate::batch::MockBatch;
use crate::error::MockError;
use crate::faults::Fault;
use crate::record::MockRecord;
use crate::requests::Requests;
use crate::server::{self, Mode, Shared};
use crate::state::unknown;
use crate::telemetry::{PushedMetrics, TelemetrySubscription};
#[cfg(feature = "tls")]
use crate::tls::{MockTls, TlsConnection, TlsFault};

/// A cluster of Kafka brokers in this process.
///
/// The brokers listen on 127.0.0.1 and have the ids 0, 1 and so on. They live on the tokio runtime on which the
/// cluster was started and end when this handle is dropped.
///
/// All replicas of a partition share one log: a new leader has every record that the old one had.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Debug)]
pub struct MockCluster {
    shared: Arc<Shared>,
    /// Brokers that are not down.
    running: Mutex<BTreeMap<i32, RunningBroker>>,
}

#[derive(Debug)]
struct RunningBroker {
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
}

impl RunningBroker {
    /// Returns when listener and connections are closed.
    async fn stop(self) {
        self.mode.send_replace(Mode::Stopped);
        if let Err(error) = self.task.await {
            tracing::debug!(%error, "broker did not end by itself");
        }
    }
}

impl MockCluster {
    pub(crate) async fn start_with(shared: Shared, first_port: Option<u16>) -> Result<Self, MockError> {
        let cluster = Self { shared: Arc::new(shared), running: Mutex::default() };
        let ids: Vec<_> = cluster.shared.state().broker_ids().collect();
        for (id, number) in ids.into_iter().zip(0..) {
            // There is no port above 65535, so that listening there fails as on one that is taken.
            let port = first_port.map_or(0, |first_port| first_port.saturating_add(number));
            cluster.serve(id, listen(id, port).await?)?;
        }
        Ok(cluster)
    }

    /// Returns the addresses of all brokers that are up, for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        let state = self.shared.state();
        let addresses = state.live_brokers().map(|(_, node)| format!("127.0.0.1:{}", node.port));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Returns the port on which this broker listens, or last listened.
    pub fn port(&self, broker: i32) -> Option<u16> {
        self.shared.state().node(broker).ok().map(|node| node.port)
    }

    /// Returns the ids of all brokers, up or down.
    pub fn broker_ids(&self) -> Vec<i32> {
        self.shared.state().broker_ids().collect()
    }

    /// Lets this user in from now on, or changes the password. Clients that are in stay in until their session ends.
    ///
    /// It changes nothing in a cluster that lets all clients in.
    pub fn set_sasl_user(&self, name: impl Into<String>, password: impl Into<String>) {
        if let Some(admission) = &mut self.shared.state().settings.admission {
            admission.users.insert(name.into(), password.into());
        }
    }

    /// Lets clients with this access token in from now on.
    ///
    /// It changes nothing in a cluster that lets all clients in.
    pub fn set_sasl_token(&self, token: impl Into<String>, is: MockToken) {
        if let Some(admission) = &mut self.shared.state().settings.admission {
            admission.tokens.insert(token.into(), is);
        }
    }

    /// Lets no client in any more with this access token. Those that are in stay in until their session ends.
    pub fn revoke_sasl_token(&self, token: &str) {
        if let Some(admission) = &mut self.shared.state().settings.admission {
            admission.tokens.remove(token);
        }
    }

    /// Ends all brokers and returns when their listeners and connections are closed.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the brokers end all the same, a moment later.
    pub async fn shutdown(self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for broker in running.values() {
            broker.mode.send_replace(Mode::Stopped);
        }
        for broker in running.into_values() {
            broker.stop().await;
        }
    }
}

/// Topics, leaders and what lies in the logs.
impl MockCluster {
    /// Creates a topic; its replicas are spread over all brokers, and the first replica that is up leads.
    ///
    /// # Errors
    ///
    /// [`MockError::InvalidTopicName`], [`MockError::TopicExists`], [`MockError::InvalidPartitions`] and
    /// [`MockError::InvalidReplicationFactor`].
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
    ) -> Result<(), MockError> {
        self.shared.state().create_topic(name, partitions, replication_factor)
    }

    /// Deletes a topic and its records. A topic that is created under the same name later has another id.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownTopicOrPartition`].
    pub fn delete_topic(&self, name: &str) -> Result<(), MockError> {
        self.change(|state| state.delete_topic(name))
    }

    /// Adds partitions until there are `total`.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownTopicOrPartition`], and [`MockError::InvalidPartitions`] if there are more already.
    pub fn add_partitions(&self, name: &str, total: i32) -> Result<(), MockError> {
        self.change(|state| state.add_partitions(name, total))
    }

    /// Returns the number of partitions of a topic, 0 if it does not exist.
    pub fn partition_count(&self, topic: &str) -> usize {
        self.shared.state().topic(topic).map_or(0, |topic| topic.partitions.len())
    }

    /// Moves a partition to another leader, or to none, and raises its leader epoch.
    ///
    /// A broker that was no replica becomes one. A broker that is down may lead too, which leaves clients with
    /// a leader that they cannot reach.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`] and [`MockError::UnknownTopicOrPartition`].
    pub fn set_leader(&self, topic: &str, partition: i32, leader: Option<i32>) -> Result<(), MockError> {
        self.change(|state| state.set_leader(topic, partition, leader))
    }

    /// Returns the leader of a partition; `None` if it has none or does not exist.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.shared.state().partition(topic, partition)?.leader
    }

    /// Returns the leader epoch of a partition: 0 at first, one more at each move.
    pub fn leader_epoch(&self, topic: &str, partition: i32) -> Option<i32> {
        self.shared.state().partition(topic, partition).map(|partition| partition.leader_epoch)
    }

    /// Returns the records of a partition in the order of their offsets; none if it does not exist.
    pub fn records(&self, topic: &str, partition: i32) -> Vec<MockRecord> {
        self.batches(topic, partition).iter().flat_map(MockBatch::records).collect()
    }

    /// Returns the batches of a partition in the order of their offsets; none if it does not exist.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<MockBatch> {
        let state = self.shared.state();
        state
            .partition(topic, partition)
            .map(|partition| partition.log.batches().to_vec())
            .unwrap_or_default()
    }

    /// Returns the offset that the next record of a partition will get.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownTopicOrPartition`].
    pub fn end_offset(&self, topic: &str, partition: i32) -> Result<i64, MockError> {
        let state = self.shared.state();
        let found = state.partition(topic, partition).ok_or_else(|| unknown(topic, partition))?;
        Ok(found.log.end_offset())
    }

    /// Has all brokers forget the producers whose newest records bear timestamps before this one, in milliseconds since
    /// 1970.
    ///
    /// The mock keeps no time, so each partition remembers the last batches of every producer that ever wrote to it, some
    /// 200 bytes, until this is called. Kafka forgets by itself after a day (`producer.id.expiration.ms`).
    pub fn expire_producers(&self, timestamp: i64) {
        self.shared.state().expire_producers(timestamp);
    }
}

/// What clients did.
impl MockCluster {
    /// Returns how many requests have come so far.
    pub fn requests(&self) -> Requests {
        self.shared.state().requests.clone()
    }

    /// Returns why requests were refused by closing their connection, oldest first, up to the newest 100.
    ///
    /// This is what to look at when a client that is being written only sees its connections closed.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.state().refusals.clone()
    }

    /// Returns the metrics that clients have pushed, oldest first, up to the newest 1000 pushes.
    pub fn pushed_metrics(&self) -> Vec<PushedMetrics> {
        self.shared.state().telemetry.pushed.clone()
    }

    /// Returns how many connections this broker has accepted so far.
    pub fn connections_accepted(&self, broker: i32) -> u64 {
        self.shared.state().connections.accepted(broker)
    }

    /// Returns how many connections to this broker are open.
    pub fn open_connections(&self, broker: i32) -> u64 {
        self.shared.state().connections.open(broker)
    }
}

/// What goes wrong.
impl MockCluster {
    /// Stops a broker as if it had been killed: its listener and connections are closed when this returns.
    ///
    /// The partitions that it led move to the first of their replicas that is up, or to none. Stopping a broker
    /// that is down changes nothing.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the broker goes down all the same, a moment later.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub async fn broker_down(&self, broker: i32) -> Result<(), MockError> {
        self.change(|state| state.broker_down(broker))?;
        self.stop(broker).await;
        Ok(())
    }

    /// Stops a broker as [`broker_down`](Self::broker_down) does, but the other brokers do not notice so far: they go on naming it, also
    /// as the leader of its partitions, until `broker_down` is called, too. Clients find nothing that listens at its address.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the broker ends all the same, a moment later.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`].
    pub async fn crash(&self, broker: i32) -> Result<(), MockError> {
        self.shared.state().node(broker)?;
        self.stop(broker).await;
        Ok(())
    }

    async fn stop(&self, broker: i32) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&broker);
        if let Some(running) = running {
            running.stop().await;
        }
    }

    /// Starts a broker that is down, on its old port if that is still free and else on another one.
    ///
    /// It becomes leader of those of its partitions that have none. Starting a broker that is up changes
    /// nothing.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the broker is either up or down.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`], and [`MockError::Listen`] if no listener can be opened.
    pub async fn broker_up(&self, broker: i32) -> Result<(), MockError> {
        let node = self.shared.state().node(broker)?;
        if node.is_up {
            return Ok(());
        }
        let listener = match listen(broker, node.port).await {
            Err(_) if node.port != 0 => listen(broker, 0).await,
            listening => listening,
        };
        self.serve(broker, listener?)
    }

    fn serve(&self, broker: i32, listener: TcpListener) -> Result<(), MockError> {
        let port = listener.local_addr().map_err(|error| listen_error(broker, error))?.port();
        let mode = watch::Sender::new(Mode::Serving);
        self.change(|state| state.broker_up(broker, port))?;
        let task = tokio::spawn(server::run(Arc::clone(&self.shared), broker, listener, mode.clone()));
        let running = RunningBroker { mode, task };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(broker, running);
        Ok(())
    }

    /// Lets a broker hang: it goes on accepting connections but reads and answers nothing.
    ///
    /// What it read before is carried out. Leaders stay where they are.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`] also for a broker that is down.
    pub fn freeze(&self, broker: i32) -> Result<(), MockError> {
        self.set_mode(broker, Mode::Frozen)
    }

    /// Ends [`freeze`](Self::freeze) and [`Fault::freeze`]: the broker reads and answers what has piled up.
    ///
    /// # Errors
    ///
    /// [`MockError::UnknownBroker`] also for a broker that is down.
    pub fn unfreeze(&self, broker: i32) -> Result<(), MockError> {
        self.set_mode(broker, Mode::Serving)
    }

    /// Adds a fault to those that are waiting for their requests.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.inject(fault);
    }

    /// Returns the faults that still wait for requests, oldest first, with what is left of their numbers.
    ///
    /// Empty when every fault has happened as often as it should, which a test may want to make sure of.
    pub fn pending_faults(&self) -> Vec<Fault> {
        self.shared.state().faults.pending()
    }

    /// Answers the next requests of this kind, to any broker, with an error code; see [`Fault::error_code`].
    pub fn fail_next(&self, api: Api, error_code: i16, count: u32) {
        self.inject(Fault::error_code(error_code).api(api).times(count));
    }

    /// Carries out the next requests of this kind without ever answering; see [`Fault::drop_response`].
    pub fn drop_response(&self, api: Api, count: u32) {
        self.inject(Fault::drop_response().api(api).times(count));
    }

    /// Carries out the next requests of this kind and closes their connections; see [`Fault::disconnect_after`].
    pub fn disconnect_after_request(&self, api: Api, count: u32) {
        self.inject(Fault::disconnect_after().api(api).times(count));
    }

    /// Closes the connections of the next requests of this kind; see [`Fault::disconnect_before`].
    pub fn disconnect_before_request(&self, api: Api, count: u32) {
        self.inject(Fault::disconnect_before().api(api).times(count));
    }

    /// Tells clients in the next responses of any kind to wait; see [`Fault::throttle`].
    pub fn throttle(&self, time: Duration, count: u32) {
        self.inject(Fault::throttle(time).times(count));
    }

    /// Delays every answer of a broker (or all) to a kind of request (or all) from now on; zero ends it.
    ///
    /// Where several delays fit, the longest counts. [`Fault::delay`] tells how delays pass.
    pub fn delay(&self, broker: Option<i32>, api: Option<Api>, delay: Duration) {
        self.shared.state().faults.set_delay(broker, api, delay);
    }

    /// Forgets all injected faults and delays. What is under way already goes on.
    pub fn clear_faults(&self) {
        #[cfg(feature = "tls")]
        self.shared.tls.clear_faults();
        self.shared.state().faults.clear();
    }

    /// Offers only these versions of a kind of request from now on.
    ///
    /// Versions that the mock cannot serve may be announced; using one closes the connection.
    ///
    /// # Errors
    ///
    /// [`MockError::InvalidVersions`] if the lowest is negative or above the highest.
    pub fn set_api_versions(&self, api: Api, min: i16, max: i16) -> Result<(), MockError> {
        self.shared.state().versions.set(api, min, max)
    }

    /// Offers a kind of request no longer.
    pub fn remove_api(&self, api: Api) {
        self.shared.state().versions.remove(api);
    }

    /// Asks clients for other metrics from now on, if the cluster was built with
    /// [`telemetry`](crate::MockClusterBuilder::telemetry). Their next push gets UNKNOWN_SUBSCRIPTION_ID.
    pub fn set_telemetry(&self, subscription: TelemetrySubscription) {
        self.shared.state().telemetry.subscribe(subscription);
    }

    /// Sets how many replicas must be up for `acks=all`; fewer give NOT_ENOUGH_REPLICAS.
    pub fn set_min_insync_replicas(&self, replicas: usize) {
        self.shared.state().settings.min_insync_replicas = replicas;
    }

    /// Sets the size of the largest batch, in bytes; larger ones get MESSAGE_TOO_LARGE.
    pub fn set_max_message_bytes(&self, bytes: usize) {
        self.shared.state().settings.max_message_bytes = bytes;
    }

    fn set_mode(&self, broker: i32, mode: Mode) -> Result<(), MockError> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.get(&broker).ok_or(MockError::UnknownBroker { broker })?;
        running.mode.send_replace(mode);
        Ok(())
    }

    fn change<T>(&self, act: impl FnOnce(&mut crate::state::ClusterState) -> T) -> T {
        let mut state = self.shared.state();
        let result = act(&mut state);
        // A leader may have come for which markers wait.
        state.write_markers_at_once();
        drop(state);
        // A Fetch may be waiting on a broker that no longer leads.
        self.shared.changed.notify_waiters();
        result
    }
}

/// TLS.
#[cfg(feature = "tls")]
impl MockCluster {
    /// Has brokers speak TLS like this with clients that connect from now on, such as with another certificate. Connections
    /// that are open stay as they are.
    ///
    /// # Errors
    ///
    /// [`MockError::InvalidTls`]; brokers then go on as before.
    pub fn set_tls(&self, tls: MockTls) -> Result<(), MockError> {
        self.shared.tls.set(&tls)
    }

    /// Adds a fault to those that are waiting for their handshakes.
    pub fn inject_tls(&self, fault: TlsFault) {
        self.shared.tls.inject(fault);
    }

    /// Returns the faults that still wait for handshakes, oldest first, with what is left of their numbers.
    pub fn pending_tls_faults(&self) -> Vec<TlsFault> {
        self.shared.tls.pending_faults()
    }

    /// Returns what brokers have seen of clients whose handshakes succeeded, oldest first, up to the newest 1000.
    ///
    /// Why handshakes failed stands in [`refusals`](Self::refusals), if it was not for a fault or a client that hung up.
    pub fn tls_connections(&self) -> Vec<TlsConnection> {
        self.shared.tls.connections()
    }
}

/// Listens on a port, or on a free one for 0.
async fn listen(broker: i32, port: u16) -> Result<TcpListener, MockError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(|error| listen_error(broker, error))
}

fn listen_error(broker: i32, error: std::io::Error) -> MockError {
    MockError::Listen { broker, source: Arc::new(error) }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        for broker in self.running.lock().unwrap_or_else(PoisonError::into_inner).values() {
            broker.mode.send_replace(Mode::Stopped);
            broker.task.abort();
        }
    }
}
