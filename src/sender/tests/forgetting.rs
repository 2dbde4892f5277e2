//! Topics that idle out, and what is kept of them: nothing.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{Config, Rig, is_done, millis, offset};
use super::world::TOPIC;
use crate::topic_partition::Topic;

/// Of metadata and of a topic that is not used.
const MAX_AGE: Duration = Duration::from_secs(300);

fn config() -> Config {
    let timeouts = Config {
        delivery_timeout: Duration::from_secs(2000),
        request_timeout: Duration::from_secs(1000),
        ..Config::default()
    };
    Config { is_idempotent: true, max_outstanding: 5, ..timeouts }
}

/// A sender whose topic has idled out after a record in partition 0.
fn idled_out() -> Rig {
    let mut rig = Rig::new(config());
    rig.put(0, "old");
    rig.acknowledge_all();
    assert_eq!(rig.core.partitions().0, 1);
    rig.advance(MAX_AGE + millis(1000));
    rig
}

#[test]
fn topic_that_idles_out_gives_everything_back() {
    let rig = idled_out();

    assert!(rig.accumulator.topics().is_empty());
    assert_eq!((rig.core.partitions(), rig.core.partition_timers()), ((0, 0), 0));
    assert_eq!(rig.accumulator.appended_records(), 1, "it is still counted");
}

#[test]
fn partition_that_was_forgotten_begins_in_a_new_epoch() {
    for generation in 1..4 {
        let mut rig = idled_out();
        for _ in 1..generation {
            rig.put(0, "between");
            rig.acknowledge_all();
            rig.advance(MAX_AGE + MAX_AGE);
        }

        let delivery = rig.send(0, "new");
        let request = rig.request();
        let identity = request.batches[0].identity;
        rig.acknowledge(&request);

        assert_eq!((identity.epoch, identity.sequence), (generation, 0));
        assert_eq!(offset(&delivery), Some(i64::from(generation)), "no double of what was there");
        assert!(rig.is_clean());
    }
}

#[test]
fn queue_that_was_given_up_takes_no_records() {
    let mut rig = Rig::new(config());
    rig.put(0, "old");
    rig.acknowledge_all();
    let kept = rig.accumulator.queue(TOPIC, 0).unwrap();

    rig.advance(MAX_AGE + millis(1000));
    let delivery = rig.send(0, "new");

    let made = rig.accumulator.queue(TOPIC, 0).unwrap();
    assert!(!Arc::ptr_eq(&kept, &made) && kept.is_retired() && !made.is_retired());
    assert_eq!(kept.id(), made.id(), "ids are used again");
    // Announced when it was still in use, and seen by the sender only now.
    rig.accumulator.announce(kept);
    rig.acknowledge_all();
    assert_eq!(offset(&delivery), Some(1));
}

fn transactional(level: i16) -> Rig {
    let timeouts = config();
    let config = Config {
        delivery_timeout: timeouts.delivery_timeout,
        request_timeout: timeouts.request_timeout,
        ..Config::transactional()
    };
    let mut rig = Rig::transactional_with(config, level);
    rig.begin();
    rig.deliver(0, "old");
    rig
}

fn commit(rig: &mut Rig) {
    let commit = rig.commit();
    rig.grant("EndTxn commit");
    assert!(is_done(&commit));
}

/// Numbers that began anew in an epoch would be taken for old ones. In version 1 an epoch has many transactions.
#[test]
fn topic_of_transactions_is_forgotten_once_their_epoch_is_over() {
    for (level, is_over) in [(1, false), (2, true)] {
        let mut rig = transactional(level);
        commit(&mut rig);

        rig.advance(MAX_AGE + millis(1000));
        assert_eq!(rig.accumulator.topics().is_empty(), is_over, "{level}");

        rig.begin();
        rig.deliver(0, "new");
        commit(&mut rig);
    }
}

#[test]
fn topic_of_the_transaction_that_is_open_is_kept() {
    for level in [1, 2] {
        let mut rig = transactional(level);

        rig.advance(MAX_AGE + millis(1000));
        assert!(!rig.accumulator.topics().is_empty(), "{level}");

        rig.deliver(0, "new");
        commit(&mut rig);
    }
}

#[test]
fn topic_with_a_record_under_way_is_kept() {
    let mut rig = Rig::new(config());
    let delivery = rig.send(0, "slow");
    let request = rig.request();

    rig.advance(MAX_AGE + millis(1000));

    assert_eq!(rig.core.partitions(), (1, 1));
    let behind = rig.send(0, "behind");
    rig.acknowledge(&request);
    rig.acknowledge_all();
    assert_eq!([offset(&delivery), offset(&behind)], [Some(0), Some(1)]);
}

#[test]
fn stopped_partition_stays_stopped_when_its_topic_idles_out() {
    let mut rig = Rig::new(Config { is_fail_stop: true, ..config() });
    rig.put(0, "old");
    rig.acknowledge_all();
    drop(rig.append(0, "refused"));
    let queue = rig.accumulator.queue(TOPIC, 0).unwrap();
    let head = queue.look().unwrap();
    drop(queue.stop_behind(head.order));
    drop(queue.take_all());

    rig.advance(MAX_AGE + MAX_AGE);

    assert!(rig.try_append(TOPIC, 0, "behind the gap").is_none());
}

#[test]
fn caller_who_waits_for_memory_keeps_the_topic() {
    let rig = Rig::new(config());
    let topic = rig.accumulator.topic(&Topic::from(TOPIC), 2);
    let queue = Arc::clone(rig.accumulator.ensure_queue(&topic, 0, || true).unwrap());
    let mut wait = std::pin::pin!(rig.accumulator.wait_for_memory_anywhere(&topic, 200_000));
    let waker = std::task::Waker::noop();
    assert!(wait.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());

    assert!(rig.accumulator.retire_topic(topic.topic(), |_| false).is_none());

    assert!(!queue.is_retired());
}

#[test]
fn partitions_without_records_are_not_looked_at() {
    let mut rig = Rig::new(config());
    for partition in 0..4 {
        rig.put(partition, "done");
    }
    assert_eq!(rig.core.partitions(), (4, 4));
    rig.acknowledge_all();

    assert_eq!(rig.core.partitions(), (4, 0));
}
