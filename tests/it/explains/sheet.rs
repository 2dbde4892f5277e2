//! `docs/errors.md`: the order of its sections, how each is written, and what differs from run to run.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use kafka_producer::{
    ConfigError, DeliveryError, Disposition, Persisted, SendError, SendErrorKind, TransactionError,
};

use super::peers;
use crate::support::logged::Logged;

/// One failure: its number on the sheet, its name, and what the user has or has done.
struct Case {
    number: u8,
    name: &'static str,
    staging: &'static str,
}

const fn case(number: u8, name: &'static str, staging: &'static str) -> Case {
    Case { number, name, staging }
}

/// In the order of the sheet. Some failures have more than one face.
#[rustfmt::skip]
const CASES: [Case; 49] = [
    case(1, "Wrong host", "`bootstrap.servers` has a name that no resolver knows."),
    case(2, "Wrong port", "Nothing listens at the port of `bootstrap.servers`."),
    case(3, "HTTP", "An HTTP server listens there."),
    case(4, "TLS mix-up: plaintext to TLS", "The broker wants TLS, and `security.protocol` is `PLAINTEXT`."),
    case(4, "TLS mix-up: TLS to plaintext", "The broker speaks plaintext, and `security.protocol` is `SSL`."),
    case(5, "Silent port", "Something accepts connections there, and never says a word."),
    case(6, "Controller instead of a broker", "The server answers ApiVersions, and does not know Metadata."),
    case(7, "Advertised address out of reach", "`bootstrap.servers` is right, and the address that the brokers advertise is not reachable from here."),
    case(8, "Wrong password", "`sasl.jaas.config` has a password that is not the user's."),
    case(8, "SASL expected", "The broker wants SASL, and `security.protocol` is `PLAINTEXT`."),
    case(9, "Unknown topic", "The topic does not exist, and brokers do not create it."),
    case(9, "Unknown partition", "The record names partition 2 of a topic that has two."),
    case(9, "Unknown topic, without waiting", "`try_enqueue` before the producer has heard of the topic."),
    case(10, "Name with a space", "The topic's name has a character that Kafka does not allow."),
    case(11, "No leader", "All replicas of the partition are down."),
    case(12, "Not enough replicas, for too long", "Fewer replicas than `min.insync.replicas` are in sync."),
    case(12, "Not enough replicas, retries used up", "The same with `retries=1`."),
    case(13, "Too large here", "The record is larger than `max.request.size`."),
    case(14, "Too large there", "The record is larger than `max.message.bytes` of the topic."),
    case(14, "Refused for its contents", "The topic is compacted, and the record has no key."),
    case(15, "Buffer full", "`try_enqueue` while `buffer.memory` is full of records that a broker does not take."),
    case(16, "Too slow: metadata", "Brokers do not answer Metadata within `max.block.ms`."),
    case(16, "Too slow: memory", "`enqueue` waits for `buffer.memory` longer than `max.block.ms`."),
    case(16, "Too slow: connecting", "The leader went down before the record was sent, and does not come back."),
    case(16, "Too slow: broker disconnected", "The leader goes down after it was sent the record, and does not come back."),
    case(16, "Too slow: throttled by a quota", "A quota holds the record back for most of its time, and the broker does not answer within the rest."),
    case(16, "Too slow: behind another batch", "The broker does not answer the batch before."),
    case(16, "Too slow: between attempts", "`retry.backoff.ms` is longer than what is left of `delivery.timeout.ms`."),
    case(16, "Too slow: in flight", "The broker has the record and does not answer."),
    case(16, "Too slow: limit of the call", "`send_timeout` is over, and the broker has the record and does not answer."),
    case(16, "Connection lost, retries used up", "The broker closes the connection instead of an answer, and `retries=0`."),
    case(17, "Throttled", "The producer's quota is used up for longer than `delivery.timeout.ms`."),
    case(18, "Fenced", "Another producer has the number that the broker knew this one by."),
    case(18, "Fenced: transaction", "A second producer has begun with the same `transactional.id`."),
    case(19, "Not authorised for the topic", "The user may not see the topic."),
    case(19, "Not authorised to write to the topic", "The user may see the topic, and not write to it."),
    case(20, "Not authorised for the cluster", "The user may not write idempotently."),
    case(20, "Not authorised for the transactional id", "The user may not use this `transactional.id`."),
    case(21, "Closed", "`send` after `close`."),
    case(21, "Closed before delivery", "`close` with a timeout that is too short."),
    case(22, "Runtime gone", "`send` after the runtime in which the producer was built has ended."),
    case(22, "Runtime gone before delivery", "The same, of a record that was under way."),
    case(23, "Purged", "`purge` gave the record up."),
    case(23, "Withdrawn", "`send_timeout` is over, and the record was not sent. `withdraw` says the same of a record."),
    case(24, "Stopped", "`fail_stop` is on, and an older record of the partition has failed."),
    case(24, "Stopped: later records", "`send` to a partition that `fail_stop` has stopped."),
    case(25, "Configuration with one mistake", "A key is misspelt."),
    case(25, "Configuration with five mistakes", "Keys and values of other clients, and values that contradict each other."),
    case(26, "Waiting amid async code", "`send_blocking` on a thread that runs async code, with a record for which it would have to wait."),
];

/// What one failure tells the application.
pub(super) struct Told {
    text: String,
    sources: Vec<String>,
    advice: String,
}

impl Told {
    pub(super) fn send<K, V>(error: &SendError<K, V>) -> Self {
        if let Some(error) = error.delivery_error() {
            return Self::delivery(error);
        }
        Self::of(error, &name(error.kind()), error.disposition(), Some(error.persisted()))
    }

    pub(super) fn delivery(error: &DeliveryError) -> Self {
        Self::of(error, &name(&error.kind()), error.disposition(), Some(error.persisted()))
    }

    pub(super) fn transaction(error: &TransactionError) -> Self {
        Self::of(error, &name(error.kind()), error.disposition(), None)
    }

    pub(super) fn configuration(error: &ConfigError) -> Self {
        Self { text: error.to_string(), sources: sources(error), advice: "`ConfigError`".to_owned() }
    }

    pub(super) fn is_metadata_timeout<K, V>(error: &SendError<K, V>) -> bool {
        matches!(error.kind(), SendErrorKind::MetadataTimeout { .. })
    }

    fn of(error: &dyn Error, kind: &str, disposition: Disposition, persisted: Option<Persisted>) -> Self {
        let mut advice = format!("`{kind}`, `Disposition::{disposition:?}`");
        if let Some(persisted) = persisted {
            let _ = write!(advice, ", `Persisted::{persisted:?}`");
        }
        Self { text: error.to_string(), sources: sources(error), advice }
    }

    fn render(&self, logged: &Logged, case: &str) -> String {
        let mut text = format!("```text\n{}\n```\n", stable(&self.text));
        for source in &self.sources {
            let _ = write!(text, "\nSource: `{}`\n", stable(source));
        }
        let _ = write!(text, "\n{}\n", self.advice);
        let mut lines: Vec<_> = logged.lines().iter().map(|line| stable(line)).collect();
        let mut seen = BTreeSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        if lines.is_empty() {
            text.push_str("\nLog in the first two seconds: nothing.\n");
        } else {
            let _ = write!(text, "\nLog in the first two seconds:\n\n```text\n{}\n```\n", lines.join("\n"));
        }
        text + &peers::render(case)
    }
}

/// Compares what was told, by the call and in the log, with the sheet.
pub(super) fn compare(logged: &Logged, case: &str, told: &Told) {
    let (at, _) = find(case);
    let is_short = stable(&told.text).len() <= LONGEST || LONG.contains(&case);
    let is_line = is_short && !told.text.contains('\n');
    assert!(is_line || told.text.starts_with("invalid producer configuration"), "no line: {}", told.text);
    let rendered = told.render(logged, case);
    if std::env::var_os("KAFKA_PRODUCER_BLESS").is_some() {
        bless(at, rendered);
        return;
    }
    let sheet = read();
    let sections = sections(&sheet);
    let (_, written) = sections.get(case).unwrap_or_else(|| panic!("docs/errors.md has no {case:?}"));
    assert_eq!(rendered, *written, "docs/errors.md says something else of {case:?}");
}

/// Whether the sheet is complete, and in order, and no error is too long for a line of a log.
#[test]
fn sheet_has_every_failure_once() {
    if std::env::var_os("KAFKA_PRODUCER_BLESS").is_some() {
        return;
    }
    let sheet = read();
    let bodies = sections(&sheet);

    assert_eq!(sheet, write(&bodies.iter().map(|(name, (_, body))| (*name, body.clone())).collect()));
    let numbers: BTreeSet<u8> = CASES.iter().map(|case| case.number).collect();
    assert!(numbers.into_iter().eq(1..=26));
    for case in CASES {
        assert!(bodies.contains_key(case.name), "{}", case.name);
    }
}

/// Whether an operator learns of every failure within two seconds: of records that wait, too. Mistakes in a configuration, and
/// calls that a program must not make there, are told to the program alone.
#[test]
fn log_tells_of_every_failure_of_a_producer() {
    if std::env::var_os("KAFKA_PRODUCER_BLESS").is_some() {
        return;
    }
    for (name, (number, body)) in sections(&read()) {
        let is_told = !body.contains("Log in the first two seconds: nothing.");
        assert_eq!(is_told, !["25", "26"].contains(&number), "{name}");
    }
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.name)
}

fn find(name: &str) -> (usize, &'static Case) {
    let at = CASES.iter().position(|case| case.name == name);
    let at = at.unwrap_or_else(|| panic!("the sheet has no {name:?}"));
    (at, &CASES[at])
}

/// A line that a terminal shows in two, with the times, which are longer than their letters.
const LONGEST: usize = 220;

/// These tell what a broker or a resolver has said as well.
const LONG: [&str; 5] = [
    "Not enough replicas, for too long",
    "SASL expected",
    "TLS mix-up: TLS to plaintext",
    "Wrong host",
    "Wrong password",
];

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");

fn read() -> String {
    std::fs::read_to_string(PATH).unwrap_or_default()
}

/// Returns the heading's number and the body of each section.
fn sections(sheet: &str) -> BTreeMap<&str, (&str, String)> {
    let mut sections = BTreeMap::new();
    for section in sheet.split("\n## ").skip(1) {
        let (heading, rest) = section.split_once('\n').unwrap_or((section, ""));
        let (number, name) = heading.split_once(". ").unwrap_or(("", heading));
        // The staging stands before the body.
        let body = rest.split_once("```text").map_or("", |(_, body)| body);
        sections.insert(name, (number, format!("```text{body}")));
    }
    sections
}

fn write(bodies: &BTreeMap<&str, String>) -> String {
    let mut text = PREFACE.to_owned();
    for Case { number, name, staging } in &CASES {
        let body = bodies.get(name).map_or("", |body| body.as_str());
        let _ = write!(text, "\n## {number}. {name}\n\n{staging}\n\n{}\n", body.trim_end());
    }
    text
}

/// Tests of one program share the file.
static BLESSING: Mutex<()> = Mutex::new(());

fn bless(at: usize, body: String) {
    let _guard = BLESSING.lock().unwrap_or_else(PoisonError::into_inner);
    let sheet = read();
    let mut bodies: BTreeMap<_, _> =
        sections(&sheet).into_iter().map(|(name, (_, body))| (name, body)).collect();
    bodies.insert(CASES[at].name, body);
    std::fs::write(PATH, write(&bodies)).unwrap();
}

const PREFACE: &str = "\
# What errors say

Twenty-six failures and what an application is told of each, written by the tests of `tests/it/explains`, which stage them.

Each error is one line: what failed and why, what became of the record, and what to do about it. Below it stand the errors that
`Error::source` leads to, the kind of the error, and what `disposition` and `persisted` return. Then comes what the log says at the
level `INFO` and above: in the first two seconds, or until the error came if that was sooner. Each line stands there once, and without
its `client_id`. `KAFKA-1` is the address of a broker, `T` a time, and `N` a number that differs from run to run.

Last comes what other clients say of the same failure: Kafka's own for Java (4.3.1), librdkafka (2.12.1) and krafka (0.28.1). Behind
`log` stand the first two lines that the client logs at `WARN` and above and that say more than its error does. Long lines are cut.
`benches/peers/errors` has recorded them, with a `max.block.ms` of 10 s and a `delivery.timeout.ms` of 12 s.
";

fn sources(error: &dyn Error) -> Vec<String> {
    let mut sources = Vec::new();
    let mut next = error.source();
    while let Some(source) = next {
        sources.push(source.to_string());
        next = source.source();
    }
    sources
}

/// Returns the name of a variant.
fn name(kind: &impl std::fmt::Debug) -> String {
    let shown = format!("{kind:?}");
    shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// Replaces what differs from run to run: ports, elapsed times and counts of attempts. Whether the leader is still known at the end
/// depends on when metadata was asked for last.
fn stable(text: &str) -> String {
    without_times(&without_ports(text)).replace(", leader unknown", "")
}

fn without_ports(text: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut known: Vec<String> = Vec::new();
    let mut pieces = text.split(HOST);
    let mut stable = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (port, rest) = piece.split_at(digits);
        let at = known.iter().position(|other| other == port).unwrap_or_else(|| {
            known.push(port.to_owned());
            known.len() - 1
        });
        let _ = write!(stable, "KAFKA-{}{rest}", at + 1);
    }
    stable
}

/// A time that is followed by the name of its setting is that of the configuration, and stays.
fn without_times(text: &str) -> String {
    let text = text.replace("under 1 ms", "T");
    let mut words: Vec<&str> = text.split(' ').collect();
    for at in 1..words.len() {
        let number = words[at - 1].trim_start_matches('(');
        let is_number = number.starts_with(|c: char| c.is_ascii_digit()) && number.parse::<f64>().is_ok();
        if !is_number {
            continue;
        }
        let unit = words[at].trim_end_matches([',', ';', ':', ')']);
        let is_configured =
            words.get(at + 1).is_some_and(|word| word.starts_with('(') && word.contains(".ms"));
        match unit {
            "s" | "ms" if !is_configured => {
                words[at - 1] = if words[at - 1].starts_with('(') { "(T" } else { "T" };
                words[at] = Some(&words[at][unit.len()..]).filter(|rest| !rest.is_empty()).unwrap_or(GONE);
            }
            "attempts" if number != "0" => words[at - 1] = "N",
            _ => {}
        }
    }
    words.retain(|word| *word != GONE);
    words.join(" ").replace("T ,", "T,").replace("T ;", "T;").replace("T )", "T)").replace("T :", "T:")
}

/// In place of the unit of a time.
const GONE: &str = "\0";

#[test]
fn what_differs_from_run_to_run_is_replaced() {
    for (text, expected) in [
        ("127.0.0.1:4711 and 127.0.0.1:12, 127.0.0.1:4711", "KAFKA-1 and KAFKA-2, KAFKA-1"),
        ("within 60 s (max.block.ms): no", "within 60 s (max.block.ms): no"),
        ("queued 1.5 s, in flight under 1 ms, 7 attempts", "queued T, in flight T, N attempts"),
        ("(3 ms, 1 attempt)", "(T, 1 attempt)"),
        ("of 8 bytes", "of 8 bytes"),
        ("ends after 300 ms", "ends after T"),
        ("waited 60 s after 2 ms for metadata", "waited T after T for metadata"),
    ] {
        assert_eq!(stable(text), expected);
    }
}
