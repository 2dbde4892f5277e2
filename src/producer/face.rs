//! [`Face`]: what a handle knows of the types of its keys and values.

use std::sync::Arc;

use crate::delivery::AckObserver;
use crate::pipeline::{BoxError, InterceptorChain, ProducerInterceptor, Serializable, Serializer};
use crate::producer::KafkaProducer;
use crate::record::Headers;

/// The steps of the pipeline that depend on these types.
pub(super) struct Face<K, V> {
    pub(super) interceptors: Arc<InterceptorChain<K, V>>,
    /// The interceptors, as those who hear what becomes of records; `None` if there are none.
    pub(super) observer: Option<Arc<dyn AckObserver>>,
    pub(super) key_serializer: Box<dyn Serializer<K>>,
    pub(super) value_serializer: Box<dyn Serializer<V>>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Face<K, V> {
    pub(super) fn new(
        interceptors: InterceptorChain<K, V>,
        key_serializer: Box<dyn Serializer<K>>,
        value_serializer: Box<dyn Serializer<V>>,
    ) -> Self {
        let interceptors = Arc::new(interceptors);
        let is_observed = !interceptors.is_empty();
        let observer = is_observed.then(|| Arc::<InterceptorChain<K, V>>::clone(&interceptors) as _);
        Self { interceptors, observer, key_serializer, value_serializer }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> KafkaProducer<K, V> {
    /// Returns a handle of the same producer for records with keys and values of other types.
    ///
    /// All handles share one producer id, one `buffer.memory`, one background task and one connection per broker; their records may
    /// share batches, and keep their order within a partition. [`close`](Self::close), [`flush`](Self::flush),
    /// [`purge`](Self::purge) and [`metrics`](Self::metrics) are about the records of all of them. The new handle has no
    /// interceptors, because those of this one are for other types: [`with_interceptor`](Self::with_interceptor) adds some. An interceptor
    /// hears only of the records that were sent by its handle, and by clones of that.
    ///
    /// This allocates a little; keep the handle, or clone it, rather than make one for each record.
    ///
    /// ```no_run
    /// # async fn example(producer: kafka_producer::KafkaProducer) -> Result<(), Box<dyn std::error::Error>> {
    /// use kafka_producer::{LongSerializer, ProducerRecord, StringSerializer};
    ///
    /// let counts = producer.with_serializers::<String, i64>(StringSerializer, LongSerializer);
    /// counts.send(ProducerRecord::to("counts").key("apples").value(2)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_serializers<K2, V2>(
        &self,
        key: impl Serializer<K2>,
        value: impl Serializer<V2>,
    ) -> KafkaProducer<K2, V2>
    where
        K2: Send + Sync + 'static,
        V2: Send + Sync + 'static,
    {
        self.with_face(Face::new(InterceptorChain::new(), Box::new(key), Box::new(value)))
    }

    /// Returns a handle of the same producer for types that have serializers of their own, as
    /// [`with_serializers`](Self::with_serializers) does.
    ///
    /// Among them are bytes, which is what a failed record comes back as:
    ///
    /// ```no_run
    /// # async fn example(orders: kafka_producer::KafkaProducer<String, i64>) -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use kafka_producer::ProducerRecord;
    ///
    /// let bytes = orders.with_types::<Bytes, Bytes>();
    /// let delivery = orders.enqueue(ProducerRecord::to("orders").key("apples").value(2)).await?;
    /// if let Err(error) = delivery.await
    ///     && let Some(record) = error.record()
    /// {
    ///     bytes.send(record).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_types<K2, V2>(&self) -> KafkaProducer<K2, V2>
    where
        K2: Serializable + Send + Sync + 'static,
        V2: Serializable + Send + Sync + 'static,
    {
        self.with_serializers(K2::Serializer::default(), V2::Serializer::default())
    }

    /// Returns a handle of the same producer whose records also pass through this interceptor, after those that they pass through
    /// already (`interceptor.classes`).
    ///
    /// The interceptor hears only of the records that were sent by the new handle, by its clones, and by handles made of these with
    /// this method.
    #[must_use]
    pub fn with_interceptor(&self, interceptor: impl ProducerInterceptor<K, V>) -> Self {
        let (key, value) =
            (KeySerializerOf(Arc::clone(&self.face)), ValueSerializerOf(Arc::clone(&self.face)));
        let interceptors = self.face.interceptors.with(interceptor);
        self.with_face(Face::new(interceptors, Box::new(key), Box::new(value)))
    }

    fn with_face<K2, V2>(&self, face: Face<K2, V2>) -> KafkaProducer<K2, V2> {
        KafkaProducer { core: Arc::clone(&self.core), face: Arc::new(face) }
    }
}

/// The serializer for keys of another face.
struct KeySerializerOf<K, V>(Arc<Face<K, V>>);

/// The serializer for values of another face.
struct ValueSerializerOf<K, V>(Arc<Face<K, V>>);

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Serializer<K> for KeySerializerOf<K, V> {
    fn serialize<'a>(
        &self,
        topic: &str,
        headers: &mut Headers,
        data: &'a K,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        self.0.key_serializer.serialize(topic, headers, data, scratch)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Serializer<V> for ValueSerializerOf<K, V> {
    fn serialize<'a>(
        &self,
        topic: &str,
        headers: &mut Headers,
        data: &'a V,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        self.0.value_serializer.serialize(topic, headers, data, scratch)
    }
}

#[cfg(test)]
impl Default for Face<bytes::Bytes, bytes::Bytes> {
    fn default() -> Self {
        let serializer = || Box::new(crate::pipeline::BytesSerializer);
        Self::new(InterceptorChain::new(), serializer(), serializer())
    }
}
