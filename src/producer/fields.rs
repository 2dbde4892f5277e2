//! [`Fields`]: what a walk reads of a record, which the caller has handed over or only lends.

use crate::pipeline::InterceptorChain;
use crate::producer::caller::HandleId;
use crate::record::InvalidRecord;
use crate::record::{Headers, ProducerRecord};
use crate::topic_partition::Topic;

/// A record as a walk reads it.
pub(super) trait Fields<K, V> {
    fn topic(&self) -> &Topic;

    /// Returns the handle of the topic that the caller has used, if it has.
    fn handle(&self) -> Option<HandleId>;

    /// Returns the partition that the record names.
    fn partition(&self) -> Option<i32>;

    /// Returns how many headers the caller gave.
    fn own_headers(&self) -> usize;

    /// Says whether Kafka could take such a record at all.
    fn check(&self) -> Result<(), InvalidRecord>;

    fn parts(&mut self) -> Parts<'_, K, V>;

    /// Has interceptors see the record, and change it. Returns false if they cannot, because it is only lent.
    fn intercept(&mut self, interceptors: &InterceptorChain<K, V>) -> bool;

    /// Makes it a record that can wait.
    fn into_record(self) -> ProducerRecord<K, V>;
}

/// What a serializer takes, and what it does not change.
#[derive(Debug)]
pub(super) struct Parts<'a, K, V> {
    pub(super) topic: &'a Topic,
    /// A serializer may add some.
    pub(super) headers: &'a mut Headers,
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<&'a K>,
    pub(super) value: Option<&'a V>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Fields<K, V> for ProducerRecord<K, V> {
    #[inline]
    fn topic(&self) -> &Topic {
        &self.topic
    }

    #[inline]
    fn handle(&self) -> Option<HandleId> {
        None
    }

    #[inline]
    fn partition(&self) -> Option<i32> {
        self.partition
    }

    #[inline]
    fn own_headers(&self) -> usize {
        self.headers.len()
    }

    #[inline]
    fn check(&self) -> Result<(), InvalidRecord> {
        self.check()
    }

    #[inline]
    fn parts(&mut self) -> Parts<'_, K, V> {
        let Self { topic, headers, timestamp, key, value, .. } = self;
        Parts { topic, headers, timestamp: *timestamp, key: key.as_ref(), value: value.as_ref() }
    }

    fn intercept(&mut self, interceptors: &InterceptorChain<K, V>) -> bool {
        let given = std::mem::replace(self, Self::to(""));
        *self = interceptors.on_send(given);
        true
    }

    #[inline]
    fn into_record(self) -> Self {
        self
    }
}

/// A key and a value that the caller lends.
#[derive(Debug)]
pub(super) struct Lent<'a, K, V> {
    handle: HandleId,
    topic: &'a Topic,
    key: Option<&'a K>,
    value: Option<&'a V>,
    /// Of serializers.
    headers: Headers,
}

impl<'a, K, V> Lent<'a, K, V> {
    #[inline]
    pub(super) fn new(handle: HandleId, topic: &'a Topic, key: Option<&'a K>, value: Option<&'a V>) -> Self {
        Self { handle, topic, key, value, headers: Headers::new() }
    }
}

impl<K, V> Fields<K, V> for Lent<'_, K, V>
where
    K: Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    #[inline]
    fn topic(&self) -> &Topic {
        self.topic
    }

    #[inline]
    fn handle(&self) -> Option<HandleId> {
        Some(self.handle)
    }

    #[inline]
    fn partition(&self) -> Option<i32> {
        None
    }

    #[inline]
    fn own_headers(&self) -> usize {
        0
    }

    #[inline]
    fn check(&self) -> Result<(), InvalidRecord> {
        InvalidRecord::check_topic(self.topic)
    }

    #[inline]
    fn parts(&mut self) -> Parts<'_, K, V> {
        let Self { topic, key, value, headers, .. } = self;
        Parts { topic, headers, timestamp: None, key: *key, value: *value }
    }

    fn intercept(&mut self, _: &InterceptorChain<K, V>) -> bool {
        false
    }

    #[cold]
    fn into_record(self) -> ProducerRecord<K, V> {
        let mut record = ProducerRecord::to(self.topic.clone());
        record.key = self.key.cloned();
        record.value = self.value.cloned();
        record.headers = self.headers;
        record
    }
}
