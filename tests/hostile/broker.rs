//! Brokers that answer some requests of a connection truly, and the next one as an attack.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::answers::{HOST, Truth};
use crate::attack::Attack;

/// Brokers that answer some requests of a connection truly, and the next one as an attack.
#[derive(Debug)]
pub(crate) struct Brokers {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    connections: AtomicUsize,
    /// By place in `Attack::ALL`.
    attacks: [AtomicUsize; Attack::ALL.len()],
    /// What is true; with the topic's second id, there are no attacks any more.
    truth: Mutex<Truth>,
}

impl Brokers {
    pub(crate) async fn start(count: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind((HOST, 0)).await.unwrap());
        }
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let state = Arc::new(State {
            connections: AtomicUsize::new(0),
            attacks: Default::default(),
            truth: Mutex::new(Truth { ports, topic_id: 1 }),
        });
        for listener in listeners {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                loop {
                    // Out of file descriptors, at worst; some will be given back.
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    let number = state.connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(serve(stream, Arc::clone(&state), number));
                }
            });
        }
        Self { state }
    }

    pub(crate) fn addresses(&self) -> String {
        let ports = self.state.truth().ports;
        ports.iter().map(|port| format!("{HOST}:{port}")).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn attacks(&self) -> Vec<(Attack, usize)> {
        let counts = self.state.attacks.iter().map(|count| count.load(Ordering::Relaxed));
        Attack::ALL.into_iter().zip(counts).collect()
    }

    /// From now on every answer is true. The topic is another one, since whatever was said of the leaders' epochs
    /// would outlive the lie.
    pub(crate) fn come_to_their_senses(&self) {
        self.state.truth.lock().unwrap().topic_id = SECOND_TOPIC_ID;
    }
}

impl State {
    fn truth(&self) -> Truth {
        self.truth.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>, number: usize) -> Option<()> {
    let mut random = StdRng::seed_from_u64(number as u64);
    let true_answers = [0, 1, 1, 2, 3, 4, 5][random.random_range(0..7)];
    let mut answered = 0;
    let mut answered_falsely = false;
    loop {
        let truth = state.truth();
        // A lie may keep the producer from asking anything more on this connection.
        let patience = if answered_falsely { IDLE } else { Duration::from_secs(3600) };
        let request = tokio::time::timeout(patience, read_frame(&mut stream)).await.ok()?;
        let answer = truth.answer(request?)?;
        if answered < true_answers || truth.topic_id == SECOND_TOPIC_ID {
            stream.write_all(&answer).await.ok()?;
            answered += 1;
            continue;
        }
        let attack = Attack::any(&mut random);
        let place = Attack::ALL.iter().position(|other| *other == attack)?;
        state.attacks[place].fetch_add(1, Ordering::Relaxed);
        stream.write_all(&attack.bytes(&mut random, answer)).await.ok()?;
        match attack {
            Attack::Silence => drain(&mut stream).await,
            // Whether that hurts is for the producer to find out; there may be more to come.
            Attack::AnswerWithFlippedBits | Attack::AnswerTwice | Attack::RandomFrame => {
                (answered, answered_falsely) = (0, true);
            }
            _ => return None,
        }
    }
}

/// Reads without a word until the other side has had enough.
async fn drain(stream: &mut TcpStream) {
    let mut bytes = Vec::with_capacity(1024);
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        bytes.clear();
    }
}

async fn read_frame(stream: &mut TcpStream) -> Option<Bytes> {
    let length = stream.read_i32().await.ok()?;
    let mut frame = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame.into())
}

const IDLE: Duration = Duration::from_millis(100);
const SECOND_TOPIC_ID: u8 = 2;
