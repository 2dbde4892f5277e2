//! A program that is told to fail, and what it answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use tokio::runtime::Handle;

use super::stage::Stage;
use super::words::{error_words, log_words};

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    command: Vec<String>,
}

impl Client {
    pub(crate) fn java(classpath: &str) -> Self {
        let log = "-Dlog4j2.configurationFile=java/log4j2-errors.properties";
        let command = ["java", "-XX:TieredStopAtLevel=1", log, "-cp", classpath, "Failures"];
        Self { name: "Java", command: command.map(str::to_owned).to_vec() }
    }

    pub(crate) fn native(name: &'static str, directory: &str) -> Self {
        let program = if name == "krafka" { "errors-krafka" } else { "errors-rdkafka" };
        Self { name, command: vec![format!("{directory}/{program}")] }
    }

    /// Returns the words of the error, and those of the log, with a tab between them.
    pub(crate) fn ask(&self, staged: &Stage) -> String {
        let [program, arguments @ ..] = self.command.as_slice() else { panic!("no command") };
        let mut child = Command::new(program)
            .args(arguments)
            .args(staged.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client starts");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)))
        });
        let mut stderr = child.stderr.take().expect("it is piped");
        let log = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            drop(stderr.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let error = hear(&mut child, &lines, staged);
        end(&mut child);
        let error = error_words(&error);
        let log = log_words(&log.join().unwrap_or_default(), &error).join(" ¶ ");
        format!("{error}\t{log}")
    }
}

fn hear(child: &mut Child, lines: &Receiver<String>, staged: &Stage) -> String {
    loop {
        match lines.recv_timeout(LONGEST) {
            Ok(line) if line == "first" => {
                Handle::current().block_on(staged.fail());
                drop(child.stdin.as_mut().expect("it is piped").write_all(b"\n"));
                Handle::current().block_on(staged.fail_later());
            }
            Ok(line) => {
                if let Some(words) = line.strip_prefix("error ") {
                    return words.to_owned();
                }
            }
            Err(RecvTimeoutError::Timeout) => return format!("(no word within {} s)", LONGEST.as_secs()),
            // It has ended by itself.
            Err(RecvTimeoutError::Disconnected) => {
                let is_well = child.wait().is_ok_and(|status| status.success());
                return if is_well { "(no error: the record is delivered)" } else { "(it crashed)" }
                    .to_owned();
            }
        }
    }
}

/// A client that has said all ends by itself, and one that says nothing does not.
fn end(child: &mut Child) {
    for _ in 0..20 {
        if let Ok(Some(_)) = child.try_wait() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(child.kill());
    drop(child.wait());
}

/// Longer than all of a client's own bounds.
const LONGEST: Duration = Duration::from_secs(40);
