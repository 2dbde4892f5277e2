//! A cluster in the place of another.

use std::time::Duration;

use super::rig::{Config, Rig, failure, millis, offset};
use super::wire::Reply;
use super::world::TOPIC;
use crate::error::Persisted;
use crate::topic_partition::Topic;

/// A sender that has written to a cluster, some time ago.
fn rig(is_idempotent: bool) -> Rig {
    let max_outstanding = if is_idempotent { 5 } else { 1 };
    let mut rig = Rig::new(Config { is_idempotent, max_outstanding, ..Config::default() });
    // The other node is there to be asked for metadata while something is under way to the first.
    for partition in [0, 1] {
        rig.put(partition, "first");
        rig.acknowledge_all();
    }
    rig.advance(Duration::from_secs(1));
    rig
}

/// Puts another cluster at the same addresses and has the sender ask for metadata.
pub(super) fn move_to_another_cluster(rig: &mut Rig) {
    rig.world.cluster = "there";
    rig.world.topics.remove(TOPIC);
    rig.world.add_topic(TOPIC, 4);
    let topic = rig.world.topics.get_mut(TOPIC).unwrap();
    topic.id = [77; 16];
    for partition in &mut topic.partitions {
        partition.epoch = 0;
    }
    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.advance(millis(20));
}

/// Has brokers serve what comes for some seconds.
fn serve(rig: &mut Rig) {
    for _ in 0..100 {
        rig.acknowledge_all();
        rig.advance(millis(50));
    }
}

#[test]
fn records_go_to_another_cluster_under_another_producer_id() {
    let mut rig = rig(true);
    move_to_another_cluster(&mut rig);

    let delivery = rig.send(0, "a");
    rig.advance(Duration::from_secs(2));
    let request = rig.request();
    let identity = request.batches[0].identity;
    rig.acknowledge(&request);

    assert_eq!((rig.producer_ids, identity.id, identity.epoch, identity.sequence), (2, 2, 0, 0));
    assert_eq!(offset(&delivery), Some(0));
    assert!(rig.is_clean());
}

#[test]
fn batches_under_way_to_the_old_cluster_are_in_doubt_and_go_nowhere_else() {
    let mut rig = rig(true);
    let under_way = [rig.send(0, "a"), rig.send(0, "b")];
    assert_eq!(rig.received.len(), 2);

    move_to_another_cluster(&mut rig);
    let next = rig.send(0, "c");
    serve(&mut rig);

    for delivery in &under_way {
        assert_eq!(failure(delivery).persisted(), Persisted::Maybe);
    }
    assert_eq!(offset(&next), Some(0));
    assert_eq!(rig.world.log(0), ["c"]);
    assert!(rig.is_clean());
}

#[test]
fn batch_that_waits_in_doubt_is_not_sent_to_another_cluster() {
    let mut rig = rig(true);
    let delivery = rig.send(0, "a");
    let request = rig.request();
    rig.reply(&request, &Reply::error(7));

    move_to_another_cluster(&mut rig);
    serve(&mut rig);

    assert_eq!(failure(&delivery).persisted(), Persisted::Maybe);
    assert!(rig.world.log(0).is_empty() && rig.is_clean());
}

#[test]
fn batch_that_the_old_cluster_has_refused_is_numbered_anew() {
    let mut rig = rig(true);
    let deliveries = [rig.send(0, "a"), rig.send(0, "b")];
    let requests: Vec<_> = rig.received.drain(..).collect();
    rig.reply(&requests[0], &Reply::error(19));
    rig.acknowledge(&requests[1]);

    move_to_another_cluster(&mut rig);
    serve(&mut rig);

    assert_eq!(deliveries.each_ref().map(offset), [Some(0), Some(1)]);
    assert_eq!(rig.world.log(0), ["a", "b"]);
    assert!(rig.is_clean());
}

/// Without numbers there is nothing that could be mistaken.
#[test]
fn batches_without_numbers_are_sent_again() {
    let mut rig = rig(false);
    let delivery = rig.send(0, "a");

    move_to_another_cluster(&mut rig);
    serve(&mut rig);

    assert_eq!(offset(&delivery), Some(0));
    assert_eq!(rig.world.log(0), ["a"]);
    assert!(rig.is_clean());
}

/// Addresses may lead to one cluster and the other by turns.
#[test]
fn another_cluster_is_asked_after_a_pause() {
    let mut rig = rig(true);
    let before = rig.metadata_requests.len();
    rig.world.cluster = "there";

    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.settle();
    assert_eq!(rig.metadata_requests.len(), before + 1);
    rig.advance(millis(50));
    assert_eq!(rig.metadata_requests.len(), before + 1);
    rig.advance(millis(100));

    assert_eq!(rig.metadata_requests.len(), before + 2);
}

#[test]
fn answer_that_names_no_cluster_is_not_of_another() {
    let mut rig = rig(true);
    let delivery = rig.send(0, "a");
    rig.world.cluster = "";

    rig.core.handle_topic_wanted(&Topic::from(TOPIC), rig.now);
    rig.advance(millis(20));
    rig.acknowledge_all();

    assert_eq!((offset(&delivery), rig.producer_ids), (Some(1), 1));
}
