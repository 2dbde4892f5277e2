//! What a record passes through, stage by stage, on one thread: `docs/performance.md` has the figures of a run.
//!
//! Only the stage itself is timed; what the one before has to leave behind is made between the samples.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use kafka_mock::sans_io::{Brokers, Reaction};
use kafka_producer::__internals::{self as internals, Accumulator, SenderMachine, SenderOptions};
use kafka_producer::Delivery;

fn main() {
    divan::main();
}

const BATCH_SIZE: usize = 16 * 1024;
/// A batch of each makes a request.
const PARTITIONS: usize = 20;
const VALUE_LENS: [usize; 2] = [100, 1000];

/// How many records with values of this length fill a batch of each partition, nearly.
fn records(value_len: usize) -> usize {
    PARTITIONS * (BATCH_SIZE / (value_len + 32))
}

/// Counts records, and the bytes of their values.
fn count<'a, 'b>(bencher: Bencher<'a, 'b>, records: usize, value_len: usize) -> Bencher<'a, 'b> {
    bencher.counter(ItemsCount::new(records)).counter(BytesCount::new(records * value_len))
}

/// Key, value and headers as bytes of a batch.
#[divan::bench(name = "1 encode", args = VALUE_LENS)]
fn encode(bencher: Bencher<'_, '_>, value_len: usize) {
    let value = vec![b'x'; value_len];
    let records = BATCH_SIZE / (value_len + 32);
    let mut out = Vec::with_capacity(2 * BATCH_SIZE);
    count(bencher, records, value_len)
        .bench_local(|| internals::encode_batch(&mut out, records, None, &value, false));
}

fn append(accumulator: &Accumulator, records: usize, value: &[u8], deliveries: &mut Vec<Delivery>) {
    for number in 0..records {
        // A batch here and then a batch there, as without keys.
        let partition = number * PARTITIONS / records;
        deliveries.push(accumulator.append(partition, None, value).expect("there is memory"));
    }
}

/// A record into the accumulator, encoding included: `try_enqueue` without topic, time and partitioner.
#[divan::bench(name = "2 append", args = VALUE_LENS, sample_size = 1)]
fn append_records(bencher: Bencher<'_, '_>, value_len: usize) {
    let accumulator = Accumulator::new(PARTITIONS, BATCH_SIZE, 64 * 1024 * 1024);
    let (value, records) = (vec![b'x'; value_len], records(value_len));
    let emptied = || {
        accumulator.drain();
        Vec::with_capacity(records)
    };
    count(bencher, records, value_len).with_inputs(emptied).bench_local_values(|mut deliveries| {
        append(&accumulator, records, &value, &mut deliveries);
        deliveries
    });
}

/// Header and checksum of full batches.
#[divan::bench(name = "3 seal", args = VALUE_LENS, sample_size = 1)]
fn seal(bencher: Bencher<'_, '_>, value_len: usize) {
    let accumulator = Accumulator::new(PARTITIONS, BATCH_SIZE, 64 * 1024 * 1024);
    let (value, records) = (vec![b'x'; value_len], records(value_len));
    let taken = || {
        append(&accumulator, records, &value, &mut Vec::new());
        accumulator.take()
    };
    count(bencher, records, value_len).with_inputs(taken).bench_local_values(|mut taken| {
        taken.seal();
        taken
    });
}

/// A sender with its connection to a broker.
struct Rig {
    machine: SenderMachine,
    brokers: Brokers,
}

const TOPIC: &str = "topic";

impl Rig {
    fn new(partitions: usize) -> Self {
        let mut brokers = Brokers::new(1);
        brokers.broker_up(0, 9092).expect("there is such a broker");
        let count = i32::try_from(partitions).expect("few");
        brokers.create_topic(TOPIC, count, 1).expect("the topic is new");
        let mut rig = Self { machine: SenderMachine::new(&options()), brokers };
        rig.machine.want_topic(TOPIC);
        rig.append_to_each(partitions, 1, b"first");
        while !rig.machine.is_idle() {
            let sleep = rig.machine.sleep().unwrap_or_default();
            rig.machine.advance(sleep);
            rig.settle();
            rig.serve();
        }
        rig
    }

    fn append_to_each(&self, partitions: usize, records: usize, value: &[u8]) {
        for partition in 0..partitions {
            for _ in 0..records {
                drop(self.machine.append(TOPIC, partition, value).expect("there is memory"));
            }
        }
    }

    fn settle(&mut self) {
        assert!(self.machine.settle(), "the sender comes to rest");
    }

    /// Has the brokers answer what was written. Returns the answers, with the connections that they are for.
    fn answers(&mut self) -> Vec<(u64, Bytes)> {
        let mut answers = Vec::new();
        for id in self.machine.connections() {
            while let Some(mut request) = self.machine.write(id) {
                let request = request.split_off(LENGTH_LEN);
                match self.brokers.handle(0, request, Duration::ZERO) {
                    Reaction::Reply { frame, .. } => answers.push((id, frame)),
                    other => panic!("{other:?}: {:?}", self.brokers.refusals()),
                }
            }
        }
        answers
    }

    fn receive(&mut self, answers: &[(u64, Bytes)]) {
        for (id, answer) in answers {
            self.machine.receive(*id, answer);
        }
        self.settle();
    }

    /// Has everything done that is under way. Returns how many requests that were.
    fn serve(&mut self) -> usize {
        for (id, _) in self.machine.attempts() {
            self.machine.finish_attempt(id, true);
            self.settle();
        }
        let mut requests = 0;
        loop {
            let answers = self.answers();
            if answers.is_empty() {
                return requests;
            }
            requests += answers.len();
            self.receive(&answers);
        }
    }
}

/// The length in front of a frame.
const LENGTH_LEN: usize = 4;

fn options() -> SenderOptions {
    SenderOptions {
        acks: -1,
        is_idempotent: true,
        linger: Duration::ZERO,
        spares_awaited: false,
        delivery_timeout: Duration::from_secs(120),
        request_timeout: Duration::from_secs(30),
        retries: u32::MAX,
        retry_backoff: Duration::from_millis(100),
        max_in_flight: 5,
        max_request_size: 1024 * 1024,
        batch_size: BATCH_SIZE,
        buffer_memory: 64 * 1024 * 1024,
        is_compressed: false,
        seed: 1,
    }
}

/// The sender's pass: looks at partitions, numbers and takes batches, seals them, and makes a request of them.
fn drain_into_a_request(bencher: Bencher<'_, '_>, partitions: usize, records: usize, value_len: usize) {
    let mut rig = Rig::new(partitions);
    let value = vec![b'x'; value_len];
    let rig = RefCell::new(&mut rig);
    let filled = || {
        let mut rig = rig.borrow_mut();
        assert!(rig.serve() <= 1 && rig.machine.is_idle(), "all of it was in one request");
        rig.append_to_each(partitions, records / partitions, &value);
    };
    count(bencher, records, value_len).with_inputs(filled).bench_local_values(|()| rig.borrow_mut().settle());
}

#[divan::bench(name = "4 drain", args = VALUE_LENS, sample_size = 1)]
fn drain(bencher: Bencher<'_, '_>, value_len: usize) {
    drain_into_a_request(bencher, PARTITIONS, records(value_len), value_len);
}

/// One small record in each batch, so that it shows what a batch costs.
#[divan::bench(name = "4 drain, small batches", args = [1, 64, 1000], sample_size = 1)]
fn drain_small_batches(bencher: Bencher<'_, '_>, partitions: usize) {
    drain_into_a_request(bencher, partitions, partitions, 5);
}

/// A produce request as segments that refer to the batches.
#[divan::bench(name = "5 write request", args = [1, 64, 1000])]
fn write_request(bencher: Bencher<'_, '_>, batches: usize) {
    let sealed = vec![Bytes::from(vec![0_u8; BATCH_SIZE]); batches];
    count(bencher, batches, BATCH_SIZE).bench_local(|| internals::encode_produce_request(9, &sealed));
}

/// An answer: the frame, decoding, matching, and the end of its batches, for which no task waits.
#[divan::bench(name = "6 response", args = [1, 64, 1000], sample_size = 1)]
fn response(bencher: Bencher<'_, '_>, batches: usize) {
    let mut rig = Rig::new(batches);
    let rig = RefCell::new(&mut rig);
    let answered = || {
        let mut rig = rig.borrow_mut();
        rig.append_to_each(batches, 1, b"small");
        rig.settle();
        rig.answers()
    };
    let bytes = |answers: &Vec<(u64, Bytes)>| answers.iter().map(|(_, answer)| answer.len()).sum::<usize>();
    bencher
        .counter(ItemsCount::new(batches))
        .with_inputs(answered)
        .input_counter(move |answers| BytesCount::new(bytes(answers)))
        .bench_local_values(|answers| rig.borrow_mut().receive(&answers));
}

fn poll(delivery: &mut Delivery) -> bool {
    let polled = Pin::new(delivery).poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Ready(Ok(_)))
}

/// The end of batches, and then the result of each record.
///
/// `first` are the deliveries that tasks wait for when the batches end: one, as for a task that awaits its deliveries
/// in turn, or all, as for tasks that await one each.
fn complete(bencher: Bencher<'_, '_>, value_len: usize, first: usize) {
    let accumulator = Accumulator::new(PARTITIONS, BATCH_SIZE, 64 * 1024 * 1024);
    let (value, records) = (vec![b'x'; value_len], records(value_len));
    let under_way = || {
        let mut deliveries = Vec::with_capacity(records);
        append(&accumulator, records, &value, &mut deliveries);
        let mut taken = accumulator.take();
        taken.seal();
        assert!(!deliveries.iter_mut().take(first).any(poll), "nothing is acknowledged");
        (taken, deliveries)
    };
    count(bencher, records, value_len).with_inputs(under_way).bench_local_values(
        |(taken, mut deliveries)| {
            drop(taken);
            assert!(deliveries.drain(..).all(|mut delivery| poll(&mut delivery)), "everything is");
        },
    );
}

/// Awaited in turn.
#[divan::bench(name = "7 completion", args = VALUE_LENS, sample_size = 1)]
fn completion(bencher: Bencher<'_, '_>, value_len: usize) {
    complete(bencher, value_len, 1);
}

/// Each awaited by a task of its own; what the tasks themselves cost is not in it.
#[divan::bench(name = "7 completion, tasks", args = VALUE_LENS, sample_size = 1)]
fn completion_of_tasks(bencher: Bencher<'_, '_>, value_len: usize) {
    complete(bencher, value_len, usize::MAX);
}
