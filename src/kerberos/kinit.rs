//! The program that gets tickets (`sasl.kerberos.kinit.cmd`): the library has no call for a keytab that is not named by the environment.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::wire::readable;

/// One run of the program. All clones are one; the one that was made first ends the program when it is dropped.
pub(super) struct Kinit {
    path: PathBuf,
    running: Arc<Mutex<Running>>,
    is_owner: bool,
    spawn: fn(&mut Command) -> io::Result<Child>,
}

#[derive(Default)]
struct Running {
    /// `None` once its end was seen: from then on its number may be another program's.
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
        Self { path, running: Arc::default(), is_owner: true, spawn: Command::spawn }
    }

    /// For the thread that waits for the program.
    pub(super) fn clone_for_thread(&self) -> Self {
        Self {
            path: self.path.clone(),
            running: Arc::clone(&self.running),
            is_owner: false,
            spawn: self.spawn,
        }
    }

    /// Runs the program to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<(), KinitError> {
        let not_started = |error| KinitError::NotStarted(self.path.clone(), error);
        let mut command = Command::new(&self.path);
        // Its messages are looked at.
        command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
        // A group of its own: it may be a script, and what a script has started ends with it.
        command.stderr(Stdio::piped()).process_group(0);
        // Not under the lock: the program may lie where a start takes long, and who gives it up must not wait for that.
        let mut child = (self.spawn)(&mut command).map_err(not_started)?;
        let errors = child.stderr.take();
        let mut running = self.lock();
        if running.is_given_up {
            end(&mut child);
        }
        running.child = Some(child);
        drop(running);
        let (ended, said) = self.wait(errors);
        if self.lock().is_given_up {
            return Err(KinitError::Failed("it was given up".to_owned()));
        }
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) if said.is_empty() => Err(KinitError::Failed(format!("it ended with {status}"))),
            Ok(_) => Err(KinitError::Failed(said)),
            Err(error) => Err(KinitError::Failed(error.to_string())),
        }
    }

    /// Waits for the end of the program. That of its output is not waited for: what it has left running may keep that open for ever.
    fn wait(&self, mut errors: Option<ChildStderr>) -> (io::Result<ExitStatus>, String) {
        let mut said = Vec::new();
        let mut ended = None;
        loop {
            ended = ended.or_else(|| self.look());
            let patience = if ended.is_some() { Duration::ZERO } else { PAUSE };
            let may_say_more = match &mut errors {
                Some(output) if is_readable(output, patience) => {
                    let count = read_some(output, &mut said);
                    if count == 0 {
                        // It has closed its output.
                        errors = None;
                    }
                    count > 0 && said.len() < MOST_WORDS
                }
                Some(_) => false,
                None => {
                    thread::sleep(patience);
                    false
                }
            };
            if let Some(ended) = ended.take_if(|_| !may_say_more) {
                return (ended, readable(String::from_utf8_lossy(&said).trim()));
            }
        }
    }

    /// Returns how the program has ended, if it has: once.
    fn look(&self) -> Option<io::Result<ExitStatus>> {
        let mut running = self.lock();
        let ended = running.child.as_mut()?.try_wait().transpose()?;
        running.child = None;
        Some(ended)
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
            end(child);
        }
    }
}

/// Ends a program whose end was not seen yet, and what it has started.
fn end(child: &mut Child) {
    let is_ended =
        i32::try_from(child.id()).is_ok_and(|id| killpg(Pid::from_raw(id), Signal::SIGKILL).is_ok());
    if !is_ended {
        // It may have ended by itself.
        let _ = child.kill();
    }
}

fn is_readable(output: &ChildStderr, patience: Duration) -> bool {
    let mut asked = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
    poll(&mut asked, patience).is_ok_and(|count| count > 0)
}

/// Reads what is there, and keeps a line or two of it. Returns how much it has read.
fn read_some(output: &mut ChildStderr, kept: &mut Vec<u8>) -> usize {
    let mut buffer = [0; 1024];
    let count = output.read(&mut buffer).unwrap_or(0);
    let room = MOST_WORDS.saturating_sub(kept.len());
    kept.extend(buffer.iter().take(count.min(room)));
    count
}

const MOST_WORDS: usize = 1024;

/// Between two looks whether the program has ended, while it says nothing.
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

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

    fn end_within(limit: Duration, act: impl FnOnce() + Send + 'static) -> bool {
        let (done, is_done) = mpsc::channel();
        drop(thread::spawn(move || {
            act();
            let _ = done.send(());
        }));
        is_done.recv_timeout(limit).is_ok()
    }

    /// As `krenew -b` in a script does.
    #[test]
    fn program_that_leaves_another_behind_ends_by_itself() {
        let run = |script: &'static str| {
            end_within(LIMIT, move || {
                let run = Kinit::new(PathBuf::from("/bin/sh")).run(&["-c", script]);
                let Err(KinitError::Failed(said)) = run else { panic!("{run:?}") };
                assert_eq!(said, "left");
            })
        };

        assert!(run("sleep 30 & echo left >&2; exit 1"));
    }

    #[test]
    fn what_a_script_has_started_ends_with_it() {
        let path = std::env::temp_dir().join(format!("kafka-producer-kinit-{}", std::process::id()));
        let kinit = Kinit::new(PathBuf::from("/bin/sh"));
        let running = kinit.clone_for_thread();
        // The inner program says its number, and would hold the pipe.
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", path.display());
        let thread = thread::spawn(move || running.run(&["-c", &script]).is_err());
        let inner = loop {
            match std::fs::read_to_string(&path) {
                Ok(text) => break text.trim().to_owned(),
                Err(_) => thread::yield_now(),
            }
        };
        let is_there = move || {
            let state = std::fs::read_to_string(format!("/proc/{inner}/stat")).unwrap_or_default();
            // One that has ended and was not asked for yet is a zombie.
            state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        assert!(is_there());

        drop(kinit);

        assert!(thread.join().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(end_within(LIMIT, move || {
            while is_there() {
                thread::yield_now();
            }
        }));
    }

    /// As where the program lies on a server that is gone.
    #[test]
    fn start_that_hangs_is_not_waited_for_by_who_gives_it_up() {
        static BEGUN: Barrier = Barrier::new(2);
        static LET_GO: Barrier = Barrier::new(2);
        let mut kinit = Kinit::new(PathBuf::from("/bin/sh"));
        kinit.spawn = |command| {
            BEGUN.wait();
            LET_GO.wait();
            command.spawn()
        };
        let running = kinit.clone_for_thread();
        let thread = thread::spawn(move || running.run(&["-c", "exec sleep 1000"]));
        BEGUN.wait();

        assert!(end_within(LIMIT, move || drop(kinit)));

        LET_GO.wait();
        let Err(KinitError::Failed(said)) = thread.join().unwrap() else { panic!("it has ended by itself") };
        assert_eq!(said, "it was given up");
    }

    const LIMIT: Duration = Duration::from_secs(10);

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
