//! A broker that keeps nothing: it checks each batch, counts, and answers at once.
//!
//! Its point is to be faster than any client, so that a run measures the client. One blocking thread serves each
//! connection, takes in whatever the socket has, and writes the answers to all of it at once.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

mod answers;
mod distance;
mod encrypted;
mod produce;
mod wire;

/// What the broker pretends to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub brokers: usize,
    /// Of every topic.
    pub partitions: usize,
    /// Never answer a produce request.
    pub stall: bool,
    /// Speak TLS 1.3.
    pub tls: bool,
    /// How long bytes are under way from the client to the broker and back, together.
    pub delay: Duration,
}

/// What all connections share.
#[derive(Debug)]
pub struct Broker {
    shape: Shape,
    /// The port of each broker; broker ids count from 1.
    ports: Vec<u16>,
    next_offsets: Vec<AtomicI64>,
    next_producer_id: AtomicI64,
    pub counters: Counters,
}

/// What came in.
#[derive(Debug, Default)]
pub struct Counters {
    pub requests: AtomicU64,
    pub batches: AtomicU64,
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    /// Batches with a wrong checksum or shape.
    pub bad: AtomicU64,
}

impl Counters {
    /// One line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{{\"requests\":{},\"batches\":{},\"records\":{},\"bytes\":{},\"bad\":{}}}",
            get(&self.requests),
            get(&self.batches),
            get(&self.records),
            get(&self.bytes),
            get(&self.bad)
        )
    }

    pub fn reset(&self) {
        for counter in [&self.requests, &self.batches, &self.records, &self.bytes, &self.bad] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

impl Broker {
    /// Listens on as many ports as there are brokers.
    ///
    /// # Errors
    ///
    /// No ports are to be had.
    pub fn start(shape: Shape) -> io::Result<Arc<Self>> {
        let listeners: Vec<TcpListener> =
            (0..shape.brokers).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<_>>()?;
        let distant = |listener: &TcpListener| match shape.delay {
            Duration::ZERO => Ok(listener.local_addr()?.port()),
            delay => distance::proxy(listener.local_addr()?, delay / 2),
        };
        let ports = listeners.iter().map(distant).collect::<io::Result<_>>()?;
        let broker = Arc::new(Self {
            shape,
            ports,
            next_offsets: (0..shape.partitions).map(|_| AtomicI64::new(0)).collect(),
            next_producer_id: AtomicI64::new(1),
            counters: Counters::default(),
        });
        for listener in listeners {
            let broker = Arc::clone(&broker);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let broker = Arc::clone(&broker);
                    std::thread::spawn(move || {
                        if let Err(error) = serve(stream, broker) {
                            eprintln!("null broker: {error}");
                        }
                    });
                }
            });
        }
        Ok(broker)
    }

    /// `HOST:PORT` of the first broker.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first().copied().unwrap_or_default())
    }
}

/// Room to read into. Larger than what a socket holds, so that one read empties it.
const READ_LEN: usize = 4 * 1024 * 1024;

fn serve(stream: TcpStream, broker: Arc<Broker>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if broker.shape.tls {
        return Connection::new(encrypted::accept(stream)?, broker).run();
    }
    Connection::new(stream, broker).run()
}

struct Connection<S> {
    stream: S,
    broker: Arc<Broker>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    fn new(stream: S, broker: Arc<Broker>) -> Self {
        Self { stream, broker, incoming: vec![0; READ_LEN], outgoing: Vec::new() }
    }

    fn run(mut self) -> io::Result<()> {
        let mut filled = 0;
        loop {
            let read = match self.stream.read(&mut self.incoming[filled..]) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if is_the_end(error.kind()) => return Ok(()),
                Err(error) => return Err(error),
            };
            filled += read;
            let used = self.answer_all(filled)?;
            self.incoming.copy_within(used..filled, 0);
            filled -= used;
            if !self.outgoing.is_empty() {
                self.stream.write_all(&self.outgoing)?;
                self.stream.flush()?;
                self.outgoing.clear();
            }
        }
    }

    /// Answers every whole frame and returns how many bytes they took.
    fn answer_all(&mut self, filled: usize) -> io::Result<usize> {
        let mut used = 0;
        while let Some((length, rest)) = self.incoming[used..filled].split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(frame) = rest.get(..length) else {
                if used + 4 + length > self.incoming.len() {
                    self.incoming.resize(used + 4 + length, 0);
                }
                break;
            };
            answers::answer(&self.broker, frame, &mut self.outgoing)
                .ok_or_else(|| io::Error::other("a request that cannot be read"))?;
            used += 4 + length;
        }
        Ok(used)
    }
}

fn is_the_end(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)
}
