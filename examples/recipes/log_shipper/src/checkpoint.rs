//! The place in the file up to which all lines are acknowledged.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that holds the place in the log file up to which all lines are acknowledged.
#[derive(Debug)]
pub struct Checkpoint(PathBuf);

impl Checkpoint {
    /// Names the file. It need not be there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the place that was saved last, or the beginning.
    ///
    /// # Errors
    ///
    /// The file is there, and cannot be read or holds something else.
    pub fn load(&self) -> io::Result<u64> {
        match fs::read_to_string(&self.0) {
            Ok(text) => text.trim().parse().map_err(|error| {
                let path = self.0.display();
                io::Error::new(io::ErrorKind::InvalidData, format!("{path} is no checkpoint: {error}"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Saves a place. A crash amid this leaves the place that was saved before: the new file takes the place of the old one at once, and only
    /// when it is on the disk.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn save(&self, offset: u64) -> io::Result<()> {
        let mut beside = OsString::from(&self.0);
        beside.push(".new");
        let mut file = File::create(&beside)?;
        writeln!(file, "{offset}")?;
        file.sync_all()?;
        fs::rename(&beside, &self.0)?;
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}
