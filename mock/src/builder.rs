//! Choices to make before a cluster starts.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::access_tokens::MockToken;
use crate::cluster::MockCluster;
use crate::error::MockError;
use crate::features::Features;
use crate::releases::{Release, release_of};
use crate::sasl::{Admission, SaslMechanism};
use crate::server::Shared;
use crate::state::{ClusterState, Settings};
use crate::telemetry::TelemetrySubscription;
#[cfg(feature = "tls")]
use crate::tls::MockTls;
use crate::topic::random_u64;

/// Builds a [`MockCluster`]; made by [`MockCluster::builder`].
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), kafka_mock::MockError> {
/// use kafka_mock::MockCluster;
///
/// let cluster = MockCluster::builder().brokers(3).auto_create_topics(false, 1).start().await?;
/// assert_eq!(cluster.bootstrap_servers().split(',').count(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct MockClusterBuilder {
    brokers: i32,
    first_port: Option<u16>,
    settings: Settings,
    max_frame_bytes: usize,
    release: Option<String>,
    /// `None`: what the release has.
    transaction_version: Option<Option<i16>>,
    cluster_id: Option<String>,
    group_initial_rebalance_delay: Duration,
    group_session_timeouts: RangeInclusive<Duration>,
    telemetry: Option<TelemetrySubscription>,
    #[cfg(feature = "tls")]
    tls: Option<MockTls>,
}

impl MockClusterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            brokers: 1,
            first_port: None,
            settings: Settings::default(),
            max_frame_bytes: 100 * 1024 * 1024,
            release: None,
            transaction_version: None,
            cluster_id: None,
            group_initial_rebalance_delay: Duration::ZERO,
            group_session_timeouts: Duration::from_secs(6)..=Duration::from_secs(1800),
            telemetry: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets the racks that brokers are in (`broker.rack`, default none): the first broker is in the first, and so on by turns.
    pub fn racks<R: Into<String>>(mut self, racks: impl IntoIterator<Item = R>) -> Self {
        self.settings.racks = racks.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the number of brokers (default 1); their ids count from 0.
    pub fn brokers(mut self, brokers: i32) -> Self {
        self.brokers = brokers;
        self
    }

    /// Sets the port of the first broker, which is followed by those of the others (default 0: ports that the operating system chooses, so that
    /// any number of clusters can run at once). [`start`](Self::start) fails if one of them is taken.
    pub fn first_port(mut self, port: u16) -> Self {
        self.first_port = Some(port).filter(|port| *port != 0);
        self
    }

    /// Sets whether a Metadata request creates the topics that it asks for, and with how many partitions
    /// (default: yes, 1; Kafka's `auto.create.topics.enable` and `num.partitions`).
    ///
    /// Such topics have as many replicas as there are brokers, but at most 3. `partitions` also counts for
    /// CreateTopics requests that leave the number to the broker.
    pub fn auto_create_topics(mut self, is_enabled: bool, partitions: i32) -> Self {
        self.settings.auto_create_topics = is_enabled;
        self.settings.default_partitions = partitions;
        self
    }

    /// Sets how many replicas must be up for `acks=all` to be accepted (default 1; `min.insync.replicas`).
    pub fn min_insync_replicas(mut self, replicas: usize) -> Self {
        self.settings.min_insync_replicas = replicas;
        self
    }

    /// Sets the size of the largest batch that is accepted, in bytes (default 1048588; `message.max.bytes`).
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_message_bytes = bytes;
        self
    }

    /// Sets the size of the largest request that is read, in bytes (default 100 MiB;
    /// `socket.request.max.bytes`). A larger one closes its connection.
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_frame_bytes = bytes;
        self
    }

    /// Sets whether records are kept in memory (default yes).
    ///
    /// Without, every batch is checked and counted as usual and then forgotten, so that load tests may run for
    /// as long as they like; consumers then find nothing to read. Where producers come and go meanwhile, see
    /// [`MockCluster::expire_producers`].
    pub fn keep_records(mut self, is_enabled: bool) -> Self {
        self.settings.keeps_records = is_enabled;
        self
    }

    /// Offers the versions that brokers of this release offer, such as `"1.0"` or `"3.9"` (default: those of
    /// the newest release that the mock knows).
    ///
    /// Known are 0.11, 1.0 to 1.1, 2.0 to 2.8, 3.0 to 3.9 and 4.0 to 4.4, as far as the mock can serve them:
    /// Produce below version 3, Fetch below 4, OffsetCommit below 2 and OffsetFetch 0 are announced but not served.
    ///
    /// Brokers before 4.0 do not know the newer protocol of transactions (KIP-890), and those before 3.6 write what is sent for a
    /// transaction without asking its coordinator.
    pub fn kafka_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the finalized feature `transaction.version` (default: 2, and none with a release before 4.0): with 2 clients use the
    /// protocol of KIP-890, with 0, 1 or none the one before. `None` is for brokers that do not know the feature, such as those that are
    /// not Kafka's. Numbers outside of 0 to 2 are taken for the nearest one.
    pub fn transaction_version(mut self, version: impl Into<Option<i16>>) -> Self {
        self.transaction_version = Some(version.into());
        self
    }

    /// Sets how long a consumer group that had no members waits for more of them (default 0, as in the configuration that Kafka comes
    /// with; `group.initial.rebalance.delay.ms`). Members that come meanwhile join in the same generation.
    pub fn group_initial_rebalance_delay(mut self, delay: Duration) -> Self {
        self.group_initial_rebalance_delay = delay;
        self
    }

    /// Sets which `session.timeout.ms` members of consumer groups may have (default 6 seconds to 30 minutes;
    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`). Others get INVALID_SESSION_TIMEOUT.
    pub fn group_session_timeouts(mut self, timeouts: RangeInclusive<Duration>) -> Self {
        self.group_session_timeouts = timeouts;
        self
    }

    /// Lets in only clients that say who they are by SASL, this user among others. May be called for several users.
    ///
    /// Without users, the default, all clients are let in. What is said is checked as a broker of Kafka does, with the same
    /// words to those that are refused.
    pub fn sasl_user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.admission().users.insert(name.into(), password.into());
        self
    }

    /// Lets in only clients that say who they are by SASL, those with this access token among others (OAUTHBEARER).
    pub fn sasl_token(mut self, token: impl Into<String>, is: MockToken) -> Self {
        self.admission().tokens.insert(token.into(), is);
        self
    }

    /// Sets what decides about access tokens that [`sasl_token`](Self::sasl_token) does not know, from the token and from the
    /// extensions that clients say with it. An error is said to the client as it is; a broker of Kafka says JSON there, such as
    /// `{"status":"invalid_token"}`.
    pub fn sasl_token_check(
        mut self,
        check: impl Fn(&str, &BTreeMap<String, String>) -> Result<MockToken, String> + Send + Sync + 'static,
    ) -> Self {
        self.admission().tokens.set_check(Arc::new(check));
        self
    }

    /// Lets in only clients that say who they are by SASL, those with this access key of AWS among others (AWS_MSK_IAM). The date of
    /// the signature is not checked.
    pub fn sasl_aws_key(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.admission().aws_keys.insert(id.into(), secret.into());
        self
    }

    /// Sets by which mechanisms clients can say who they are (default: all that the mock knows; `sasl.enabled.mechanisms`).
    pub fn sasl_mechanisms(mut self, mechanisms: impl IntoIterator<Item = SaslMechanism>) -> Self {
        self.admission().mechanisms = mechanisms.into_iter().collect();
        self
    }

    /// Sets how many iterations brokers ask for with SCRAM (default 4096).
    pub fn scram_iterations(mut self, iterations: u32) -> Self {
        self.admission().iterations = iterations;
        self
    }

    /// Sets how long a client counts as authenticated (default: for ever; `connections.max.reauth.ms`). A request after that
    /// closes the connection.
    pub fn sasl_session_lifetime(mut self, lifetime: Duration) -> Self {
        self.admission().session_lifetime = Some(lifetime);
        self
    }

    /// Has brokers speak SASL as those before Kafka 1.0 do (default no): SaslHandshake 0, and then the words of the mechanism as they
    /// are, each behind its length. Clients that are refused find the connection closed.
    pub fn sasl_without_headers(mut self, is_enabled: bool) -> Self {
        self.admission().is_without_headers = is_enabled;
        self
    }

    /// Has brokers speak TLS (default: they speak plaintext). May be combined with users of SASL.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: MockTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Has brokers ask clients for metrics (default: they do not offer it; KIP-714).
    pub fn telemetry(mut self, subscription: TelemetrySubscription) -> Self {
        self.telemetry = Some(subscription);
        self
    }

    fn admission(&mut self) -> &mut Admission {
        self.settings.admission.get_or_insert_default()
    }

    /// Sets the cluster id that Metadata tells (default: a random one).
    pub fn cluster_id(mut self, id: impl Into<String>) -> Self {
        self.cluster_id = Some(id.into());
        self
    }

    /// Opens the listeners on 127.0.0.1, and starts to serve.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, listeners that were open already are closed.
    ///
    /// # Errors
    ///
    /// [`MockError::InvalidBrokerCount`] for less than one broker, [`MockError::UnknownRelease`],
    /// [`MockError::Listen`] if a listener cannot be opened, and with the feature `tls` `MockError::InvalidTls` if a certificate
    /// or key cannot be used, or if this processor lacks instructions that TLS needs.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime, or if the runtime has no I/O and time drivers.
    pub async fn start(self) -> Result<MockCluster, MockError> {
        if self.brokers < 1 {
            return Err(MockError::InvalidBrokerCount { brokers: self.brokers });
        }
        let Release { mut versions, mut features, verifies_transactions } = match &self.release {
            None => Release::newest(),
            Some(release) => {
                release_of(release).ok_or_else(|| MockError::UnknownRelease { release: release.clone() })?
            }
        };
        match self.transaction_version {
            None => {}
            Some(None) => features = Features::none(),
            Some(version) => features.set_transaction_version(version),
        }
        if let Some(admission) = &self.settings.admission {
            versions.add_sasl(admission.is_without_headers);
        }
        if self.telemetry.is_some() {
            versions.add_telemetry();
        }
        // Kafka's ids are 22 characters too.
        let cluster_id = self.cluster_id.unwrap_or_else(|| format!("mock--{:016x}", random_u64()));
        let settings = Settings { verifies_transactions, ..self.settings };
        let mut state = ClusterState::new(cluster_id, self.brokers, settings, versions);
        state.features = features;
        state.groups.member_salt = random_u64();
        state.groups.initial_delay = self.group_initial_rebalance_delay;
        state.groups.session_timeouts = self.group_session_timeouts;
        if let Some(subscription) = self.telemetry {
            state.telemetry.subscribe(subscription);
        }
        let shared = Shared::new(state, self.max_frame_bytes);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            shared.tls.set(tls)?;
        }
        MockCluster::start_with(shared, self.first_port).await
    }
}

impl MockCluster {
    /// Returns a builder with one broker and Kafka's defaults.
    pub fn builder() -> MockClusterBuilder {
        MockClusterBuilder::new()
    }

    /// Starts a cluster of this many brokers with Kafka's defaults.
    ///
    /// # Cancel safety
    ///
    /// As for [`MockClusterBuilder::start`].
    ///
    /// # Errors
    ///
    /// As for [`MockClusterBuilder::start`].
    ///
    /// # Panics
    ///
    /// As for [`MockClusterBuilder::start`].
    pub async fn start(brokers: i32) -> Result<Self, MockError> {
        Self::builder().brokers(brokers).start().await
    }
}
