//! Reading a topic to the byte, by Kafka's own Java consumer (`java/Dump.java`).

use bytes::Buf;
use bytes::Bytes;

use super::cluster::KafkaCluster;
use super::consumed_record::ConsumedRecord;
use super::consumed_record::TimestampType;
use super::tools::Isolation;

impl KafkaCluster {
    /// Reads every record from the beginning to the present end, each partition's in the order of the log.
    pub(crate) async fn consume_all(&self, topic: &str, isolation: Isolation) -> Vec<ConsumedRecord> {
        let bootstrap = self.bootstrap_servers();
        let output = self.run_tool("Dump", &[&bootstrap, topic, isolation.name()], Vec::new()).await;
        let mut bytes = Bytes::from(output);
        let mut records = Vec::new();
        while bytes.has_remaining() {
            records.push(record(&mut bytes));
        }
        records
    }
}

fn record(bytes: &mut Bytes) -> ConsumedRecord {
    ConsumedRecord {
        partition: bytes.get_i32(),
        offset: bytes.get_i64(),
        timestamp: bytes.get_i64(),
        timestamp_type: match bytes.get_i8() {
            -1 => TimestampType::Missing,
            0 => TimestampType::Create,
            1 => TimestampType::Append,
            other => panic!("timestamp type {other}"),
        },
        key: string(bytes),
        value: string(bytes),
        headers: (0..bytes.get_i32()).map(|_| header(bytes)).collect(),
    }
}

fn header(bytes: &mut Bytes) -> (String, Option<Bytes>) {
    let name = string(bytes).expect("header names are never null");
    (String::from_utf8(name.into()).expect("header names are text"), string(bytes))
}

/// A byte string after its length; -1 is null.
fn string(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(bytes.get_i32()).ok()?;
    Some(bytes.split_to(length))
}
