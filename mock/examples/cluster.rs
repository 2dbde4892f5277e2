//! A cluster to try clients of any language against: `cargo run -p kafka-mock --example cluster -- --help`.

use std::error::Error;
use std::io::BufRead;
use std::process::ExitCode;

use kafka_mock::{Api, Fault, MockCluster, MockClusterBuilder};

const HELP: &str = "\
usage: cluster [BROKERS] [--topic NAME:PARTITIONS[:REPLICAS]]... [--fault FAULT]... [--faults FILE]...
               [--sasl-user NAME:PASSWORD]... [--tls] [--release RELEASE]

Starts BROKERS mock brokers (default 1, ids from 0) and prints their addresses for bootstrap.servers on the
first line. Topics that clients ask for are created.

  --topic      creates a topic; REPLICAS is 1 if not given
  --fault      injects a fault, as in --fault 'produce broker=1 nth=3 cut=10'
  --faults     injects those of a file, one on each line; # begins a comment
  --sasl-user  lets in only users that are named, by SASL
  --release    imitates a release of Kafka, such as 2.8
  --tls        encrypts connections (feature tls); clients have to trust mock/certs/ca.pem

Then obeys lines on standard input until it ends:

  records TOPIC PARTITION            what is in the log
  committed TOPIC PARTITION          what of that a consumer reads with isolation.level=read_committed
  transactions                       where the transactions of each transactional id stand
  offsets GROUP                      what transactions have committed for a consumer group
  time-out TRANSACTIONAL-ID          aborts an open transaction, as if it had taken too long
  transaction-version VERSION        2: clients use the protocol of KIP-890; 1: the one before
  leader TOPIC PARTITION BROKER      moves the leader
  down BROKER, up BROKER             kills a broker, starts it again
  freeze BROKER, unfreeze BROKER     lets a broker hang, ends that
  fault FAULT                        injects a fault
  faults                             shows those that still wait
  clear-faults                       forgets them
  requests                           how many of each kind have come
  refusals                           why connections were closed
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let options = Options::parse(arguments)?;
    let mut builder = MockCluster::builder().brokers(options.brokers);
    for (name, password) in &options.sasl_users {
        builder = builder.sasl_user(name, password);
    }
    if let Some(release) = &options.release {
        builder = builder.kafka_release(release);
    }
    if options.is_encrypted {
        builder = encrypted(builder)?;
    }
    let cluster = builder.start().await?;
    for (topic, partitions, replicas) in &options.topics {
        cluster.create_topic(topic, *partitions, *replicas)?;
    }
    for fault in options.faults {
        cluster.inject(fault);
    }
    println!("{}", cluster.bootstrap_servers());

    let (lines, mut orders) = tokio::sync::mpsc::unbounded_channel();
    // Standard input blocks, so it gets a thread of its own; it ends when the channel or the input does.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    while let Some(order) = orders.recv().await {
        if let Err(error) = obey(&cluster, &order).await {
            println!("{order:?}: {error}");
        }
    }
    cluster.shutdown().await;
    Ok(())
}

struct Options {
    brokers: i32,
    topics: Vec<(String, i32, i16)>,
    faults: Vec<Fault>,
    sasl_users: Vec<(String, String)>,
    is_encrypted: bool,
    release: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            brokers: 1,
            topics: Vec::new(),
            faults: Vec::new(),
            sasl_users: Vec::new(),
            is_encrypted: false,
            release: None,
        };
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

#[cfg(feature = "tls")]
fn encrypted(builder: MockClusterBuilder) -> Result<MockClusterBuilder, Box<dyn Error>> {
    Ok(builder.tls(kafka_mock::MockTls::new()))
}

#[cfg(not(feature = "tls"))]
fn encrypted(_: MockClusterBuilder) -> Result<MockClusterBuilder, Box<dyn Error>> {
    Err("--tls needs the feature tls: cargo run -p kafka-mock --features tls --example cluster".into())
}

/// Reads `NAME:PARTITIONS` or `NAME:PARTITIONS:REPLICAS`.
fn topic(text: &str) -> Result<(String, i32, i16), Box<dyn Error>> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [name, partitions] => Ok(((*name).to_owned(), partitions.parse()?, 1)),
        [name, partitions, replicas] => Ok(((*name).to_owned(), partitions.parse()?, replicas.parse()?)),
        _ => Err(format!("{text:?} is not NAME:PARTITIONS or NAME:PARTITIONS:REPLICAS").into()),
    }
}

async fn obey(cluster: &MockCluster, order: &str) -> Result<(), Box<dyn Error>> {
    match order.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["records", topic, partition] => {
            for record in cluster.records(topic, partition.parse()?) {
                println!("{record:?}");
            }
        }
        ["committed", topic, partition] => {
            for record in cluster.committed_records(topic, partition.parse()?) {
                println!("{record:?}");
            }
        }
        ["transactions"] => println!("{:#?}", cluster.transactions()),
        ["offsets", group] => println!("{:#?}", cluster.committed_offsets(group)),
        ["time-out", id] => println!("{}", cluster.time_out_transaction(id)),
        ["transaction-version", version] => cluster.set_transaction_version(version.parse()?),
        ["leader", topic, partition, broker] => {
            cluster.set_leader(topic, partition.parse()?, Some(broker.parse()?))?;
        }
        ["down", broker] => cluster.broker_down(broker.parse()?).await?,
        ["up", broker] => cluster.broker_up(broker.parse()?).await?,
        ["freeze", broker] => cluster.freeze(broker.parse()?)?,
        ["unfreeze", broker] => cluster.unfreeze(broker.parse()?)?,
        ["fault", words @ ..] => cluster.inject(words.join(" ").parse()?),
        ["faults"] => {
            for fault in cluster.pending_faults() {
                println!("{fault:?}");
            }
        }
        ["clear-faults"] => cluster.clear_faults(),
        ["requests"] => {
            for api in Api::ALL {
                println!("{api:?}: {}", cluster.requests().of(api));
            }
        }
        ["refusals"] => println!("{:#?}", cluster.refusals()),
        [] => {}
        _ => return Err("not an order".into()),
    }
    Ok(())
}
