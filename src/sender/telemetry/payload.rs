//! `Payload`: what is put into a push, and since when it counts.

use std::time::{Duration, Instant};

use crate::metrics::{Detail, Metrics, Window, encode, points};
use crate::protocol::compression::Compression;
use crate::sender::telemetry::subscription::Subscription;

/// What pushes are made from.
#[derive(Debug)]
pub(super) struct Payload {
    /// What was pushed last.
    before: Option<Box<Metrics>>,
    /// When that was, or the start.
    since: Instant,
    start: Instant,
    /// The start in milliseconds since 1970; `None` before the first poll.
    start_millis: Option<i64>,
    detail: Detail,
    /// The codec of the last push.
    codec: Compression,
    /// Codecs that brokers have refused though they had named them.
    refused: Vec<Compression>,
}

/// More is not compressed between two looks at sockets: it takes about a millisecond.
const MOST_BYTES: usize = 256 * 1024;

impl Payload {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            before: None,
            since: now,
            start: now,
            start_millis: None,
            detail: Detail::All,
            codec: Compression::None,
            refused: Vec::new(),
        }
    }

    /// Takes what clocks show. The first time says when the producer began.
    pub(super) fn note_wall_clock(&mut self, millis: i64, now: Instant) {
        let since_start = now.saturating_duration_since(self.start).as_millis();
        let began = millis.saturating_sub(i64::try_from(since_start).unwrap_or(0));
        self.start_millis.get_or_insert(began);
    }

    pub(super) fn note_subscription(&mut self, subscription: &Subscription) {
        self.refused.retain(|codec| subscription.codecs.contains(codec));
    }

    /// Takes what was pushed for the beginning of the next push.
    pub(super) fn note_pushed(&mut self, metrics: Box<Metrics>, now: Instant) {
        self.since = metrics.taken_at.min(now);
        self.before = Some(metrics);
    }

    pub(super) fn note_refused_codec(&mut self) {
        self.refused.push(self.codec);
    }

    /// The broker finds the last push too large: the next ones have less.
    pub(super) fn note_too_large(&mut self) {
        self.detail = less(self.detail).unwrap_or(self.detail);
    }

    /// Encodes what a subscription wants, with as much detail as it has room for. Returns the number of the codec and the bytes, or
    /// `None` if the least is too large.
    pub(super) fn encode(
        &mut self,
        metrics: &Metrics,
        attributes: &[(String, String)],
        subscription: &Subscription,
        now: Instant,
    ) -> Option<(i8, Vec<u8>)> {
        let time = self.nanos(now);
        let mut detail = self.detail;
        loop {
            let points =
                points(metrics, &self.window(subscription, now), detail, |name| subscription.wants(name));
            let plain = encode(attributes, &points, time);
            if plain.len() <= MOST_BYTES || detail == Detail::Producer {
                let (codec, bytes) = self.compress(&plain, subscription);
                if bytes.len() <= subscription.max_bytes {
                    self.codec = codec;
                    return Some((i8::try_from(codec.attribute_bits()).ok()?, bytes));
                }
            }
            detail = less(detail)?;
        }
    }

    #[cfg(test)]
    pub(super) fn before(&self) -> Option<&Metrics> {
        self.before.as_deref()
    }

    fn compress(&self, plain: &[u8], subscription: &Subscription) -> (Compression, Vec<u8>) {
        let codec = subscription.codecs.iter().find(|codec| !self.refused.contains(codec));
        let codec = codec.copied().unwrap_or(Compression::None);
        codec.compress(codec.usual_level(), plain, |smaller| match smaller {
            Some(bytes) => (codec, bytes.to_vec()),
            None => (Compression::None, plain.to_vec()),
        })
    }

    fn window(&self, subscription: &Subscription, now: Instant) -> Window<'_> {
        Window {
            before: self.before.as_deref(),
            length: now.saturating_duration_since(self.since),
            start: self.nanos(self.since),
            producer_start: self.nanos(self.start),
            temporality: subscription.temporality,
        }
    }

    /// Returns a time in nanoseconds since 1970, by what the wall clock has shown at the start, so that times never go back.
    fn nanos(&self, at: Instant) -> u64 {
        let start = u64::try_from(self.start_millis.unwrap_or(0)).unwrap_or(0);
        let since = at.saturating_duration_since(self.start);
        let nanos = Duration::from_millis(start).saturating_add(since).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

fn less(detail: Detail) -> Option<Detail> {
    match detail {
        Detail::All => Some(Detail::Brokers),
        Detail::Brokers => Some(Detail::Producer),
        Detail::Producer => None,
    }
}
