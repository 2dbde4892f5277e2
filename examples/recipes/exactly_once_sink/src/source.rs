//! Where the work comes from: a file to which others append. A table or a queue will do as well, if they can be read again from a position.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

/// Some work, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A line for each piece of work.
    pub lines: Vec<String>,
    /// Where the work after it begins.
    pub end: u64,
}

/// A file with a line for each piece of work.
#[derive(Debug)]
pub struct Source(PathBuf);

impl Source {
    /// Names the file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the work from a position on, at most so many lines. A line without its end waits.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn read(&self, position: u64, at_most: usize) -> io::Result<Part> {
        let mut file = BufReader::new(File::open(&self.0)?);
        file.seek(SeekFrom::Start(position))?;
        let mut part = Part { lines: Vec::new(), end: position };
        let mut line = String::new();
        while part.lines.len() < at_most && file.read_line(&mut line)? > 0 && line.ends_with('\n') {
            part.end += line.len() as u64;
            line.pop();
            part.lines.push(std::mem::take(&mut line));
        }
        Ok(part)
    }
}
