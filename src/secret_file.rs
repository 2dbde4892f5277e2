//! Files that hold secrets or certificates, read in one way by all rooms: none is waited for, none takes more memory than it should,
//! and none leaves copies behind that are not wiped.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use crate::own_threads::{OneAtATime, OwnThreads};

/// Files of text that one caller reads, one after the other, on threads of the crate's own. A file that hangs keeps one thread, however
/// often the caller tries again.
#[derive(Debug)]
pub(crate) struct SecretFiles(OneAtATime<io::Result<Zeroizing<String>>>);

/// For work on files that is not the sender's. A thread is there only while it has something to do.
pub(crate) static FILE_THREADS: OwnThreads = OwnThreads::new("kafka-producer-file", 32);

impl SecretFiles {
    pub(crate) const fn new() -> Self {
        Self(OneAtATime::new(&FILE_THREADS))
    }

    /// Reads a file of text, as [`read_text`] does.
    pub(crate) async fn read_text(&self, path: &Path, longest: usize) -> io::Result<Zeroizing<String>> {
        let path = path.to_owned();
        self.0
            .run(move || read_text(&path, longest))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Reads a file of at most `longest` bytes.
///
/// # Errors
///
/// It cannot be read, is longer, or is no file: to open a pipe would wait for what may never come.
pub(crate) fn read(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let most = longest.saturating_add(1);
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    // One byte more, or the end would only show in a larger buffer.
    let mut bytes = Zeroizing::new(vec![0; expected.saturating_add(1).min(most)]);
    let mut file = File::open(path)?;
    let mut length = 0;
    loop {
        let read = match file.read(bytes.get_mut(length..).unwrap_or_default()) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += read;
        if length > longest {
            return Err(io::Error::other(format!("it is longer than {longest} bytes")));
        }
        if read == 0 {
            bytes.truncate(length);
            return Ok(bytes);
        }
        if length == bytes.len() {
            // What grows by itself leaves a copy behind.
            let mut larger = Zeroizing::new(vec![0; length.saturating_mul(2).max(MIN_ROOM).min(most)]);
            larger.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
            bytes = larger;
        }
    }
}

/// Reads a file of text.
///
/// # Errors
///
/// Those of [`read`], or it is no UTF-8.
pub(crate) fn read_text(path: &Path, longest: usize) -> io::Result<Zeroizing<String>> {
    let bytes = std::mem::take(&mut *read(path, longest)?);
    String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")
    })
}

/// For files that say that they are empty and are not, as those of `/proc`.
const MIN_ROOM: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_whole_up_to_their_limit() {
        let path = std::env::temp_dir().join(format!("kafka-producer-{}-secret", std::process::id()));
        for length in [0, 1, 1023, 1024, 1025, 70_000] {
            let content = "x".repeat(length);
            std::fs::write(&path, &content).unwrap();

            assert_eq!(read_text(&path, 70_000).unwrap().as_str(), content);
            assert_eq!(read(&path, length).unwrap().len(), length);
            if let Some(less) = length.checked_sub(1) {
                let error = read(&path, less).unwrap_err().to_string();
                assert_eq!(error, format!("it is longer than {less} bytes"));
            }
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path, 10).unwrap_err().to_string(), "it is not UTF-8");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(&path, 10).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&std::env::temp_dir(), 10).unwrap_err().to_string(), "it is not a file");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_that_do_not_tell_their_length_are_read_whole_or_refused() {
        assert!(read(Path::new("/proc/self/maps"), 10_000_000).unwrap().len() > 2000);
        assert_eq!(
            read(Path::new("/proc/self/maps"), 100).unwrap_err().to_string(),
            "it is longer than 100 bytes"
        );
        assert_eq!(read(Path::new("/dev/zero"), 100).unwrap_err().to_string(), "it is not a file");
    }

    /// As with `ssl.keystore.location` from a shell's `<(vault read …)`.
    #[cfg(target_os = "linux")]
    #[test]
    fn pipe_is_not_waited_for() {
        use std::os::fd::AsRawFd;

        let (reader, _writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());

        assert_eq!(read(Path::new(&path), 100).unwrap_err().to_string(), "it is not a file");
    }
}
