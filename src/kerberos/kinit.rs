//! The program that gets tickets (`sasl.kerberos.kinit.cmd`): the library has no call for a keytab that is not named by the environment.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::readable;

/// One run of the program. All clones are one; the one that was made first ends the program when it is dropped.
pub(super) struct Kinit {
    path: PathBuf,
    running: Arc<Mutex<Running>>,
    is_owner: bool,
}

#[derive(Default)]
struct Running {
    child: Option<Child>,
    is_given_up: bool,
}

/// Why there is no ticket.
#[derive(Debug)]
pub(super) enum KinitError {
    /// What the program has said.
    Failed(String),
    NotStarted(PathBuf, io::Error),
}

impl Kinit {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, running: Arc::default(), is_owner: true }
    }

    /// For the thread that waits for the program.
    pub(super) fn clone_for_thread(&self) -> Self {
        Self { path: self.path.clone(), running: Arc::clone(&self.running), is_owner: false }
    }

    /// Runs the program to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<(), KinitError> {
        let not_started = |error| KinitError::NotStarted(self.path.clone(), error);
        let mut command = Command::new(&self.path);
        // Its messages are looked at.
        command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
        // Not under the lock: the program may lie where a start takes long, and who gives it up must not wait for that.
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(not_started)?;
        let errors = child.stderr.take();
        let mut running = self.lock();
        if running.is_given_up {
            drop(running);
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
            return Err(KinitError::Failed("it was given up".to_owned()));
        }
        running.child = Some(child);
        drop(running);
        let said = errors.map(read_some).unwrap_or_default();
        // It has closed its output, so it is about to end. The wait is not under the lock, in case it does not end.
        let child = self.lock().child.take();
        match child.map(|mut child| child.wait()) {
            Some(Ok(status)) if status.success() => Ok(()),
            Some(Ok(status)) if said.is_empty() => Err(KinitError::Failed(format!("it ended with {status}"))),
            Some(Err(error)) => Err(KinitError::Failed(error.to_string())),
            _ => Err(KinitError::Failed(said)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kinit {
    fn drop(&mut self) {
        if !self.is_owner {
            return;
        }
        let mut running = self.lock();
        running.is_given_up = true;
        if let Some(child) = &mut running.child {
            // It may have ended.
            let _ = child.kill();
        }
    }
}

/// Reads to the end, and keeps a line or two.
fn read_some(mut output: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        let room = MOST_WORDS - kept.len();
        kept.extend(buffer.iter().take(count.min(room)));
    }
    readable(String::from_utf8_lossy(&kept).trim())
}

const MOST_WORDS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn words_of_the_program_are_kept_and_bounded() {
        let run = |script: &str| Kinit::new(PathBuf::from("/bin/sh")).run(&["-c", script]);

        run("exit 0").unwrap();
        let Err(KinitError::Failed(said)) = run("echo no such key >&2; exit 1") else { panic!() };
        assert_eq!(said, "no such key");
        let Err(KinitError::Failed(said)) = run("exit 3") else { panic!() };
        assert_eq!(said, "it ended with exit status: 3");
        let Err(KinitError::Failed(said)) = run("yes | head -c 100000 >&2; exit 1") else { panic!() };
        assert!(said.len() <= MOST_WORDS, "{}", said.len());
        let missing = Kinit::new(PathBuf::from("/nonexistent/kinit")).run(&[]);
        assert!(matches!(missing, Err(KinitError::NotStarted(..))));
    }

    #[test]
    fn program_that_hangs_ends_when_it_is_given_up() {
        let kinit = Kinit::new(PathBuf::from("/bin/sh"));
        let running = kinit.clone_for_thread();
        let thread = thread::spawn(move || {
            let first = running.run(&["-c", "exec sleep 1000"]).is_err();
            (first, running.run(&["-c", "exec sleep 1000"]).is_err())
        });
        while kinit.lock().child.is_none() {
            thread::yield_now();
        }

        drop(kinit);

        assert_eq!(thread.join().unwrap(), (true, true), "and no other is begun");
    }
}
