//! librdkafka through rdkafka, for `errors`.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use kafka_producer_peers::failures::{Manner, Order, print};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};

struct Context(Sender<Result<(), KafkaError>>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        eprintln!("{level:?} {facility} {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("error callback: {error}: {reason}");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let result = result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone());
        drop(self.0.send(result));
    }
}

fn main() {
    let order = Order::of_process();
    if let Err(error) = run(&order) {
        print(&error);
    }
}

fn run(order: &Order) -> Result<(), KafkaError> {
    let (sender, results) = channel();
    let producer: ThreadedProducer<Context> = config(order).create_with_context(Context(sender))?;
    if matches!(order.manner, Manner::Fence | Manner::Transaction) {
        return transaction(order, &producer);
    }
    let wait = || results.recv_timeout(Duration::from_secs(30)).expect("each record has a result");
    if order.has_first {
        send(order, &producer)?;
        wait()?;
        order.wait_for_failure();
    }
    for _ in 0..order.records {
        send(order, &producer)?;
    }
    match order.manner {
        Manner::CloseAtOnce => {
            std::thread::sleep(Duration::from_millis(500));
            drop(producer);
            return wait();
        }
        Manner::Purge => producer.purge(PurgeConfig::default().queue().inflight()),
        _ => {}
    }
    let mut result = Ok(());
    for _ in 0..order.records {
        let next = wait();
        if result.is_ok() || order.manner == Manner::SendLast {
            result = next;
        }
    }
    if order.manner == Manner::Later {
        send(order, &producer)?;
        return wait();
    }
    result
}

fn transaction(order: &Order, producer: &ThreadedProducer<Context>) -> Result<(), KafkaError> {
    let timeout = Duration::from_secs(10);
    producer.init_transactions(timeout)?;
    producer.begin_transaction()?;
    send(order, producer)?;
    if order.manner == Manner::Fence {
        producer.flush(timeout)?;
        let (sender, _results) = channel();
        let other: ThreadedProducer<Context> = config(order).create_with_context(Context(sender))?;
        other.init_transactions(timeout)?;
        producer.commit_transaction(timeout)?;
    }
    Ok(())
}

fn send(order: &Order, producer: &ThreadedProducer<Context>) -> Result<(), KafkaError> {
    let value = order.value();
    let mut record = BaseRecord::<(), [u8], ()>::to(&order.topic).payload(&value);
    record.partition = order.partition;
    producer.send(record).map_err(|(error, _)| error)
}

/// Takes Kafka's names for those of librdkafka that differ.
fn config(order: &Order) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &order.bootstrap).set("enable.idempotence", "true");
    for (name, value) in &order.settings {
        match name.as_str() {
            "max.block.ms" => {}
            "buffer.memory" => {
                config.set("queue.buffering.max.messages", "10");
            }
            "max.request.size" => {
                config.set("message.max.bytes", value);
            }
            "request.timeout.ms" => {
                config.set("socket.timeout.ms", value);
            }
            "user" => {
                config.set("sasl.username", value);
            }
            "password" => {
                config.set("sasl.password", value);
            }
            name => {
                config.set(name, value);
            }
        }
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}
