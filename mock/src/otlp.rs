//! Reads metrics in OpenTelemetry's protocol: the parts of protobuf and of `MetricsData` that clients of Kafka push.

use std::collections::BTreeMap;

/// A number that a client has pushed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PushedMetric {
    /// The name, such as `org.apache.kafka.producer.connection.creation.total`.
    pub name: String,
    /// What tells numbers of one name apart, such as `node_id`.
    pub attributes: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
    /// How it counts.
    pub kind: PushedKind,
    /// Since when it counts, in nanoseconds since 1970.
    pub start_time: u64,
    /// As of when, in nanoseconds since 1970.
    pub time: u64,
}

impl PushedMetric {
    /// Reads all metrics of a `MetricsData` of OpenTelemetry, as clients push it.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes.
    pub fn read_all(data: &[u8]) -> Result<Vec<Self>, String> {
        metrics(data)
    }
}

/// How a number that was pushed counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushedKind {
    /// It goes up and down.
    Gauge,
    /// A sum since the client began.
    CumulativeSum,
    /// What has come to a sum since the push before.
    DeltaSum,
}

fn metrics(data: &[u8]) -> Result<Vec<PushedMetric>, String> {
    let mut found = Vec::new();
    for resource_metrics in messages(data, 1)? {
        for scope_metrics in messages(resource_metrics, 2)? {
            for metric in messages(scope_metrics, 2)? {
                read_metric(metric, &mut found)?;
            }
        }
    }
    Ok(found)
}

/// Reads the attributes of the resources of a `MetricsData`.
pub(crate) fn resource(data: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let mut attributes = BTreeMap::new();
    for resource_metrics in messages(data, 1)? {
        for resource in messages(resource_metrics, 1)? {
            attributes.extend(read_attributes(resource, 1)?);
        }
    }
    Ok(attributes)
}

fn read_metric(metric: &[u8], found: &mut Vec<PushedMetric>) -> Result<(), String> {
    let (mut name, mut kind, mut points) = (String::new(), PushedKind::Gauge, Vec::new());
    for field in fields(metric)? {
        match field {
            (1, Value::Bytes(text)) => name = text_of(text)?,
            (5, Value::Bytes(gauge)) => points = messages(gauge, 1)?,
            (7, Value::Bytes(sum)) => {
                points = messages(sum, 1)?;
                kind = kind_of_sum(sum)?;
            }
            (9..=11, _) => return Err(format!("{name}: only gauges and sums are read")),
            _ => {}
        }
    }
    for point in points {
        found.push(read_point(&name, kind, point)?);
    }
    Ok(())
}

fn kind_of_sum(sum: &[u8]) -> Result<PushedKind, String> {
    let (mut temporality, mut is_monotonic) = (0, false);
    for field in fields(sum)? {
        match field {
            (2, Value::Number(value)) => temporality = value,
            (3, Value::Number(value)) => is_monotonic = value != 0,
            _ => {}
        }
    }
    match (temporality, is_monotonic) {
        (1, true) => Ok(PushedKind::DeltaSum),
        (2, true) => Ok(PushedKind::CumulativeSum),
        _ => Err(format!("a sum of temporality {temporality}, monotonic: {is_monotonic}")),
    }
}

fn read_point(name: &str, kind: PushedKind, point: &[u8]) -> Result<PushedMetric, String> {
    let attributes = read_attributes(point, 7)?;
    let (mut value, mut start_time, mut time) = (None, 0, 0);
    for field in fields(point)? {
        match field {
            (2, Value::Fixed(nanos)) => start_time = nanos,
            (3, Value::Fixed(nanos)) => time = nanos,
            (4, Value::Fixed(bits)) => value = Some(f64::from_bits(bits)),
            (6, Value::Fixed(bits)) => value = Some(bits.cast_signed() as f64),
            _ => {}
        }
    }
    let value = value.ok_or_else(|| format!("{name}: a point without a value"))?;
    Ok(PushedMetric { name: name.to_owned(), attributes, value, kind, start_time, time })
}

fn read_attributes(message: &[u8], field: u64) -> Result<BTreeMap<String, String>, String> {
    let mut attributes = BTreeMap::new();
    for pair in messages(message, field)? {
        let (mut key, mut text) = (String::new(), None);
        for field in fields(pair)? {
            match field {
                (1, Value::Bytes(bytes)) => key = text_of(bytes)?,
                (2, Value::Bytes(any)) => {
                    text = messages(any, 1)?.first().map(|bytes| text_of(bytes)).transpose()?;
                }
                _ => {}
            }
        }
        let text = text.ok_or_else(|| format!("attribute {key} is no text"))?;
        if attributes.insert(key.clone(), text).is_some() {
            return Err(format!("attribute {key} stands there twice"));
        }
    }
    Ok(attributes)
}

fn text_of(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// What a field of a message holds.
enum Value<'a> {
    Bytes(&'a [u8]),
    Fixed(u64),
    Number(u64),
}

/// Returns the messages, or other bytes, of the fields with a number.
fn messages(message: &[u8], number: u64) -> Result<Vec<&[u8]>, String> {
    let fields = fields(message)?.into_iter();
    Ok(fields
        .filter_map(|field| match field {
            (found, Value::Bytes(bytes)) if found == number => Some(bytes),
            _ => None,
        })
        .collect())
}

/// Reads the fields of a message.
fn fields(mut message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, String> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)?),
            1 => {
                let (bits, rest) = message.split_first_chunk::<8>().ok_or("a number is cut off")?;
                message = rest;
                Value::Fixed(u64::from_le_bytes(*bits))
            }
            2 => {
                let length = usize::try_from(varint(&mut message)?).map_err(|_| "a field is too long")?;
                let (bytes, rest) = message.split_at_checked(length).ok_or("a field is cut off")?;
                message = rest;
                Value::Bytes(bytes)
            }
            wire_type => return Err(format!("a field of wire type {wire_type}")),
        };
        fields.push((tag >> 3, value));
    }
    Ok(fields)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = bytes.split_first().ok_or("a number is cut off")?;
        *bytes = rest;
        if shift > 63 {
            return Err("a number is too long".to_owned());
        }
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
}
