//! A producer of your own types: serializers turn them into bytes, and what they refuse is not sent and comes back.
//!
//! `cargo run --release --example custom_serializer`

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use kafka_producer::{
    BoxError, Headers, KafkaProducer, LongSerializer, ProducerRecord, SendErrorKind, Serializer,
    serialize_with,
};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

#[derive(Debug, Clone, PartialEq)]
struct Reading {
    celsius: f64,
    place: String,
}

/// Writes JSON, and says so in a header.
struct ReadingSerializer;

impl Serializer<Reading> for ReadingSerializer {
    fn serialize<'a>(
        &self,
        _topic: &str,
        headers: &mut Headers,
        reading: &'a Reading,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        if !reading.celsius.is_finite() {
            return Err(format!("{} is no temperature", reading.celsius).into());
        }
        headers.push("content-type", "application/json");
        write!(scratch, "{{\"celsius\": {:.1}, \"place\": {:?}}}", reading.celsius, reading.place)?;
        Ok(scratch)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("readings", 1).await?;
    // Keys are sensor numbers; for `i64` there is a serializer already, Java's `LongSerializer`.
    let producer = KafkaProducer::builder()
        .bootstrap_servers(&*target.servers)
        .serializers::<i64, Reading>(LongSerializer, ReadingSerializer)
        .build()?;
    let reading = |celsius| Reading { celsius, place: "roof".to_owned() };
    let metadata =
        producer.send(ProducerRecord::to(target.topic.clone()).key(17).value(reading(21.5))).await?;
    println!(
        "{metadata}: key of {:?} bytes, value of {:?} bytes",
        metadata.serialized_key_size(),
        metadata.serialized_value_size()
    );

    let broken = ProducerRecord::to(target.topic.clone()).key(17).value(reading(f64::NAN));
    let Err(refusal) = producer.send(broken).await else { return Err("a broken reading was sent".into()) };
    let cause = refusal.source().map(ToString::to_string).unwrap_or_default();
    println!("refused: {refusal}: {cause}");
    if !matches!(refusal.kind(), SendErrorKind::Serialization { part: "value", .. }) {
        return Err(refusal.into());
    }
    let returned =
        refusal.into_record().and_then(|record| record.value).ok_or("the record did not come back")?;
    println!("which gives back {returned:?}");

    // For a single conversion a closure will do.
    let shouting = serialize_with(|text: &String, out: &mut Vec<u8>| -> io::Result<()> {
        out.write_all(text.to_uppercase().as_bytes())
    });
    let closure = KafkaProducer::builder()
        .bootstrap_servers(&*target.servers)
        .serializers::<i64, String>(LongSerializer, shouting)
        .build()?;
    closure.send(ProducerRecord::to(target.topic.clone()).value("frost".to_owned())).await?;

    if let Some(mock) = &target.mock {
        let records = mock.records(&target.topic, 0);
        for record in &records {
            println!("offset {}: key {:?}, value {:?}", record.offset, record.key, record.value);
        }
        let values: Vec<_> = records.iter().filter_map(|record| record.value.as_deref()).collect();
        if values != [&br#"{"celsius": 21.5, "place": "roof"}"#[..], b"FROST"] {
            return Err("the log does not hold what the serializers wrote".into());
        }
    }
    let _ = producer.close(Duration::from_secs(10)).await;
    let _ = closure.close(Duration::from_secs(10)).await;
    target.shutdown().await;
    Ok(())
}
