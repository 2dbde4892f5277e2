//! Configurations that no producer can be built from.

use kafka_producer::ProducerConfig;

use super::sheet::{Told, compare};
use crate::support::logged::Logged;

#[test]
fn mistakes() {
    let logged = Logged::by("mistakes");
    let one = ProducerConfig::new().property("bootstrap.servers", "kafka-1:9092").property("linger", "5");
    let five = ProducerConfig::new()
        .property("bootstrap.servers", "kafka-1")
        .property("queue.buffering.max.ms", "5")
        .property("compression.type", "brotli")
        .property("interceptor.classes", "com.example.Audit")
        .property("acks", "1")
        .property("enable.idempotence", "true");

    compare(&logged, "Configuration with one mistake", &Told::configuration(&one.validate().unwrap_err()));
    compare(&logged, "Configuration with five mistakes", &Told::configuration(&five.validate().unwrap_err()));
}
