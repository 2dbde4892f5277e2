//! Brokers that leave each connection to an attacker, and count the connections and the attacks.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::answers::{HOST, Truth};

/// Who is behind a connection.
pub(crate) trait Attacker: Send + Sync + Sized + 'static {
    /// The ways to be hostile.
    type Attack: Copy + Debug + PartialEq + 'static;
    /// All of them.
    const ATTACKS: &'static [Self::Attack];

    /// Serves a connection to its end. What goes wrong here does so for the producer, too, which is what all of this is about.
    fn serve(
        &self,
        stream: TcpStream,
        state: &State<Self>,
        random: StdRng,
    ) -> impl Future<Output = Option<()>> + Send;
}

/// Brokers that leave each connection to an attacker.
#[derive(Debug)]
pub(crate) struct Brokers<A> {
    state: Arc<State<A>>,
}

/// What the connections of all brokers share.
#[derive(Debug)]
pub(crate) struct State<A> {
    attacker: A,
    connections: AtomicUsize,
    /// By place in `Attacker::ATTACKS`.
    attacks: Vec<AtomicUsize>,
    /// With the topic's second id, there are no attacks any more.
    truth: Mutex<Truth>,
}

impl<A: Attacker> Brokers<A> {
    pub(crate) async fn start(count: usize, attacker: A) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind((HOST, 0)).await.unwrap());
        }
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let state = Arc::new(State {
            attacker,
            connections: AtomicUsize::new(0),
            attacks: A::ATTACKS.iter().map(|_| AtomicUsize::new(0)).collect(),
            truth: Mutex::new(Truth { ports, topic_id: 1 }),
        });
        for listener in listeners {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                loop {
                    // Out of file descriptors, at worst; some will be given back.
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    let number = state.connections.fetch_add(1, Ordering::Relaxed);
                    let random = StdRng::seed_from_u64(number as u64);
                    let state = Arc::clone(&state);
                    tokio::spawn(async move { state.attacker.serve(stream, &state, random).await });
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

    pub(crate) fn attacks(&self) -> Vec<(A::Attack, usize)> {
        let counts = self.state.attacks.iter().map(|count| count.load(Ordering::Relaxed));
        A::ATTACKS.iter().copied().zip(counts).collect()
    }

    /// From now on every answer is true. The topic is another one, since whatever was said of the leaders' epochs
    /// would outlive the lie.
    pub(crate) fn come_to_their_senses(&self) {
        self.state.truth.lock().unwrap().topic_id = SECOND_TOPIC_ID;
    }
}

impl<A: Attacker> State<A> {
    pub(crate) fn truth(&self) -> Truth {
        self.truth.lock().unwrap().clone()
    }

    pub(crate) fn is_sensible(&self) -> bool {
        self.truth.lock().unwrap().topic_id == SECOND_TOPIC_ID
    }

    pub(crate) fn count(&self, attack: A::Attack) {
        let place = A::ATTACKS.iter().position(|other| *other == attack).expect("all are there");
        self.attacks[place].fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads without a word until the other side has had enough.
pub(crate) async fn drain(stream: &mut TcpStream) {
    let mut bytes = Vec::with_capacity(1024);
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        bytes.clear();
    }
}

pub(crate) fn random_bytes(random: &mut StdRng) -> Vec<u8> {
    let (len, top) = (random.random_range(0..500), if random.random_bool(0.5) { 255 } else { 3 });
    (0..len).map(|_| random.random_range(0..=top)).collect()
}

const SECOND_TOPIC_ID: u8 = 2;
