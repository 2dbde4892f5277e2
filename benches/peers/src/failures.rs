//! What the programs that stage failures have in common: the order that each is given, and how it answers.
//!
//! A program sends what it is told, waits, and prints the words of the error as a line of its standard output. What the client logs goes
//! to standard error, with one line for each.

use std::io::Write as _;

use crate::options::Arguments;

/// What a client is to do.
#[derive(Debug, Clone)]
pub struct Order {
    pub bootstrap: String,
    pub topic: String,
    /// Bytes of each value.
    pub size: usize,
    pub records: usize,
    pub partition: Option<i32>,
    /// Kafka's names and their values.
    pub settings: Vec<(String, String)>,
    /// Sends a record before, says so, and goes on when it reads a line.
    pub has_first: bool,
    pub manner: Manner,
}

/// How the records are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// After the producer was closed.
    Closed,
    /// The producer is closed at once, without a wait.
    CloseAtOnce,
    /// In a transaction, and another producer begins with the same id before the commit.
    Fence,
    /// One more when the others have failed, and that one counts.
    Later,
    /// The producer gives up what it has.
    Purge,
    /// After the runtime in which the producer was built has ended.
    RuntimeGone,
    /// Before that runtime ends.
    RuntimeGoneUnderWay,
    /// All, and the first that fails counts.
    Send,
    /// All, and the last counts.
    SendLast,
    /// In a transaction.
    Transaction,
}

impl Manner {
    fn by_name(name: &str) -> Self {
        match name {
            "closed" => Self::Closed,
            "close" => Self::CloseAtOnce,
            "fence" => Self::Fence,
            "last" => Self::SendLast,
            "later" => Self::Later,
            "purge" => Self::Purge,
            "runtime" => Self::RuntimeGone,
            "runtime-under-way" => Self::RuntimeGoneUnderWay,
            "transaction" => Self::Transaction,
            _ => Self::Send,
        }
    }
}

impl Order {
    /// Reads the arguments of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let mut arguments = Arguments::of_process();
        let partition: i32 = arguments.take("partition", -1);
        let settings: String = arguments.take("settings", String::new());
        let manner: String = arguments.take("manner", "send".to_owned());
        let order = Self {
            bootstrap: arguments.take("bootstrap", String::new()),
            topic: arguments.take("topic", String::new()),
            size: arguments.take("size", 1),
            records: arguments.take("records", 1),
            partition: (partition >= 0).then_some(partition),
            settings: pairs(&settings),
            has_first: arguments.take("first", false),
            manner: Manner::by_name(&manner),
        };
        arguments.finish();
        order
    }

    /// Returns the value of a setting.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns a value to send.
    #[must_use]
    pub fn value(&self) -> Vec<u8> {
        vec![b'x'; self.size]
    }

    /// Says that the first record is written, and waits until the failure is staged.
    pub fn wait_for_failure(&self) {
        println!("first");
        drop(std::io::stdout().flush());
        drop(std::io::stdin().read_line(&mut String::new()));
    }
}

/// Prints an error with those behind it.
pub fn print(error: &(dyn std::error::Error + 'static)) {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = source.source();
    }
    println!("error {}", text.replace('\n', " "));
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.split(',').filter_map(pair).collect()
}
