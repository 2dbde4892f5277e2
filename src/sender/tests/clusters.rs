//! A cluster in the place of another.

use std::time::Duration;

use super::bench::{Bench, Config, failure, millis, offset};
use super::wire::Reply;
use super::world::TOPIC;
use crate::error::Persisted;
use crate::topic_partition::Topic;

/// A sender that has written to a cluster, some time ago.
fn bench(is_idempotent: bool) -> Bench {
    let max_outstanding = if is_idempotent { 5 } else { 1 };
    let mut bench = Bench::new(Config { is_idempotent, max_outstanding, ..Config::default() });
    // The other node is there to be asked for metadata while something is under way to the first.
    for partition in [0, 1] {
        bench.put(partition, "first");
        bench.acknowledge_all();
    }
    bench.advance(Duration::from_secs(1));
    bench
}

/// Puts another cluster at the same addresses and has the sender ask for metadata.
pub(super) fn move_to_another_cluster(bench: &mut Bench) {
    bench.world.cluster = "there";
    bench.world.topics.remove(TOPIC);
    bench.world.add_topic(TOPIC, 4);
    let topic = bench.world.topics.get_mut(TOPIC).unwrap();
    topic.id = [77; 16];
    for partition in &mut topic.partitions {
        partition.epoch = 0;
    }
    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    bench.advance(millis(20));
}

/// Has brokers serve what comes for some seconds.
fn serve(bench: &mut Bench) {
    for _ in 0..100 {
        bench.acknowledge_all();
        bench.advance(millis(50));
    }
}

#[test]
fn records_go_to_another_cluster_under_another_producer_id() {
    let mut bench = bench(true);
    move_to_another_cluster(&mut bench);

    let delivery = bench.send(0, "a");
    bench.advance(Duration::from_secs(2));
    let request = bench.request();
    let identity = request.batches[0].identity;
    bench.acknowledge(&request);

    assert_eq!((bench.producer_ids, identity.id, identity.epoch, identity.sequence), (2, 2, 0, 0));
    assert_eq!(offset(&delivery), Some(0));
    assert!(bench.is_clean());
}

#[test]
fn batches_under_way_to_the_old_cluster_are_in_doubt_and_go_nowhere_else() {
    let mut bench = bench(true);
    let under_way = [bench.send(0, "a"), bench.send(0, "b")];
    assert_eq!(bench.received.len(), 2);

    move_to_another_cluster(&mut bench);
    let next = bench.send(0, "c");
    serve(&mut bench);

    for delivery in &under_way {
        assert_eq!(failure(delivery).persisted(), Persisted::Maybe);
    }
    assert_eq!(offset(&next), Some(0));
    assert_eq!(bench.world.log(0), ["c"]);
    assert!(bench.is_clean());
}

#[test]
fn batch_that_waits_in_doubt_is_not_sent_to_another_cluster() {
    let mut bench = bench(true);
    let delivery = bench.send(0, "a");
    let request = bench.request();
    bench.reply(&request, &Reply::error(7));

    move_to_another_cluster(&mut bench);
    serve(&mut bench);

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
    assert!(bench.world.log(0).is_empty() && bench.is_clean());
}

#[test]
fn batch_that_the_old_cluster_has_refused_is_numbered_anew() {
    let mut bench = bench(true);
    let deliveries = [bench.send(0, "a"), bench.send(0, "b")];
    let requests: Vec<_> = bench.received.drain(..).collect();
    bench.reply(&requests[0], &Reply::error(19));
    bench.acknowledge(&requests[1]);

    move_to_another_cluster(&mut bench);
    serve(&mut bench);

    assert_eq!(deliveries.each_ref().map(offset), [Some(0), Some(1)]);
    assert_eq!(bench.world.log(0), ["a", "b"]);
    assert!(bench.is_clean());
}

/// Without numbers there is nothing that could be mistaken.
#[test]
fn batches_without_numbers_are_sent_again() {
    let mut bench = bench(false);
    let delivery = bench.send(0, "a");

    move_to_another_cluster(&mut bench);
    serve(&mut bench);

    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(bench.world.log(0), ["a"]);
    assert!(bench.is_clean());
}

/// Addresses may lead to one cluster and the other by turns.
#[test]
fn another_cluster_is_asked_after_a_pause() {
    let mut bench = bench(true);
    let before = bench.metadata_requests.len();
    bench.world.cluster = "there";

    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    bench.settle();
    assert_eq!(bench.metadata_requests.len(), before + 1);
    bench.advance(millis(50));
    assert_eq!(bench.metadata_requests.len(), before + 1);
    bench.advance(millis(100));

    assert_eq!(bench.metadata_requests.len(), before + 2);
}

#[test]
fn answer_that_names_no_cluster_is_not_of_another() {
    let mut bench = bench(true);
    let delivery = bench.send(0, "a");
    bench.world.cluster = "";

    bench.core.handle_topic_wanted(&Topic::from(TOPIC), bench.now);
    bench.advance(millis(20));
    bench.acknowledge_all();

    assert_eq!((offset(&delivery), bench.producer_ids), (Some(1), 1));
}
