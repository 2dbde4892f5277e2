//! A child process that does not outlive the tests.

use std::io;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use super::wait;

/// A running child, killed when dropped, and killed by its watchdog when the whole test binary dies.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watchdog: Watchdog,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).spawn()?;
        match Watchdog::over(child.id()) {
            Ok(watchdog) => Ok(Self { child, watchdog }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Kills without a warning (SIGKILL) and waits for the end.
    pub(crate) fn kill_9(&mut self) -> io::Result<()> {
        self.watchdog.end()?;
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks to end (SIGTERM) and waits for it; kills when `limit` has passed, and says so by an error.
    pub(crate) async fn terminate(&mut self, limit: Duration) -> io::Result<()> {
        self.signal("TERM")?;
        match wait::poll_until(limit, async || self.child.try_wait().transpose()).await {
            Some(exit) => exit.and_then(|_: ExitStatus| self.watchdog.end()),
            None => {
                self.kill_9()?;
                Err(io::Error::new(io::ErrorKind::TimedOut, "still running after SIGTERM, killed"))
            }
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, without the `SIG`.
    pub(crate) fn signal(&self, name: &str) -> io::Result<()> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("kill -s {name} {pid}: {status}")))
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill_9() {
            eprintln!("cannot kill process {}: {error}", self.pid());
        }
    }
}

/// A shell that waits for the end of its input, which comes when we end it or die, and then kills a process.
///
/// To be ended no later than the process: afterwards the id may belong to another process.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

/// A terminal's Ctrl-C reaches the shell, too, and must not end it before its work is done.
const WATCHDOG: &str = r#"trap "" INT TERM HUP; read -r _; kill -9 "$1""#;

impl Watchdog {
    pub(crate) fn over(pid: u32) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHDOG, "watchdog", &pid.to_string()]);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { shell: shell.spawn()? })
    }

    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.shell.kill()?;
        self.shell.wait().map(drop)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("cannot end a watchdog: {error}");
        }
    }
}
