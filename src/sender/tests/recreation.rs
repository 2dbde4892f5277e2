//! Topics that are deleted and made anew under the same name.

use std::time::Duration;

use super::rig::{Config, Rig, failure, is_pending, millis, offset};
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
fn rig(brokers: Brokers) -> Rig {
    let (produce, metadata) = match brokers {
        Ids => (13, 13),
        IdsInMetadata => (9, 12),
        Epochs => (8, 9),
        Names => (5, 5),
    };
    let produce_versions = (3, produce);
    let config = Config { is_idempotent: true, max_outstanding: 5, produce_versions, ..Config::default() };
    let mut rig = Rig::unconnected(config);
    rig.metadata_version = metadata;
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    for partition in [0, 1] {
        rig.put(partition, "old");
        rig.acknowledge_all();
    }
    rig.advance(Duration::from_secs(1));
    rig
}

/// Makes the topic anew: its epochs begin again, and node 2 leads partition 0.
fn remake(rig: &mut Rig) {
    rig.world.topics.remove(TOPIC);
    rig.world.add_topic(TOPIC, 4);
    let topic = rig.world.topics.get_mut(TOPIC).unwrap();
    topic.id = [77; 16];
    for partition in &mut topic.partitions {
        partition.epoch = 0;
    }
    topic.partitions[0].leader = 2;
}

fn send(rig: &mut Rig, values: &[&str]) -> Vec<Delivery> {
    values.iter().map(|value| rig.send(0, value)).collect()
}

/// Has brokers serve what comes for some seconds.
fn serve(rig: &mut Rig) {
    for _ in 0..100 {
        rig.acknowledge_all();
        rig.advance(millis(50));
    }
}

fn check(rig: &mut Rig, deliveries: &[Delivery], log: &[&str], brokers: Brokers) {
    let offsets: Vec<_> = deliveries.iter().map(|delivery| offset(delivery).unwrap()).collect();
    let first = i64::try_from(log.len() - deliveries.len()).unwrap();
    assert!(offsets.iter().copied().eq((first..).take(deliveries.len())), "{brokers:?}: {offsets:?}");
    assert_eq!(rig.world.log(0), log, "{brokers:?}");
    assert!(rig.is_clean());
}

#[test]
fn records_sent_later_are_written_to_the_new_topic() {
    for brokers in ALL {
        let mut rig = rig(brokers);
        remake(&mut rig);

        let deliveries = send(&mut rig, &["a", "b", "c"]);
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a", "b", "c"], brokers);
    }
}

#[test]
fn batches_under_way_are_written_to_the_new_topic_in_order() {
    for brokers in ALL {
        let mut rig = rig(brokers);
        let deliveries = send(&mut rig, &["a", "b", "c"]);
        assert_eq!(rig.received.len(), 3, "several are under way");

        remake(&mut rig);
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// The answer that was lost was about the old log; the broker of the new one knows nothing of it.
#[test]
fn batch_whose_answer_was_lost_with_the_old_log_is_written_to_the_new_one() {
    for brokers in ALL {
        let mut rig = rig(brokers);
        let deliveries = send(&mut rig, &["a", "b"]);
        let requests: Vec<_> = rig.received.drain(..).collect();
        for request in &requests {
            let reply = rig.world.append(1, &request.batches[0]);
            assert_eq!(reply.code, 0);
        }

        remake(&mut rig);
        rig.close(requests[0].connection, None);
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a", "b"], brokers);
    }
}

/// The new topic is written to by its name, and the answer is lost: the number keeps it from being written twice.
#[test]
fn batch_whose_answer_was_lost_with_the_new_log_is_written_once() {
    for brokers in [IdsInMetadata, Epochs, Names] {
        let mut rig = rig(brokers);
        remake(&mut rig);
        rig.world.lead(0, 1);
        let deliveries = send(&mut rig, &["a"]);
        let request = rig.request();
        assert_eq!(rig.world.append(1, &request.batches[0]).code, 0);

        rig.close(request.connection, None);
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a"], brokers);
    }
}

#[test]
fn records_wait_while_the_topic_is_gone() {
    for brokers in ALL {
        let mut rig = rig(brokers);
        let mut deliveries = send(&mut rig, &["a"]);
        rig.world.topics.remove(TOPIC);
        serve(&mut rig);
        deliveries.extend(send(&mut rig, &["b", "c"]));
        serve(&mut rig);
        assert!(deliveries.iter().all(is_pending), "{brokers:?}");

        remake(&mut rig);
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// The new log takes any first number, so a second batch must not be under way before the first is written.
#[test]
fn batches_go_one_by_one_until_the_new_log_knows_the_producer() {
    for brokers in [Ids, IdsInMetadata] {
        let mut rig = rig(brokers);
        remake(&mut rig);
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.advance(millis(200));
        assert_eq!(rig.core.leader(0), Some(2));

        let deliveries = send(&mut rig, &["a", "b", "c"]);
        let request = rig.request();
        assert_eq!(request.records(), ["a"]);
        rig.acknowledge(&request);
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// Also if the sender has seen meanwhile that the topic does not exist.
#[test]
fn batches_go_one_by_one_to_a_topic_that_was_gone_for_a_while() {
    for brokers in [Ids, IdsInMetadata, Epochs] {
        let mut rig = rig(brokers);
        let topic = rig.world.topics.remove(TOPIC).unwrap();
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.advance(Duration::from_secs(2));
        rig.world.topics.insert(TOPIC.to_owned(), topic);
        remake(&mut rig);
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.advance(Duration::from_secs(2));

        let deliveries = send(&mut rig, &["a", "b", "c"]);
        let request = rig.request();
        assert_eq!(request.records(), ["a"], "{brokers:?}");
        rig.acknowledge(&request);
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a", "b", "c"], brokers);
    }
}

/// A broker that has not heard of it yet may still write to the old log after another has told that the topic is gone.
#[test]
fn answer_of_the_old_log_after_the_topic_was_gone_does_not_count_for_the_new_one() {
    for brokers in [Epochs, Names] {
        let mut rig = rig(brokers);
        let late = rig.send(0, "late");
        let request = rig.request();
        let topic = rig.world.topics.remove(TOPIC).unwrap();
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.advance(millis(20));
        rig.reply(&request, &Reply::ok(1));
        let between = rig.send(0, "between");
        let request = rig.request();
        rig.reply(&request, &Reply::ok(2));
        assert_eq!([&late, &between].map(offset), [Some(1), Some(2)], "{brokers:?}");

        rig.world.topics.insert(TOPIC.to_owned(), topic);
        rig.advance(Duration::from_secs(1));
        let _deliveries = send(&mut rig, &["a", "b"]);

        assert_eq!(rig.request().records(), ["a"], "{brokers:?}");
    }
}

/// That the old log has a batch says nothing about the new one, whatever order it is learned in.
#[test]
fn late_answer_of_the_old_topic_lets_only_one_batch_go_to_the_new_one() {
    for brokers in [Ids, IdsInMetadata] {
        let mut rig = rig(brokers);
        let old = rig.world.topics[TOPIC].id;
        let late = rig.send(0, "late");
        let request = rig.request();
        remake(&mut rig);
        rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
        rig.advance(millis(200));
        assert_eq!(rig.core.leader(0), Some(2), "{brokers:?}");

        let old = if brokers == Ids { rig.world.name_of(old) } else { TOPIC.to_owned() };
        rig.reply_with(&request, &[(old, 0, Reply::ok(1))], 0);
        assert_eq!(offset(&late), Some(1));
        let deliveries = send(&mut rig, &["a", "b"]);
        let request = rig.request();
        assert_eq!(request.records(), ["a"], "{brokers:?}");
        rig.reply(&request, &Reply::error(19));
        serve(&mut rig);

        check(&mut rig, &deliveries, &["a", "b"], brokers);
    }
}

/// Up to Kafka 2.4 an unknown producer must begin at 0 (`UNKNOWN_PRODUCER_ID`).
#[test]
fn broker_that_wants_an_unknown_producer_to_begin_anew_is_obeyed() {
    let mut rig = rig(Names);
    remake(&mut rig);
    rig.world.lead(0, 1);
    let deliveries = send(&mut rig, &["a", "b"]);

    let mut identities = Vec::new();
    for _ in 0..100 {
        while let Some(request) = rig.received.pop_front() {
            let identity = request.batches[0].identity;
            identities.push(identity);
            if rig.world.log(0).is_empty() && identity.sequence != 0 {
                rig.reply(&request, &Reply::error(59));
            } else {
                rig.acknowledge(&request);
            }
        }
        rig.advance(millis(50));
    }

    check(&mut rig, &deliveries, &["a", "b"], Names);
    let numbers = |Identity { epoch, sequence, .. }| (epoch, sequence);
    let numbers: Vec<_> = identities.into_iter().map(numbers).collect();
    assert_eq!(numbers, [(0, 1), (0, 2), (1, 0), (1, 1)]);
}

/// The new log takes any first number. If it refuses the older of two batches and takes the younger, the older can no longer
/// be written in order.
#[test]
fn batch_that_was_overtaken_in_the_new_log_fails() {
    let mut rig = rig(Names);
    let deliveries = send(&mut rig, &["a", "b"]);
    let requests: Vec<_> = rig.received.drain(..).collect();
    remake(&mut rig);
    rig.world.lead(0, 1);

    rig.reply(&requests[0], &Reply::error(19));
    rig.acknowledge(&requests[1]);
    serve(&mut rig);
    let later = send(&mut rig, &["c"]);
    serve(&mut rig);

    let error = failure(&deliveries[0]);
    assert_eq!(error.error_code(), Some(ErrorCode::NotEnoughReplicas));
    assert_eq!(error.persisted(), Persisted::No);
    assert_eq!((offset(&deliveries[1]), offset(&later[0])), (Some(0), Some(1)));
    assert_eq!(rig.world.log(0), ["b", "c"]);
    assert!(rig.is_clean());
}
