//! What the program is told on its standard input.

use std::error::Error;
use std::fmt::{self, Write};

use kafka_mock::{Api, MockCluster};

pub(crate) const HELP: &str = "\
Obeys lines on standard input:

  records TOPIC PARTITION            what is in the log
  committed TOPIC PARTITION          what of that a consumer reads with isolation.level=read_committed
  transactions                       where the transactions of each transactional id stand
  groups                             consumer groups: state, generation, and what each member reads
  offsets GROUP                      what a consumer group has committed
  expel GROUP MEMBER                 removes a member, as if its session had ended
  time-out TRANSACTIONAL-ID          aborts an open transaction, as if it had taken too long
  transaction-version VERSION        2: clients use the protocol of KIP-890; 1: the one before
  leader TOPIC PARTITION BROKER      moves the leader
  coordinator GROUP BROKER           moves the coordinator of a group
  down BROKER, up BROKER             kills a broker, starts it again
  freeze BROKER, unfreeze BROKER     lets a broker hang, ends that
  fault FAULT                        injects a fault
  faults                             shows those that still wait
  clear-faults                       forgets them
  requests                           how many of each kind have come
  refusals                           why connections were closed
";

/// Does what a line says, and returns what there is to tell.
pub(crate) async fn obey(cluster: &MockCluster, order: &str) -> Result<String, Box<dyn Error>> {
    let mut told = String::new();
    match order.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["records", topic, partition] => told = lines(cluster.records(topic, partition.parse()?)),
        ["committed", topic, partition] => {
            told = lines(cluster.committed_records(topic, partition.parse()?));
        }
        ["transactions"] => writeln!(told, "{:#?}", cluster.transactions())?,
        ["groups"] => told = groups(cluster)?,
        ["offsets", group] => writeln!(told, "{:#?}", cluster.committed_offsets(group))?,
        ["expel", group, member] => writeln!(told, "{}", cluster.time_out_group_member(group, member))?,
        ["time-out", id] => writeln!(told, "{}", cluster.time_out_transaction(id))?,
        ["transaction-version", version] => cluster.set_transaction_version(version.parse()?),
        ["leader", topic, partition, broker] => {
            cluster.set_leader(topic, partition.parse()?, Some(broker.parse()?))?;
        }
        ["coordinator", group, broker] => cluster.move_group_coordinator(group, broker.parse()?)?,
        ["down", broker] => cluster.broker_down(broker.parse()?).await?,
        ["up", broker] => cluster.broker_up(broker.parse()?).await?,
        ["freeze", broker] => cluster.freeze(broker.parse()?)?,
        ["unfreeze", broker] => cluster.unfreeze(broker.parse()?)?,
        ["fault", words @ ..] => cluster.inject(words.join(" ").parse()?),
        ["faults"] => told = lines(cluster.pending_faults()),
        ["clear-faults"] => cluster.clear_faults(),
        ["requests"] => {
            let requests = cluster.requests();
            Api::ALL.into_iter().try_for_each(|api| writeln!(told, "{api:?}: {}", requests.of(api)))?;
        }
        ["refusals"] => writeln!(told, "{:#?}", cluster.refusals())?,
        [] => {}
        _ => return Err("not an order".into()),
    }
    Ok(told)
}

fn lines<T: fmt::Debug>(things: Vec<T>) -> String {
    things.iter().map(|thing| format!("{thing:?}\n")).collect()
}

fn groups(cluster: &MockCluster) -> Result<String, fmt::Error> {
    let mut told = String::new();
    for (id, group) in cluster.groups() {
        let count = group.members.len();
        writeln!(told, "{id}: {:?}, generation {}, {count} members", group.state, group.generation)?;
        for (id, member) in &group.members {
            writeln!(told, "  {id}: {:?}", member.partitions())?;
        }
    }
    Ok(told)
}
