//! The syntax of `.properties` files, as `java.util.Properties` reads it.

use std::str::Chars;

/// One `key = value` of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    /// Why the escapes cannot be read; key and value are then as they were written.
    pub(crate) fault: Option<String>,
}

/// Reads all entries, in order.
pub(crate) fn parse(text: &str) -> Vec<Entry> {
    logical_lines(text).into_iter().map(|(number, line)| entry(number, &line)).collect()
}

/// Joins the lines that end in an odd number of backslashes with their successors, leaves out comments and empty
/// lines, and gives each line the number at which it began.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut gathered = String::new();
    let mut first = 1;
    let mut continues = false;
    for (index, line) in natural_lines(text).enumerate() {
        let content = line.trim_start_matches(BLANKS);
        if gathered.is_empty() {
            first = index + 1;
            // A backslash alone on its line does not keep a comment from being one.
            if content.is_empty() || content.starts_with(['#', '!']) {
                continues = false;
                continue;
            }
        }
        let backslashes = content.len() - content.trim_end_matches('\\').len();
        continues = backslashes % 2 == 1;
        gathered.push_str(if continues { content.strip_suffix('\\').unwrap_or(content) } else { content });
        if !continues {
            lines.push((first, std::mem::take(&mut gathered)));
        }
    }
    // The last line may end in a backslash. One that has nothing else is no entry.
    if continues && !gathered.is_empty() {
        lines.push((first, gathered));
    }
    lines
}

/// Splits at "\n", "\r\n" and "\r". `str::lines` does not know the last of them.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|piece| {
        let piece = piece.strip_suffix('\n').unwrap_or(piece);
        piece.strip_suffix('\r').unwrap_or(piece).split('\r')
    })
}

/// The key ends at the first '=', ':' or blank without a backslash before it.
fn entry(number: usize, line: &str) -> Entry {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    let value = rest.trim_start_matches(BLANKS);

    match (unescape(key), unescape(value)) {
        (Some(key), Some(value)) => Entry { key, value, fault: None },
        _ => Entry {
            key: key.to_owned(),
            value: value.to_owned(),
            fault: Some(format!(
                r"line {number} must have four hexadecimal digits after each \u, in valid pairs"
            )),
        },
    }
}

/// Replaces the escapes; `None` if one is malformed or half of a surrogate pair is missing.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    // Java's text is UTF-16: a character beyond the first 65536 takes two escapes.
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('u')) => units.push(code_unit(&mut chars)?),
            ('\\', Some(escaped)) => push(&mut units, unescaped(escaped)),
            ('\\', None) => {}
            (plain, _) => push(&mut units, plain),
        }
    }
    String::from_utf16(&units).ok()
}

fn code_unit(chars: &mut Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next()?.to_digit(16)?;
        unit = unit * 16 + u16::try_from(digit).ok()?;
    }
    Some(unit)
}

const fn unescaped(c: char) -> char {
    match c {
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}

fn push(units: &mut Vec<u16>, c: char) {
    units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
}

/// No other white space separates or is left out.
const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

#[cfg(test)]
mod tests;
