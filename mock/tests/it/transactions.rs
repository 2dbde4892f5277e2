//! Transactions over TCP: what producers are answered, and what consumers read.

use kafka_mock::{Api, Fault, MockCluster, TransactionState};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::{
    Client, batch, committed_values, idempotent_batch, only_partition, topic_name, transactional_batch,
    values,
};
use crate::transactional::{
    Producer, V1, V2, Versions, add_offsets_request, add_request, consume, end_request, init_request,
    transactional_request,
};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const NOT_COORDINATOR: i16 = 16;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const INVALID_REQUEST: i16 = 42;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const INVALID_TRANSACTION_TIMEOUT: i16 = 50;
const CONCURRENT_TRANSACTIONS: i16 = 51;
const OPERATION_NOT_ATTEMPTED: i16 = 55;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTION_ABORTABLE: i16 = 120;

const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

async fn one_broker() -> MockCluster {
    let cluster = MockCluster::start(1).await.unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    cluster
}

fn state(cluster: &MockCluster, id: &str) -> TransactionState {
    cluster.transactions()[id].state
}

#[tokio::test]
async fn committed_records_are_read_once_the_transaction_has_ended() {
    for versions in [V1, V2] {
        let cluster = one_broker().await;
        let mut producer = Producer::start(&cluster, "tx", versions).await;
        let mut consumer = Client::connect(&cluster, 0).await;

        if versions.produce < 12 {
            assert_eq!(producer.add(&[("t", 0)]).await, [0]);
        }
        assert_eq!(producer.produce(0, 0, &["a", "b"]).await, 0);
        assert_eq!(producer.produce(0, 2, &["c"]).await, 0);

        assert_eq!(state(&cluster, "tx"), TransactionState::Ongoing);
        assert_eq!(cluster.transactions()["tx"].partitions, [("t".to_owned(), 0)]);
        assert_eq!(consume(&mut consumer, READ_COMMITTED).await, (3, 0, vec![]));
        let all = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(consume(&mut consumer, READ_UNCOMMITTED).await, (3, 0, all.clone()));

        assert_eq!(producer.end(true).await, 0);

        assert_eq!(state(&cluster, "tx"), TransactionState::CompleteCommit);
        assert_eq!(consume(&mut consumer, READ_COMMITTED).await, (4, 4, all.clone()));
        assert_eq!(committed_values(&cluster, "t", 0), all);
        let marker = cluster.batches("t", 0).pop().unwrap();
        assert!(marker.is_control && marker.is_transactional && marker.records().is_empty());
        assert_eq!((marker.base_offset, marker.producer_id, marker.base_sequence), (3, producer.is.0, -1));
    }
}

#[tokio::test]
async fn aborted_records_are_in_the_log_and_are_not_read() {
    for versions in [V1, V2] {
        let cluster = one_broker().await;
        let mut first = Producer::start(&cluster, "first", versions).await;
        let mut second = Producer::start(&cluster, "second", versions).await;
        let mut plain = Client::connect(&cluster, 0).await;
        for producer in [&mut first, &mut second] {
            assert_eq!(producer.add(&[("t", 0)]).await, [0]);
        }

        // Two transactions and a producer without one, mixed up.
        assert_eq!(first.produce(0, 0, &["first 0"]).await, 0);
        assert_eq!(plain.produce("t", 0, batch(&["plain 0"])).await.error_code, 0);
        assert_eq!(second.produce(0, 0, &["second 0"]).await, 0);
        assert_eq!(first.end(false).await, 0);
        assert_eq!(second.produce(0, 1, &["second 1"]).await, 0);
        assert_eq!(plain.produce("t", 0, batch(&["plain 1"])).await.error_code, 0);
        assert_eq!(second.end(true).await, 0);
        assert_eq!(first.add(&[("t", 0)]).await, [0]);
        let next = if versions.end < 5 { 1 } else { 0 };
        assert_eq!(first.produce(0, next, &["first 1"]).await, 0);
        assert_eq!(first.end(true).await, 0);

        let expected = ["plain 0", "second 0", "second 1", "plain 1", "first 1"].map(str::to_owned).to_vec();
        assert_eq!(consume(&mut plain, READ_COMMITTED).await, (9, 9, expected.clone()), "{versions:?}");
        assert_eq!(committed_values(&cluster, "t", 0), expected);
        assert_eq!(values(&cluster, "t", 0).len(), 6);
    }
}

#[tokio::test]
async fn an_open_transaction_holds_readers_up_at_its_first_record() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    let mut client = Client::connect(&cluster, 0).await;
    client.produce("t", 0, batch(&["before"])).await;

    producer.produce(0, 0, &["open"]).await;
    client.produce("t", 0, batch(&["after"])).await;

    assert_eq!(consume(&mut client, READ_COMMITTED).await, (3, 1, vec!["before".to_owned()]));
    for (isolation_level, expected) in [(READ_UNCOMMITTED, 3), (READ_COMMITTED, 1)] {
        for version in 2..=10 {
            let partition = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(-1);
            let topic =
                ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
            let request =
                ListOffsetsRequest::default().with_isolation_level(isolation_level).with_topics(vec![topic]);
            let answer = client.call(version, &request).await;
            assert_eq!(answer.topics[0].partitions[0].offset, expected, "version {version}");
        }
    }
}

#[tokio::test]
async fn a_fetch_that_waits_for_committed_records_hears_of_the_end() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    let mut consumer = Client::connect(&cluster, 0).await;
    producer.produce(0, 0, &["a"]).await;

    let waiting = tokio::spawn(async move {
        loop {
            let found = consume(&mut consumer, READ_COMMITTED).await;
            if !found.2.is_empty() {
                return found;
            }
        }
    });
    producer.end(true).await;

    assert_eq!(waiting.await.unwrap(), (2, 2, vec!["a".to_owned()]));
}

#[tokio::test]
async fn every_version_of_find_coordinator_names_the_same_broker() {
    let cluster = MockCluster::start(3).await.unwrap();
    let coordinator = cluster.transaction_coordinator("tx").unwrap();
    let port = i32::from(cluster.port(coordinator).unwrap());
    let mut client = Client::connect(&cluster, 1).await;

    for version in 1..=6 {
        let key = StrBytes::from_static_str("tx");
        let request = FindCoordinatorRequest::default().with_key_type(1);
        let request = match version {
            4.. => request.with_coordinator_keys(vec![key.clone(), StrBytes::from_static_str("other")]),
            _ => request.with_key(key.clone()),
        };
        let answer = client.call(version, &request).await;
        let found = match version {
            4.. => {
                assert_eq!(answer.coordinators.len(), 2);
                let first = &answer.coordinators[0];
                (first.error_code, first.node_id.0, first.host.to_string(), first.port)
            }
            _ => (answer.error_code, answer.node_id.0, answer.host.to_string(), answer.port),
        };
        assert_eq!(found, (0, coordinator, "127.0.0.1".to_owned(), port), "version {version}");
    }
    let group = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("tx"));
    assert_eq!(client.call(0, &group).await.node_id.0, cluster.group_coordinator("tx").unwrap());
    let share = FindCoordinatorRequest::default().with_key_type(2);
    let share = share.with_coordinator_keys(vec![StrBytes::from_static_str("g:t:0")]);
    assert_eq!(client.call(6, &share).await.coordinators[0].error_code, INVALID_REQUEST);
}

#[tokio::test]
async fn other_brokers_are_no_coordinators_and_a_new_one_knows_what_the_old_one_knew() {
    let cluster = MockCluster::start(3).await.unwrap();
    cluster.create_topic("t", 1, 3).unwrap();
    let first = cluster.transaction_coordinator("tx").unwrap();
    let others: Vec<_> = (0..3).filter(|id| *id != first).collect();
    let mut at_first = Client::connect(&cluster, first).await;
    let mut at_other = Client::connect(&cluster, others[0]).await;
    let given = at_first.call(5, &init_request("tx", (-1, -1))).await;
    let producer = (given.producer_id.0, given.producer_epoch);
    let add = add_request("tx", producer, &[("t", 0)]);
    let added = at_first.call(3, &add).await;
    assert_eq!(added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);

    assert_eq!(at_other.call(5, &init_request("tx", (-1, -1))).await.error_code, NOT_COORDINATOR);
    let refused = at_other.call(3, &add).await;
    let refused = refused.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
    assert_eq!(refused, NOT_COORDINATOR);
    let offsets = add_offsets_request("tx", producer, "group");
    assert_eq!(at_other.call(4, &offsets).await.error_code, NOT_COORDINATOR);
    assert_eq!(at_other.call(4, &end_request("tx", producer, true)).await.error_code, NOT_COORDINATOR);

    cluster.broker_down(first).await.unwrap();
    let second = cluster.transaction_coordinator("tx").unwrap();
    assert!(others.contains(&second));
    let mut at_second = Client::connect(&cluster, second).await;
    assert_eq!(at_second.call(4, &end_request("tx", producer, true)).await.error_code, 0);

    cluster.broker_up(first).await.unwrap();
    cluster.move_transaction_coordinator("tx", first).unwrap();
    assert_eq!(at_second.call(4, &end_request("tx", producer, true)).await.error_code, NOT_COORDINATOR);
    let mut at_first = Client::connect(&cluster, first).await;
    assert_eq!(at_first.call(4, &end_request("tx", producer, true)).await.error_code, 0, "done already");
}

#[tokio::test]
async fn a_second_producer_fences_the_first() {
    for versions in [V1, V2] {
        let cluster = one_broker().await;
        let mut old = Producer::start(&cluster, "tx", versions).await;
        assert_eq!(old.add(&[("t", 0)]).await, [0]);
        assert_eq!(old.produce(0, 0, &["old"]).await, 0);

        let mut client = Client::connect(&cluster, 0).await;
        let early = client.call(5, &init_request("tx", (-1, -1))).await;
        let given = client.call(5, &init_request("tx", (-1, -1))).await;

        assert_eq!((early.error_code, early.producer_id.0), (CONCURRENT_TRANSACTIONS, -1));
        assert_eq!((given.producer_id.0, given.producer_epoch), (old.is.0, old.is.1 + 2));
        assert_eq!(old.produce(0, 1, &["late"]).await, INVALID_PRODUCER_EPOCH);
        assert_eq!(old.produce(1, 0, &["late"]).await, INVALID_PRODUCER_EPOCH);
        assert_eq!(old.add(&[("t", 0)]).await, [PRODUCER_FENCED]);
        assert_eq!(old.end(true).await, PRODUCER_FENCED);
        assert_eq!(old.init(5, old.is).await.error_code, PRODUCER_FENCED);
        assert!(committed_values(&cluster, "t", 0).is_empty());
    }
}

#[tokio::test]
async fn older_clients_are_fenced_in_words_that_they_know() {
    let cluster = one_broker().await;
    let mut old = Producer::start(&cluster, "tx", V1).await;
    Producer::start(&cluster, "tx", V1).await;

    for version in 0..=3 {
        let expected = if version >= 2 { PRODUCER_FENCED } else { INVALID_PRODUCER_EPOCH };
        let add = old.client.call(version, &add_request("tx", old.is, &[("t", 0)])).await;
        let added = add.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
        let offsets = old.client.call(version, &add_offsets_request("tx", old.is, "group")).await;
        let end = old.client.call(version, &end_request("tx", old.is, true)).await;
        assert_eq!([added, offsets.error_code, end.error_code], [expected; 3], "version {version}");
    }
    for version in 3..=5 {
        let expected = if version >= 4 { PRODUCER_FENCED } else { INVALID_PRODUCER_EPOCH };
        assert_eq!(old.init(version, old.is).await.error_code, expected, "version {version}");
    }
}

#[tokio::test]
async fn what_a_producer_says_of_itself_must_be_possible() {
    let cluster = one_broker().await;
    let mut client = Client::connect(&cluster, 0).await;
    let timeout = |millis| init_request("tx", (-1, -1)).with_transaction_timeout_ms(millis);
    let mut codes = Vec::new();
    for request in [
        timeout(0),
        timeout(-1),
        timeout(900_001),
        timeout(900_000),
        init_request("", (-1, -1)),
        init_request("tx", (1000, -1)),
        init_request("tx", (-1, 0)),
    ] {
        codes.push(client.call::<InitProducerIdRequest>(5, &request).await.error_code);
    }
    let invalid_timeout = INVALID_TRANSACTION_TIMEOUT;
    let invalid = INVALID_REQUEST;
    assert_eq!(codes, [invalid_timeout, invalid_timeout, invalid_timeout, 0, invalid, invalid, invalid]);
    let unknown = end_request("unknown", (1000, 0), true);
    assert_eq!(client.call::<EndTxnRequest>(5, &unknown).await.error_code, INVALID_PRODUCER_ID_MAPPING);
}

#[tokio::test]
async fn one_unknown_partition_keeps_the_others_out() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V1).await;

    let codes = producer.add(&[("t", 0), ("t", 7), ("missing", 0)]).await;

    let unknown = UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes, [OPERATION_NOT_ATTEMPTED, unknown, unknown]);
    assert_eq!(state(&cluster, "tx"), TransactionState::Empty);
}

#[tokio::test]
async fn leaders_write_for_a_transaction_only_what_its_coordinator_knows_of() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V1).await;
    producer.add(&[("t", 0)]).await;

    for (version, expected) in [(3, INVALID_TXN_STATE), (10, INVALID_TXN_STATE), (11, TRANSACTION_ABORTABLE)]
    {
        assert_eq!(producer.produce_in(version, 1, 0, &["a"]).await, expected, "version {version}");
    }
    assert_eq!(producer.produce_in(12, 1, 0, &["a"]).await, 0);

    assert_eq!(producer.end(true).await, 0);
    assert_eq!(producer.produce_in(11, 1, 1, &["late"]).await, TRANSACTION_ABORTABLE);
    assert_eq!(values(&cluster, "t", 1), ["a"]);
}

#[tokio::test]
async fn leaders_before_3_6_write_what_they_are_sent() {
    let cluster = MockCluster::builder().kafka_release("3.5").start().await.unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    let versions = Versions { init: 4, add: 3, end: 3, produce: 9 };
    let mut producer = Producer::start(&cluster, "tx", versions).await;

    assert_eq!(producer.produce(1, 0, &["hangs"]).await, 0);

    assert_eq!(producer.end(true).await, INVALID_TXN_STATE);
    assert!(committed_values(&cluster, "t", 1).is_empty(), "no marker will ever come");
}

#[tokio::test]
async fn a_producer_does_not_mix_transactions_with_other_records_in_a_partition() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    producer.produce(0, 0, &["a"]).await;

    let plain = idempotent_batch(&["b"], producer.is.0, producer.is.1, 1);
    assert_eq!(producer.client.produce("t", 0, plain).await.error_code, INVALID_TXN_STATE);

    let mut request = transactional_request("tx", "t", 0, transactional_batch(&["c"], producer.is.0, 0, 1));
    let other = transactional_batch(&["d"], producer.is.0 + 1, 0, 0);
    let mut topic = request.topic_data[0].clone();
    topic.partition_data[0].index = 1;
    topic.partition_data[0].records = Some(other);
    request.topic_data.push(topic);
    let answer = producer.client.call(12, &request).await;
    let codes: Vec<_> =
        answer.responses.iter().map(|topic| topic.partition_responses[0].error_code).collect();
    assert_eq!(codes, [INVALID_PRODUCER_ID_MAPPING; 2]);
}

#[tokio::test]
async fn markers_that_are_held_have_producers_ask_again() {
    for versions in [V1, V2] {
        let cluster = one_broker().await;
        let mut producer = Producer::start(&cluster, "tx", versions).await;
        producer.add(&[("t", 0)]).await;
        producer.produce(0, 0, &["a"]).await;
        cluster.hold_markers();

        let before = producer.is;
        assert_eq!(producer.end(true).await, 0);

        assert_eq!(state(&cluster, "tx"), TransactionState::PrepareCommit);
        let again = producer.client.call(versions.end, &end_request("tx", before, true)).await;
        assert_eq!(again.error_code, CONCURRENT_TRANSACTIONS);
        assert_eq!(producer.add(&[("t", 1)]).await, [CONCURRENT_TRANSACTIONS]);
        assert_eq!(producer.init(5, (-1, -1)).await.error_code, CONCURRENT_TRANSACTIONS);
        assert_eq!(producer.produce_in(11, 1, 0, &["b"]).await, NOT_ENOUGH_REPLICAS);
        assert_eq!(producer.produce_in(12, 1, 0, &["b"]).await, CONCURRENT_TRANSACTIONS);
        assert!(committed_values(&cluster, "t", 0).is_empty());

        cluster.release_markers();
        assert_eq!(state(&cluster, "tx"), TransactionState::CompleteCommit);
        assert_eq!(committed_values(&cluster, "t", 0), ["a"]);
        let again = producer.client.call(versions.end, &end_request("tx", before, true)).await;
        assert_eq!(again.error_code, 0);
        if versions.end >= 5 {
            assert_eq!((again.producer_id.0, again.producer_epoch), producer.is);
        }
    }
}

#[tokio::test]
async fn a_batch_that_waits_for_the_coordinator_is_not_overtaken() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    producer.produce(0, 0, &["a"]).await;
    cluster.hold_markers();
    producer.end(true).await;

    assert_eq!(producer.produce(1, 0, &["b"]).await, CONCURRENT_TRANSACTIONS);
    cluster.release_markers();

    assert_eq!(producer.produce(1, 1, &["c"]).await, OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(producer.produce(1, 0, &["b"]).await, 0);
    assert_eq!(producer.produce(1, 1, &["c"]).await, 0);
    assert_eq!(values(&cluster, "t", 1), ["b", "c"]);
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    for (version, versions) in [(1, V1), (2, V2)] {
        let cluster = MockCluster::builder().transaction_version(version).start().await.unwrap();
        cluster.create_topic("t", 3, 1).unwrap();
        let mut producer = Producer::start(&cluster, "tx", versions).await;
        assert!(!cluster.time_out_transaction("tx"), "none is open");
        producer.add(&[("t", 0)]).await;
        producer.produce(0, 0, &["a"]).await;

        assert!(cluster.time_out_transaction("tx"));

        assert_eq!(state(&cluster, "tx"), TransactionState::CompleteAbort);
        assert_eq!(cluster.transactions()["tx"].producer_epoch, producer.is.1 + 1);
        assert_eq!(producer.produce(0, 1, &["b"]).await, INVALID_PRODUCER_EPOCH);
        // By the second protocol the end of the transaction may have been asked for by its producer.
        let expected = if version == 1 { PRODUCER_FENCED } else { INVALID_TXN_STATE };
        assert_eq!(producer.end(true).await, expected);
        assert!(committed_values(&cluster, "t", 0).is_empty());
    }
}

#[tokio::test]
async fn a_producer_asks_for_its_next_epoch_and_asks_again_if_no_answer_came() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V1).await;
    let (id, epoch) = producer.is;
    cluster.drop_response(Api::InitProducerId, 1);
    producer.client.write(5, &init_request("tx", producer.is)).await;
    assert!(producer.client.hears_nothing().await);

    let mut client = Client::connect(&cluster, 0).await;
    let given = client.call(5, &init_request("tx", producer.is)).await;

    assert_eq!((given.error_code, given.producer_id.0, given.producer_epoch), (0, id, epoch + 1));
}

#[tokio::test]
async fn markers_wait_for_leaders() {
    let cluster = MockCluster::start(2).await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    cluster.move_transaction_coordinator("tx", 0).unwrap();
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    assert_eq!(producer.produce(0, 0, &["a"]).await, 0);
    cluster.set_leader("t", 0, None).unwrap();

    assert_eq!(producer.end(true).await, 0);
    assert_eq!(state(&cluster, "tx"), TransactionState::PrepareCommit);
    cluster.set_leader("t", 0, Some(1)).unwrap();

    assert_eq!(state(&cluster, "tx"), TransactionState::CompleteCommit);
    assert_eq!(committed_values(&cluster, "t", 0), ["a"]);
}

#[tokio::test]
async fn a_deleted_topic_does_not_hold_the_end_up() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    producer.produce(0, 0, &["a"]).await;
    cluster.delete_topic("t").unwrap();

    assert_eq!(producer.end(true).await, 0);

    assert_eq!(state(&cluster, "tx"), TransactionState::CompleteCommit);
}

#[tokio::test]
async fn producers_with_an_open_transaction_are_not_forgotten() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V1).await;
    producer.add(&[("t", 0)]).await;
    producer.produce(0, 0, &["a"]).await;

    cluster.expire_producers(i64::MAX);
    assert_eq!(producer.produce(0, 2, &["gap"]).await, OUT_OF_ORDER_SEQUENCE_NUMBER);
    producer.end(true).await;
    cluster.expire_producers(i64::MAX);

    producer.add(&[("t", 0)]).await;
    assert_eq!(producer.produce(0, 7, &["b"]).await, 0);
}

#[tokio::test]
async fn brokers_ask_for_several_transactions_at_once() {
    use kafka_protocol::messages::AddPartitionsToTxnRequest;
    use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction;

    let cluster = one_broker().await;
    let mut first = Producer::start(&cluster, "first", V1).await;
    let second = Producer::start(&cluster, "second", V1).await;
    let of = |producer: &Producer, verify_only: bool| {
        let older = add_request(producer.id, producer.is, &[("t", 0)]);
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(older.v3_and_below_transactional_id)
            .with_producer_id(older.v3_and_below_producer_id)
            .with_producer_epoch(older.v3_and_below_producer_epoch)
            .with_verify_only(verify_only)
            .with_topics(older.v3_and_below_topics)
    };
    for version in [4, 5] {
        let transactions = vec![of(&first, true), of(&second, version == 5)];
        let request = AddPartitionsToTxnRequest::default().with_transactions(transactions);
        let answer = first.client.call(version, &request).await;
        let results = answer.results_by_transaction.iter();
        let codes: Vec<_> = results
            .map(|result| result.topic_results[0].results_by_partition[0].partition_error_code)
            .collect();
        assert_eq!(codes, [TRANSACTION_ABORTABLE, 0], "version {version}");
    }
}

#[tokio::test]
async fn faults_reach_every_request_of_transactions() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V1).await;
    let is = producer.is;
    for fault in [
        "find-coordinator error=15",
        "init-producer-id error=14",
        "add-partitions-to-txn topic=t partition=1 error=29",
        "add-offsets-to-txn error=16",
        "end-txn error=51",
        "txn-offset-commit topic=t error=25",
    ] {
        cluster.inject(fault.parse::<Fault>().unwrap());
    }
    let key = StrBytes::from_static_str("tx");
    let find = FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![key]);
    let found = producer.client.call(6, &find).await;
    assert_eq!((found.coordinators[0].error_code, found.coordinators[0].node_id.0), (15, -1));
    let init = producer.init(5, (-1, -1)).await;
    assert_eq!((init.error_code, init.producer_id.0), (COORDINATOR_LOAD_IN_PROGRESS, -1));
    assert_eq!(producer.add(&[("t", 0), ("t", 1)]).await, [OPERATION_NOT_ATTEMPTED, 29]);
    let offsets = producer.client.call(4, &add_offsets_request("tx", is, "group")).await;
    assert_eq!(offsets.error_code, NOT_COORDINATOR);
    let end = producer.client.call(5, &end_request("tx", is, false)).await;
    assert_eq!((end.error_code, end.producer_id.0), (CONCURRENT_TRANSACTIONS, -1));
    let commit = crate::group_offsets::commit_request(&producer, "group", &[("t", 0, 5)]);
    let committed = producer.client.call(5, &commit).await;
    assert_eq!(committed.topics[0].partitions[0].error_code, 25);

    assert!(cluster.pending_faults().is_empty());
    assert_eq!(state(&cluster, "tx"), TransactionState::Empty, "nothing was carried out");
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_transaction_ended() {
    let cluster = one_broker().await;
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    producer.produce(0, 0, &["a"]).await;
    cluster.disconnect_after_request(Api::EndTxn, 1);
    producer.client.write(5, &end_request("tx", producer.is, true)).await;
    assert!(producer.client.is_closed_by_broker().await);

    let mut client = Client::connect(&cluster, 0).await;
    let again = client.call(5, &end_request("tx", producer.is, true)).await;
    let other = client.call(5, &end_request("tx", producer.is, false)).await;

    assert_eq!((again.error_code, again.producer_epoch), (0, producer.is.1 + 1));
    assert_eq!(other.error_code, INVALID_TXN_STATE);
    assert_eq!(committed_values(&cluster, "t", 0), ["a"]);
}

#[tokio::test]
async fn an_empty_transaction_ends_as_its_protocol_has_it() {
    let cluster = one_broker().await;
    let mut first = Producer::start(&cluster, "first", V1).await;
    let mut second = Producer::start(&cluster, "second", V2).await;

    assert_eq!([first.end(true).await, first.end(false).await], [INVALID_TXN_STATE; 2]);
    assert_eq!(second.end(true).await, INVALID_TXN_STATE);
    let before = second.is.1;
    assert_eq!(second.end(false).await, 0);

    assert_eq!(second.is.1, before + 1);
    let request =
        transactional_request("second", "t", 0, transactional_batch(&["a"], second.is.0, before, 0));
    let late = only_partition(second.client.call(12, &request).await);
    assert_eq!(late.error_code, INVALID_PRODUCER_EPOCH);
}

#[tokio::test]
async fn transactions_end_also_where_no_records_are_kept() {
    let cluster = MockCluster::builder().keep_records(false).start().await.unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let mut producer = Producer::start(&cluster, "tx", V2).await;
    for is_commit in [true, false] {
        assert_eq!(producer.produce(0, 0, &["a"]).await, 0);
        assert_eq!(producer.end(is_commit).await, 0);
    }

    assert_eq!(state(&cluster, "tx"), TransactionState::CompleteAbort);
    assert_eq!(cluster.end_offset("t", 0).unwrap(), 4);
    assert!(cluster.committed_records("t", 0).is_empty());
}
