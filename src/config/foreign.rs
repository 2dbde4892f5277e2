//! Keys that people bring from elsewhere.

/// A key of another client, or of another part or version of Kafka.
#[derive(Debug)]
pub(crate) struct ForeignKey {
    pub(crate) name: &'static str,
    origin: &'static str,
    /// Kafka's key for about the same thing.
    pub(crate) instead: Option<&'static str>,
    /// What to know about the difference; may be empty.
    remark: &'static str,
}

impl ForeignKey {
    pub(crate) fn note(&self) -> String {
        let Self { origin, remark, .. } = self;
        match (self.instead, *remark) {
            (None, "") => (*origin).to_owned(),
            (None, remark) => format!("{origin}; {remark}"),
            (Some(key), "") => format!("{origin}; use {key:?}"),
            (Some(key), remark) => format!("{origin}; use {key:?}, {remark}"),
        }
    }
}

const fn librdkafka(name: &'static str, instead: &'static str, remark: &'static str) -> ForeignKey {
    ForeignKey { name, origin: "librdkafka's name", instead: Some(instead), remark }
}

const fn librdkafka_only(name: &'static str, remark: &'static str) -> ForeignKey {
    ForeignKey { name, origin: "only librdkafka has it", instead: None, remark }
}

const fn consumer(name: &'static str) -> ForeignKey {
    ForeignKey { name, origin: "a key for consumers", instead: None, remark: "" }
}

const fn removed(name: &'static str, instead: Option<&'static str>) -> ForeignKey {
    ForeignKey { name, origin: "no longer a key of Kafka", instead, remark: "" }
}

/// The keys of librdkafka that a producer may have and Kafka lacks, the best known ones of consumers, and those that
/// older producers had.
#[rustfmt::skip]
pub(crate) static FOREIGN_KEYS: &[ForeignKey] = &[
    librdkafka("batch.num.messages", "batch.size", "in bytes"),
    librdkafka("compression.codec", "compression.type", ""),
    librdkafka("compression.level", "compression.lz4.level", "or the one of another codec"),
    librdkafka("max.in.flight", "max.in.flight.requests.per.connection", ""),
    librdkafka("message.max.bytes", "max.request.size", ""),
    librdkafka("message.send.max.retries", "retries", ""),
    librdkafka("message.timeout.ms", "delivery.timeout.ms", ""),
    librdkafka("metadata.broker.list", "bootstrap.servers", ""),
    librdkafka("queue.buffering.max.kbytes", "buffer.memory", "in bytes"),
    librdkafka("queue.buffering.max.messages", "buffer.memory", "in bytes"),
    librdkafka("queue.buffering.max.ms", "linger.ms", ""),
    librdkafka("reconnect.backoff.jitter.ms", "reconnect.backoff.ms", ""),
    librdkafka("request.required.acks", "acks", ""),
    librdkafka("sasl.mechanisms", "sasl.mechanism", ""),
    librdkafka("sasl.password", "sasl.jaas.config", ""),
    librdkafka("sasl.username", "sasl.jaas.config", ""),
    librdkafka("socket.receive.buffer.bytes", "receive.buffer.bytes", ""),
    librdkafka("socket.send.buffer.bytes", "send.buffer.bytes", ""),
    librdkafka("socket.timeout.ms", "request.timeout.ms", ""),
    librdkafka("ssl.ca.location", "ssl.truststore.location", ""),
    librdkafka("ssl.ca.pem", "ssl.truststore.certificates", ""),
    librdkafka("ssl.certificate.location", "ssl.keystore.location", ""),
    librdkafka("ssl.certificate.pem", "ssl.keystore.certificate.chain", ""),
    librdkafka("ssl.key.location", "ssl.keystore.location", ""),
    librdkafka("ssl.key.pem", "ssl.keystore.key", ""),
    librdkafka("topic.metadata.propagation.max.ms", "max.block.ms", ""),
    librdkafka("topic.metadata.refresh.interval.ms", "metadata.max.age.ms", ""),
    librdkafka_only("allow.auto.create.topics", "the brokers decide"),
    librdkafka_only("api.version.request", "versions are always asked for"),
    librdkafka_only("broker.address.family", ""),
    librdkafka_only("broker.address.ttl", ""),
    librdkafka_only("broker.version.fallback", "versions are always asked for"),
    librdkafka_only("debug", "logs go through the crate `tracing`"),
    librdkafka_only("delivery.report.only.error", ""),
    librdkafka_only("enable.gapless.guarantee", ""),
    librdkafka_only("log_level", "logs go through the crate `tracing`"),
    librdkafka_only("message.copy.max.bytes", ""),
    librdkafka_only("partitioner", "use the builder's `partitioner`"),
    librdkafka_only("queue.buffering.backpressure.threshold", ""),
    librdkafka_only("queuing.strategy", ""),
    librdkafka_only("socket.keepalive.enable", ""),
    librdkafka_only("socket.nagle.disable", "Nagle's algorithm is always off"),
    librdkafka_only("statistics.interval.ms", ""),
    librdkafka_only("sticky.partitioning.linger.ms", ""),
    consumer("auto.offset.reset"),
    consumer("enable.auto.commit"),
    consumer("fetch.min.bytes"),
    consumer("group.id"),
    consumer("isolation.level"),
    consumer("key.deserializer"),
    consumer("max.poll.records"),
    consumer("session.timeout.ms"),
    consumer("value.deserializer"),
    removed("auto.include.jmx.reporter", None),
    removed("block.on.buffer.full", Some("max.block.ms")),
    removed("metadata.fetch.timeout.ms", Some("max.block.ms")),
    removed("timeout.ms", Some("request.timeout.ms")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::keys;
    use super::FOREIGN_KEYS;

    #[test]
    fn no_foreign_key_is_one_of_kafka() {
        for foreign in FOREIGN_KEYS {
            assert!(keys::find(foreign.name).is_none(), "{}", foreign.name);
        }
    }

    #[test]
    fn every_replacement_is_a_key_of_kafka() {
        for key in FOREIGN_KEYS.iter().filter_map(|foreign| foreign.instead) {
            assert!(keys::find(key).is_some(), "{key}");
        }
    }

    #[test]
    fn no_foreign_key_is_listed_twice() {
        let names: BTreeSet<_> = FOREIGN_KEYS.iter().map(|foreign| foreign.name).collect();

        assert_eq!(names.len(), FOREIGN_KEYS.len());
    }
}
