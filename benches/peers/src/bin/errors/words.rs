//! What clients say, made short and the same in each run.

use std::fmt::Write as _;

/// Returns the words of an error in one line. Those in parentheses are ours.
pub(crate) fn error_words(text: &str) -> String {
    shortened(&stable(text))
}

/// Returns the first lines that differ from each other, without those that say the same as the error.
pub(crate) fn log_words(log: &str, error: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in log.lines() {
        let line = without_thread(&stable(line.trim()));
        let told = without_digits(&line);
        let is_said = lines.iter().any(|said| told.contains(&without_digits(content(said))));
        if is_loud(&line) && !is_said && !causes(&line).any(|cause| error.contains(cause)) {
            lines.push(line);
        }
    }
    // Others say why.
    if lines.iter().any(|line| !line.contains(ALL_DOWN)) {
        lines.retain(|line| !line.contains(ALL_DOWN));
    }
    lines.truncate(MOST_LINES);
    lines.iter().map(|line| shortened(line)).collect()
}

/// Whether it is a line of the client's log, and not of the machine that runs it, and about the failure.
fn is_loud(line: &str) -> bool {
    let level = line.split([' ', ':']).next().unwrap_or_default().to_lowercase();
    // krafka warns of the first because these programs end as soon as they have an answer, and librdkafka has the other for settings.
    let is_ours = line.contains("Producer dropped without close()") || line.contains(" CONFWARN ");
    !is_ours && ["error", "warn", "warning", "alert", "critical", "fatal"].contains(&level.as_str())
}

/// Returns what stands behind the level: librdkafka says it again to its callback for errors.
fn content(line: &str) -> &str {
    let words = line.strip_prefix("Error FAIL ").or_else(|| line.strip_prefix("Warning FAIL "));
    words.unwrap_or(line)
}

/// Returns the parts of a line that may tell why.
fn causes(line: &str) -> impl Iterator<Item = &str> {
    ["error=", ": "].into_iter().filter_map(|mark| Some(line.rsplit_once(mark)?.1))
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Replaces what differs from run to run: ports and times.
fn stable(text: &str) -> String {
    let mut text = without_ports(text);
    for (begin, end) in [("orders-0:", " has passed"), ("(after ", " in state"), ("backoff_ms=", " ")] {
        if let Some((before, rest)) = text.split_once(begin)
            && let Some((_, after)) = rest.split_once(end)
        {
            text = format!("{before}{begin}T{end}{after}");
        }
    }
    text
}

fn without_ports(text: &str) -> String {
    let text = text.replace('\t', " ").replace("localhost/127", "127").replace("(/127", "(127");
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

/// Removes Java's name for the client, and what librdkafka says of the thread and of earlier lines.
fn without_thread(line: &str) -> String {
    let line = &match line.split_once(" identical error(s) suppressed") {
        Some((before, after)) => {
            format!("{}{after}", before.rsplit_once(", ").map_or(before, |(before, _)| before))
        }
        None => line.to_owned(),
    };
    for (begin, end) in [("[Producer clientId=", "] "), ("[thrd:", "]: ")] {
        if let Some((before, rest)) = line.split_once(begin)
            && let Some((_, after)) = rest.split_once(end)
        {
            return format!("{before}{after}");
        }
    }
    line.to_owned()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let begin: String = text.chars().take(LONGEST - 1).collect();
    let end = begin.rfind(' ').unwrap_or(begin.len());
    format!("{} …", &begin[..end])
}

/// librdkafka tells of that beside each failure.
const ALL_DOWN: &str = "Global error: AllBrokersDown";
const HOST: &str = "127.0.0.1:";
const MOST_LINES: usize = 2;
const LONGEST: usize = 230;
