//! `Session`: a producer at work, and what is known of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, Topic};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::causes::Causes;
use crate::history::{History, Status};
use crate::load::Load;
use crate::options::Options;
use crate::properties::{self, Failure};
use crate::snapshot::Snapshot;
use crate::story::{Line, Story};
use crate::view::{STORY_LINES, View};
use crate::{clock, scenario};

/// A producer at work: the load, the cluster if it is a mock, and the snapshots so far.
pub(crate) struct Session {
    began: Instant,
    producer: KafkaProducer,
    topic: Topic,
    target: String,
    causes: Arc<Causes>,
    story: Arc<Story>,
    history: History,
    leaders: BTreeMap<i32, Option<i32>>,
    lines: Vec<Line>,
    mock: Option<Arc<MockCluster>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Session {
    pub(crate) async fn start(options: &Options, story: Arc<Story>, began: Instant) -> Result<Self, Failure> {
        let mut config = properties::read(options.command_config.as_deref(), &options.command_property)?;
        if let Some(servers) = &options.bootstrap_server {
            config = config.bootstrap_servers(servers);
        }
        let mut tasks = Vec::new();
        let mut target = format!("topic {}", options.topic);
        let mut mock = None;
        if config.get("bootstrap.servers").is_none_or(|servers| servers.is_empty()) {
            let cluster = Arc::new(scenario::start(&options.topic).await?);
            let ours = IMPATIENT.into_iter().map(str::to_owned);
            let properties: Vec<_> = ours.chain(options.command_property.iter().cloned()).collect();
            config = properties::read(options.command_config.as_deref(), &properties)?
                .bootstrap_servers(cluster.bootstrap_servers());
            target += &format!(" of {} mock brokers", scenario::BROKERS);
            let play = scenario::play(Arc::clone(&cluster), options.topic.clone(), Arc::clone(&story));
            tasks.push(tokio::spawn(play));
            mock = Some(cluster);
        }
        let causes = Arc::new(Causes::default());
        let builder = KafkaProducer::builder().config(config).interceptor(Arc::clone(&causes));
        let producer = builder.build()?;
        let topic = Topic::from(Arc::from(options.topic.as_str()));
        let load = Load { topic: topic.clone(), rate: options.rate, record_size: options.record_size };
        tasks.push(tokio::spawn(load.run(producer.clone())));
        let (history, leaders, lines) = (History::default(), BTreeMap::new(), Vec::new());
        Ok(Self { began, producer, topic, target, causes, story, history, leaders, lines, mock, tasks })
    }

    /// Looks at the producer. Fails if a task has ended that should not.
    pub(crate) async fn look(&mut self) -> Result<(), Failure> {
        if let Some(ended) = self.tasks.iter_mut().find(|task| task.is_finished()) {
            ended.await?;
            return Err("the load or the script has ended".into());
        }
        // What is known already comes at once.
        if let Ok(Ok(partitions)) = timeout(GLANCE, self.producer.partitions_for(self.topic.clone())).await {
            let leader = |id: Option<kafka_producer::NodeId>| id.map(|node| node.0);
            self.leaders = partitions.iter().map(|it| (it.partition(), leader(it.leader()))).collect();
        }
        let at = clock::now().saturating_duration_since(self.began);
        self.history.push(Snapshot::take(&self.producer, &self.leaders, self.causes.all(), at));
        self.lines = self.story.last(STORY_LINES);
        Ok(())
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { target: &self.target, history: &self.history, story: &self.lines }
    }

    /// Whether records get through, and nothing is in their way.
    pub(crate) fn is_well(&self) -> bool {
        self.history.status() == Status::Delivering
    }

    pub(crate) async fn end(self) {
        for task in &self.tasks {
            task.abort();
        }
        // What is not acknowledged by then does not matter.
        let _ = self.producer.close(PATIENCE).await;
        drop(self.tasks);
        if let Some(Ok(mock)) = self.mock.map(Arc::try_unwrap) {
            mock.shutdown().await;
        }
    }
}

/// So that a visitor need not wait for minutes until a record fails.
const IMPATIENT: [&str; 4] =
    ["buffer.memory=8388608", "client.id=top", "delivery.timeout.ms=3000", "request.timeout.ms=2000"];
const GLANCE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);
