//! `docs/metrics.md` is written from the table.

use std::fmt::Write as _;

use super::prometheus::name_of;
use super::sample::{MetricGroup, MetricUnit};
use super::table::{BrokerMetrics, Metrics, PartitionMetrics, Row, TopicMetrics};

const HEAD: &str = include_str!("metrics-head.md");

/// Run with `KAFKA_PRODUCER_BLESS=1` to write the file anew.
#[test]
fn documented_table_is_up_to_date() {
    let expected = markdown();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    if std::env::var_os("KAFKA_PRODUCER_BLESS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }

    let written = std::fs::read_to_string(path).unwrap_or_default();

    assert!(written == expected, "docs/metrics.md differs from the table of metrics");
}

#[test]
fn advice_to_operators_is_about_numbers_that_there_are() {
    let rows = tables().into_iter().flat_map(|(_, group, rows)| rows.iter().map(move |row| (group, row)));
    let known: Vec<_> = rows.map(|(group, row)| name_of(group, row.name, row.unit, row.kind)).collect();
    let page = include_str!("../../docs/operations.md");
    let words = page.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named: Vec<_> = words.filter(|word| word.starts_with("kafka_producer_")).collect();

    assert!(named.len() > 5, "{named:?}");
    for name in named {
        let is_known = |known: &String| known == name.strip_suffix("_count").unwrap_or(name);
        assert!(known.iter().any(is_known), "{name}");
    }
}

#[test]
fn names_are_unique_within_their_group() {
    for (_, _, rows) in tables() {
        let mut names: Vec<_> = rows.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), rows.len());
    }
}

fn tables() -> [(&'static str, MetricGroup, &'static [Row]); 4] {
    [
        ("Metrics", Metrics::GROUP, Metrics::ROWS),
        ("TopicMetrics", TopicMetrics::GROUP, TopicMetrics::ROWS),
        ("BrokerMetrics", BrokerMetrics::GROUP, BrokerMetrics::ROWS),
        ("PartitionMetrics", PartitionMetrics::GROUP, PartitionMetrics::ROWS),
    ]
}

fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for (structure, group, rows) in tables() {
        let title = match group {
            MetricGroup::Node => "Of each broker",
            MetricGroup::Partition => "Of each partition",
            MetricGroup::Producer => "Of the producer",
            MetricGroup::Topic => "Of each topic",
        };
        let _ = writeln!(text, "\n## {title}\n\nGroup `{group}`, fields of `{structure}`.\n");
        text.push_str("| Name | Kafka's | Field | Kind | Unit | What it is |\n|---|---|---|---|---|---|\n");
        for row in rows {
            let Row { field, name, kind, unit, doc, is_kafkas } = row;
            let kafkas = if *is_kafkas { "yes" } else { "" };
            let unit = format!("{unit:?}").to_lowercase();
            let kind = format!("{kind:?}").to_lowercase();
            let _ = writeln!(text, "| `{name}` | {kafkas} | `{field}` | {kind} | {unit} | {} |", doc.trim());
        }
    }
    text
}

#[test]
fn times_and_shares_are_counted_in_parts() {
    assert_eq!((MetricUnit::Ratio.parts(), MetricUnit::Seconds.parts()), (1e3, 1e6));
}
