//! Lines that failed, told on standard error as soon as they do, and no more than once a second for one reason.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use kafka_producer::{DeliveryError, DeliveryErrorKind, ErrorCode, SendError, SendErrorKind};

/// Sums up failures by their reason: texts differ by times and sizes, so they do not count.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    groups: BTreeMap<Reason, Group>,
}

/// What failures have in common that are told together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reason {
    kind: String,
    code: Option<i16>,
}

/// Lines that failed for one reason.
#[derive(Debug, Default)]
struct Group {
    printed_at: Option<Instant>,
    waiting: Option<Lines>,
}

/// Lines that have not been told yet.
#[derive(Debug)]
struct Lines {
    first: u64,
    last: u64,
    count: u64,
    /// What was said of the first.
    text: String,
}

impl Failures {
    /// Notes a line. Prints it at once, unless one like it was printed a moment ago.
    pub(crate) fn add(&mut self, line: u64, reason: Reason, text: &str, now: Instant) {
        let group = self.groups.entry(reason).or_default();
        let lines = group.waiting.get_or_insert_with(|| Lines {
            first: line,
            last: line,
            count: 0,
            text: text.to_owned(),
        });
        lines.first = lines.first.min(line);
        lines.last = lines.last.max(line);
        lines.count += 1;
        group.print_if_due(now);
    }

    /// Prints what has waited long enough.
    pub(crate) fn print_due(&mut self, now: Instant) {
        for group in self.groups.values_mut() {
            group.print_if_due(now);
        }
    }

    /// Whether some have not been printed yet.
    pub(crate) fn are_waiting(&self) -> bool {
        self.groups.values().any(|group| group.waiting.is_some())
    }

    /// Prints what has not been printed yet.
    pub(crate) fn print_all(&mut self) {
        for lines in self.groups.values_mut().filter_map(|group| group.waiting.take()) {
            print(&lines);
        }
    }
}

impl Group {
    fn print_if_due(&mut self, now: Instant) {
        let is_due = self.printed_at.is_none_or(|printed| now.duration_since(printed) >= PAUSE);
        if let Some(lines) = self.waiting.take_if(|_| is_due) {
            self.printed_at = Some(now);
            print(&lines);
        }
    }
}

fn print(lines: &Lines) {
    // The line of progress, which changes in place, makes room.
    let clear = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    // Where nothing can be told, the exit code still says it.
    let _ = writeln!(io::stderr(), "{clear}{lines}");
}

impl Reason {
    pub(crate) fn of_line() -> Self {
        Self { kind: "line".to_owned(), code: None }
    }

    pub(crate) fn of_refusal(error: &SendError) -> Self {
        let code = match error.kind() {
            SendErrorKind::MetadataTimeout { cause, .. } => *cause,
            SendErrorKind::TopicRefused { code, .. } => Some(*code),
            _ => None,
        };
        Self::new(error.kind(), code)
    }

    pub(crate) fn of_failure(error: &DeliveryError) -> Self {
        let code = match error.kind() {
            DeliveryErrorKind::TimedOut(spent) => spent.last_error,
            _ => error.error_code(),
        };
        Self::new(&error.kind(), code)
    }

    /// The name of a variant is what stands in front of its fields.
    fn new(kind: &impl fmt::Debug, code: Option<ErrorCode>) -> Self {
        let kind = format!("{kind:?}");
        let name = kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        Self { kind: name.to_owned(), code: code.map(ErrorCode::code) }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, count, text } = self;
        match count {
            1 => write!(f, "line {first}: {text}"),
            count if last - first + 1 == *count => write!(f, "lines {first} to {last}: {text}"),
            count => write!(f, "{count} of the lines {first} to {last}: {text}"),
        }
    }
}

/// Between two messages for one reason.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(failures: &Failures) -> Vec<String> {
        failures.groups.values().filter_map(|group| group.waiting.as_ref()).map(ToString::to_string).collect()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn first_line_of_a_reason_is_told_at_once_and_others_are_summed_up() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let refused = || Reason { kind: "Broker".to_owned(), code: Some(29) };

        failures.add(1, refused(), "refused after 1 ms", now);
        failures.add(2, Reason::of_line(), "no key", now);
        assert_eq!(waiting(&failures), [""; 0]);

        failures.add(4, refused(), "refused after 2 ms", now);
        assert_eq!(waiting(&failures), ["line 4: refused after 2 ms"]);
        failures.add(3, refused(), "refused after 3 ms", now);
        assert_eq!(waiting(&failures), ["lines 3 to 4: refused after 2 ms"]);
        failures.add(9, refused(), "refused after 4 ms", now);
        failures.print_due(now);
        assert_eq!(waiting(&failures), ["3 of the lines 3 to 9: refused after 2 ms"]);

        failures.print_due(now + PAUSE);
        assert_eq!(waiting(&failures), [""; 0]);
    }
}
