//! The lines of a file to which others append.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, BufReader};

/// A line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The bytes of the line.
    pub bytes: Vec<u8>,
    /// Where it begins in the file.
    pub start: u64,
    /// Where the next line begins.
    pub end: u64,
}

/// Reads the lines of a file to which others append. It does not notice when the file is replaced or cut off.
#[derive(Debug)]
pub struct Tail {
    file: BufReader<File>,
    /// Where the next line begins.
    offset: u64,
    /// What is there of the next line.
    begun: Vec<u8>,
}

/// How long to wait at the end of the file.
const PAUSE: Duration = Duration::from_millis(50);

impl Tail {
    /// Opens the file, to be read from this place on.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or ends before this place: it is another file, and its checkpoint is to be removed.
    pub async fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let file = File::open(path).await?;
        let length = file.metadata().await?.len();
        if length < offset {
            let text = format!("{} has {length} bytes, and the checkpoint says {offset}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut tail = Self { file: BufReader::new(file), offset, begun: Vec::new() };
        tail.seek(offset).await?;
        Ok(tail)
    }

    /// Goes to a place where a line begins.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub async fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset)).await?;
        self.begun.clear();
        self.offset = offset;
        Ok(())
    }

    /// Returns the next line, once it has its end. Safe to drop: the next call goes on.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub async fn next_line(&mut self) -> io::Result<Line> {
        // What a dropped call has read is in `begun`.
        while self.file.read_until(b'\n', &mut self.begun).await? == 0 || !self.begun.ends_with(b"\n") {
            tokio::time::sleep(PAUSE).await;
        }
        let start = self.offset;
        self.offset += self.begun.len() as u64;
        self.begun.pop();
        Ok(Line { bytes: std::mem::take(&mut self.begun), start, end: self.offset })
    }
}
