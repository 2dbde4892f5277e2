//! Metrics in OpenTelemetry's protocol: `MetricsData`, version 1, as far as gauges and monotonic sums need it.
//!
//! Protobuf writes a message as its fields, each with its number. Messages within messages have their length before them, so they are
//! written from the inside out.

use crate::wire::varint::put_unsigned_varlong;

/// A number with all that is said of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) value: PointValue,
    pub(crate) kind: PointKind,
    /// Since when it counts, in nanoseconds since 1970; 0 if that means nothing.
    pub(crate) start: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PointValue {
    Float(f64),
    Integer(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointKind {
    Gauge,
    Sum(Temporality),
}

/// What a sum counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temporality {
    /// What has come since the last time.
    Delta = 1,
    /// All since the beginning.
    Cumulative = 2,
}

/// Encodes points of one resource, which were taken at `time`, in nanoseconds since 1970.
pub(crate) fn encode(resource: &[(String, String)], points: &[Point], time: u64) -> Vec<u8> {
    let mut scope_metrics = Message::default();
    for point in points {
        scope_metrics.message(2, &point.metric(time));
    }
    let mut resource_metrics = Message::default();
    if !resource.is_empty() {
        let mut message = Message::default();
        message.attributes(1, resource);
        resource_metrics.message(1, &message);
    }
    resource_metrics.message(2, &scope_metrics);
    let mut metrics_data = Message::default();
    metrics_data.message(1, &resource_metrics);
    metrics_data.0
}

impl Point {
    fn metric(&self, time: u64) -> Message {
        let mut data = Message::default();
        data.message(1, &self.data_point(time));
        let field = match self.kind {
            PointKind::Gauge => 5,
            PointKind::Sum(temporality) => {
                data.number(2, temporality as u64);
                // Monotonic.
                data.number(3, 1);
                7
            }
        };
        let mut metric = Message::default();
        metric.bytes(1, self.name.as_bytes());
        metric.message(field, &data);
        metric
    }

    fn data_point(&self, time: u64) -> Message {
        let mut point = Message::default();
        if self.start != 0 {
            point.fixed(2, self.start);
        }
        point.fixed(3, time);
        match self.value {
            PointValue::Float(value) => point.fixed(4, value.to_bits()),
            PointValue::Integer(value) => point.fixed(6, value.min(i64::MAX.unsigned_abs())),
        }
        point.attributes(7, &self.attributes);
        point
    }
}

/// A message of protobuf, field by field.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

impl Message {
    fn attributes(&mut self, field: u64, attributes: &[(String, String)]) {
        for (key, text) in attributes {
            let mut value = Self::default();
            value.bytes(1, text.as_bytes());
            let mut pair = Self::default();
            pair.bytes(1, key.as_bytes());
            pair.message(2, &value);
            self.message(field, &pair);
        }
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, LENGTH_DELIMITED);
        put_unsigned_varlong(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.tag(field, VARINT);
        put_unsigned_varlong(&mut self.0, number);
    }

    fn fixed(&mut self, field: u64, bits: u64) {
        self.tag(field, FIXED_64);
        self.0.extend_from_slice(&bits.to_le_bytes());
    }

    fn tag(&mut self, field: u64, wire_type: u64) {
        put_unsigned_varlong(&mut self.0, field << 3 | wire_type);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_700_000_000_000_000_000;
    const TIME: u64 = 1_700_000_060_000_000_000;

    fn point(name: &str, value: PointValue, kind: PointKind) -> Point {
        let name = format!("org.apache.kafka.producer.{name}");
        Point { name, attributes: Vec::new(), value, kind, start: START }
    }

    fn points(temporality: Temporality) -> Vec<Point> {
        let latency = point("node.request.latency.avg", PointValue::Float(2.5), PointKind::Gauge);
        let sum = PointKind::Sum(temporality);
        vec![
            point("connection.creation.total", PointValue::Integer(3), sum),
            point("connection.creation.rate", PointValue::Float(0.05), PointKind::Gauge),
            Point { attributes: vec![("node_id".into(), "node-1".into())], ..latency },
            point("bufferpool.wait.time.ns.total", PointValue::Float(1.5e9), sum),
        ]
    }

    /// The bytes were written by OpenTelemetry's own classes for Python.
    #[test]
    fn bytes_are_those_of_opentelemetry() {
        let resource = [("client_rack", "rack-a"), ("transactional_id", "tx")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));

        let cumulative = encode(&resource, &points(Temporality::Cumulative), TIME);
        assert_eq!(cumulative, include_bytes!("testdata/otlp.bin"));
        let delta = encode(&resource, &points(Temporality::Delta), TIME);
        assert_eq!(delta, include_bytes!("testdata/otlp-delta.bin"));
    }

    #[test]
    fn nothing_is_a_message_too() {
        assert_eq!(encode(&[], &[], TIME), [0x0a, 2, 0x12, 0]);
    }
}
