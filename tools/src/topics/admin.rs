//! What is asked of the cluster.

use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, MetadataRequest, MetadataResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::connection::{Connection, error_name};
use crate::description::Description;
use crate::properties::Failure;

/// A cluster, seen from one of its brokers.
#[derive(Debug)]
pub(crate) struct Admin {
    connection: Connection,
}

/// A topic that shall be. What is `None` is for brokers to say, since Kafka 2.4.
#[derive(Debug)]
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: Option<i32>,
    pub(crate) replication_factor: Option<i16>,
    pub(crate) configs: Vec<(&'a str, &'a str)>,
}

/// What has become of a topic that should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    WasThere,
}

impl Admin {
    /// Connects to the first server that answers.
    pub(crate) fn connect(servers: &[String]) -> Result<Self, Failure> {
        let mut failed = Vec::new();
        for server in servers {
            match Connection::open(server) {
                Ok(connection) => return Ok(Self { connection }),
                Err(error) => failed.push(error.to_string()),
            }
        }
        Err(failed.join("; ").into())
    }

    pub(crate) fn create(&mut self, topic: &NewTopic<'_>) -> Result<Created, Failure> {
        let config = |(key, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        };
        let asked = CreatableTopic::default()
            .with_name(name(topic.name))
            .with_num_partitions(topic.partitions.unwrap_or(-1))
            .with_replication_factor(topic.replication_factor.unwrap_or(-1))
            .with_configs(topic.configs.iter().map(config).collect());
        let request =
            CreateTopicsRequest::default().with_topics(vec![asked]).with_timeout_ms(BROKERS_LIMIT_MS);
        let leaves_to_brokers = topic.partitions.is_none() || topic.replication_factor.is_none();
        self.by_controller(topic.name, |controller| {
            let is_old =
                controller.version::<CreateTopicsRequest>(i16::MAX).is_some_and(|version| version < 4);
            if leaves_to_brokers && is_old {
                return Err("brokers older than Kafka 2.4 want --partitions and --replication-factor".into());
            }
            let answer = controller.ask(i16::MAX, &request)?;
            let answer = answer.topics.into_iter().next().ok_or("the answer says nothing of the topic")?;
            let reason = answer.error_message.map(|reason| reason.to_string());
            match answer.error_code {
                0 => Ok(Outcome::Done(Created::New)),
                TOPIC_ALREADY_EXISTS => Ok(Outcome::Done(Created::WasThere)),
                code => Ok(Outcome::Refused { code, reason }),
            }
        })
    }

    pub(crate) fn delete(&mut self, topic: &str) -> Result<(), Failure> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![name(topic)])
            .with_timeout_ms(BROKERS_LIMIT_MS);
        self.by_controller(topic, |controller| {
            let answer = controller.ask(DELETE_BY_NAME, &request)?;
            let answer = answer.responses.into_iter().next().ok_or("the answer says nothing of the topic")?;
            let reason = answer.error_message.map(|reason| reason.to_string());
            match answer.error_code {
                0 => Ok(Outcome::Done(())),
                code => Ok(Outcome::Refused { code, reason }),
            }
        })
    }

    /// Those of the topics that are there, or all if none are named, by name.
    pub(crate) fn named(&mut self, names: &[String]) -> Result<Vec<Description>, Failure> {
        let mut topics = self.topics((!names.is_empty()).then_some(names))?;
        self.add_configs(&mut topics)?;
        Ok(topics)
    }

    /// The topics once all of them have leaders.
    pub(crate) fn wait_for_topics(&mut self, names: &[String]) -> Result<Vec<Description>, Failure> {
        let started = now();
        loop {
            let topics = self.topics(Some(names))?;
            let has_leaders = |topic: &Description| topic.partitions.iter().all(|of| of.leader.is_some());
            if topics.len() == names.len() && topics.iter().all(has_leaders)
                || started.elapsed() > SPREAD_LIMIT
            {
                return self.named(names);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Those of the topics that are there, or all, by name and without their settings.
    pub(crate) fn topics(&mut self, names: Option<&[String]>) -> Result<Vec<Description>, Failure> {
        let mut topics = Vec::new();
        for topic in self.metadata(names)?.topics {
            match topic.error_code {
                0 | LEADER_NOT_AVAILABLE => topics.push(Description::new(&topic)),
                UNKNOWN_TOPIC_OR_PARTITION => {}
                code => {
                    let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
                    return Err(format!("topic {name:?}: {}", error_name(code)).into());
                }
            }
        }
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    fn metadata(&mut self, names: Option<&[String]>) -> Result<MetadataResponse, Failure> {
        let topic = |topic: &String| MetadataRequestTopic::default().with_name(Some(name(topic)));
        let topics = names.map(|names| names.iter().map(topic).collect());
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        self.connection.ask(i16::MAX, &request)
    }

    /// Adds what the broker tells of settings: nothing before Kafka 1.1.
    fn add_configs(&mut self, topics: &mut [Description]) -> Result<(), Failure> {
        if topics.is_empty() {
            return Ok(());
        }
        if self.connection.version::<DescribeConfigsRequest>(i16::MAX).is_none() {
            eprintln!("The broker does not tell the settings of topics.");
            return Ok(());
        }
        let resource = |topic: &Description| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC_RESOURCE)
                .with_resource_name(text(&topic.name))
                .with_configuration_keys(None)
        };
        let request = DescribeConfigsRequest::default().with_resources(topics.iter().map(resource).collect());
        for told in self.connection.ask(i16::MAX, &request)?.results {
            let Some(topic) = topics.iter_mut().find(|topic| topic.name == *told.resource_name) else {
                continue;
            };
            if told.error_code != 0 {
                eprintln!(
                    "The broker does not tell the settings of {}: {}",
                    topic.name,
                    error_name(told.error_code)
                );
                continue;
            }
            let own = told.configs.into_iter().filter(|config| config.config_source != DEFAULT_CONFIG);
            let value =
                |value: Option<StrBytes>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
            topic.configs = own.map(|config| (config.name.to_string(), value(config.value))).collect();
            topic.configs.sort();
        }
        Ok(())
    }

    /// Asks the controller, and again if there is another one meanwhile.
    fn by_controller<T>(
        &mut self,
        topic: &str,
        mut ask: impl FnMut(&mut Connection) -> Result<Outcome<T>, Failure>,
    ) -> Result<T, Failure> {
        let started = now();
        loop {
            let address = self.controller()?;
            let outcome = match address {
                Some(address) => ask(&mut Connection::open(&address)?)?,
                None => Outcome::Refused { code: NOT_CONTROLLER, reason: None },
            };
            match outcome {
                Outcome::Done(done) => return Ok(done),
                Outcome::Refused { code: NOT_CONTROLLER, .. } if started.elapsed() < SPREAD_LIMIT => {
                    std::thread::sleep(PAUSE);
                }
                Outcome::Refused { code, reason } => {
                    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                    return Err(format!("topic {topic:?}: {}{reason}", error_name(code)).into());
                }
            }
        }
    }

    /// Where the controller is. Brokers without ZooKeeper name one of themselves, which passes on what it is asked.
    fn controller(&mut self) -> Result<Option<String>, Failure> {
        let metadata = self.metadata(Some(&[]))?;
        let controller = metadata.brokers.iter().find(|broker| broker.node_id == metadata.controller_id);
        Ok(controller.map(|broker| match broker.host.contains(':') {
            true => format!("[{}]:{}", broker.host.as_str(), broker.port),
            false => format!("{}:{}", broker.host.as_str(), broker.port),
        }))
    }
}

/// What the controller says.
#[derive(Debug)]
enum Outcome<T> {
    Done(T),
    Refused { code: i16, reason: Option<String> },
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "a program may read the clock")]
fn now() -> Instant {
    Instant::now()
}

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const NOT_CONTROLLER: i16 = 41;

/// The type of resource that a topic is, and where a setting comes from that has not been set.
const TOPIC_RESOURCE: i8 = 2;
const DEFAULT_CONFIG: i8 = 5;

/// The last version that takes names, which every broker knows since Kafka 1.0.
const DELETE_BY_NAME: i16 = 5;

/// How long the brokers may take for a change.
const BROKERS_LIMIT_MS: i32 = 30_000;
/// How long a change may take to be known to all brokers.
const SPREAD_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
