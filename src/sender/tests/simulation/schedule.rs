//! What happens in a run: a list that is made up from a seed, and can be cut down or written by hand.
//!
//! The `Debug` form of a schedule is Rust, to be pasted into `corpus.rs`.

use std::time::Duration;

use super::super::rig::{Config, millis};
use super::faults::{fault, ping_pong, work};
use super::mix::{self, Trouble};
use super::sasl;
use crate::config::Compression;

/// A run. All else follows from this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) setup: Setup,
    /// Milliseconds since the start, ascending, and what happens then.
    pub(super) ops: Vec<(u64, Op)>,
}

/// The producer and the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setup {
    /// Decides about latencies and the like.
    pub(super) noise: u64,
    pub(super) acks: i16,
    pub(super) is_idempotent: bool,
    pub(super) in_flight: usize,
    pub(super) linger: u64,
    pub(super) spares_awaited: bool,
    pub(super) delivery_timeout: u64,
    pub(super) request_timeout: u64,
    pub(super) retries: u32,
    pub(super) retry_backoff: u64,
    pub(super) batch_size: usize,
    pub(super) buffer_memory: usize,
    pub(super) max_request_size: usize,
    pub(super) is_compressed: bool,
    pub(super) produce_version: i16,
    pub(super) max_message_bytes: usize,
    pub(super) min_insync: usize,
    pub(super) partitions: i32,
    pub(super) knows_all_producers: bool,
    pub(super) is_fail_stop: bool,
    /// For how long the sender trusts brokers to remember it. They forget after `FORGOTTEN_AFTER`.
    pub(super) trust: u64,
    /// The code with which brokers refuse bad records, and whether they say which these are.
    pub(super) refusal: i16,
    pub(super) names_culprits: bool,
    /// KRaft controllers in front of the others in the list of bootstrap servers.
    pub(super) controllers: u16,
    /// After this long without use a topic is forgotten.
    pub(super) max_idle: u64,
    /// How brokers have the producer say who it is, if they do.
    pub(super) sasl: Option<Sasl>,
    /// Connections are encrypted, and take more than they have given to the network.
    pub(super) is_encrypted: bool,
    /// The producer is transactional.
    pub(super) transacting: Option<Transacting>,
    /// Brokers want metrics of the producer.
    #[cfg(feature = "telemetry")]
    pub(super) telemetry: Option<super::telemetry::Telemetry>,
    /// Ends with the faults still there, by an abort.
    pub(super) is_aborted: bool,
}

/// A transactional producer, and brokers for it. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transacting {
    /// How long a transaction may stay open.
    pub(super) timeout: u64,
    /// How long callers wait at most.
    pub(super) max_block: u64,
    /// What the cluster has finalized at first; `None` for brokers that know nothing of it.
    pub(super) version: Option<i16>,
    /// Brokers that give no other epoch to a producer that has one.
    pub(super) is_old: bool,
}

/// How brokers have the producer say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sasl {
    pub(super) is_scram: bool,
    /// The words come without headers, as before Kafka 1.0.
    pub(super) is_old: bool,
    /// In milliseconds; 0 for sessions without end.
    pub(super) lifetime: u64,
    /// In how many parts the producer computes its words.
    pub(super) parts: u32,
    /// It shows access tokens, which last so many milliseconds; 0 for tokens without end. `None` for a password.
    pub(super) token_lifetime: Option<u64>,
    /// Only the broker that is meant can read what is sent.
    pub(super) keeps_secrets: bool,
    /// How long a broker has for an answer before it is asked the next thing.
    pub(super) head_start: u64,
    /// Brokers close a connection on which they are asked something before they have answered what came before, until the client is
    /// let in.
    pub(super) is_strict: bool,
}

/// Something that happens. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// The transaction is aborted. This and the other calls are let go of after so long.
    Abort {
        patience: u64,
    },
    /// The topic gets another partition.
    AddPartition,
    /// Records with timestamps of long ago.
    Backfill {
        partition: i32,
        spread: i32,
        count: u32,
        age: u64,
    },
    /// One that brokers refuse, among others.
    BadRecord {
        partition: i32,
        before: u32,
        after: u32,
    },
    /// A transaction is begun, if none is open.
    Begin {
        patience: u64,
    },
    /// The helpers that compress begin nothing.
    BusyPool {
        lasts: u64,
    },
    /// Callers that wait for memory give up.
    CancelCallers,
    /// Brokers do not take the producer's password for some time.
    ChangePassword {
        lasts: u64,
    },
    /// The transaction is committed.
    Commit {
        patience: u64,
    },
    /// Another broker coordinates a group, or the transactional id.
    Coordinate {
        group: Option<usize>,
        node: i32,
    },
    Crash {
        node: i32,
        noticed: u64,
        lasts: u64,
        moves: bool,
    },
    /// Connections to a node break.
    Cut {
        node: i32,
        up: Rest,
        down: Rest,
    },
    /// The producer is closed; what is not settled is given up after so long.
    Close {
        patience: u64,
    },
    /// Tokens come so much later than they are asked for.
    DelayTokens {
        delay: u64,
        lasts: u64,
    },
    /// Brokers refuse to let the producer in, or to renew its session.
    Deny {
        times: u32,
    },
    /// A broker and the producer do not trust each other's certificates.
    Distrust {
        node: i32,
        lasts: u64,
        how: Distrust,
    },
    /// A produce request is carried out, and refused all the same.
    Doubt {
        node: i32,
        code: i16,
        times: u32,
    },
    /// Callers drop the deliveries of their records.
    DropDeliveries,
    /// The guard of the transaction is dropped.
    DropGuard,
    /// Work of compressing is dropped undone.
    DropWork,
    /// Clients are told of a leader epoch that the cluster goes back on.
    EpochLead {
        partition: i32,
        lead: i32,
    },
    /// Brokers forget producers by the timestamps of their records.
    Expire,
    /// The cluster finalizes another version of transactions.
    Finalize {
        level: Option<i16>,
    },
    /// A caller asks for the end of a transaction that it has let go of.
    Finish {
        patience: u64,
    },
    Flush {
        lasts: u64,
    },
    /// Brokers forget producers that are idle.
    ForgetProducers,
    /// A broker reads nothing.
    Freeze {
        node: i32,
        lasts: u64,
    },
    /// No tokens are given out.
    HaltTokens {
        lasts: u64,
        is_permanent: bool,
    },
    /// The brokers cannot be reached at the addresses that they advertise, only at that of bootstrap.
    Hide {
        lasts: u64,
    },
    /// Coordinators do not tell partitions how transactions have ended.
    HoldMarkers {
        lasts: u64,
    },
    /// The request for a producer id is refused.
    IdError {
        code: i16,
        times: u32,
    },
    /// The machine sleeps: clocks go on, nothing else does.
    Jump {
        lasts: u64,
    },
    /// A follower copies nothing.
    Lag {
        node: i32,
        lasts: u64,
    },
    Lead {
        partition: i32,
        node: i32,
    },
    Leaderless {
        partition: i32,
        lasts: u64,
    },
    /// The guard of the transaction is forgotten without being dropped.
    LeakGuard,
    /// A coordinator that has moved takes so long before it answers.
    LoadSlowly {
        time: u64,
    },
    Lose {
        node: i32,
        api: i16,
        what: Loss,
    },
    /// An answer is damaged on its way.
    Mangle {
        node: i32,
        how: Damage,
    },
    MetadataError {
        code: i16,
        times: u32,
    },
    /// A request of transactions is refused.
    Object {
        api: i16,
        code: i16,
        times: u32,
    },
    /// Offsets of a group are sent with the transaction.
    Offsets {
        group: usize,
        patience: u64,
    },
    /// The producer's process sleeps, the world does not.
    Pause {
        lasts: u64,
    },
    /// Brokers let the producer in, and do not know its password.
    Pretend {
        times: u32,
    },
    /// Records are given up: those that wait, or those under way, too.
    Purge {
        all: bool,
    },
    /// Callers want records back: one of so many that have no result.
    Withdraw {
        every: usize,
    },
    /// Every broker tells its clients to wait.
    Quota {
        time: u64,
        times: u32,
    },
    /// The topic is deleted and, later, created again.
    Recreate {
        lasts: u64,
    },
    /// A node refuses connections.
    Refuse {
        node: i32,
        lasts: u64,
    },
    /// A produce request is refused.
    Refusal {
        node: i32,
        code: i16,
        times: u32,
    },
    /// All brokers are gone, and come back at other addresses.
    Relocate {
        lasts: u64,
    },
    /// Behind the address of bootstrap is another cluster, in which the same producer ids are others'.
    Replace,
    /// Brokers accept none of the tokens that were given out.
    RevokeTokens,
    /// Partitions that have stopped take records again.
    Resume,
    /// Another producer takes the transactional id.
    Rival {
        then: RivalAim,
    },
    /// Records for as many partitions as `spread`, in turns.
    Send {
        partition: i32,
        spread: i32,
        count: u32,
        len: usize,
    },
    /// A follower that lags is taken off the list of those in sync.
    Shrink {
        node: i32,
    },
    Slow {
        node: i32,
        latency: u64,
        lasts: u64,
    },
    /// Nothing gets through to a node, nor back.
    Stall {
        node: i32,
        lasts: u64,
    },
    Throttle {
        node: i32,
        time: u64,
        times: u32,
    },
    /// The coordinator gives the open transaction up.
    TimeOut,
}

/// What a producer does that has taken the transactional id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RivalAim {
    Abort,
    Commit,
    LeaveOpen,
    Rest,
}

/// How a handshake of TLS ends that comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distrust {
    /// By an alert on a connection that is in use, as in TLS 1.3.
    AfterHandshake,
    Lasting,
    Passing,
}

/// What becomes of bytes that are under way on a connection that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Arrives,
    ArrivesLate(u64),
    ArrivesUpTo(usize),
    IsLost,
}

/// What is lost with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The answer, and the connection stays open.
    Answer,
    /// The connection, before the request is carried out.
    Request,
    /// The connection, after the request is carried out.
    Connection,
}

/// How an answer is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// Another correlation id.
    Id,
    /// A partition of a produce answer is missing.
    LeftOut,
    /// A length below zero.
    Length,
    /// The end is missing, and the length says so.
    Short(usize),
    /// The partitions of a produce answer come in another order.
    Swapped,
    /// The connection breaks after so many bytes.
    Torn(usize),
}

/// Cheap random numbers (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(super) fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low, high))
    }

    pub(super) fn is(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }
}

pub(super) const NODES: i32 = 3;

impl Schedule {
    /// Makes up a run.
    pub(super) fn new(seed: u64) -> Self {
        let mut schedule = Self::plain(seed);
        mix::add(&mut schedule, seed);
        #[cfg(feature = "telemetry")]
        super::telemetry::draw(&mut schedule, seed);
        schedule
    }

    /// Makes up a run with these kinds of trouble.
    pub(super) fn with(seed: u64, troubles: &[Trouble]) -> Self {
        let mut schedule = Self::plain(seed);
        mix::add_or(&mut schedule, seed, troubles);
        schedule
    }

    fn plain(seed: u64) -> Self {
        let mut noise = Noise(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let setup = Setup::new(&mut noise);
        let mut ops = Vec::new();
        let mut now = 0;
        let faults = noise.pick(&[0, 20, 40, 50, 60]);
        for _ in 0..noise.between(8, 60) {
            now += match noise.between(0, 99) {
                0..40 => noise.between(0, 3),
                40..85 => noise.between(5, 60),
                85..98 => noise.between(100, 900),
                _ => noise.between(20_000, 60_000),
            };
            let op = if noise.is(faults) { fault(&setup, &mut noise) } else { work(&setup, &mut noise) };
            match op {
                Op::Lead { partition, .. } if noise.is(50) => {
                    now = ping_pong(partition, now, &mut noise, &mut ops);
                }
                op => ops.push((now, op)),
            }
        }
        Self { setup, ops }
    }
}

impl Setup {
    fn new(noise: &mut Noise) -> Self {
        let is_idempotent = noise.is(75);
        let acks = if is_idempotent { -1 } else { noise.pick(&[-1, 1, 0]) };
        let batch_size = noise.pick(&[200, 600, 2000]);
        let delivery_timeout = noise.pick(&[2500, 10_000, 120_000]);
        Self {
            noise: noise.next(),
            acks,
            is_idempotent,
            in_flight: noise.between(1, 5) as usize,
            linger: noise.pick(&[0, 0, 5, 50]),
            spares_awaited: noise.is(50),
            delivery_timeout,
            request_timeout: noise.pick(&[500, 1500, 2000]),
            retries: match noise.is(75) {
                true => i32::MAX.unsigned_abs(),
                // Idempotence demands one.
                false => noise.pick(&[0, 1, 3]).max(is_idempotent.into()),
            },
            retry_backoff: noise.pick(&[10, 50, 100]),
            batch_size,
            buffer_memory: batch_size * noise.pick(&[2, 4, 30]),
            max_request_size: noise.pick(&[1000, 100_000]),
            is_compressed: noise.is(20),
            produce_version: noise.pick(&[3, 7, 9, 11, 12, 13, 13, 13, 13]),
            max_message_bytes: if noise.is(15) { 300 } else { 1_000_000 },
            min_insync: noise.pick(&[1, 2, 2]),
            partitions: noise.between(1, 3) as i32,
            knows_all_producers: noise.is(20),
            is_fail_stop: false,
            trust: 10_000,
            refusal: 87,
            names_culprits: true,
            controllers: 0,
            max_idle: 300_000,
            sasl: None,
            is_encrypted: false,
            transacting: None,
            #[cfg(feature = "telemetry")]
            telemetry: None,
            is_aborted: noise.is(10),
        }
    }

    pub(super) fn config(&self) -> Config {
        let max_outstanding = match (self.is_idempotent, self.acks) {
            (true, _) => self.in_flight,
            (false, 0) => usize::MAX,
            _ => 1,
        };
        let defaults = Config::default();
        Config {
            acks: self.acks,
            linger: millis(self.linger),
            spares_awaited: self.spares_awaited,
            delivery_timeout: millis(self.delivery_timeout),
            request_timeout: millis(self.request_timeout),
            retries: self.retries,
            retry_backoff: millis(self.retry_backoff),
            is_idempotent: self.is_idempotent,
            is_fail_stop: self.is_fail_stop,
            transactional_id: self.transacting.map(|_| super::transactions::ID),
            transaction_timeout: self
                .transacting
                .map_or(defaults.transaction_timeout, |set| millis(set.timeout)),
            max_idle: millis(self.max_idle),
            controllers: self.controllers,
            max_outstanding,
            producer_id_lifetime: millis(self.trust),
            max_in_flight: self.in_flight,
            max_request_size: self.max_request_size,
            batch_size: self.batch_size,
            buffer_memory: self.buffer_memory,
            compression: self.codec(),
            sasl_mechanism: self.sasl.map(sasl::mechanism),
            keeps_secrets: self.sasl.is_some_and(|sasl| sasl.keeps_secrets),
            head_start: millis(self.sasl.map_or(10, |sasl| sasl.head_start)),
            seed: self.noise,
            ..defaults
        }
    }
}

impl Setup {
    /// A slow codec, whose batches others compress, for one half of the runs that compress.
    pub(super) fn codec(&self) -> Compression {
        match (self.is_compressed, self.noise % 2) {
            (false, _) => Compression::None,
            (true, 0) => Compression::Lz4,
            (true, _) => Compression::Gzip,
        }
    }
}
