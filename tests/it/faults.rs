//! The script of faults that `kafka-mock` offers, each survived: every record once, in order, and no waiting for a
//! timeout where the connection tells that something is wrong.

use std::time::Duration;

use futures::future::join_all;
use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducer, KafkaProducerBuilder};

use crate::support::{
    TOPIC, TestResult, builder, cluster_with, delivered, enqueue_all, log_of, logs_of, millis, record,
    record_for, seconds, soon, texts, until,
};

const PARTITIONS: usize = 4;
const RECORDS: usize = 400;

/// No test here lasts so long, so a test that waits for it fails.
const NEVER: Duration = Duration::from_secs(600);

/// A producer with many requests under way, which cannot recover by a timeout.
fn patient(cluster: &MockCluster) -> KafkaProducerBuilder {
    builder(cluster).batch_size(200).request_timeout(NEVER).delivery_timeout(NEVER).max_block(NEVER)
}

/// A producer that gives up a request soon.
fn impatient(cluster: &MockCluster) -> KafkaProducerBuilder {
    patient(cluster).request_timeout(millis(400))
}

/// Every partition gets the numbers that are its own modulo the number of partitions.
async fn send_everything(producer: &KafkaProducer) {
    let partition = |number: usize| i32::try_from(number % PARTITIONS).unwrap();
    let records = (0..RECORDS).map(|number| record_for(partition(number), number));
    delivered(enqueue_all(producer, records).await).await;
}

fn everything() -> Vec<Vec<String>> {
    let numbers = |partition| (partition..RECORDS).step_by(PARTITIONS).map(|number| number.to_string());
    (0..PARTITIONS).map(|partition| numbers(partition).collect()).collect()
}

/// Sends through these faults, each of which must happen as often as it says. Returns the number of connections.
async fn survive(
    what: &str,
    faults: Vec<Fault>,
    configure: impl Fn(&MockCluster) -> KafkaProducerBuilder,
) -> u64 {
    let cluster = cluster_with(3, i32::try_from(PARTITIONS).unwrap()).await;
    for fault in faults {
        cluster.inject(fault);
    }
    let producer = configure(&cluster).build().unwrap();

    soon(what, send_everything(&producer)).await;

    assert_eq!(cluster.pending_faults(), [], "{what}");
    assert_eq!(logs_of(&cluster), everything(), "{what}");
    assert_eq!(cluster.refusals(), [""; 0], "{what}");
    assert_eq!(producer.metrics().record_errors, 0, "{what}");
    assert_eq!(producer.metrics().buffered_bytes, 0, "{what}");
    cluster.broker_ids().into_iter().map(|broker| cluster.connections_accepted(broker)).sum()
}

/// What a client notices by itself, without a timeout: a closed connection, or bytes that make no sense.
fn noticed() -> Vec<Fault> {
    let texts = [
        "disconnect-before",
        "disconnect-after",
        "reset-before",
        "reset-after",
        "cut=0",
        "cut=3",
        "cut=4",
        "cut=8",
        "cut=12",
        "cut=30",
        "shift-correlation-id=1",
        "shift-correlation-id=-1",
        "shift-correlation-id=100000",
        "shift-length=-1",
        "shift-length=-8",
        "shift-length=-2147483648",
        "shift-length=2147000000",
        "garble=1",
        "garble=2",
        "replace=00000000",
        "replace=ffffffff",
        "replace=485454502f312e3120343030204261642052657175657374",
    ];
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

const ASKED: [Api; 4] = [Api::ApiVersions, Api::Metadata, Api::InitProducerId, Api::Produce];

#[tokio::test]
async fn what_a_connection_tells_is_survived_without_a_timeout() {
    let undisturbed = survive("no fault", Vec::new(), patient).await;
    for api in ASKED {
        for fault in noticed() {
            let what = format!("{api:?}: {fault:?}");
            let connections = survive(&what, vec![fault.api(api)], patient).await;
            // What makes no sense is not used any more, even if it could be read. The first connection of all, which
            // asks for a producer id, needs no successor.
            let successors = u64::from(api != Api::InitProducerId);
            assert!(connections >= undisturbed + successors, "{what}: {connections} of {undisturbed}");
        }
    }
}

#[tokio::test]
async fn again_and_again_in_the_middle_of_the_stream() {
    for fault in noticed() {
        let what = format!("{fault:?}");
        let faults = (0..3).map(|broker| fault.clone().api(Api::Produce).broker(broker).skip(2).times(3));
        survive(&what, faults.collect(), patient).await;
    }
}

#[tokio::test]
async fn connections_that_all_break_early_get_somewhere_all_the_same() {
    for fault in [Fault::disconnect_after(), Fault::reset_after(), Fault::cut_response(10)] {
        let cluster = cluster_with(3, i32::try_from(PARTITIONS).unwrap()).await;
        cluster.inject(fault.clone().request(4).always());
        let producer = patient(&cluster).build().unwrap();

        soon("delivery", send_everything(&producer)).await;

        assert_eq!(logs_of(&cluster), everything(), "{fault:?}");
    }
}

#[tokio::test]
async fn answers_that_leave_something_out_are_survived() {
    for (api, partition) in [(Api::Metadata, 1), (Api::Produce, 1), (Api::Produce, 3)] {
        for fault in [Fault::leave_out(), Fault::leave_out().partition(TOPIC, partition)] {
            let what = format!("{api:?}: {fault:?}");
            // Metadata may be asked for only once.
            let later = fault.clone().api(api).skip(2);
            let faults = [fault.api(api), later].into_iter().take(if api == Api::Produce { 2 } else { 1 });
            survive(&what, faults.collect(), patient).await;
        }
    }
}

#[tokio::test]
async fn answers_that_come_twice_or_in_pieces_are_survived() {
    for api in ASKED {
        for fault in
            [Fault::repeat_response(), Fault::trickle(7, millis(1)), Fault::trickle(1, Duration::ZERO)]
        {
            let what = format!("{api:?}: {fault:?}");
            survive(&what, vec![fault.api(api)], patient).await;
        }
    }
}

#[tokio::test]
async fn answers_that_never_come_or_stay_halves_end_with_the_request_timeout() {
    for api in ASKED {
        let stalls = [0, 2, 4, 9, 20].map(Fault::stall_response);
        // A length beyond what comes is a stalled answer.
        let faults = [Fault::drop_response(), Fault::shift_length(5)].into_iter().chain(stalls);
        // At the same time, because each takes as long as a timeout.
        join_all(faults.map(async |fault| {
            let what = format!("{api:?}: {fault:?}");
            survive(&what, vec![fault.api(api)], impatient).await;
        }))
        .await;
    }
}

#[tokio::test]
async fn frozen_brokers_are_waited_for_or_given_up() {
    for api in ASKED {
        for time in [millis(100), millis(900)] {
            let what = format!("{api:?}: freeze for {time:?}");
            survive(&what, vec![Fault::freeze(time).api(api)], impatient).await;
        }
    }
}

#[tokio::test]
async fn leaders_that_move_under_requests_are_followed() {
    for to in 0..3 {
        for fault in [Fault::move_leader_before(to), Fault::move_leader_after(to)] {
            for api in [Api::Produce, Api::Metadata] {
                let what = format!("{api:?}: {fault:?}");
                let faults = [0, 3].map(|skip| fault.clone().api(api).skip(skip));
                let faults = if api == Api::Produce { faults.to_vec() } else { faults[..1].to_vec() };
                survive(&what, faults, patient).await;
            }
        }
    }
}

#[tokio::test]
async fn leaders_that_never_stay_are_caught() -> TestResult {
    let cluster = cluster_with(3, 1).await;
    let producer = patient(&cluster).build()?;
    for to in (0..3).cycle().skip(1).take(30) {
        cluster.inject(Fault::move_leader_after(to).api(Api::Produce));
    }

    delivered(enqueue_all(&producer, (0..RECORDS).map(record)).await).await;

    assert_eq!(log_of(&cluster, 0), texts(0..RECORDS));
    Ok(())
}

#[tokio::test]
async fn partition_that_loses_its_leader_for_a_while_is_waited_for() -> TestResult {
    let cluster = cluster_with(2, 1).await;
    let producer = patient(&cluster).build()?;
    cluster.inject(Fault::move_leader_before(None).api(Api::Produce).skip(1));
    soon("first", producer.send(record(0))).await?;
    let deliveries = enqueue_all(&producer, (1..20).map(record)).await;
    until("the leader is gone", || cluster.leader(TOPIC, 0).is_none()).await;
    let asked = cluster.requests().of(Api::Metadata);
    until("metadata is asked for", || cluster.requests().of(Api::Metadata) > asked).await;

    cluster.set_leader(TOPIC, 0, Some(1))?;

    delivered(deliveries).await;
    assert_eq!(log_of(&cluster, 0), texts(0..20));
    Ok(())
}

#[tokio::test]
async fn half_of_an_answer_and_a_frozen_broker_and_a_new_leader_at_once() {
    let faults = "
        produce broker=0 nth=2 cut=9
        produce broker=0 nth=2 move-leader-after=1
        produce broker=1 nth=2 freeze=300ms
        produce broker=1 nth=4 reset-after
        produce broker=2 nth=1 error-after-append=20
        produce broker=2 nth=3 garble=3
        metadata nth=2 cut=20
        metadata nth=3 delay=200ms
        init-producer-id disconnect-after
        api-versions nth=3 reset-before
    ";
    let faults = Fault::parse_script(faults).unwrap();
    let cluster = cluster_with(3, i32::try_from(PARTITIONS).unwrap()).await;
    for fault in faults {
        cluster.inject(fault);
    }
    let producer = impatient(&cluster).delivery_timeout(seconds(60)).build().unwrap();

    soon("delivery", send_everything(&producer)).await;

    assert_eq!(logs_of(&cluster), everything());
}
