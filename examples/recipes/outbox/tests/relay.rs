//! The relay on a cluster in this process, while everything goes wrong.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kafka_mock::{Api, Fault, MockCluster};
use kafka_producer::{KafkaProducer, KafkaProducerBuilder};
use outbox::shop::{self, TOPIC};
use outbox::{Outbox, Relay};
use recipe_support::{Program, key, records, soon, until, value};
use rusqlite::Connection;

const CUSTOMERS: usize = 20;

/// Three partitions, each led by another broker.
async fn cluster() -> MockCluster {
    let cluster = MockCluster::builder().brokers(3).auto_create_topics(false, 1).start().await.unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    for partition in 0..3 {
        cluster.set_leader(TOPIC, partition, Some(partition)).unwrap();
    }
    cluster
}

fn producer(cluster: &MockCluster) -> KafkaProducerBuilder {
    KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers())
}

/// The application, which numbers the orders of each customer.
#[derive(Debug)]
struct Shop {
    database: PathBuf,
    connection: Connection,
    orders: usize,
}

impl Shop {
    fn open(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_PKG_NAME")).join(test);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let database = folder.join("shop.db");
        drop(Outbox::open(&database).unwrap());
        let connection = Connection::open(&database).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        shop::create_table(&connection).unwrap();
        Self { database, connection, orders: 0 }
    }

    fn take_orders(&mut self, count: usize) {
        for _ in 0..count {
            let (customer, number) = (self.orders % CUSTOMERS, self.orders / CUSTOMERS);
            let customer = format!("customer {customer}");
            shop::order(&mut self.connection, &customer, &number.to_string()).unwrap();
            self.orders += 1;
        }
    }

    fn outbox(&self) -> Outbox {
        Outbox::open(&self.database).unwrap()
    }

    /// Runs rounds of a relay until it has sent everything. Returns how many rounds were in trouble.
    async fn send_all(&self, relay: &Arc<Relay>) -> usize {
        let (mut outbox, relay) = (self.outbox(), Arc::clone(relay));
        let rounds = tokio::task::spawn_blocking(move || {
            let mut troubled = 0;
            while !outbox.oldest(1).unwrap().is_empty() {
                troubled += usize::from(relay.round(&mut outbox).unwrap().trouble.is_some());
            }
            troubled
        });
        soon("the outbox is empty", rounds).await.unwrap()
    }
}

/// Asserts that the log has the orders of each customer without a gap and in their order. Those that are there twice are repeated from an
/// earlier place on. Returns how many are there twice.
fn repeated(cluster: &MockCluster, orders: usize) -> usize {
    let mut next = BTreeMap::<String, usize>::new();
    let mut repeated = 0;
    for record in records(cluster, TOPIC) {
        let number: usize = value(&record).parse().unwrap();
        let next = next.entry(key(&record)).or_default();
        assert!(number <= *next, "{} has order {number} where {next} comes next", key(&record));
        if number == *next { *next += 1 } else { repeated += 1 }
    }
    assert_eq!(next.values().sum::<usize>(), orders, "{next:?}");
    repeated
}

#[tokio::test]
async fn each_row_is_there_once_and_in_order_whatever_goes_wrong() {
    let cluster = cluster().await;
    let mut shop = Shop::open("once");
    let relay = Arc::new(Relay::new(producer(&cluster)).unwrap());
    let faults = "move-leader-before=1; move-leader-after=2; disconnect-before; disconnect-after; cut=10; \
        error=6; error-after-append=20; reset-after; leave-out";
    for fault in faults.split("; ") {
        shop.take_orders(100);
        cluster.inject(format!("produce topic={TOPIC} {fault}").parse().unwrap());

        let troubled = shop.send_all(&relay).await;

        assert_eq!((troubled, cluster.pending_faults()), (0, Vec::new()), "{fault}");
    }
    assert_eq!(repeated(&cluster, shop.orders), 0);
}

#[tokio::test]
async fn relay_that_is_killed_again_and_again_leaves_out_no_row_and_keeps_the_order() {
    let cluster = cluster().await;
    let mut shop = Shop::open("killed");
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox"));
    command.arg(&shop.database).arg(cluster.bootstrap_servers());
    for kill in 0..6 {
        shop.take_orders(300);
        let before = records(&cluster, TOPIC).len();
        match kill % 3 {
            // Rows are written, and the relay never hears of it.
            0 => cluster.inject(Fault::drop_response().api(Api::Produce).always()),
            1 => cluster.inject(Fault::error_code(6).api(Api::Produce).skip(1).times(2)),
            _ => cluster.inject(Fault::move_leader_after(0).api(Api::Produce)),
        }
        let mut relay = Program::start(&mut command);
        until("the relay has written something", async || records(&cluster, TOPIC).len() > before).await;
        relay.kill();
        cluster.clear_faults();
    }
    let relay = Program::start(&mut command);
    let outbox = shop.outbox();
    until("the outbox is empty", async || outbox.oldest(1).unwrap().is_empty()).await;
    drop(relay);

    assert!(repeated(&cluster, shop.orders) > 0);
}

#[tokio::test]
async fn rows_of_a_partition_wait_for_one_that_has_failed() {
    let cluster = cluster().await;
    let mut shop = Shop::open("failed");
    let small_batches = producer(&cluster).batch_size(200);
    let relay = Arc::new(Relay::new(small_batches).unwrap());
    shop.take_orders(400);
    // The rights are missing for one batch, and there again for those after it.
    cluster.inject(Fault::error_code(29).api(Api::Produce).partition(TOPIC, 0));

    let troubled = shop.send_all(&relay).await;

    assert_eq!((troubled, cluster.pending_faults()), (1, Vec::new()));
    assert_eq!(repeated(&cluster, shop.orders), 0);
}

#[tokio::test]
async fn rows_wait_through_an_outage_that_is_longer_than_the_producers_patience() {
    let cluster = cluster().await;
    let mut shop = Shop::open("outage");
    let impatient = producer(&cluster)
        .request_timeout(Duration::from_millis(100))
        .delivery_timeout(Duration::from_millis(200))
        .linger(Duration::ZERO);
    let relay = Arc::new(Relay::new(impatient).unwrap());
    cluster.freeze(0).unwrap();
    shop.take_orders(100);

    let (mut outbox, once) = (shop.outbox(), Arc::clone(&relay));
    let round = tokio::task::spawn_blocking(move || once.round(&mut outbox).unwrap().trouble.is_some());
    let is_troubled = soon("a round is over", round).await.unwrap();
    shop.take_orders(100);
    cluster.unfreeze(0).unwrap();
    shop.send_all(&relay).await;

    assert!(is_troubled);
    // Those that may have been written are sent again, so some can be there twice.
    repeated(&cluster, shop.orders);
}

#[tokio::test]
async fn row_that_cannot_be_sent_is_set_aside_with_the_reason() {
    let cluster = cluster().await;
    cluster.set_max_message_bytes(10_000);
    let mut shop = Shop::open("refused");
    let relay = Arc::new(Relay::new(producer(&cluster)).unwrap());
    let too_large = |bytes| "x".repeat(bytes);
    shop.take_orders(CUSTOMERS);
    shop::order(&mut shop.connection, "customer 3", &too_large(2_000_000)).unwrap();
    shop::order(&mut shop.connection, "customer 3", &too_large(20_000)).unwrap();
    shop.take_orders(CUSTOMERS);

    shop.send_all(&relay).await;

    let reasons: Vec<_> = shop.outbox().refused().unwrap().into_iter().map(|(_, why)| why).collect();
    assert_eq!(reasons.len(), 2);
    assert!(reasons[0].contains("max.request.size"), "{reasons:?}");
    assert!(reasons[1].contains("MESSAGE_TOO_LARGE"), "{reasons:?}");
    assert_eq!(repeated(&cluster, shop.orders), 0);
}

#[tokio::test]
async fn order_that_is_not_committed_has_no_event() {
    let mut shop = Shop::open("rolled_back");

    let transaction = shop.connection.transaction().unwrap();
    Outbox::put(&transaction, TOPIC, "customer 0", b"0").unwrap();
    drop(transaction);

    assert_eq!(shop.outbox().oldest(10).unwrap(), []);
}

#[tokio::test]
async fn second_relay_refuses_to_start() {
    let shop = Shop::open("second");
    let lock = File::create(shop.database.with_extension("db.relay")).unwrap();
    lock.lock().unwrap();

    let second = Command::new(env!("CARGO_BIN_EXE_outbox")).arg(&shop.database).arg("localhost:1").output();

    let second = second.unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("another relay is at work"), "{said}");
}
