//! Snapshots in, text out.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::causes::Cause;
use crate::sizes::Sizes;
use crate::snapshot::{Broker, Memory, Mood, Partition, Snapshot};

fn calm(at: u64) -> Snapshot {
    Snapshot {
        at: Duration::from_millis(at),
        accepted: at * 4,
        delivered: at * 4,
        waiting: 12,
        latency: Sizes::from_counts([(0.001_024, at), (0.004_096, at / 10)]),
        memory: Memory { total: 8 << 20, used: 96 << 10, callers: 0 },
        partitions: (0..2).map(|number| partition(number, Some(number), 3)).collect(),
        brokers: (0..2).map(broker).collect(),
        last_delivery_age: Some(Duration::from_millis(3)),
        oldest_waiting: Some(Duration::from_millis(9)),
        ..Snapshot::default()
    }
}

fn partition(number: i32, leader: Option<i32>, batches: usize) -> Partition {
    Partition { name: format!("orders-{number}"), leader, held: batches * 16 * 1024, queued: batches }
}

fn broker(node: i32) -> Broker {
    Broker {
        node: Some(node),
        address: format!("127.0.0.1:909{node}"),
        mood: Mood::Good,
        words: "connected".to_owned(),
        in_flight: 2,
        latency: Sizes::default(),
    }
}

/// A moment after broker 1 has died.
fn bereft(at: u64) -> Snapshot {
    let lost = Broker {
        mood: Mood::Bad,
        words: "connection refused, 12 attempts in 1.4 s".to_owned(),
        in_flight: 0,
        ..broker(1)
    };
    let cause = Cause { records: 1204, text: "not delivered within 3 s".to_owned() };
    Snapshot {
        partitions: vec![partition(0, Some(0), 1), partition(1, None, 50)],
        brokers: vec![broker(0), lost],
        causes: vec![("TimedOut".to_owned(), cause)],
        failed: 1204,
        retried: 300,
        oldest_waiting: Some(Duration::from_millis(1400)),
        ..calm(at)
    }
}

fn line(at: u64, teller: Teller, text: &str, repeated: u32) -> Line {
    let details = if teller == Teller::Warning { " node=1" } else { "" };
    Line { at: Duration::from_secs(at), teller, text: text.to_owned(), details: details.to_owned(), repeated }
}

fn screen(history: &History, story: &[Line], width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let view = View { target: "topic orders", history, story };
    terminal.draw(|frame| view.draw(frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().to_string()
}

fn history(snapshots: impl IntoIterator<Item = Snapshot>) -> History {
    let mut history = History::default();
    snapshots.into_iter().for_each(|snapshot| history.push(snapshot));
    history
}

#[test]
fn calm_producer_is_shown_as_delivering() {
    let text = screen(&history([calm(0), calm(1000)]), &[], 108, 36);

    for expected in [
        "● delivering",
        "4 000/s",
        "p50 1.0 ms",
        "96 KiB of 8.0 MiB",
        "orders-1",
        "→ 1",
        "● 1 ",
        "none",
        "1 100 answers",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
}

#[test]
fn dead_leader_is_shown_with_its_cause_and_with_who_waits_for_it() {
    let story = [line(1, Teller::Script, "broker 1 dies", 0), line(2, Teller::Warning, "lost", 3)];

    let text = screen(&history([calm(0), bereft(1000)]), &story, 108, 36);

    for expected in [
        "● hampered",
        "✗ 1 ",
        "connection refused, 12 attempts in 1.4 s",
        "→ ?",
        "800 KiB   50 queued",
        "1 204  TimedOut  not delivered within 3 s",
        "  1.0 script broker 1 dies",
        "  2.0 warn   lost (3 more) node=1",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
}

#[test]
fn last_lines_of_the_story_are_shown() {
    let story: Vec<_> =
        (0..60).map(|number| line(number, Teller::Info, &format!("line {number}."), 0)).collect();

    let text = screen(&history([calm(0)]), &story, 108, 36);

    assert!(text.contains("line 59.") && !text.contains("line 40."), "{text}");
}

#[test]
fn no_size_is_too_small() {
    for width in [1, 2, 3, 9, 30, 60] {
        for height in 1..40 {
            screen(&history([calm(0), bereft(1000)]), &[], width, height);
        }
    }
}

#[test]
fn empty_history_can_be_drawn() {
    let text = screen(&History::default(), &[], 108, 36);

    assert!(text.contains("● idle"), "{text}");
}

#[test]
fn numbers_are_for_people() {
    assert_eq!([bytes(5), bytes(2048), bytes(3 << 19)], ["5 B", "2 KiB", "1.5 MiB"]);
    assert_eq!([time(0.000_05), time(0.0012), time(0.025), time(1.5)], ["50 µs", "1.2 ms", "25 ms", "1.5 s"]);
}
