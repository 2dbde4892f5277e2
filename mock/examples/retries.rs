//! How an application behaves while its Kafka does not: `cargo run -p kafka-mock --example retries`.
//!
//! The application is [`place_order`], which must tell its customer the truth. Each case is a script of faults, the
//! answer that the customer should get, and how many orders should then stand in the log. An application in
//! another language is tested in the same way, beside the example `cluster`.

use std::error::Error;
use std::time::Duration;

use kafka_mock::{Fault, MockCluster};
use kafka_producer::{KafkaProducer, Persisted, ProducerRecord};

/// What the customer is told.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// "Thank you for your order."
    Placed,
    /// "Sorry, this did not work."
    NotPlaced,
    /// "We will write to you."
    InDoubt,
}

/// The application under test.
async fn place_order(producer: &KafkaProducer, order: &str) -> Answer {
    match producer.send(ProducerRecord::to("orders").value(order.to_owned())).await {
        Ok(_) => Answer::Placed,
        Err(error) if error.persisted() == Persisted::No => Answer::NotPlaced,
        Err(_) => Answer::InDoubt,
    }
}

struct Case {
    name: &'static str,
    script: &'static str,
    answer: Answer,
    orders: usize,
}

const CASES: [Case; 7] = [
    Case { name: "all is well", script: "", answer: Answer::Placed, orders: 1 },
    Case {
        name: "half an answer, then the connection is gone",
        script: "produce cut=10",
        answer: Answer::Placed,
        orders: 1,
    },
    Case {
        name: "everything breaks once",
        script: "
            api-versions nth=2 reset-before
            metadata disconnect-before
            init-producer-id cut=12
            produce nth=1 error=19               # NOT_ENOUGH_REPLICAS
            produce nth=2 shift-correlation-id=1
        ",
        answer: Answer::Placed,
        orders: 1,
    },
    Case {
        name: "the leader moves away",
        script: "produce broker=0 move-leader-before=1",
        answer: Answer::Placed,
        orders: 1,
    },
    Case {
        name: "too few replicas",
        script: "produce always error=19",
        answer: Answer::NotPlaced,
        orders: 0,
    },
    Case { name: "the topic is forbidden", script: "produce error=29", answer: Answer::NotPlaced, orders: 0 },
    Case { name: "answers never come", script: "produce always drop", answer: Answer::InDoubt, orders: 1 },
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for Case { name, script, answer, orders } in CASES {
        let cluster = MockCluster::start(2).await?;
        cluster.create_topic("orders", 1, 2)?;
        for fault in Fault::parse_script(script)? {
            cluster.inject(fault);
        }
        let producer = KafkaProducer::builder()
            .bootstrap_servers(cluster.bootstrap_servers())
            .retries(3)
            .retry_backoff(Duration::from_millis(10))
            .request_timeout(Duration::from_millis(500))
            .build()?;

        let told = place_order(&producer, "2 apples").await;

        let found = cluster.records("orders", 0).len();
        println!("{name}: {told:?}, {found} in the log");
        assert_eq!((told, found), (answer, orders), "{name}");
    }
    Ok(())
}
