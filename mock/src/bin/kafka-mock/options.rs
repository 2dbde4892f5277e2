//! What the program is told when it starts.

use std::error::Error;

use kafka_mock::Fault;

pub(crate) const HELP: &str = "\
usage: kafka-mock [BROKERS] [--port PORT] [--topic NAME:PARTITIONS[:REPLICAS]]... [--fault FAULT]... [--faults FILE]...
                  [--sasl-user NAME:PASSWORD]... [--tls] [--release RELEASE]

Starts BROKERS mock brokers (default 1, ids from 0) on 127.0.0.1, prints their addresses for bootstrap.servers on the
first line, and ends with its standard input. Topics that clients ask for are created.

  --port       the port of the first broker, the others have the next ones; free ports if not given
  --topic      creates a topic; REPLICAS is 1 if not given
  --fault      injects a fault, as in --fault 'produce broker=1 nth=3 cut=10'
  --faults     injects those of a file, one on each line; # begins a comment
  --sasl-user  lets in only users that are named, by SASL
  --release    imitates a release of Kafka, such as 2.8
  --tls        encrypts connections (feature tls); clients have to trust ca.pem from the folder certs of the crate
  --version    prints the version
";

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) brokers: i32,
    pub(crate) port: Option<u16>,
    /// Name, partitions and replicas.
    pub(crate) topics: Vec<(String, i32, i16)>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) sasl_users: Vec<(String, String)>,
    pub(crate) is_encrypted: bool,
    pub(crate) release: Option<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut options = Self { brokers: 1, ..Self::default() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--fault" => options.faults.push(value()?.parse()?),
                "--faults" => {
                    let file = value()?;
                    let script = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
                    let faults = Fault::parse_script(&script).map_err(|error| format!("{file}: {error}"))?;
                    options.faults.extend(faults);
                }
                "--port" => {
                    let port = value()?;
                    let wrong = |_| format!("--port takes a number from 1 to 65535, not {port:?}");
                    options.port = Some(port.parse::<std::num::NonZeroU16>().map_err(wrong)?.get());
                }
                "--sasl-user" => {
                    let user = value()?.split_once(':').ok_or("--sasl-user takes NAME:PASSWORD")?;
                    options.sasl_users.push((user.0.to_owned(), user.1.to_owned()));
                }
                "--release" => options.release = Some(value()?.to_owned()),
                "--tls" => options.is_encrypted = true,
                "--topic" => options.topics.push(topic(value()?)?),
                brokers => {
                    let wrong = |_| format!("{brokers:?} is no number of brokers; --help tells more");
                    options.brokers = brokers.parse().map_err(wrong)?;
                }
            }
        }
        Ok(options)
    }
}

/// Reads `NAME:PARTITIONS` or `NAME:PARTITIONS:REPLICAS`.
fn topic(text: &str) -> Result<(String, i32, i16), Box<dyn Error>> {
    let wrong = || format!("{text:?} is not NAME:PARTITIONS or NAME:PARTITIONS:REPLICAS");
    let (name, partitions, replicas) = match text.split(':').collect::<Vec<_>>().as_slice() {
        [name, partitions] => (*name, partitions.parse(), Ok(1)),
        [name, partitions, replicas] => (*name, partitions.parse(), replicas.parse()),
        _ => return Err(wrong().into()),
    };
    Ok((name.to_owned(), partitions.map_err(|_| wrong())?, replicas.map_err(|_| wrong())?))
}
