//! What is counted.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use kafka_mock::sans_io::Brokers;
use kafka_producer::__internals::{SenderMachine, SenderOptions, WholeFrame, build_connected};
use kafka_producer::{Deliveries, Delivery, KafkaProducer, ProducerRecord, Topic, TopicHandle};
use tokio::runtime::Runtime;

use crate::pipe::{self, Pipe};

/// A name, and what does the work, some of it [`counted`]. It returns how many times that which is counted was done.
pub(crate) type Case = (&'static str, fn() -> usize);

pub(crate) const CASES: [Case; 11] = [
    ("topic_try_enqueue_100_bytes", || topic_try_enqueue(None)),
    ("topic_try_enqueue_100_key_12_bytes", || topic_try_enqueue(Some("customer-042"))),
    ("topic_enqueue_100_bytes", topic_enqueue),
    ("topic_enqueue_all_100_bytes", topic_enqueue_all),
    ("try_enqueue_100_bytes", || try_enqueue(None, 100)),
    ("try_enqueue_100_bytes_key_12_bytes", || try_enqueue(Some("customer-042"), 100)),
    ("try_enqueue_1000_bytes", || try_enqueue(None, 1000)),
    ("enqueue_100_bytes", enqueue),
    ("delivery_await", delivery),
    ("batch_send_140_records", batch_send),
    ("batch_answer_140_records", batch_answer),
];

/// What is done between the two is counted, and nothing else.
fn counted<R>(work: impl FnOnce() -> R) -> R {
    begin_count();
    let result = work();
    end_count();
    result
}

/// Callgrind forgets what it has counted when this is called.
#[inline(never)]
fn begin_count() {
    // Without something to tell them by, these two would be made one function.
    black_box(0_u8);
}

/// Callgrind writes down what it has counted when this is called.
#[inline(never)]
fn end_count() {
    black_box(1_u8);
}

/// Does the work some times until buffers, connections and tables are there, and then counts.
fn rounds<T>(state: &mut T, prepare: impl Fn(&mut T), work: impl Fn(&mut T), finish: impl Fn(&mut T)) {
    for round in 0..WARM_UP + ROUNDS {
        prepare(state);
        if round < WARM_UP {
            work(state);
        } else {
            counted(|| work(state));
        }
        finish(state);
    }
}

const TOPIC: &str = "counted";
const WARM_UP: usize = 4;
const ROUNDS: usize = 8;
/// Of each round.
const RECORDS: usize = 1000;

/// A producer with brokers that cost nothing, and what it is given and gives.
struct Producing {
    runtime: Runtime,
    producer: KafkaProducer,
    topic: TopicHandle,
    template: ProducerRecord,
    records: Vec<ProducerRecord>,
    deliveries: Vec<Delivery>,
    burst: Vec<Bytes>,
    burst_deliveries: Deliveries,
}

impl Producing {
    fn new(key: Option<&'static str>, len: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime can be made");
        let brokers = Arc::new(Mutex::new(pipe::brokers(TOPIC, 4)));
        let mut template = ProducerRecord::to(Topic::from(TOPIC)).value(Bytes::from(vec![b'x'; len]));
        template.key = key.map(|key| Bytes::from_static(key.as_bytes()));
        let producer = runtime.block_on(async {
            let address = format!("127.0.0.1:{}", pipe::PORT);
            let builder = KafkaProducer::builder().bootstrap_servers(address);
            let connect = move |_: &str, _| Pipe::new(Arc::clone(&brokers));
            let producer = build_connected(builder, connect).expect("the configuration is good");
            producer.send(template.clone()).await.expect("the broker takes everything");
            producer
        });
        let (records, deliveries) = (Vec::with_capacity(RECORDS), Vec::with_capacity(RECORDS));
        let topic = producer.topic(TOPIC);
        let (burst, burst_deliveries) = (Vec::new(), Deliveries::new());
        Self { runtime, producer, topic, template, records, deliveries, burst, burst_deliveries }
    }

    fn prepare(&mut self) {
        self.records.extend((0..RECORDS).map(|_| self.template.clone()));
    }

    fn try_enqueue(&mut self) {
        for record in self.records.drain(..) {
            let delivery = self.producer.try_enqueue(record).expect("there is memory");
            self.deliveries.push(delivery);
        }
    }

    fn enqueue(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for record in self.records.drain(..) {
            let enqueued = pin!(self.producer.enqueue(record));
            let Poll::Ready(Ok(delivery)) = enqueued.poll(&mut cx) else { panic!("there is memory") };
            self.deliveries.push(delivery);
        }
    }

    fn topic_try_enqueue(&mut self) {
        let ProducerRecord { key, value, .. } = &self.template;
        for _ in 0..RECORDS {
            let delivery = self.topic.try_enqueue(key, value).expect("there is memory");
            self.deliveries.push(delivery);
        }
    }

    fn topic_enqueue(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let ProducerRecord { key, value, .. } = &self.template;
        for _ in 0..RECORDS {
            let enqueued = pin!(self.topic.enqueue(key, value));
            let Poll::Ready(Ok(delivery)) = enqueued.poll(&mut cx) else { panic!("there is memory") };
            self.deliveries.push(delivery);
        }
    }

    fn prepare_burst(&mut self) {
        let value = self.template.value.clone().unwrap_or_default();
        self.burst.resize(RECORDS, value);
    }

    fn topic_enqueue_all(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let enqueued = pin!(self.topic.enqueue_all(&self.burst, &mut self.burst_deliveries));
        let Poll::Ready(Ok(())) = enqueued.poll(&mut cx) else { panic!("there is memory") };
    }

    fn finish_burst(&mut self) {
        self.flush();
        let settled = self.runtime.block_on(self.burst_deliveries.settle(0));
        settled.expect("the broker takes everything");
    }

    fn flush(&mut self) {
        self.runtime.block_on(self.producer.flush());
    }

    fn take_results(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        for mut delivery in self.deliveries.drain(..) {
            let result = Pin::new(&mut delivery).poll(&mut cx);
            assert!(matches!(result, Poll::Ready(Ok(_))), "the broker takes everything");
        }
    }

    fn finish(&mut self) {
        self.flush();
        self.take_results();
    }
}

fn try_enqueue(key: Option<&'static str>, len: usize) -> usize {
    rounds(&mut Producing::new(key, len), Producing::prepare, Producing::try_enqueue, Producing::finish);
    ROUNDS * RECORDS
}

fn topic_try_enqueue(key: Option<&'static str>) -> usize {
    let state = &mut Producing::new(key, 100);
    rounds(state, |_| {}, Producing::topic_try_enqueue, Producing::finish);
    ROUNDS * RECORDS
}

fn topic_enqueue_all() -> usize {
    let state = &mut Producing::new(None, 100);
    rounds(state, Producing::prepare_burst, Producing::topic_enqueue_all, Producing::finish_burst);
    ROUNDS * RECORDS
}

fn topic_enqueue() -> usize {
    rounds(&mut Producing::new(None, 100), |_| {}, Producing::topic_enqueue, Producing::finish);
    ROUNDS * RECORDS
}

fn enqueue() -> usize {
    rounds(&mut Producing::new(None, 100), Producing::prepare, Producing::enqueue, Producing::finish);
    ROUNDS * RECORDS
}

fn delivery() -> usize {
    let prepare = |state: &mut Producing| {
        state.prepare();
        state.try_enqueue();
        state.flush();
    };
    rounds(&mut Producing::new(None, 100), prepare, Producing::take_results, |_| {});
    ROUNDS * RECORDS
}

/// A sender and its broker, step by step.
struct Sending {
    machine: SenderMachine,
    brokers: Brokers,
    deliveries: Vec<Delivery>,
    connection: u64,
    request: Option<WholeFrame>,
    answer: Bytes,
}

/// In a batch of 16 KiB there is room for so many of 100 bytes.
const IN_BATCH: usize = 140;

impl Sending {
    fn new() -> Self {
        let mut state = Self {
            machine: SenderMachine::new(&options()),
            brokers: pipe::brokers(TOPIC, 1),
            deliveries: Vec::with_capacity(IN_BATCH),
            connection: 0,
            request: None,
            answer: Bytes::new(),
        };
        state.machine.want_topic(TOPIC);
        state.append();
        while !state.machine.is_idle() {
            assert!(state.machine.settle(), "there is an end to it");
            for (attempt, _) in state.machine.attempts() {
                state.machine.finish_attempt(attempt, true);
            }
            for connection in state.machine.connections() {
                if let Some(frame) = state.machine.write(connection) {
                    state.connection = connection;
                    let answer = pipe::answer(&mut state.brokers, frame);
                    state.machine.receive(connection, &answer);
                }
            }
        }
        state.deliveries.clear();
        state
    }

    fn append(&mut self) {
        for _ in 0..IN_BATCH {
            let delivery = self.machine.append(TOPIC, 0, &[b'x'; 100]);
            self.deliveries.push(delivery.expect("there is memory"));
        }
    }

    fn send(&mut self) {
        self.machine.settle();
        self.request = self.machine.write_whole(self.connection);
    }

    fn serve(&mut self) {
        let request = self.request.take().expect("a request was sent").concat();
        self.answer = pipe::answer(&mut self.brokers, request.into());
    }

    fn receive(&mut self) {
        self.machine.receive(self.connection, &self.answer);
        self.machine.settle();
    }

    fn finish(&mut self) {
        assert!(self.machine.is_idle(), "one request has everything");
        self.deliveries.clear();
    }
}

fn options() -> SenderOptions {
    SenderOptions {
        acks: -1,
        is_idempotent: true,
        linger: Duration::ZERO,
        spares_awaited: false,
        delivery_timeout: Duration::from_secs(120),
        request_timeout: Duration::from_secs(30),
        retries: i32::MAX.unsigned_abs(),
        retry_backoff: Duration::from_millis(100),
        max_in_flight: 5,
        max_request_size: 1024 * 1024,
        batch_size: 16 * 1024,
        buffer_memory: 32 * 1024 * 1024,
        is_compressed: false,
        seed: 7,
    }
}

/// Takes a batch, closes it, numbers it, computes its checksum, and makes a request of it.
fn batch_send() -> usize {
    let finish = |state: &mut Sending| {
        state.serve();
        state.receive();
        state.finish();
    };
    rounds(&mut Sending::new(), Sending::append, Sending::send, finish);
    ROUNDS
}

/// Reads the answer to it and completes its records, for which no task waits yet.
fn batch_answer() -> usize {
    let prepare = |state: &mut Sending| {
        state.append();
        state.send();
        state.serve();
    };
    rounds(&mut Sending::new(), prepare, Sending::receive, Sending::finish);
    ROUNDS
}
