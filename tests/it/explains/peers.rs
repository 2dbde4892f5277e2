//! `peers.tsv`: what other clients say of the failures of the sheet. It was recorded with `benches/peers/errors`, which stages them, so
//! that no test needs those clients.

use std::fmt::Write as _;

/// What a client says of a failure.
struct Words<'a> {
    /// Those of the error, or, in parentheses, why there are none.
    error: &'a str,
    /// The first lines of its log.
    log: Vec<&'a str>,
}

/// Returns what the clients say of a failure, as the sheet shows it.
pub(super) fn render(case: &str) -> String {
    let mut text = "\nOther clients:\n\n".to_owned();
    for client in CLIENTS {
        let Words { error, log } = words(case, client).unwrap_or_else(|| {
            panic!("peers.tsv has nothing of {client} for {case:?}: run benches/peers/errors")
        });
        let _ = match error.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(reason) => write!(text, "- {client}: {reason}"),
            None => write!(text, "- {client}: {}", code(error)),
        };
        for (at, line) in log.into_iter().enumerate() {
            let _ = write!(text, "{}{}", if at == 0 { "; log: " } else { ", " }, code(line));
        }
        text.push('\n');
    }
    text
}

fn words(case: &str, client: &str) -> Option<Words<'static>> {
    rows().find_map(|[name, of, error, log]| {
        let log = log.split(" ¶ ").filter(|line| !line.is_empty()).collect();
        (name == case && of == client).then_some(Words { error, log })
    })
}

fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    let lines = include_str!("peers.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        fields.try_into().unwrap_or_else(|_| panic!("peers.tsv: not four fields: {line:?}"))
    })
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

const CLIENTS: [&str; 3] = ["Java", "librdkafka", "krafka"];

/// Whether each client says something of each failure, or there is a reason why not, and nothing is left of failures that are gone.
#[test]
fn peers_have_words_for_every_failure() {
    let names: Vec<&str> = super::sheet::names().collect();
    let expected: Vec<_> = names.iter().flat_map(|name| CLIENTS.map(|client| (*name, client))).collect();

    let written: Vec<_> = rows().map(|[name, client, ..]| (name, client)).collect();

    assert_eq!(written, expected);
    for [name, client, error, _] in rows() {
        assert!(!error.is_empty(), "{client} says nothing of {name:?}");
    }
}
