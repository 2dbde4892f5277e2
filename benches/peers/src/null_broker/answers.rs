//! Answers to everything that a producer asks.

use std::sync::atomic::Ordering;

use super::wire::{Reader, Writer};
use super::{Broker, produce};

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const INIT_PRODUCER_ID: i16 = 22;

/// What is supported: name, oldest and newest version, and from which on lengths are compact.
const APIS: [(i16, i16, i16, i16); 4] =
    [(PRODUCE, 3, 13, 9), (METADATA, 0, 13, 9), (API_VERSIONS, 0, 4, 3), (INIT_PRODUCER_ID, 0, 5, 2)];

/// What no producer asks for, and librdkafka yet wants to see: Fetch before it writes batches of today's format, and
/// FindCoordinator before it compresses with lz4.
const SHOWN: [(i16, i16, i16); 2] = [(1, 4, 17), (10, 0, 6)];

const UNSUPPORTED_VERSION: i16 = 35;

/// Appends the answer to one request, without its length, to `out`. `None` if the request cannot be read.
pub fn answer(broker: &Broker, frame: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut reader = Reader::new(frame);
    let (api, mut version, correlation) = (reader.i16()?, reader.i16()?, reader.i32()?);
    reader.old_string()?;
    let (_, oldest, newest, flexible_from) = *APIS.iter().find(|(key, ..)| *key == api)?;
    let is_supported = (oldest..=newest).contains(&version);
    if !is_supported {
        if api != API_VERSIONS {
            return None;
        }
        version = 0;
    }
    reader.flexible = is_supported && version >= flexible_from;
    reader.tags()?;

    let begin = out.len();
    out.extend([0; 4]);
    let mut writer = Writer { out, flexible: version >= flexible_from };
    writer.i32(correlation);
    if api != API_VERSIONS {
        writer.tags();
    }
    let has_answer = match api {
        PRODUCE => produce::produce(broker, &mut reader, &mut writer, version)?,
        METADATA => {
            metadata(broker, &mut reader, &mut writer, version)?;
            true
        }
        API_VERSIONS => {
            api_versions(&mut writer, version, if is_supported { 0 } else { UNSUPPORTED_VERSION });
            true
        }
        _ => {
            init_producer_id(broker, &mut writer);
            true
        }
    };
    if has_answer {
        let length = (out.len() - begin - 4) as u32;
        out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
    } else {
        out.truncate(begin);
    }
    Some(())
}

fn api_versions(writer: &mut Writer<'_>, version: i16, error: i16) {
    writer.i16(error);
    writer.array(APIS.len() + SHOWN.len());
    let served = APIS.map(|(key, oldest, newest, _)| (key, oldest, newest));
    for (key, oldest, newest) in served.into_iter().chain(SHOWN) {
        writer.i16(key);
        writer.i16(oldest);
        writer.i16(newest);
        writer.tags();
    }
    if version >= 1 {
        writer.i32(0);
    }
    writer.tags();
}

fn init_producer_id(broker: &Broker, writer: &mut Writer<'_>) {
    writer.i32(0);
    writer.i16(0);
    writer.i64(broker.next_producer_id.fetch_add(1, Ordering::Relaxed));
    writer.i16(0);
    writer.tags();
}

/// Topics exist once asked for. Their ids are their names, cut off or filled with zeros.
fn metadata(broker: &Broker, reader: &mut Reader<'_>, writer: &mut Writer<'_>, version: i16) -> Option<()> {
    let mut topics = Vec::new();
    for _ in 0..reader.length(false)?.unwrap_or(0) {
        let id = if version >= 10 { reader.uuid()? } else { [0; 16] };
        let name = reader.string()?.map(str::to_owned);
        reader.tags()?;
        topics.push(name.unwrap_or_else(|| produce::name_of(id)));
    }
    if version >= 3 {
        writer.i32(0);
    }
    writer.array(broker.ports.len());
    for (port, id) in broker.ports.iter().zip(1..) {
        writer.i32(id);
        writer.string("127.0.0.1");
        writer.i32(i32::from(*port));
        if version >= 1 {
            writer.null_string();
        }
        writer.tags();
    }
    if version >= 2 {
        writer.string("null");
    }
    if version >= 1 {
        writer.i32(1);
    }
    writer.array(topics.len());
    for topic in &topics {
        describe_topic(broker, topic, writer, version);
    }
    if (8..=10).contains(&version) {
        writer.i32(i32::MIN);
    }
    if version >= 13 {
        writer.i16(0);
    }
    writer.tags();
    Some(())
}

fn describe_topic(broker: &Broker, topic: &str, writer: &mut Writer<'_>, version: i16) {
    writer.i16(0);
    writer.string(topic);
    if version >= 10 {
        writer.raw(&produce::id_of(topic));
    }
    if version >= 1 {
        writer.i8(0);
    }
    writer.array(broker.shape.partitions);
    for (partition, leader) in (0..broker.shape.partitions).zip((1..=broker.ports.len()).cycle()) {
        let leader = leader as i32;
        writer.i16(0);
        writer.i32(partition as i32);
        writer.i32(leader);
        if version >= 7 {
            writer.i32(0);
        }
        writer.ids(&[leader]);
        writer.ids(&[leader]);
        if version >= 5 {
            writer.ids(&[]);
        }
        writer.tags();
    }
    if version >= 8 {
        writer.i32(i32::MIN);
    }
    writer.tags();
}
