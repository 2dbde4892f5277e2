//! Lines of standard input, read ahead by a thread of its own.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

/// A line without its end.
#[derive(Debug)]
pub(crate) enum Line {
    Text(Bytes),
    /// Not kept; it had at least this many bytes.
    TooLong(usize),
}

/// Starts to read, and returns the lines in bunches as they come.
///
/// Reading from a terminal cannot be interrupted, so the thread is left alone when the program ends. Lines of more than
/// `max_line` bytes are skipped, which together with the bound of the channel bounds the memory.
pub(crate) fn spawn(max_line: usize) -> mpsc::Receiver<io::Result<Vec<Line>>> {
    let (sender, receiver) = mpsc::channel(BUNCHES_AHEAD);
    std::thread::spawn(move || {
        let mut lines = Lines::new(max_line);
        if let Err(error) = read(io::stdin().lock(), &mut lines, &sender) {
            // The receiver may be gone, and with it the interest.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// Returns at the end of the input, or when the receiver is gone.
fn read(
    mut input: impl Read,
    lines: &mut Lines,
    sender: &mpsc::Sender<io::Result<Vec<Line>>>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let bunch = match input.read(&mut chunk) {
            Ok(0) => {
                let _ = sender.blocking_send(Ok(lines.last().into_iter().collect()));
                return Ok(());
            }
            Ok(length) => lines.take_in(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if !bunch.is_empty() && sender.blocking_send(Ok(bunch)).is_err() {
            return Ok(());
        }
    }
}

const CHUNK: usize = 64 * 1024;
const BUNCHES_AHEAD: usize = 8;

/// Cuts bytes into lines. Each ends with a line feed, a carriage return, or both, as for Java's `BufferedReader`.
#[derive(Debug)]
struct Lines {
    /// The begin of a line whose end is still to come.
    rest: BytesMut,
    /// So many bytes of `rest` hold no end.
    searched: usize,
    /// Bytes of the current line that were dropped because it is too long.
    skipped: usize,
    /// The last byte was a carriage return, which has ended a line: a line feed that follows belongs to it.
    was_return: bool,
    max_line: usize,
}

impl Lines {
    fn new(max_line: usize) -> Self {
        Self { rest: BytesMut::new(), searched: 0, skipped: 0, was_return: false, max_line }
    }

    fn take_in(&mut self, bytes: &[u8]) -> Vec<Line> {
        let rest = match bytes {
            [] => return Vec::new(),
            [b'\n', rest @ ..] if std::mem::take(&mut self.was_return) => rest,
            bytes => bytes,
        };
        self.was_return = false;
        self.rest.extend_from_slice(rest);
        let mut lines = Vec::new();
        while let Some(unsearched) = self.rest.get(self.searched..) {
            let Some(end) = unsearched.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { break };
            let mut text = self.rest.split_to(self.searched + end + 1);
            if text.last() == Some(&b'\r') {
                match self.rest.first() {
                    Some(b'\n') => drop(self.rest.split_to(1)),
                    Some(_) => {}
                    None => self.was_return = true,
                }
            }
            text.truncate(text.len() - 1);
            self.searched = 0;
            lines.push(self.line(text));
        }
        if self.rest.len() > self.max_line {
            self.skipped += self.rest.len();
            self.rest.clear();
        }
        self.searched = self.rest.len();
        lines
    }

    /// Returns a last line without an end, if there is one.
    fn last(&mut self) -> Option<Line> {
        let text = self.rest.split();
        (self.skipped > 0 || !text.is_empty()).then(|| self.line(text))
    }

    fn line(&mut self, text: BytesMut) -> Line {
        let length = std::mem::take(&mut self.skipped) + text.len();
        if length > self.max_line { Line::TooLong(length) } else { Line::Text(text.freeze()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts the input into chunks of every length.
    fn read_in_chunks(input: &[u8], max_line: usize) -> Vec<Vec<String>> {
        let read = |size| {
            let mut lines = Lines::new(max_line);
            let mut read: Vec<Line> = input.chunks(size).flat_map(|chunk| lines.take_in(chunk)).collect();
            read.extend(lines.last());
            read.into_iter()
                .map(|line| match line {
                    Line::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                    Line::TooLong(bytes) => format!("<{bytes}>"),
                })
                .collect()
        };
        (1..=input.len().max(1)).map(read).collect()
    }

    #[test]
    fn lines_end_as_in_java_wherever_the_input_is_cut() {
        for (input, lines) in [
            (&b""[..], &[][..]),
            (b"\n", &[""]),
            (b"one", &["one"]),
            (b"one\ntwo\n", &["one", "two"]),
            (b"one\r\ntwo\r\n", &["one", "two"]),
            (b"one\rtwo\r", &["one", "two"]),
            (b"one\r\rtwo", &["one", "", "two"]),
            (b"one\n\rtwo", &["one", "", "two"]),
            (b"one\r\n\ntwo", &["one", "", "two"]),
            (b"\r\n\r", &["", ""]),
        ] {
            for read in read_in_chunks(input, 10) {
                assert_eq!(read, lines, "{input:?}");
            }
        }
    }

    #[test]
    fn lines_that_are_too_long_are_counted_and_skipped() {
        for read in read_in_chunks(b"four\nfive+\r\nfour\rmuch too long", 4) {
            assert_eq!(read, ["four", "<5>", "four", "<13>"]);
        }
    }
}
