//! The limit: one thread encodes records in place, checks them with a sum and writes them. No futures, no partitioner, no
//! memory limit, no retries; a producer can only come near this.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kafka_producer_peers::options::{Mode, Options};
use kafka_producer_peers::outcome::{Run, payloads, timed_one_of};

const MAX_IN_FLIGHT: usize = 5;
const HEADER_LEN: usize = 61;

fn main() -> io::Result<()> {
    let options = Options::of_process();
    let payloads = payloads(&options);
    let stream = TcpStream::connect(&options.bootstrap)?;
    stream.set_nodelay(true)?;
    let mut limit = Limit::new(stream, &options);
    // The connection is warm when the clock starts.
    limit.append(&payloads[0], 0);
    limit.send()?;
    limit.read_answers(0)?;

    let mut run = Run::start("limit");
    let every = timed_one_of(&options);
    let mut timed = None;
    for (number, payload) in (0..options.records).zip(payloads.iter().cycle()) {
        if number.is_multiple_of(every) && timed.is_none() {
            timed = Some((Instant::now(), limit.sent + 1));
        }
        limit.append(payload, now_ms(number));
        if options.mode == Mode::Lone || limit.batch.len() + options.size + 20 > options.batch_size {
            limit.send()?;
            let most = if options.mode == Mode::Lone { 0 } else { MAX_IN_FLIGHT - 1 };
            limit.read_answers(most)?;
            if let Some((at, request)) = timed.filter(|(_, request)| limit.answered >= *request) {
                let _ = request;
                run.latency(at.elapsed());
                timed = None;
            }
        }
    }
    if limit.count > 0 {
        limit.send()?;
    }
    limit.read_answers(0)?;
    run.finish(options.records, 0, "");
    Ok(())
}

struct Limit {
    stream: TcpStream,
    /// What stands before the batch in a request; the lengths are filled in.
    prefix: Vec<u8>,
    /// Header and records of the batch that is being filled.
    batch: Vec<u8>,
    count: u32,
    sequence: u32,
    first_timestamp: i64,
    sent: u64,
    answered: u64,
    incoming: Vec<u8>,
    read_buffer: Box<[u8]>,
}

impl Limit {
    fn new(stream: TcpStream, options: &Options) -> Self {
        let mut prefix = Vec::new();
        // Version 7: no compact lengths.
        prefix.extend([0, 0, 0, 0]);
        prefix.extend([0, 0, 0, 7]);
        prefix.extend([0, 0, 0, 0]);
        prefix.extend([0, 5]);
        prefix.extend(b"limit");
        prefix.extend([0xff, 0xff]);
        prefix.extend((-1_i16).to_be_bytes());
        prefix.extend(30_000_i32.to_be_bytes());
        prefix.extend(1_i32.to_be_bytes());
        prefix.extend((options.topic.len() as u16).to_be_bytes());
        prefix.extend(options.topic.as_bytes());
        prefix.extend(1_i32.to_be_bytes());
        prefix.extend(0_i32.to_be_bytes());
        prefix.extend([0; 4]);
        let mut batch = Vec::with_capacity(options.batch_size + 128 + prefix.len());
        batch.extend(&prefix);
        batch.extend([0; HEADER_LEN]);
        Self {
            stream,
            prefix,
            batch,
            count: 0,
            sequence: 0,
            first_timestamp: 0,
            sent: 0,
            answered: 0,
            incoming: Vec::new(),
            read_buffer: vec![0; 64 * 1024].into(),
        }
    }

    fn append(&mut self, value: &[u8], timestamp: i64) {
        if self.count == 0 {
            self.first_timestamp = timestamp;
        }
        let delta = timestamp - self.first_timestamp;
        // Attributes, deltas, a null key, the value and no headers.
        let length = 1
            + varint_len(delta)
            + varint_len(i64::from(self.count))
            + 1
            + varint_len(value.len() as i64)
            + value.len()
            + 1;
        varint(&mut self.batch, length as i64);
        self.batch.push(0);
        varint(&mut self.batch, delta);
        varint(&mut self.batch, i64::from(self.count));
        varint(&mut self.batch, -1);
        varint(&mut self.batch, value.len() as i64);
        self.batch.extend_from_slice(value);
        self.batch.push(0);
        self.count += 1;
    }

    /// Completes the request and writes it.
    fn send(&mut self) -> io::Result<()> {
        let begin = self.prefix.len();
        let len = self.batch.len() - begin;
        let header = &mut self.batch[begin..];
        header[8..12].copy_from_slice(&((len - 12) as u32).to_be_bytes());
        header[16] = 2;
        header[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        header[27..35].copy_from_slice(&self.first_timestamp.to_be_bytes());
        header[35..43].copy_from_slice(&self.first_timestamp.to_be_bytes());
        header[43..51].copy_from_slice(&7_u64.to_be_bytes());
        header[53..57].copy_from_slice(&self.sequence.to_be_bytes());
        header[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c::crc32c(&header[21..]);
        header[17..21].copy_from_slice(&crc.to_be_bytes());
        let total = self.batch.len();
        self.batch[..4].copy_from_slice(&((total - 4) as u32).to_be_bytes());
        self.batch[8..12].copy_from_slice(&(self.sent as u32).to_be_bytes());
        self.batch[begin - 4..begin].copy_from_slice(&(len as u32).to_be_bytes());
        self.stream.write_all(&self.batch)?;
        self.batch.truncate(begin + HEADER_LEN);
        self.sequence = self.sequence.wrapping_add(self.count) & 0x7fff_ffff;
        self.count = 0;
        self.sent += 1;
        Ok(())
    }

    /// Reads answers until no more than `most` requests are without one.
    fn read_answers(&mut self, most: usize) -> io::Result<()> {
        while self.sent - self.answered > most as u64 {
            let read = self.stream.read(&mut self.read_buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.incoming.extend_from_slice(&self.read_buffer[..read]);
            let mut used = 0;
            while let Some((length, rest)) = self.incoming[used..].split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if rest.len() < length {
                    break;
                }
                used += 4 + length;
                self.answered += 1;
            }
            self.incoming.drain(..used);
        }
        Ok(())
    }
}

/// A coarse clock: one reading serves many records.
fn now_ms(number: u64) -> i64 {
    thread_local!(static NOW: std::cell::Cell<i64> = const { std::cell::Cell::new(0) });
    if number.is_multiple_of(64) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        NOW.set(since.as_millis() as i64);
    }
    NOW.get()
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn varint_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut value = zigzag(value);
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
