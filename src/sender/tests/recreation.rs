//! Topics that are deleted and made anew under the same name.

use std::time::Duration;

use super::bench::{Bench, Config, failure, is_pending, millis, offset};
use super::wire::{Identity, Reply};
use super::world::TOPIC;
use crate::delivery::Delivery;
use crate::error::Persisted;
use crate::protocol::ErrorCode;
use crate::topic_partition::Topic;

/// What brokers tell of topics beside their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brokers {
    /// Produce names topics by their ids (Kafka 4.1).
    Ids,
    /// Only Metadata tells ids (2.8).
    IdsInMetadata,
    /// No ids, but leader epochs (2.4).
    Epochs,
    /// Neither (1.0).
    Names,
}

use Brokers::{Epochs, Ids, IdsInMetadata, Names};

const ALL: [Brokers; 4] = [Ids, IdsInMetadata, Epochs, Names];

/// A sender that has written a record to partition 0, and knows node 2 as well.
fn bench(brokers: Brokers) -> Bench {
    let (produce, metadata) = match brokers {
        Ids => (13, 13),
        IdsInMetadata => (9, 12),
        Epochs => (8, 9),
        Names => (5, 5),
    };
    let produce_versions = (3, produce);
    let config = Config { is_idempotent: true, max_outstanding: 5, produce_versions, ..Config::default() };
    let mut bench = Bench::unconnected(config);
    bench.metadata_version = metadata;
    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    for partition in [0, 1] {
        bench.put(partition, "old");
        bench.acknowledge_all();
    }
    bench.advance(Duration::from_secs(1));
    bench
}

/// Makes the topic anew: its epochs begin again, and node 2 leads partition 0.
fn remake(bench: &mut Bench) {
    bench.world.topics.remove(TOPIC);
    bench.world.add_topic(TOPIC, 4);
    let topic = bench.world.topics.get_mut(TOPIC).unwrap();
    topic.id = [77; 16];
    for partition in &mut topic.partitions {
        partition.epoch = 0;
    }
    topic.partitions[0].leader = 2;
}

fn send(bench: &mut Bench, values: &[&str]) -> Vec<Delivery> {
    values.iter().map(|value| bench.send(0, value)).collect()
}

/// Has brokers serve what comes for some seconds.
fn serve(bench: &mut Bench) {
    for _ in 0..100 {
        bench.acknowledge_all();
        bench.advance(millis(50));
    }
}

fn check(bench: &mut Bench, deliveries: &[Delivery], log: &[&str], brokers: Brokers) {
    let offsets: Vec<_> = deliveries.iter().map(|delivery| offset(delivery).unwrap()).collect();
    let first = i64::try_from(log.len() - deliveries.len()).unwrap();
    assert!(offsets.iter().copied().eq((first..).take(deliveries.len())), "{brokers:?}: {offsets:?}");
    assert_eq!(bench.world.log(0), log, "{brokers:?}");
    assert!(bench.is_clean());
}

#[test]
fn records_sent_later_are_written_to_the_new_topic() {
    for brokers in ALL {
        let mut bench = bench(brokers);
        remake(&mut bench);

        let deliveries = send(&mut bench, &["a", "b", "c"]);
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a", "b", "c"], brokers);
    }
}

#[test]
fn batches_under_way_are_written_to_the_new_topic_in_order() {
    for brokers in ALL {
        let mut bench = bench(brokers);
        let deliveries = send(&mut bench, &["a", "b", "c"]);
        assert_eq!(bench.received.len(), 3, "several are under way");

        remake(&mut bench);
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// The answer that was lost was about the old log; the broker of the new one knows nothing of it.
#[test]
fn batch_whose_answer_was_lost_with_the_old_log_is_written_to_the_new_one() {
    for brokers in ALL {
        let mut bench = bench(brokers);
        let deliveries = send(&mut bench, &["a", "b"]);
        let requests: Vec<_> = bench.received.drain(..).collect();
        for request in &requests {
            let reply = bench.world.append(1, &request.batches[0]);
            assert_eq!(reply.code, 0);
        }

        remake(&mut bench);
        bench.close(requests[0].connection, None);
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a", "b"], brokers);
    }
}

/// The new topic is written to by its name, and the answer is lost: the number keeps it from being written twice.
#[test]
fn batch_whose_answer_was_lost_with_the_new_log_is_written_once() {
    for brokers in [IdsInMetadata, Epochs, Names] {
        let mut bench = bench(brokers);
        remake(&mut bench);
        bench.world.lead(0, 1);
        let deliveries = send(&mut bench, &["a"]);
        let request = bench.request();
        assert_eq!(bench.world.append(1, &request.batches[0]).code, 0);

        bench.close(request.connection, None);
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a"], brokers);
    }
}

#[test]
fn records_wait_while_the_topic_is_gone() {
    for brokers in ALL {
        let mut bench = bench(brokers);
        let mut deliveries = send(&mut bench, &["a"]);
        bench.world.topics.remove(TOPIC);
        serve(&mut bench);
        deliveries.extend(send(&mut bench, &["b", "c"]));
        serve(&mut bench);
        assert!(deliveries.iter().all(is_pending), "{brokers:?}");

        remake(&mut bench);
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// The new log takes any first number, so a second batch must not be under way before the first is written.
#[test]
fn batches_go_one_by_one_until_the_new_log_knows_the_producer() {
    for brokers in [Ids, IdsInMetadata] {
        let mut bench = bench(brokers);
        remake(&mut bench);
        bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
        bench.advance(millis(200));
        assert_eq!(bench.core.leader(0), Some(2));

        let deliveries = send(&mut bench, &["a", "b", "c"]);
        let request = bench.request();
        assert_eq!(request.records(), ["a"]);
        bench.acknowledge(&request);
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// Also if the sender has seen meanwhile that there is no such topic.
#[test]
fn batches_go_one_by_one_to_a_topic_that_was_gone_for_a_while() {
    for brokers in [Ids, IdsInMetadata, Epochs] {
        let mut bench = bench(brokers);
        let topic = bench.world.topics.remove(TOPIC).unwrap();
        bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
        bench.advance(Duration::from_secs(2));
        bench.world.topics.insert(TOPIC.to_owned(), topic);
        remake(&mut bench);
        bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
        bench.advance(Duration::from_secs(2));

        let deliveries = send(&mut bench, &["a", "b", "c"]);
        let request = bench.request();
        assert_eq!(request.records(), ["a"], "{brokers:?}");
        bench.acknowledge(&request);
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// A broker that has not heard of it yet may still write to the old log after another has told that the topic is gone.
#[test]
fn answer_of_the_old_log_after_the_topic_was_gone_does_not_count_for_the_new_one() {
    for brokers in [Epochs, Names] {
        let mut bench = bench(brokers);
        let late = bench.send(0, "late");
        let request = bench.request();
        let topic = bench.world.topics.remove(TOPIC).unwrap();
        bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
        bench.advance(millis(20));
        bench.reply(&request, &Reply::ok(1));
        let between = bench.send(0, "between");
        let request = bench.request();
        bench.reply(&request, &Reply::ok(2));
        assert_eq!([&late, &between].map(offset), [Some(1), Some(2)], "{brokers:?}");

        bench.world.topics.insert(TOPIC.to_owned(), topic);
        bench.advance(Duration::from_secs(1));
        let _deliveries = send(&mut bench, &["a", "b"]);

        assert_eq!(bench.request().records(), ["a"], "{brokers:?}");
    }
}

/// That the old log has a batch says nothing about the new one, whatever order it is learned in.
#[test]
fn late_answer_of_the_old_topic_lets_only_one_batch_go_to_the_new_one() {
    for brokers in [Ids, IdsInMetadata] {
        let mut bench = bench(brokers);
        let old = bench.world.topics[TOPIC].id;
        let late = bench.send(0, "late");
        let request = bench.request();
        remake(&mut bench);
        bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
        bench.advance(millis(200));
        assert_eq!(bench.core.leader(0), Some(2), "{brokers:?}");

        let old = if brokers == Ids { bench.world.name_of(old) } else { TOPIC.to_owned() };
        bench.reply_with(&request, &[(old, 0, Reply::ok(1))], 0);
        assert_eq!(offset(&late), Some(1));
        let deliveries = send(&mut bench, &["a", "b"]);
        let request = bench.request();
        assert_eq!(request.records(), ["a"], "{brokers:?}");
        bench.reply(&request, &Reply::error(19));
        serve(&mut bench);

        check(&mut bench, &deliveries, &["a", "b"], brokers);
    }
}

/// Up to Kafka 2.4 an unknown producer must begin at 0 (`UNKNOWN_PRODUCER_ID`).
#[test]
fn broker_that_wants_an_unknown_producer_to_begin_anew_is_obeyed() {
    let mut bench = bench(Names);
    remake(&mut bench);
    bench.world.lead(0, 1);
    let deliveries = send(&mut bench, &["a", "b"]);

    let mut identities = Vec::new();
    for _ in 0..100 {
        while let Some(request) = bench.received.pop_front() {
            let identity = request.batches[0].identity;
            identities.push(identity);
            if bench.world.log(0).is_empty() && identity.sequence != 0 {
                bench.reply(&request, &Reply::error(59));
            } else {
                bench.acknowledge(&request);
            }
        }
        bench.advance(millis(50));
    }

    check(&mut bench, &deliveries, &["a", "b"], Names);
    let numbers = |Identity { epoch, sequence, .. }| (epoch, sequence);
    let numbers: Vec<_> = identities.into_iter().map(numbers).collect();
    assert_eq!(numbers, [(0, 1), (0, 2), (1, 0), (1, 1)]);
}

/// The new log takes any first number. If it refuses the older of two batches and takes the younger, the older can no longer
/// be written in order.
#[test]
fn batch_that_was_overtaken_in_the_new_log_fails() {
    let mut bench = bench(Names);
    let deliveries = send(&mut bench, &["a", "b"]);
    let requests: Vec<_> = bench.received.drain(..).collect();
    remake(&mut bench);
    bench.world.lead(0, 1);

    bench.reply(&requests[0], &Reply::error(19));
    bench.acknowledge(&requests[1]);
    serve(&mut bench);
    let later = send(&mut bench, &["c"]);
    serve(&mut bench);

    let error = failure(&deliveries[0]);
    assert_eq!(error.error_code(), Some(ErrorCode::NotEnoughReplicas));
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!((offset(&deliveries[1]), offset(&later[0])), (Some(0), Some(1)));
    assert_eq!(bench.world.log(0), ["b", "c"]);
    assert!(bench.is_clean());
}
