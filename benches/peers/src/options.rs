//! The command line that all programs of the comparison have in common.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::process;
use std::str::FromStr;

/// `--name value` pairs; a name without a value counts as `true`.
#[derive(Debug, Clone, Default)]
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Reads the arguments of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let mut values = BTreeMap::new();
        let mut arguments = std::env::args().skip(1).peekable();
        while let Some(argument) = arguments.next() {
            let Some(name) = argument.strip_prefix("--") else { usage(&argument) };
            let value = arguments.next_if(|next| !next.starts_with("--"));
            values.insert(name.to_owned(), value.unwrap_or_else(|| "true".to_owned()));
        }
        Self(values)
    }

    /// Takes a value out, or its default.
    pub fn take<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        match self.0.remove(name).map(|value| value.parse()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                eprintln!("--{name}: {error}");
                process::exit(2);
            }
        }
    }

    /// Ends the program if an option is left that the program has not taken out.
    pub fn finish(self) {
        if let Some(name) = self.0.keys().next() {
            usage(&format!("--{name}"));
        }
    }
}

fn usage(argument: &str) -> ! {
    eprintln!("{argument} is not known");
    process::exit(2)
}

/// How the records are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As many as the client takes at once.
    Pipelined,
    /// Each is awaited before the next.
    Lone,
    /// Many tasks, each of which awaits each record. Of our client only, as are the following.
    Tasks,
    /// To a broker that never answers.
    Stalled,
    /// Nothing at all is sent.
    Idle,
    /// Of clients that have them.
    Transactions,
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pipelined" => Ok(Self::Pipelined),
            "lone" => Ok(Self::Lone),
            "tasks" => Ok(Self::Tasks),
            "stalled" => Ok(Self::Stalled),
            "idle" => Ok(Self::Idle),
            "transactions" => Ok(Self::Transactions),
            _ => Err("not one of pipelined, lone, tasks, stalled, idle and transactions"),
        }
    }
}

/// What a client is to do.
#[derive(Debug, Clone)]
pub struct Options {
    pub bootstrap: String,
    pub topic: String,
    pub records: u64,
    /// Bytes of each value.
    pub size: usize,
    pub batch_size: usize,
    pub linger_ms: u64,
    pub compression: String,
    pub mode: Mode,
    /// Records of each transaction.
    pub transaction_size: u64,
    /// The file with the CA that has signed the brokers' certificates, in PEM. Empty: no TLS.
    pub tls_ca: String,
    /// What the values are made of: `random`, or `text` that compresses about as lines of a log do.
    pub payload: String,
}

impl Options {
    /// The same by the names of Java's properties.
    #[must_use]
    pub fn as_properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("bootstrap.servers", self.bootstrap.clone()),
            ("batch.size", self.batch_size.to_string()),
            ("linger.ms", self.linger_ms.to_string()),
            ("compression.type", self.compression.clone()),
        ];
        if !self.tls_ca.is_empty() {
            properties.push(("security.protocol", "SSL".to_owned()));
            properties.push(("ssl.truststore.type", "PEM".to_owned()));
            properties.push(("ssl.truststore.location", self.tls_ca.clone()));
        }
        if self.mode == Mode::Transactions {
            properties.push(("transactional.id", crate::transactions::id(self)));
        }
        properties
    }

    /// Takes the common options out of the arguments.
    #[must_use]
    pub fn take(arguments: &mut Arguments) -> Self {
        Self {
            bootstrap: arguments.take("bootstrap", "127.0.0.1:9092".to_owned()),
            topic: arguments.take("topic", "perf".to_owned()),
            records: arguments.take("records", 4_000_000),
            size: arguments.take("size", 100),
            batch_size: arguments.take("batch-size", 16_384),
            linger_ms: arguments.take("linger-ms", 5),
            compression: arguments.take("compression", "none".to_owned()),
            mode: arguments.take("mode", Mode::Pipelined),
            transaction_size: arguments.take("transaction-size", 100),
            tls_ca: arguments.take("tls-ca", String::new()),
            payload: arguments.take("payload", "text".to_owned()),
        }
    }

    /// Takes the common options from the command line, and ends the program if there are others.
    #[must_use]
    pub fn of_process() -> Self {
        let mut arguments = Arguments::of_process();
        let options = Self::take(&mut arguments);
        arguments.finish();
        options
    }
}
