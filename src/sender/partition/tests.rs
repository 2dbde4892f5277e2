//! What a partition waits for, and how it follows its leader.

use crate::accumulator::Stage;
use crate::clock;
use crate::metadata::{Node, PartitionInfo, TopicInfo};
use crate::topic_partition::TopicPartition;

use super::*;

const LEADER: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const LINGER: Duration = Duration::from_millis(50);

fn cluster(leader: Option<NodeId>) -> Cluster {
    let nodes = [LEADER, OTHER].map(|id| Node::new(id, "kafka", 9092));
    Cluster::new(nodes, [TopicInfo::new("topic", [PartitionInfo::new(0, leader)])])
}

fn partition(leader: Option<NodeId>) -> Partition {
    let memory = crate::buffer_memory::BufferMemory::new(1000, 100).partition();
    let queue = PartitionQueue::new(
        0,
        TopicPartition::new("topic", 0),
        memory,
        Arc::default(),
        Arc::default(),
        Arc::default(),
        false,
    );
    let mut partition = Partition::new(Arc::new(queue));
    partition.update_leader(&cluster(leader));
    partition
}

fn pace() -> Pace {
    Pace {
        linger: LINGER,
        max_outstanding: 1,
        oldest_remembered: 0,
        numbers: Numbers::None,
        is_urgent: false,
        spares_awaited: false,
    }
}

/// A batch with room for more, sent never.
fn head(created: Instant) -> Head {
    Head {
        created,
        attempts: 0,
        sent_leader_epoch: None,
        is_full: false,
        is_flushed: false,
        is_sealing: false,
        is_numbered: false,
        may_take_new_number: true,
        is_awaited: false,
        max_timestamp: 0,
        order: BatchOrder { batch: 1, first_record: 0 },
        len: 100,
        stage: Stage::Linger,
    }
}

#[test]
fn empty_queue_needs_nothing() {
    assert_eq!(partition(Some(LEADER)).next(None, pace(), clock::now()), Next::Idle);
    assert_eq!(partition(None).next(None, pace(), clock::now()), Next::Idle);
}

#[test]
fn batch_is_ready_when_it_has_lingered_or_is_full_or_urgent() {
    let (now, partition) = (clock::now(), partition(Some(LEADER)));
    let lingering = head(now);

    let almost = now + LINGER - Duration::from_nanos(1);
    assert_eq!(partition.next(Some(lingering), pace(), almost), Next::Linger(now + LINGER));
    assert_eq!(partition.next(Some(lingering), pace(), now + LINGER), Next::Ready(LEADER));
    assert_eq!(partition.next(Some(Head { is_full: true, ..lingering }), pace(), now), Next::Ready(LEADER));
    assert_eq!(
        partition.next(Some(Head { is_flushed: true, ..lingering }), pace(), now),
        Next::Ready(LEADER)
    );
    let urgent = Pace { is_urgent: true, ..pace() };
    assert_eq!(partition.next(Some(lingering), urgent, now), Next::Ready(LEADER));
    // A retry does not linger again.
    assert_eq!(partition.next(Some(Head { attempts: 1, ..lingering }), pace(), now), Next::Ready(LEADER));
}

#[test]
fn batch_that_is_being_compressed_is_waited_for() {
    let now = clock::now();
    let sealing = Head { is_sealing: true, is_full: true, ..head(now) };

    assert_eq!(partition(Some(LEADER)).next(Some(sealing), pace(), now + LINGER), Next::Sealing);
}

#[test]
fn compression_is_looked_after_until_it_is_done() {
    let mut partition = partition(Some(LEADER));
    let begin = clock::now();
    let at = |millis| begin + Duration::from_millis(millis);
    let sealing = |batch| {
        let order = BatchOrder { batch, first_record: 0 };
        Some(Head { is_sealing: true, order, ..head(begin) })
    };

    assert_eq!(partition.note_sealing(sealing(1), at(0)), (Some(at(5)), false));
    assert_eq!(partition.note_sealing(sealing(1), at(3)), (Some(at(5)), false));
    assert_eq!(partition.note_sealing(sealing(1), at(5)), (Some(at(10)), true));
    assert_eq!(partition.note_sealing(sealing(1), at(6)), (Some(at(10)), false));
    assert_eq!(partition.note_sealing(sealing(1), at(700)), (Some(at(1400)), true));
    // The next batch has its own time.
    assert_eq!(partition.note_sealing(sealing(2), at(701)), (Some(at(706)), false));
    assert_eq!(partition.note_sealing(Some(head(begin)), at(702)), (None, false));
    assert_eq!(partition.note_sealing(sealing(2), at(900)), (Some(at(905)), false));
    assert_eq!(partition.note_sealing(None, at(905)), (None, false));
}

/// The four cases of Kafka's `testReadyAndDrainWhenABatchIsBeingRetried`.
#[test]
fn backoff_holds_unless_the_leader_is_newer() {
    let now = clock::now();
    let retry_at = now + Duration::from_millis(100);
    for (epoch, at, expected) in [
        (4, now, Next::Backoff(retry_at)),
        (4, retry_at, Next::Ready(LEADER)),
        (5, now, Next::Ready(LEADER)),
        (5, retry_at, Next::Ready(LEADER)),
    ] {
        let mut partition = partition(Some(LEADER));
        partition.waits.back_off(Some(retry_at));
        partition.leadership.set_epoch(epoch);
        let retried = Head { attempts: 1, sent_leader_epoch: Some(4), ..head(now) };

        assert_eq!(partition.next(Some(retried), pace(), at), expected, "epoch {epoch}");
    }
}

#[test]
fn leader_without_an_epoch_does_not_end_the_backoff() {
    let now = clock::now();
    let mut partition = partition(Some(OTHER));
    partition.waits.back_off(Some(now + LINGER));
    for sent_leader_epoch in [None, Some(4)] {
        let retried = Head { attempts: 1, sent_leader_epoch, ..head(now) };

        assert_eq!(partition.next(Some(retried), pace(), now), Next::Backoff(now + LINGER));
    }
}

#[test]
fn partition_without_a_leader_says_so_when_its_batch_could_go() {
    let now = clock::now();
    let partition = partition(None);

    assert_eq!(partition.next(Some(head(now)), pace(), now), Next::Linger(now + LINGER));
    assert_eq!(partition.next(Some(head(now)), pace(), now + LINGER), Next::NoLeader);
}

#[test]
fn leader_whose_address_is_unknown_is_none() {
    let mut partition = partition(Some(LEADER));

    partition.update_leader(&cluster(Some(NodeId(9))));
    assert_eq!(partition.leader(), None);
    partition.update_leader(&Cluster::default());
    assert_eq!(partition.leader(), None);
}

#[test]
fn requests_under_way_are_counted_though_their_batches_have_expired() {
    let now = clock::now();
    let mut partition = partition(Some(LEADER));
    let full = Head { is_full: true, ..head(now) };

    partition.in_flight.pretend(1, LEADER);
    assert_eq!(partition.next(Some(full), pace(), now), Next::Blocked);
    let pipelining = Pace { max_outstanding: 2, ..pace() };
    assert_eq!(partition.next(Some(full), pipelining, now), Next::Ready(LEADER));
}

#[test]
fn numbered_batches_are_pipelined_once_the_broker_knows_the_producer() {
    let now = clock::now();
    let producer = ProducerId { id: 4000, epoch: 0, is_transactional: false };
    let full = Head { is_full: true, ..head(now) };
    let numbers = |numbers| Pace { max_outstanding: 5, numbers, ..pace() };
    let mut partition = partition(Some(LEADER));
    let next = |partition: &Partition, head, pace| partition.next(Some(head), pace, now);

    let with = numbers(Numbers::With(producer));
    assert_eq!(next(&partition, full, numbers(Numbers::Awaited)), Next::Blocked);
    assert_eq!(next(&partition, full, with), Next::Ready(LEADER));
    let first = partition.numbers.assign(producer, 10);
    partition.in_flight.pretend(1, LEADER);
    assert_eq!(next(&partition, full, with), Next::Blocked, "nothing was acknowledged so far");
    partition.numbers.acknowledge(first, 1);
    assert_eq!(next(&partition, full, with), Next::Ready(LEADER));

    // A batch that is sent again goes alone, as does one to another node or under another id.
    assert_eq!(next(&partition, Head { is_numbered: true, ..full }, with), Next::Blocked);
    let other = Numbers::With(ProducerId { id: 4001, epoch: 0, is_transactional: false });
    assert_eq!(next(&partition, full, numbers(other)), Next::Blocked);
    partition.in_flight.pretend(1, OTHER);
    assert_eq!(next(&partition, full, with), Next::Blocked);
    partition.in_flight.pretend(5, LEADER);
    assert_eq!(next(&partition, full, with), Next::Blocked);
}

/// The broker may forget the producer as soon as it has the old records, and then takes what was in front of them again.
#[test]
fn batch_of_old_records_does_not_follow_one_that_is_under_way() {
    let now = clock::now();
    let producer = ProducerId { id: 4000, epoch: 0, is_transactional: false };
    let mut partition = partition(Some(LEADER));
    let first = partition.numbers.assign(producer, 10);
    partition.numbers.acknowledge(first, 100);
    partition.in_flight.pretend(1, LEADER);
    let pace =
        Pace { max_outstanding: 5, numbers: Numbers::With(producer), oldest_remembered: 100, ..pace() };
    let with = |max_timestamp| Some(Head { is_full: true, max_timestamp, ..head(now) });

    assert_eq!(partition.next(with(100), pace, now), Next::Ready(LEADER));
    assert_eq!(partition.next(with(99), pace, now), Next::Blocked);
    partition.in_flight.pretend(0, LEADER);
    assert_eq!(partition.next(with(99), pace, now), Next::Ready(LEADER));
}

#[test]
fn numbered_batch_may_be_sent_again_though_the_id_is_awaited() {
    let now = clock::now();
    let pace = Pace { numbers: Numbers::Awaited, ..pace() };
    let numbered = Head { is_numbered: true, attempts: 1, ..head(now) };

    assert_eq!(partition(Some(LEADER)).next(Some(numbered), pace, now), Next::Ready(LEADER));
}

#[test]
fn partition_whose_batches_wait_too_long_for_answers_is_not_to_be_chosen() {
    let now = clock::now();
    let timeout = Duration::from_millis(100);
    let mut partition = partition(Some(LEADER));
    let mut note = |outstanding, next, after| {
        partition.in_flight.pretend(outstanding, LEADER);
        let at = partition.note_wait(next, timeout, now + Duration::from_millis(after));
        (partition.queue.is_available(), at.map(|at| at - now))
    };

    assert_eq!(note(1, Next::Blocked, 0), (true, Some(Duration::from_millis(101))));
    assert_eq!(note(1, Next::Blocked, 100), (true, Some(Duration::from_millis(101))));
    assert_eq!(note(1, Next::Blocked, 101), (false, None));
    // It stays so until the queue is empty.
    assert_eq!(note(0, Next::Ready(LEADER), 102), (false, None));
    assert_eq!(note(0, Next::Idle, 103), (true, None));
    // The time begins anew.
    assert_eq!(note(1, Next::Blocked, 200), (true, Some(Duration::from_millis(301))));
    // A batch that is being compressed waits for no broker.
    assert_eq!(note(0, Next::Blocked, 1000), (true, None));
}
