//! What Kafka's consumers see with `read_committed`, against what callers were told.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::ledger::Entry;
use super::ledger::Ledger;
use super::ledger::Name;
use super::ledger::Told;
use super::writer;
use crate::support::ConsumedRecord;
use crate::support::Isolation;
use crate::support::KafkaCluster;

/// Enough to see what is wrong.
const SHOWN: usize = 20;

/// Reads the topic by two consumers, prints a line for each version of the protocol, and fails the test if what callers were told is
/// not so.
pub(super) async fn judge(cluster: &KafkaCluster, topic: &str, ledger: &Ledger) {
    let found = cluster.consume_all(topic, Isolation::ReadCommitted).await;
    let printed = cluster.console_consume_committed(topic, found.len()).await;
    let mut wrong = differences(&found, printed);
    let entries = ledger.all();
    let seen = seen(&found, &entries, &mut wrong);
    for (name, entry) in &entries {
        wrong.extend(complaint(entry, seen.get(name)).map(|what| format!("{name:?} {what}: {entry:?}")));
    }
    let protocols: BTreeSet<&str> = entries.values().map(|entry| entry.protocol).collect();
    for protocol in protocols {
        println!("Kafka {}, {protocol}: {}", cluster.version().number(), figures(protocol, &entries, &seen));
    }
    assert!(
        wrong.is_empty(),
        "{} violations, of which the first are:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(SHOWN)].join("\n")
    );
}

/// The records of each transaction that were seen, in any order.
type Seen = BTreeMap<Name, BTreeSet<u64>>;

/// Looks at the records in the order of the logs.
fn seen(found: &[ConsumedRecord], entries: &BTreeMap<Name, Entry>, wrong: &mut Vec<String>) -> Seen {
    let mut seen = Seen::new();
    // The last transaction of a producer in a partition, and the last record of each task in it.
    let mut last: BTreeMap<(i32, String), (u64, BTreeMap<u64, u64>)> = BTreeMap::new();
    for record in found {
        let (partition, offset, value) = (record.partition, record.offset, text(&record.value));
        let at = format!("{value} in partition {partition} at {offset}");
        let (name, number) = writer::parse(&value);
        let Some(entry) = entries.get(&name) else {
            wrong.push(format!("{at} is of no transaction"));
            continue;
        };
        if writer::partition(number, entry.tasks) != partition || text(&record.key) != partition.to_string() {
            wrong.push(format!("{at} is elsewhere"));
        }
        let (transaction, records) = last.entry((partition, name.0.clone())).or_default();
        if *transaction > name.1 {
            wrong.push(format!("{at} comes after transaction {transaction}"));
        }
        if *transaction != name.1 {
            (*transaction, *records) = (name.1, BTreeMap::new());
        }
        if let Some(before) = records.insert(number % entry.tasks, number)
            && before > number
        {
            wrong.push(format!("{at} comes after record {before}"));
        }
        if !seen.entry(name).or_default().insert(number) {
            wrong.push(format!("{at} is doubled"));
        }
    }
    seen
}

/// What is wrong about what was seen of a transaction.
fn complaint(entry: &Entry, seen: Option<&BTreeSet<u64>>) -> Option<&'static str> {
    let is_whole = is_whole(entry, seen);
    let is_empty = seen.is_none_or(BTreeSet::is_empty);
    let is_right = match entry.told {
        Some(Told::Committed) => is_whole,
        Some(Told::Aborted) => is_empty,
        Some(Told::InDoubt) => is_whole || is_empty,
        None => return Some("has no end"),
    };
    match (is_right, is_whole, is_empty) {
        (true, ..) => None,
        (false, _, true) => Some("is not there"),
        (false, true, false) => Some("is there"),
        (false, false, false) => Some("is there in part"),
    }
}

fn is_whole(entry: &Entry, seen: Option<&BTreeSet<u64>>) -> bool {
    let count = seen.map_or(0, |seen| u64::try_from(seen.len()).expect("few"));
    count == entry.records && seen.is_none_or(|seen| seen.iter().copied().eq(0..count))
}

fn figures(protocol: &str, entries: &BTreeMap<Name, Entry>, seen: &Seen) -> String {
    let of_protocol: Vec<_> = entries.iter().filter(|(_, entry)| entry.protocol == protocol).collect();
    let count = |is: &dyn Fn(&Name, &Entry) -> bool| {
        of_protocol.iter().filter(|(name, entry)| is(name, entry)).count()
    };
    let told = |told| count(&|_, entry| entry.told == Some(told));
    let is_seen = |name: &Name, entry: &Entry| {
        let seen = seen.get(name);
        seen.is_some() && is_whole(entry, seen)
    };
    let empty = count(&|_, entry| entry.told == Some(Told::Committed) && entry.records == 0);
    let records: usize = of_protocol.iter().filter_map(|(name, _)| seen.get(*name)).map(BTreeSet::len).sum();
    format!(
        "{} transactions tried, {} committed ({empty} of them empty), {} aborted, {} killed amid, {} in doubt, {} seen \
         with {records} records",
        of_protocol.len(),
        told(Told::Committed),
        told(Told::Aborted),
        count(&|_, entry| entry.was_hit),
        told(Told::InDoubt),
        count(&is_seen),
    )
}

/// What the console consumer prints otherwise than the other consumer.
fn differences(found: &[ConsumedRecord], printed: Vec<(String, String)>) -> Vec<String> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in printed {
        by_key.entry(key).or_default().push(value);
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in found {
        expected.entry(text(&record.key)).or_default().push(text(&record.value));
    }
    let is_same = by_key == expected;
    if is_same { Vec::new() } else { vec!["the console consumer prints something else".to_owned()] }
}

fn text(bytes: &Option<bytes::Bytes>) -> String {
    bytes.as_ref().map_or_else(|| "null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}
