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
        let mut lines = Lines { rest: BytesMut::new(), searched: 0, skipped: 0, max_line };
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

/// Cuts bytes into lines.
#[derive(Debug)]
struct Lines {
    /// The begin of a line whose end is still to come.
    rest: BytesMut,
    /// So many bytes of `rest` hold no end.
    searched: usize,
    /// Bytes of the current line that were dropped because it is too long.
    skipped: usize,
    max_line: usize,
}

impl Lines {
    fn take_in(&mut self, bytes: &[u8]) -> Vec<Line> {
        self.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(unsearched) = self.rest.get(self.searched..) {
            let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') else { break };
            let mut text = self.rest.split_to(self.searched + end + 1);
            text.truncate(text.len() - 1);
            self.searched = 0;
            lines.push(self.line(text));
        }
        // A carriage return that belongs to the end of the line does not count.
        if self.rest.len() > self.max_line + 1 {
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

    fn line(&mut self, mut text: BytesMut) -> Line {
        if text.last() == Some(&b'\r') {
            text.truncate(text.len() - 1);
        }
        let length = std::mem::take(&mut self.skipped) + text.len();
        if length > self.max_line { Line::TooLong(length) } else { Line::Text(text.freeze()) }
    }
}
