//! `Story`: what has happened, line by line: what the script did, and what the producer logged.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::clock;

/// What has happened of late, shared by the script, the log and the screen.
#[derive(Debug)]
pub(crate) struct Story {
    began: Instant,
    lines: Mutex<VecDeque<Line>>,
}

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at: Duration,
    pub(crate) teller: Teller,
    pub(crate) text: String,
    /// What comes behind the text, and does not tell it from others.
    pub(crate) details: String,
    /// How many like it came right behind it.
    pub(crate) repeated: u32,
}

/// Who has told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// The producer's log, at `INFO`.
    Info,
    /// The script of what goes wrong.
    Script,
    /// The producer's log, at `WARN` or above.
    Warning,
}

impl Story {
    pub(crate) fn new(began: Instant) -> Self {
        Self { began, lines: Mutex::default() }
    }

    pub(crate) fn tell(&self, teller: Teller, text: String, details: String) {
        let at = clock::now().saturating_duration_since(self.began);
        let mut lines = self.lock();
        let alike = |line: &&mut Line| line.teller == teller && line.text == text;
        if let Some(line) = lines.iter_mut().rev().take(NEAR).find(alike) {
            line.repeated += 1;
            return;
        }
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(Line { at, teller, text, details, repeated: 0 });
    }

    /// Returns the last lines, oldest first.
    pub(crate) fn last(&self, most: usize) -> Vec<Line> {
        let lines = self.lock();
        lines.iter().skip(lines.len().saturating_sub(most)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the producer logs into a story.
#[derive(Debug)]
pub(crate) struct LogLayer(pub(crate) std::sync::Arc<Story>);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("kafka_producer") && *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let teller = if *event.metadata().level() <= Level::WARN { Teller::Warning } else { Teller::Info };
        let mut words = Words::default();
        event.record(&mut words);
        self.0.tell(teller, words.message, words.fields);
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

/// The message of an event, and its fields behind it.
#[derive(Debug, Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // There is only one producer here.
            "client_id" => Ok(()),
            "folded" if format!("{value:?}") == "0" => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

const KEPT: usize = 200;
/// A line that repeats one of so many does not get a line of its own.
const NEAR: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn last_lines_are_told_oldest_first() {
        let story = Story::new(clock::now());
        for number in 0..KEPT + 3 {
            story.tell(Teller::Script, number.to_string(), String::new());
        }

        let texts: Vec<_> = story.last(2).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["201", "202"]);
        assert_eq!(story.last(usize::MAX).len(), KEPT);
    }

    #[test]
    fn lines_that_repeat_are_counted() {
        let story = Story::new(clock::now());
        for (text, details) in [("lost", " a=1"), ("found", ""), ("lost", " a=2"), ("lost", " a=3")] {
            story.tell(Teller::Warning, text.to_owned(), details.to_owned());
        }

        let told: Vec<_> =
            story.last(9).into_iter().map(|line| (line.text, line.details, line.repeated)).collect();
        assert_eq!(told, [("lost".to_owned(), " a=1".to_owned(), 2), ("found".to_owned(), String::new(), 0)]);
    }

    #[test]
    fn log_of_the_producer_is_part_of_the_story() {
        let story = Arc::new(Story::new(clock::now()));
        let subscriber = tracing_subscriber::registry().with(LogLayer(Arc::clone(&story)));

        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "kafka_producer::x", client_id = "c", node = 3, folded = 0, "broker is lost");
            tracing::info!(target: "kafka_producer::x", "connected again");
            tracing::debug!(target: "kafka_producer::x", "noise");
            tracing::warn!(target: "other", "noise");
        });

        let told: Vec<_> =
            story.last(9).into_iter().map(|line| (line.teller, line.text + &line.details)).collect();
        let lost = (Teller::Warning, "broker is lost node=3".to_owned());
        assert_eq!(told, [lost, (Teller::Info, "connected again".to_owned())]);
    }
}
