//! What the tests of several recipes need: waiting for something to happen, programs that can be killed, and what a cluster holds.

use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use kafka_mock::{MockCluster, MockRecord};

/// Waits until this is the case.
///
/// # Panics
///
/// If it takes longer than a minute.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), wait).await.is_err() {
        panic!("still not so after a minute: {what}");
    }
}

/// Returns what this results in.
///
/// # Panics
///
/// If it takes longer than a minute.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let Ok(result) = tokio::time::timeout(Duration::from_secs(60), work).await else {
        panic!("still not so after a minute: {what}");
    };
    result
}

/// A program that runs beside the test, and is killed at its end.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Returns its standard output, if it was piped and is not taken yet.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// Returns whether it has ended, and says that something is wrong.
    ///
    /// # Panics
    ///
    /// If it has ended, and says that all went well.
    pub fn has_failed(&mut self) -> bool {
        let status = self.0.try_wait().expect("a child of this process");
        assert!(status.is_none_or(|status| !status.success()), "the program has ended without an error");
        status.is_some()
    }

    /// Kills it wherever it is (SIGKILL), as a crash of its machine would, and returns when it has ended.
    ///
    /// # Panics
    ///
    /// If it has ended by itself.
    pub fn kill(&mut self) {
        let ended = self.0.try_wait();
        assert!(matches!(ended, Ok(None)), "the program has ended: {ended:?}");
        self.0.kill().and_then(|()| self.0.wait()).expect("a child of this process");
    }

    /// Asks it to end (SIGTERM), and waits until it has. Returns whether it says that all went well.
    ///
    /// # Panics
    ///
    /// If it takes longer than a minute.
    pub async fn terminate(&mut self) -> bool {
        let pid = self.0.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill -TERM {pid}");
        let mut status = None;
        until("the program has ended", async || {
            status = self.0.try_wait().expect("a child of this process");
            status.is_some()
        })
        .await;
        status.is_some_and(|status| status.success())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Returns all records of a topic, partition by partition.
#[must_use]
pub fn records(cluster: &MockCluster, topic: &str) -> Vec<MockRecord> {
    let partitions = i32::try_from(cluster.partition_count(topic)).unwrap_or(i32::MAX);
    (0..partitions).flat_map(|partition| cluster.records(topic, partition)).collect()
}

/// Returns the value of a record as text.
#[must_use]
pub fn value(record: &MockRecord) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
}

/// Returns the key of a record as text.
#[must_use]
pub fn key(record: &MockRecord) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}
