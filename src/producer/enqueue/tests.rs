//! Waits for memory, without a sender: the tests take the batches.

use std::convert::Infallible;
use std::pin::pin;

use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::accumulator::{self, NO_TRANSACTION, RecordAccumulator, TakenHead};
use crate::buffer_memory::BufferMemory;
use crate::clock::WallClock;
use crate::config::{Compression, ProducerConfig};
use crate::delivery::Teller;
use crate::metadata::{Cluster, Node, PartitionInfo, TopicInfo};
use crate::metrics::Counters;
use crate::pipeline::{RoutingRules, serialize_with};
use crate::producer::Face;
use crate::producer::caller::Caller;
use crate::producer::refusal_log::RefusalLog;
use crate::sender::Control;
use crate::topic_partition::{NodeId, TopicPartition};

use super::*;

mod bursts;

const BATCH: usize = 1000;

/// Threads remember topics by the number of the producer.
static RIGS: AtomicU64 = AtomicU64::new(u64::MAX);

struct Rig {
    producer: KafkaProducer,
    published: watch::Sender<Arc<Cluster>>,
}

impl Rig {
    /// Twenty batches of memory for a topic of which every partition has a leader.
    fn new(partitions: i32) -> Self {
        let partitions = (0..partitions).map(|number| PartitionInfo::new(number, Some(NodeId(1))));
        let topic = TopicInfo::new("orders", partitions);
        let cluster = Cluster::new([Node::new(NodeId(1), "one", 9092)], [topic]);
        let (published, clusters) = watch::channel(Arc::new(cluster));
        let config = ProducerConfig::default().bootstrap_servers("one:9092");
        let config = config.batch_size(BATCH).buffer_memory(20 * BATCH);
        let settings = config.settle().unwrap();
        let memory = BufferMemory::new(settings.buffer_memory, settings.batch_size);
        let accumulator = accumulator::Settings {
            batch_size: settings.batch_size,
            compression: Compression::None,
            compression_level: 0,
            max_plain: settings.max_request_size,
            append_window: Duration::from_secs(60),
            spares_awaited: false,
        };
        let core = ProducerCore {
            id: RIGS.fetch_sub(1, Ordering::Relaxed),
            largest_record: settings.max_request_size.min(settings.buffer_memory),
            routing: RoutingRules {
                partitioner: None,
                ignore_keys: settings.partitioner_ignore_keys,
                adaptive_partitioning: settings.partitioner_adaptive_partitioning,
                rack: None,
            },
            settings,
            topics: Arc::default(),
            accumulator: Arc::new(RecordAccumulator::new(accumulator, memory)),
            clusters,
            connector: Arc::new(crate::network::resolver::TcpConnector::default()),
            control: Arc::new(Control::default()),
            counters: Arc::new(Counters::default()),
            board: Arc::default(),
            refusals: RefusalLog::new(clock::now()),
            wall_clock: WallClock::new(clock::now()),
            #[cfg(feature = "telemetry")]
            instance: None,
            pinned: Vec::new(),
        };
        Self { producer: KafkaProducer { core: Arc::new(core), face: Arc::default() }, published }
    }

    fn core_mut(&mut self) -> &mut ProducerCore {
        Arc::get_mut(&mut self.producer.core).unwrap()
    }

    fn face_mut(&mut self) -> &mut Face<Bytes, Bytes> {
        Arc::get_mut(&mut self.producer.face).unwrap()
    }

    /// The same, but only those partitions have leaders for which `is_led` says so.
    fn with_leaders(partitions: i32, is_led: impl Fn(i32) -> bool) -> Self {
        let rig = Self::new(0);
        let led = |number| is_led(number).then_some(NodeId(1));
        let partitions = (0..partitions).map(|number| PartitionInfo::new(number, led(number)));
        rig.publish([TopicInfo::new("orders", partitions)]);
        rig
    }

    fn publish(&self, topics: impl IntoIterator<Item = TopicInfo>) {
        let cluster = Cluster::new([Node::new(NodeId(1), "one", 9092)], topics);
        self.published.send_replace(Arc::new(cluster));
    }

    fn enqueue(&self, record: ProducerRecord) -> Enqueue<'_, Bytes, Bytes> {
        Enqueue::new(&self.producer, record, None)
    }

    fn try_enqueue(&self, mut record: ProducerRecord) -> Option<Delivery> {
        Walk::new(&self.producer, &mut record, NO_TRANSACTION).step().ok()
    }

    /// Gives a partition all the memory that it may have.
    fn fill(&self, partition: i32) {
        while self.try_enqueue(large().partition(partition)).is_some() {}
    }

    /// Has records that may go anywhere go to a partition.
    fn stick_to(&self, partition: i32) {
        let partition = usize::try_from(partition).unwrap();
        let entry = self.producer.core.topics.get("orders").unwrap();
        let sticky = entry.routes.sticky();
        let current = sticky.peek(usize::MAX, || Some(partition)).unwrap();
        sticky.move_to(current, partition);
        assert_eq!(sticky.peek(usize::MAX, || None), Some(partition));
    }

    /// Takes the first batch of a partition as sent and acknowledged.
    fn acknowledge(&self, partition: i32) {
        let queue = self.producer.core.accumulator.queue("orders", partition).unwrap();
        let TakenHead::Batch(mut batch) = queue.take_head() else { panic!("there is none") };
        batch.freeze();
        batch.deliver(Some(0), None, &Teller::WITHOUT_SENDER);
    }

    /// Returns the timestamp of a record, once its batch is delivered.
    fn timestamp_of(&self, delivery: &Delivery) -> i64 {
        let TopicPartition { topic, partition } = delivery.topic_partition();
        let queue = self.producer.core.accumulator.queue(topic, *partition).unwrap();
        while delivery.try_result().is_none() {
            let TakenHead::Batch(mut batch) = queue.take_head() else { panic!("there is none") };
            batch.freeze();
            batch.deliver(Some(0), None, &Teller::WITHOUT_SENDER);
        }
        delivery.try_result().unwrap().unwrap().timestamp()
    }

    fn batches(&self, partition: i32) -> usize {
        self.producer.core.accumulator.queue("orders", partition).unwrap().queued_batches()
    }
}

/// A record that fills a batch.
fn large() -> ProducerRecord {
    ProducerRecord::to("orders").value("x".repeat(900))
}

/// A record of which several share a batch, but none with a large one.
fn small() -> ProducerRecord {
    ProducerRecord::to("orders").value("x".repeat(100))
}

fn partition_of(delivery: Option<Accepted<Bytes, Bytes>>) -> Option<i32> {
    delivery.map(|delivery| delivery.unwrap().topic_partition().partition)
}

#[tokio::test(start_paused = true)]
async fn record_that_may_go_anywhere_waits_for_whichever_partition_gives_memory_back() {
    for (stuck, alive) in [(0, 1), (1, 0)] {
        for sticky in [stuck, alive] {
            let rig = Rig::new(2);
            rig.fill(stuck);
            rig.fill(alive);
            rig.stick_to(sticky);
            let mut waiting = pin!(rig.enqueue(large()));
            assert!(waiting.as_mut().now_or_never().is_none());

            rig.acknowledge(alive);

            assert_eq!(partition_of(waiting.as_mut().now_or_never()), Some(alive));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn record_that_has_waited_goes_where_its_memory_is() {
    let rig = Rig::new(2);
    rig.fill(1);
    rig.fill(0);
    let full = rig.batches(1);
    for _ in 0..50 {
        let mut waiting = pin!(rig.enqueue(large()));
        assert!(waiting.as_mut().now_or_never().is_none());

        rig.acknowledge(0);
        rig.stick_to(1);

        assert_eq!(partition_of(waiting.as_mut().now_or_never()), Some(0));
    }
    assert_eq!(rig.batches(1), full, "no more than its share");
}

#[tokio::test(start_paused = true)]
async fn records_that_waited_share_a_batch_in_their_order() {
    let rig = Rig::new(2);
    rig.fill(1);
    rig.fill(0);
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(rig.enqueue(small()))).collect();
    assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));

    (0..rig.batches(0)).for_each(|_| rig.acknowledge(0));

    let free = rig.producer.core.accumulator.memory().available();
    assert!(waiting[4].as_mut().now_or_never().is_none(), "others were here before");
    for waiting in &mut waiting {
        assert_eq!(partition_of(waiting.now_or_never()), Some(0));
    }
    assert_eq!(rig.batches(0), 1);
    assert!(rig.producer.core.accumulator.memory().available() > free, "what is not needed is given back");
}

#[tokio::test(start_paused = true)]
async fn record_that_may_go_anywhere_does_not_pass_those_that_wait() {
    let rig = Rig::new(2);
    rig.fill(1);
    let huge = ProducerRecord::to("orders").value("x".repeat(15 * BATCH));
    let mut waiting = pin!(rig.enqueue(huge));
    assert!(waiting.as_mut().now_or_never().is_none());

    assert!(rig.try_enqueue(large()).is_none());
    // One that must go there has its own line.
    assert!(rig.try_enqueue(large().partition(0)).is_some());
    (0..rig.batches(1)).for_each(|_| rig.acknowledge(1));
    assert!(rig.try_enqueue(large()).is_none(), "the memory is spoken for");

    assert!(waiting.as_mut().now_or_never().is_some());
    rig.producer.core.accumulator.close();
}

/// The numbers of the partitions that have queues.
fn made(rig: &Rig) -> Vec<i32> {
    let queues =
        rig.producer.core.accumulator.known_topic("orders").map_or_else(Vec::new, |topic| topic.made());
    queues.iter().map(|queue| queue.topic_partition().partition).collect()
}

#[tokio::test(start_paused = true)]
async fn partition_gets_its_queue_with_its_first_record() {
    let rig = Rig::new(1000);

    for partition in [999, 3, 3, 500] {
        assert!(rig.try_enqueue(small().partition(partition)).is_some());
    }
    let anywhere = rig.try_enqueue(small()).unwrap().topic_partition().partition;

    let mut expected = vec![3, 500, 999, anywhere];
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(made(&rig), expected);
}

#[tokio::test(start_paused = true)]
async fn partition_without_a_queue_takes_what_one_that_is_full_does_not() {
    let rig = Rig::new(1000);
    rig.fill(0);
    rig.stick_to(0);

    let moved = rig.try_enqueue(large()).unwrap().topic_partition().partition;

    assert_ne!(moved, 0);
    assert!(made(&rig).contains(&moved) && made(&rig).len() <= 1 + 8, "{:?}", made(&rig));
}

#[tokio::test(start_paused = true)]
async fn record_that_waits_goes_to_a_partition_that_had_no_queue_before() {
    let rig = Rig::new(1000);
    rig.fill(0);
    rig.stick_to(0);
    let memory = Arc::clone(rig.producer.core.accumulator.memory());
    let elsewhere = memory.try_take_exactly(memory.available()).unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(rig.enqueue(large()))).collect();
    assert!(waiting.iter_mut().all(|waiting| waiting.now_or_never().is_none()));

    drop(elsewhere);

    let mut used = vec![0];
    for waiting in &mut waiting {
        used.push(partition_of(waiting.now_or_never()).unwrap());
    }
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), 4, "each where nothing is held");
}

#[tokio::test(start_paused = true)]
async fn partition_without_a_leader_gets_no_queue_while_others_have_one() {
    let rig = Rig::with_leaders(1000, |number| number % 100 == 7);
    rig.fill(0);
    rig.stick_to(0);

    for _ in 0..5 {
        let partition = rig.try_enqueue(large()).unwrap().topic_partition().partition;
        rig.stick_to(0);
        assert_eq!(partition % 100, 7);
    }

    assert!(made(&rig).iter().all(|partition| *partition == 0 || partition % 100 == 7), "{:?}", made(&rig));
}

#[tokio::test(start_paused = true)]
async fn record_that_waits_does_not_go_to_a_partition_without_a_leader_that_gets_its_queue() {
    let rig = Rig::with_leaders(3, |number| number != 2);
    rig.fill(0);
    rig.fill(1);
    rig.stick_to(0);
    let mut waiting = pin!(rig.enqueue(large()));
    assert!(waiting.as_mut().now_or_never().is_none());

    assert!(rig.try_enqueue(small().partition(2)).is_some());

    assert_eq!(made(&rig), [0, 1, 2]);
    assert!(waiting.as_mut().now_or_never().is_none());
    rig.acknowledge(1);
    assert_eq!(partition_of(waiting.as_mut().now_or_never()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn few_queues_are_made_for_what_is_refused_while_no_partition_has_a_leader() {
    let rig = Rig::with_leaders(1000, |_| false);
    rig.fill(0);
    rig.stick_to(0);
    let memory = rig.producer.core.accumulator.memory();
    let _elsewhere = memory.try_take_exactly(memory.available()).unwrap();

    for _ in 0..100 {
        assert!(rig.try_enqueue(large()).is_none());
    }

    assert!((2..=1 + 8).contains(&made(&rig).len()), "{:?}", made(&rig));
}

#[tokio::test(start_paused = true)]
async fn no_queue_is_made_for_a_partition_that_is_gone() {
    let rig = Rig::new(1000);
    rig.fill(0);
    rig.stick_to(0);
    let memory = rig.producer.core.accumulator.memory();
    let _elsewhere = memory.try_take_exactly(memory.available()).unwrap();
    let queues = made(&rig);

    rig.publish([]);
    assert!(rig.try_enqueue(large()).is_none());
    assert_eq!(made(&rig), queues);

    // There is a topic of the same name, before the caller sees it.
    rig.publish([TopicInfo::new("orders", (0..2).map(|number| PartitionInfo::new(number, None)))]);
    assert!(rig.try_enqueue(large()).is_none());
    assert_eq!(made(&rig), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn queues_that_other_callers_have_made_do_not_count_as_spares_made() {
    let rig = Rig::new(20);
    assert!(rig.try_enqueue(small().partition(0)).is_some());
    rig.stick_to(0);
    let accumulator = &rig.producer.core.accumulator;
    // These callers have seen another partition since.
    let theirs = accumulator.topic(&"orders".into(), 21);
    let take = |partition| {
        accumulator.ensure_queue(&theirs, partition, || true).unwrap().memory().try_take(1).unwrap()
    };
    let _taken: Vec<_> = (1..12).map(take).collect();
    let memory = accumulator.memory();
    let _elsewhere = memory.try_take_exactly(memory.available()).unwrap();

    assert!(rig.try_enqueue(large()).is_none());

    assert_eq!(made(&rig), Vec::from_iter(0..20), "those twelve, and eight that hold nothing");
}

#[tokio::test(start_paused = true)]
async fn timestamp_is_that_of_the_call_and_not_of_the_end_of_its_waits() {
    let rig = Rig::new(1);
    rig.fill(0);
    let mut waiting = pin!(rig.enqueue(large()));
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut unknown = pin!(rig.enqueue(ProducerRecord::to("later")));
    assert!(unknown.as_mut().now_or_never().is_none());
    let called = rig.producer.core.wall_clock.millis(clock::now(), None);

    // The wall clock goes on although tokio's is paused.
    std::thread::sleep(Duration::from_millis(100));
    rig.acknowledge(0);
    let waited = waiting.as_mut().now_or_never().unwrap().unwrap();
    let topics =
        ["orders", "later"].map(|name| TopicInfo::new(name, [PartitionInfo::new(0, Some(NodeId(1)))]));
    let cluster = Arc::new(Cluster::new([Node::new(NodeId(1), "one", 9092)], topics));
    rig.published.send_replace(cluster);
    let late = unknown.as_mut().now_or_never().unwrap().unwrap();

    for delivery in [waited, late] {
        let timestamp = rig.timestamp_of(&delivery);
        // The coarse clock, which is believed, lags by up to 20 ms.
        assert!(timestamp <= called + 20, "{timestamp} for {called}");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_end_with_the_producer_and_with_their_time() {
    let rig = Rig::new(2);
    (0..2).for_each(|partition| rig.fill(partition));

    let error = rig.enqueue(large()).await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::MemoryTimeout { .. }), "{error:?}");
    let mut waiting = pin!(rig.enqueue(large()));
    assert!(waiting.as_mut().now_or_never().is_none());
    rig.producer.core.accumulator.close();

    let error = waiting.await.unwrap_err();
    assert!(matches!(error.kind(), SendErrorKind::Closed), "{error:?}");
    assert_eq!(rig.producer.core.accumulator.memory().waiters(), 0);
}

#[tokio::test(start_paused = true)]
async fn record_that_waits_for_its_partition_is_serialized_once_and_dated_by_the_call() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let mut rig = Rig::new(1);
    rig.face_mut().value_serializer = Box::new(serialize_with(move |value: &Bytes, out: &mut Vec<u8>| {
        counted.fetch_add(1, Ordering::Relaxed);
        out.extend_from_slice(value);
        Ok::<_, Infallible>(())
    }));
    let before = rig.producer.core.wall_clock.millis(clock::now(), None);
    let mut waiting = pin!(rig.enqueue(small().partition(1)));
    assert!(waiting.as_mut().now_or_never().is_none());
    let called = rig.producer.core.wall_clock.millis(clock::now(), None);

    let partitions = [0, 1].map(|number| PartitionInfo::new(number, Some(NodeId(1))));
    let nodes = [Node::new(NodeId(1), "one", 9092)];
    rig.published.send_replace(Arc::new(Cluster::new(nodes, [TopicInfo::new("orders", partitions)])));
    // As the next version of the cluster does.
    let orders = Topic::from("orders");
    rig.producer.core.topics.forget(&orders);
    Caller::with(|caller| caller.topics.forget(&orders));
    let delivery = waiting.as_mut().now_or_never().unwrap().unwrap();

    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let timestamp = rig.timestamp_of(&delivery);
    // The coarse clock, which is believed, lags by up to 20 ms.
    assert!((before - 20..=called + 20).contains(&timestamp), "{timestamp}, called at {before} to {called}");
}

#[test]
fn choice_of_a_partition_that_is_gone_meanwhile_is_made_anew() {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut rig = Rig::new(6);
            let accumulator = Arc::clone(&rig.producer.core.accumulator);
            let published = rig.published.clone();
            let asked = AtomicU64::new(0);
            rig.core_mut().routing.partitioner =
                Some(Box::new(move |_: &crate::pipeline::PartitionerRecord<'_>, _: &Cluster| {
                    if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                        assert!(accumulator.retire_topic(&Topic::from("orders"), |_| false).is_some());
                        let nodes = [Node::new(NodeId(1), "one", 9092)];
                        let one = TopicInfo::new("orders", [PartitionInfo::new(0, Some(NodeId(1)))]);
                        published.send_replace(Arc::new(Cluster::new(nodes, [one])));
                    }
                    Ok(5)
                }));
            let refused = rig.enqueue(small()).await.unwrap_err();
            done.send(matches!(refused.kind(), SendErrorKind::PartitionOutOfRange { partition: 5, .. }))
                .unwrap();
        });
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(true), "the thread spins");
}

#[tokio::test(start_paused = true)]
async fn topic_whose_partition_is_waited_for_does_not_idle_out() {
    let mut rig = Rig::new(6);
    rig.core_mut().routing.partitioner =
        Some(Box::new(|_: &crate::pipeline::PartitionerRecord<'_>, _: &Cluster| Ok(5)));
    let memory = Arc::clone(rig.producer.core.accumulator.memory());
    let elsewhere = memory.try_take_exactly(memory.available()).unwrap();
    let mut waiting = pin!(rig.enqueue(large()));
    assert!(waiting.as_mut().now_or_never().is_none());

    let retired = rig.producer.core.accumulator.retire_topic(&Topic::from("orders"), |_| false);
    assert!(retired.is_none());
    drop(elsewhere);

    assert_eq!(waiting.await.unwrap().topic_partition().partition, 5);
}

#[tokio::test(start_paused = true)]
async fn record_that_waits_for_all_there_is_to_wait_for_is_serialized_once() {
    let calls = Arc::new(AtomicU64::new(0));
    #[derive(Debug)]
    struct Stamping(Arc<AtomicU64>);
    impl crate::pipeline::Serializer<Bytes> for Stamping {
        fn serialize<'b>(
            &self,
            _: &str,
            headers: &mut crate::record::Headers,
            data: &'b Bytes,
            _: &'b mut Vec<u8>,
        ) -> Result<&'b [u8], crate::pipeline::BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            headers.push("stamp", &b"1"[..]);
            Ok(data)
        }
    }
    let mut rig = Rig::new(0);
    rig.publish([]);
    rig.face_mut().value_serializer = Box::new(Stamping(Arc::clone(&calls)));
    let orders = Topic::from("orders");
    let forget = |rig: &Rig| {
        rig.producer.core.topics.forget(&orders);
        Caller::with(|caller| caller.topics.forget(&orders));
    };
    let memory = Arc::clone(rig.producer.core.accumulator.memory());
    let mut waiting = pin!(rig.enqueue(large().partition(1)));
    // 1: the topic.
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    rig.publish([TopicInfo::new("orders", [PartitionInfo::new(0, Some(NodeId(1)))])]);
    forget(&rig);
    // 2: the partition.
    assert!(waiting.as_mut().now_or_never().is_none());
    let elsewhere = memory.try_take_exactly(memory.available()).unwrap();
    rig.publish([TopicInfo::new("orders", [0, 1].map(|n| PartitionInfo::new(n, Some(NodeId(1)))))]);
    forget(&rig);
    // 3: memory.
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(elsewhere);
    // 4: idles out before it appends.
    rig.producer.core.accumulator.retire_topic(&orders, |_| false).unwrap();
    let delivery = waiting.as_mut().now_or_never().unwrap().unwrap();
    assert_eq!(delivery.topic_partition().partition, 1);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn partition_that_the_partitioner_is_shown_is_not_out_of_range() {
    let mut rig = Rig::new(1);
    let published = rig.published.clone();
    rig.face_mut().value_serializer = Box::new(serialize_with(move |value: &Bytes, out: &mut Vec<u8>| {
        let partitions = [0, 1].map(|number| PartitionInfo::new(number, Some(NodeId(1))));
        let nodes = [Node::new(NodeId(1), "one", 9092)];
        published.send_replace(Arc::new(Cluster::new(nodes, [TopicInfo::new("orders", partitions)])));
        out.extend_from_slice(value);
        Ok::<_, Infallible>(())
    }));
    rig.core_mut().routing.partitioner =
        Some(Box::new(|record: &crate::pipeline::PartitionerRecord<'_>, cluster: &Cluster| {
            Ok(i32::try_from(cluster.partition_count(record.topic()).unwrap()).unwrap() - 1)
        }));
    let result = rig.enqueue(small()).now_or_never();
    assert!(matches!(result, None | Some(Ok(_))), "{result:?}");
}
