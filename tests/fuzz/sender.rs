//! Lists of operations on the sender: callers append, time passes, connections come and go, brokers answer truly,
//! with errors, in pieces, not at all, or with nonsense.
//!
//! Whatever the list: every record gets its outcome in time, memory is given back, and the sender does not spin. As
//! long as no broker lies, what is acknowledged is in the log once, where it is said to be and in order, and what is
//! said not to be in the log is not.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use kafka_producer::__internals::{SenderMachine, SenderOptions};
use kafka_producer::{Delivery, DeliveryError, DeliveryErrorKind, ErrorCode, Persisted};
use kafka_protocol::messages::ApiKey;

use super::brokers::{Brokers, PARTITIONS, TOPIC, node_at};
use super::input::Input;
use super::wire::{self, Batch, Head, Reply, Request};

pub(crate) fn sender(data: &[u8]) {
    let mut input = Input::new(data);
    let mut run = Run::new(&mut input);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
    }
    run.finish();
}

/// One list of operations.
struct Run {
    options: SenderOptions,
    machine: SenderMachine,
    brokers: Brokers,
    max_versions: [(ApiKey, i16); 3],
    peers: BTreeMap<u64, Peer>,
    /// Batches that brokers have received on connections that are gone, by node.
    orphans: VecDeque<(i32, Batch)>,
    sent: Vec<Sent>,
    steps: u32,
    /// Time that has passed, and how often the sender woke up by itself.
    passed: Duration,
    wake_ups: u32,
    may_lie: bool,
    has_lied: bool,
    is_closed: bool,
}

/// The broker's end of a connection.
#[derive(Debug)]
struct Peer {
    node: i32,
    requests: VecDeque<(Head, Request)>,
    /// Answers that have not arrived.
    answers: Vec<u8>,
}

struct Sent {
    partition: usize,
    value: String,
    delivery: Delivery,
    at: Duration,
}

impl Run {
    fn new(input: &mut Input<'_>) -> Self {
        let options = options(input);
        let max_batch = input.pick(&[usize::MAX, usize::MAX, 500]);
        let max_versions = max_versions(input);
        let may_lie = input.bool();
        Self {
            machine: SenderMachine::new(&options),
            options,
            brokers: Brokers::new(max_batch),
            max_versions,
            peers: BTreeMap::new(),
            orphans: VecDeque::new(),
            sent: Vec::new(),
            steps: 0,
            passed: Duration::ZERO,
            wake_ups: 0,
            may_lie,
            has_lied: false,
            is_closed: false,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        self.steps += 1;
        match input.byte() % 32 {
            0..4 => self.append(input),
            4..8 => {
                self.serve();
            }
            8 | 9 => self.pass(Duration::from_millis(input.byte().into())),
            10 => self.pass(Duration::from_millis(20 * u64::from(input.byte()))),
            11 | 12 => self.connect(input, true),
            13 => self.connect(input, false),
            14 | 15 => self.write(input),
            16 => self.write_some(input),
            17 | 18 => self.answer(input),
            19 | 20 => self.answer_with_errors(input),
            21 => self.answer_with_nonsense(input),
            22 => self.answer_with_a_lie(input),
            23 | 24 => self.arrive(input),
            25 => self.lose(input),
            26 => drop(self.machine.seal()),
            27 => self.lead(input),
            28 => self.process_orphan(),
            29 => self.machine.set_flushing(input.bool()),
            30 => self.machine.want_topic(input.pick(&[TOPIC, "no-such-topic"])),
            _ => match input.byte() {
                7 => self.close(),
                byte => self.await_some(byte.into()),
            },
        }
        self.settle();
        self.check_that_no_record_waits_too_long();
    }

    fn append(&mut self, input: &mut Input<'_>) {
        let (partition, more) = (input.below(PARTITIONS), input.byte());
        for _ in 0..=more % 4 {
            let value = format!("{}:{}", self.sent.len(), "x".repeat(usize::from(more)));
            if let Some(delivery) = self.machine.append(TOPIC, partition, value.as_bytes()) {
                self.sent.push(Sent { partition, value, delivery, at: self.passed });
            }
        }
    }

    /// A task waits for the outcomes of so many records.
    fn await_some(&mut self, count: usize) {
        let mut context = Context::from_waker(Waker::noop());
        for sent in self.sent.iter_mut().rev().take(count) {
            // A result is left where it is.
            if sent.delivery.try_result().is_none() {
                let _pending = Pin::new(&mut sent.delivery).poll(&mut context);
            }
        }
    }

    /// Does everything that is to do now, and hears of connections that the sender has closed.
    fn settle(&mut self) {
        assert!(self.machine.settle(), "the sender never comes to rest");
        self.forget_the_closed();
    }

    fn forget_the_closed(&mut self) {
        let open = self.machine.connections();
        let closed: Vec<_> = self.peers.keys().copied().filter(|id| !open.contains(id)).collect();
        for id in closed {
            let Some(peer) = self.peers.remove(&id) else { continue };
            for (_, request) in peer.requests {
                if let Request::Produce { batches, .. } = request {
                    self.orphans.extend(batches.into_iter().map(|batch| (peer.node, batch)));
                }
            }
        }
    }

    /// Lets time pass; the sender runs whenever it wants to.
    fn pass(&mut self, time: Duration) {
        let mut left = time;
        self.settle();
        while let Some(sleep) = self.machine.sleep().filter(|sleep| *sleep <= left) {
            self.machine.advance(sleep);
            left -= sleep;
            self.wake_ups += 1;
            self.settle();
        }
        self.machine.advance(left);
        self.passed += time;
    }

    /// Has everything go as it should, one step on. Returns whether there was anything to do.
    fn serve(&mut self) -> bool {
        let mut is_busy = self.machine.seal() > 0;
        for (id, host) in self.machine.attempts() {
            is_busy = true;
            self.finish_attempt(id, &host, true);
        }
        for id in self.machine.connections() {
            while self.write_to(id) {
                is_busy = true;
            }
            while self.answer_on(id, Self::answer_truly) {}
            is_busy |= self.arrive_at(id, usize::MAX);
        }
        self.settle();
        is_busy
    }

    fn connect(&mut self, input: &mut Input<'_>, is_connected: bool) {
        let attempts = self.machine.attempts();
        if !attempts.is_empty() {
            let (id, host) = &attempts[input.below(attempts.len())];
            self.finish_attempt(*id, host, is_connected);
        }
    }

    fn finish_attempt(&mut self, id: u64, host: &str, is_connected: bool) {
        let node = node_at(host).filter(|_| is_connected);
        self.machine.finish_attempt(id, node.is_some());
        if let Some(node) = node {
            self.peers.insert(id, Peer { node, requests: VecDeque::new(), answers: Vec::new() });
        }
    }

    fn choose(&self, input: &mut Input<'_>) -> Option<u64> {
        let connections = self.machine.connections();
        if connections.is_empty() { None } else { Some(connections[input.below(connections.len())]) }
    }

    fn write(&mut self, input: &mut Input<'_>) {
        if let Some(id) = self.choose(input) {
            self.write_to(id);
        }
    }

    fn write_some(&mut self, input: &mut Input<'_>) {
        if let Some(id) = self.choose(input) {
            self.machine.write_some(id);
        }
    }

    fn write_to(&mut self, id: u64) -> bool {
        let Some(frame) = self.machine.write(id) else { return false };
        let Some(peer) = self.peers.get_mut(&id) else { return true };
        match wire::read_request(frame) {
            (_, Request::Produce { acks: 0, batches }) => {
                for batch in batches {
                    self.brokers.append(peer.node, &batch);
                }
            }
            request => peer.requests.push_back(request),
        }
        true
    }

    fn answer(&mut self, input: &mut Input<'_>) {
        if let Some(id) = self.choose(input) {
            self.answer_on(id, Self::answer_truly);
        }
    }

    /// Answers the oldest request of a connection; false if there is none.
    fn answer_on(&mut self, id: u64, answer: impl FnOnce(&mut Self, i32, Head, &Request) -> Vec<u8>) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let Some((head, request)) = peer.requests.pop_front() else { return false };
        let node = peer.node;
        let bytes = answer(self, node, head, &request);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.answers.extend(bytes);
        }
        true
    }

    fn answer_truly(&mut self, node: i32, head: Head, request: &Request) -> Vec<u8> {
        match request {
            Request::ApiVersions => wire::api_versions(head, self.max_versions),
            Request::InitProducerId => wire::producer_id(head, self.brokers.next_producer_id(), 0),
            Request::Metadata { topics } => wire::metadata(head, &self.brokers, topics),
            Request::Produce { batches, .. } => {
                let replies: Vec<_> = batches.iter().map(|batch| self.brokers.append(node, batch)).collect();
                wire::produce(head, &replies, 0)
            }
        }
    }

    fn answer_with_errors(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.choose(input) else { return };
        let throttle = input.pick(&[0, 0, 0, 100]);
        self.answer_on(id, |run, node, head, request| match request {
            Request::InitProducerId => wire::producer_id(head, -1, input.pick(&[14, 15, 51, 7, 31, 53, -1])),
            Request::Produce { batches, .. } => {
                let replies: Vec<_> =
                    batches.iter().filter_map(|batch| run.reply(node, batch, input)).collect();
                wire::produce(head, &replies, throttle)
            }
            request => run.answer_truly(node, head, request),
        });
    }

    /// One of the true things that a broker may say of a batch; or nothing.
    fn reply(&mut self, node: i32, batch: &Batch, input: &mut Input<'_>) -> Option<Reply> {
        match input.byte() % 8 {
            0 => None,
            1 | 2 => {
                let culprit = input.bool().then_some(0);
                Some(Reply { culprit, ..Reply::error(batch.partition, input.pick(&REFUSALS)) })
            }
            3 | 4 => {
                let reply = self.brokers.append(node, batch);
                let doubt = Reply::error(batch.partition, input.pick(&DOUBTS));
                Some(if reply.code == 0 { doubt } else { reply })
            }
            _ => {
                let reply = self.brokers.append(node, batch);
                let partition =
                    usize::try_from(batch.partition).ok().and_then(|at| self.brokers.partitions().get(at));
                let leader = partition.map(|partition| (partition.leader, partition.leader_epoch));
                Some(Reply { leader: leader.filter(|_| reply.code == 6), ..reply })
            }
        }
    }

    /// Answers with what cannot be mistaken for an answer.
    fn answer_with_nonsense(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.choose(input) else { return };
        let nonsense: &[u8] = match input.byte() % 4 {
            0 => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            // An alert of TLS.
            1 => &[0x15, 3, 1, 0, 2, 2, 0x46],
            2 => &[0x7f, 0xff, 0xff, 0xff, 0],
            // A frame with the correlation id of no request.
            _ => &[0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 0],
        };
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.answers.extend(nonsense);
        }
    }

    /// Answers with bytes of the input, or with a true answer that has some of them in it.
    fn answer_with_a_lie(&mut self, input: &mut Input<'_>) {
        let Some(id) = self.choose(input).filter(|_| self.may_lie) else { return };
        self.has_lied = true;
        let (len, kind) = (input.below(64), input.byte());
        let bytes = input.bytes(len);
        if kind % 4 == 0 {
            self.machine.receive(id, bytes);
            return;
        }
        self.answer_on(id, |run, node, head, request| {
            if kind % 4 == 1 {
                return wire::raw(head, bytes);
            }
            let mut answer = run.answer_truly(node, head, request);
            let body = &mut answer[wire::PREFIX_LEN..];
            for (at, byte) in bytes.chunks_exact(2).map(|pair| (usize::from(pair[0]), pair[1])) {
                let len = body.len().max(1);
                if let Some(place) = body.get_mut(at % len) {
                    *place = byte;
                }
            }
            answer
        });
    }

    fn arrive(&mut self, input: &mut Input<'_>) {
        if let Some(id) = self.choose(input) {
            self.arrive_at(id, input.pick(&[1, 3, 10, usize::MAX]));
        }
    }

    /// Has this many bytes of the answers come.
    fn arrive_at(&mut self, id: u64, count: usize) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let count = count.min(peer.answers.len());
        let bytes: Bytes = peer.answers.drain(..count).collect();
        self.machine.receive(id, &bytes);
        !bytes.is_empty()
    }

    fn lose(&mut self, input: &mut Input<'_>) {
        if let Some(id) = self.choose(input) {
            self.machine.lose(id);
        }
    }

    fn lead(&mut self, input: &mut Input<'_>) {
        let (partition, leader) = (input.below(PARTITIONS), input.pick(&[1, 2, -1]));
        self.brokers.lead(partition, leader);
    }

    /// A broker comes to a batch whose connection is gone.
    fn process_orphan(&mut self) {
        if let Some((node, batch)) = self.orphans.pop_front() {
            self.brokers.append(node, &batch);
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.machine.close();
    }

    fn finish(mut self) {
        for partition in 0..PARTITIONS {
            self.brokers.lead(partition, 1);
        }
        if self.steps % 8 == 7 {
            self.machine.abort();
        } else {
            self.run_until_all_is_settled();
            // A few retries may be used up before it is known who leads.
            if !self.is_closed && !self.has_lied && self.options.retries > 3 {
                self.assert_recovered();
            }
        }
        while !self.orphans.is_empty() {
            self.process_orphan();
        }
        self.check();
        for id in self.machine.connections() {
            self.machine.lose(id);
        }
        // Compressions hold what they work on.
        self.machine.seal();
        assert!(self.machine.is_idle(), "batches are left over");
        assert!(self.machine.settle(), "the sender never comes to rest");
        assert_eq!(self.machine.memory_in_use(), 0, "memory is left over");
    }

    /// All is well from now on.
    fn run_until_all_is_settled(&mut self) {
        let end = self.passed + self.options.delivery_timeout + 3 * self.options.request_timeout;
        let is_open = |sent: &Sent| sent.delivery.try_result().is_none();
        loop {
            self.settle();
            let is_busy = self.serve();
            if !self.sent.iter().any(is_open) {
                return;
            }
            let sleep = self.machine.sleep().expect("a sender that has records wants to wake up");
            // Brokers and networks take their time, too.
            let time = if is_busy { sleep.min(LATENCY) } else { sleep };
            self.machine.advance(time);
            self.passed += time;
            self.wake_ups += u32::from(time == sleep);
            assert!(self.passed <= end, "records are left hanging");
            self.check_that_no_record_waits_too_long();
        }
    }

    /// Once all is well again, so is everything that is sent then.
    fn assert_recovered(&mut self) {
        self.machine.set_flushing(false);
        for _ in 0..2 {
            let first = self.sent.len();
            for partition in 0..PARTITIONS {
                let value = format!("{}:", self.sent.len());
                let delivery = self.machine.append(TOPIC, partition, value.as_bytes());
                let delivery = delivery.expect("memory is free again");
                self.sent.push(Sent { partition, value, delivery, at: self.passed });
            }
            self.run_until_all_is_settled();
            let results = self.sent[first..].iter().map(|sent| (sent.partition, sent.delivery.try_result()));
            let bad: Vec<_> = results.filter(|(_, result)| !matches!(result, Some(Ok(_)))).collect();
            if bad.is_empty() {
                return;
            }
            // The broker may miss a batch before this one that has expired, and an attempt that a lost connection has
            // left unanswered may yet be written. Then the sender cannot say what became of the record, but it can of
            // the next.
            let is_excused =
                |result: &Option<_>| matches!(result, Some(Err(error)) if is_missing_its_predecessor(error));
            assert!(bad.iter().all(|(_, result)| is_excused(result)), "does not recover: {bad:?}");
        }
        panic!("does not recover");
    }

    fn check_that_no_record_waits_too_long(&self) {
        for sent in self.sent.iter().filter(|sent| sent.delivery.try_result().is_none()) {
            let waits = self.passed - sent.at;
            assert!(waits <= self.options.delivery_timeout + LATENCY, "{} waits for {waits:?}", sent.value);
        }
    }

    fn check(&self) {
        for sent in &self.sent {
            let result = sent.delivery.try_result().expect("every record has an outcome");
            if let Err(error) = result {
                let record = error.record().expect("a failed record comes back");
                assert_eq!(record.value.as_deref(), Some(sent.value.as_bytes()));
            }
        }
        let seconds = u32::try_from(self.passed.as_secs()).expect("runs are short") + 1;
        assert!(
            self.wake_ups <= 300 * seconds + 10 * self.steps,
            "{} wake-ups in {seconds} seconds",
            self.wake_ups
        );
        if !self.has_lied {
            (0..PARTITIONS).for_each(|partition| self.check_partition(partition));
        }
    }

    fn check_partition(&self, partition: usize) {
        let log = &self.brokers.partitions()[partition].log;
        let mut times: HashMap<&str, usize> = HashMap::new();
        for value in log {
            *times.entry(value).or_default() += 1;
        }
        let mut last_offset = -1;
        for sent in self.sent.iter().filter(|sent| sent.partition == partition) {
            let value = &*sent.value;
            match sent.delivery.try_result().expect("it is settled") {
                Ok(metadata) if self.options.acks != 0 => {
                    let offset = metadata.offset().expect("brokers tell the offset");
                    let place = usize::try_from(offset).ok().and_then(|offset| log.get(offset));
                    assert_eq!(place.map(String::as_str), Some(value), "acknowledged elsewhere");
                    assert!(offset > last_offset, "{value} was written before its predecessor");
                    last_offset = offset;
                }
                Ok(_) => {}
                Err(error) if error.persisted() == Persisted::No => {
                    assert!(!times.contains_key(value), "{value} was written: {error:?}");
                }
                Err(_) => {}
            }
        }
        if self.options.is_idempotent {
            assert!(times.values().all(|times| *times == 1), "written twice: {log:?}");
            let number = |value: &String| -> Option<usize> { value.split(':').next()?.parse().ok() };
            assert!(log.iter().map(number).is_sorted(), "written out of order: {log:?}");
        }
    }
}

fn is_missing_its_predecessor(error: &DeliveryError) -> bool {
    let DeliveryErrorKind::Broker { code, .. } = error.kind() else { return false };
    code == ErrorCode::OutOfOrderSequenceNumber && error.persisted() == Persisted::Maybe
}

/// What brokers speak. Those that know topics by id in requests tell the ids, too.
fn max_versions(input: &mut Input<'_>) -> [(ApiKey, i16); 3] {
    let produce = 13 - i16::from(input.byte()) % 11;
    let metadata = 13 - i16::from(input.byte()) % if produce == 13 { 4 } else { 14 };
    let producer_id = 5 - i16::from(input.byte()) % 6;
    [(ApiKey::Produce, produce), (ApiKey::Metadata, metadata), (ApiKey::InitProducerId, producer_id)]
}

fn options(input: &mut Input<'_>) -> SenderOptions {
    let seed = input.byte();
    let is_idempotent = !input.bool();
    let millis = Duration::from_millis;
    SenderOptions {
        acks: if is_idempotent { -1 } else { input.pick(&[-1, 1, 0]) },
        is_idempotent,
        linger: millis(input.pick(&[0, 5, 50])),
        spares_awaited: seed % 2 == 1,
        delivery_timeout: millis(input.pick(&[2500, 10_000])),
        request_timeout: millis(input.pick(&[500, 2000])),
        retries: if is_idempotent { u32::MAX } else { input.pick(&[i32::MAX.unsigned_abs(), 3, 0]) },
        retry_backoff: millis(input.pick(&[20, 0, 100])),
        max_in_flight: 5 - input.below(5),
        max_request_size: input.pick(&[100_000, 1000]),
        batch_size: input.pick(&[1000, 200]),
        buffer_memory: input.pick(&[30_000, 6000]),
        is_compressed: input.bool(),
        seed: seed.into(),
    }
}

const MAX_STEPS: usize = 400;
const LATENCY: Duration = Duration::from_millis(2);
/// The broker has not written the batch.
const REFUSALS: [i16; 10] = [2, 3, 5, 19, 29, 74, 87, 89, 10, 60];
/// The broker cannot say, or has given up after writing it.
const DOUBTS: [i16; 6] = [-1, 6, 7, 20, 56, 999];
