//! Where an example sends its records: the cluster named on the command line, or a `kafka-mock` of its own.

use std::error::Error;

use kafka_mock::MockCluster;

/// What the examples fail with.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A cluster and a topic in it.
pub(crate) struct Target {
    pub(crate) servers: String,
    pub(crate) topic: String,
    /// `None` for a real cluster, whose records this crate cannot read back.
    pub(crate) mock: Option<MockCluster>,
}

impl Target {
    /// Takes `--bootstrap-server HOST:PORT` and `--topic NAME` from the command line. Without the first it starts three
    /// brokers in this process and creates the topic on all of them.
    pub(crate) async fn from_args(default_topic: &str, partitions: i32) -> Result<Self, Failure> {
        let (servers, topic) = parse(std::env::args().skip(1))?;
        let topic = topic.unwrap_or_else(|| default_topic.to_owned());
        if let Some(servers) = servers {
            println!("Sending to topic {topic} of {servers}");
            return Ok(Self { servers, topic, mock: None });
        }
        let mock = MockCluster::start(BROKERS.into()).await?;
        mock.create_topic(&topic, partitions, BROKERS)?;
        let servers = mock.bootstrap_servers();
        println!("Started a mock cluster of {BROKERS} brokers: {servers}");
        println!("Created topic {topic}: {partitions} partitions, replication factor {BROKERS}");
        Ok(Self { servers, topic, mock: Some(mock) })
    }

    /// Stops the mock, if there is one.
    pub(crate) async fn shutdown(self) {
        if let Some(mock) = self.mock {
            mock.shutdown().await;
        }
    }
}

const BROKERS: i16 = 3;

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<(Option<String>, Option<String>), Failure> {
    let (mut servers, mut topic) = (None, None);
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let place = match name {
            "--bootstrap-server" => &mut servers,
            "--topic" => &mut topic,
            _ => {
                let usage = "usage: [--bootstrap-server HOST:PORT[,HOST:PORT…]] [--topic NAME]";
                return Err(format!("unknown argument {argument}; {usage}").into());
            }
        };
        *place = Some(inline.or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"))?);
    }
    Ok((servers, topic))
}
