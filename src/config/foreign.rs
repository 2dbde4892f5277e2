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

/// Java's way to let the owner of a process bound what the author of a configuration may have it read.
const fn system(name: &'static str) -> ForeignKey {
    let remark = "this producer asks the URL and reads the files that its configuration names";
    ForeignKey { name, origin: "a system property of Java", instead: None, remark }
}

const fn removed(name: &'static str, instead: Option<&'static str>) -> ForeignKey {
    ForeignKey { name, origin: "no longer a key of Kafka", instead, remark: "" }
}

/// The keys of librdkafka that a producer may have and Kafka lacks, the best known ones of consumers, and those that
/// older producers had.
#[rustfmt::skip]
pub(crate) static FOREIGN_KEYS: &[ForeignKey] = &[
    librdkafka("api.version.request.timeout.ms", "request.timeout.ms", ""),
    librdkafka("batch.num.messages", "batch.size", "in bytes"),
    librdkafka("compression.codec", "compression.type", ""),
    librdkafka("compression.level", "compression.gzip.level", "or \"compression.zstd.level\""),
    librdkafka("enable.ssl.certificate.verification", "ssl.truststore.location", "which names whom to trust; certificates are always verified"),
    librdkafka("https.ca.location", "ssl.truststore.location", ""),
    librdkafka("https.ca.pem", "ssl.truststore.certificates", ""),
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
    librdkafka("sasl.kerberos.keytab", "sasl.jaas.config", "with keyTab in it"),
    librdkafka("sasl.kerberos.principal", "sasl.jaas.config", "with principal in it"),
    librdkafka("sasl.mechanisms", "sasl.mechanism", ""),
    librdkafka("sasl.oauthbearer.assertion.jwt.template.file", "sasl.oauthbearer.assertion.template.file", ""),
    librdkafka("sasl.oauthbearer.assertion.private.key.pem", "sasl.oauthbearer.assertion.private.key.file", "which names a file"),
    librdkafka("sasl.oauthbearer.client.id", "sasl.oauthbearer.client.credentials.client.id", ""),
    librdkafka("sasl.oauthbearer.client.secret", "sasl.oauthbearer.client.credentials.client.secret", ""),
    librdkafka("sasl.oauthbearer.config", "sasl.jaas.config", "with its options"),
    librdkafka("sasl.oauthbearer.extensions", "sasl.jaas.config", "with an option extension_… for each"),
    librdkafka("sasl.oauthbearer.grant.type", "sasl.oauthbearer.jwt.retriever.class", "which says how a token is got"),
    librdkafka("sasl.oauthbearer.metadata.authentication.type", "sasl.oauthbearer.jwt.retriever.class", "which says how a token is got"),
    librdkafka("sasl.oauthbearer.method", "sasl.oauthbearer.token.endpoint.url", "which alone asks for OIDC"),
    librdkafka("sasl.password", "sasl.jaas.config", "with password=\"…\" in it, or the builder's `sasl`"),
    librdkafka("sasl.username", "sasl.jaas.config", "with username=\"…\" in it, or the builder's `sasl`"),
    librdkafka("socket.receive.buffer.bytes", "receive.buffer.bytes", ""),
    librdkafka("socket.send.buffer.bytes", "send.buffer.bytes", ""),
    librdkafka("socket.timeout.ms", "request.timeout.ms", ""),
    librdkafka("ssl.ca.location", "ssl.truststore.location", "with ssl.truststore.type=PEM"),
    librdkafka("ssl.ca.pem", "ssl.truststore.certificates", "with ssl.truststore.type=PEM"),
    librdkafka("ssl.certificate.location", "ssl.keystore.location", "a file with certificates and key, with ssl.keystore.type=PEM"),
    librdkafka("ssl.certificate.pem", "ssl.keystore.certificate.chain", "with ssl.keystore.type=PEM"),
    librdkafka("ssl.key.location", "ssl.keystore.location", "a file with certificates and key, with ssl.keystore.type=PEM"),
    librdkafka("ssl.key.pem", "ssl.keystore.key", "with ssl.keystore.type=PEM"),
    librdkafka("ssl_ca", "ssl.truststore.certificates", "with ssl.truststore.type=PEM"),
    librdkafka("ssl_certificate", "ssl.keystore.certificate.chain", "with ssl.keystore.type=PEM"),
    librdkafka("ssl_key", "ssl.keystore.key", "with ssl.keystore.type=PEM"),
    librdkafka("topic.metadata.propagation.max.ms", "max.block.ms", ""),
    librdkafka("topic.metadata.refresh.fast.interval.ms", "retry.backoff.ms", ""),
    librdkafka("topic.metadata.refresh.interval.ms", "metadata.max.age.ms", ""),
    librdkafka_only("allow.auto.create.topics", "the brokers decide"),
    librdkafka_only("api.version.fallback.ms", "versions are always asked for"),
    librdkafka_only("api.version.request", "versions are always asked for"),
    librdkafka_only("background_event_cb", "there are no events to poll for"),
    librdkafka_only("broker.address.family", "a dialer chooses addresses: use the builder's `dialer`"),
    librdkafka_only("broker.address.ttl", "names are looked up for each connection"),
    librdkafka_only("broker.version.fallback", "versions are always asked for"),
    librdkafka_only("builtin.features", "the features are those of the crate `kafka-producer`"),
    librdkafka_only("closesocket_cb", "use the builder's `dialer`"),
    librdkafka_only("connect_cb", "use the builder's `dialer`"),
    librdkafka_only("debug", "logs go through the crate `tracing`"),
    librdkafka_only("default_topic_conf", "one configuration holds for all topics"),
    librdkafka_only("delivery.report.only.error", "each record has its own `Delivery`"),
    librdkafka_only("dr_cb", "await the `Delivery` of a record, or use the builder's `interceptor`"),
    librdkafka_only("dr_msg_cb", "await the `Delivery` of a record, or use the builder's `interceptor`"),
    librdkafka_only("enable.gapless.guarantee", "use the builder's `fail_stop`"),
    librdkafka_only("enable.random.seed", ""),
    librdkafka_only("enable.sasl.oauthbearer.unsecure.jwt", ""),
    librdkafka_only("enabled_events", "there are no events to poll for"),
    librdkafka_only("error_cb", "errors come with the records, and logs through the crate `tracing`"),
    librdkafka_only("interceptors", "use the builder's `interceptor`"),
    librdkafka_only("internal.termination.signal", ""),
    librdkafka_only("log.connection.close", "logs go through the crate `tracing`"),
    librdkafka_only("log.queue", "logs go through the crate `tracing`"),
    librdkafka_only("log.thread.name", "logs go through the crate `tracing`"),
    librdkafka_only("log_cb", "logs go through the crate `tracing`"),
    librdkafka_only("log_level", "logs go through the crate `tracing`"),
    librdkafka_only("message.copy.max.bytes", ""),
    librdkafka_only("msg_order_cmp", "records of a partition keep their order"),
    librdkafka_only("oauthbearer_token_refresh_cb", ""),
    librdkafka_only("opaque", "what a record needs can be kept beside its `Delivery`"),
    librdkafka_only("open_cb", ""),
    librdkafka_only("partitioner", "use the builder's `partitioner` with a `LibrdkafkaPartitioner`; without one keys go where Java's producer sends them (murmur2_random)"),
    librdkafka_only("partitioner_cb", "use the builder's `partitioner`"),
    librdkafka_only("plugin.library.paths", ""),
    librdkafka_only("produce.offset.report", "offsets are always reported"),
    librdkafka_only("queue.buffering.backpressure.threshold", ""),
    librdkafka_only("queuing.strategy", "records of a partition keep their order"),
    librdkafka_only("receive.message.max.bytes", "answers are bounded anyway"),
    librdkafka_only("resolve_cb", "use the builder's `dialer`"),
    librdkafka_only("socket.blocking.max.ms", ""),
    librdkafka_only("socket.keepalive.enable", "connections.max.idle.ms closes idle connections"),
    librdkafka_only("socket.max.fails", "a connection ends with its first failure"),
    librdkafka_only("socket.nagle.disable", "Nagle's algorithm is always off"),
    librdkafka_only("socket_cb", "use the builder's `dialer`"),
    librdkafka_only("ssl.ca.certificate.stores", "without a trust store that of the system counts"),
    librdkafka_only("ssl.certificate.verify_cb", ""),
    librdkafka_only("ssl.crl.location", ""),
    librdkafka_only("ssl.curves.list", ""),
    librdkafka_only("ssl.engine.id", "OpenSSL is not used"),
    librdkafka_only("ssl.engine.location", "OpenSSL is not used"),
    librdkafka_only("ssl.providers", "OpenSSL is not used"),
    librdkafka_only("ssl.sigalgs.list", ""),
    librdkafka_only("ssl_engine_callback_data", "OpenSSL is not used"),
    librdkafka_only("statistics.interval.ms", "use `KafkaProducer::metrics`"),
    librdkafka_only("stats_cb", "use `KafkaProducer::metrics`"),
    librdkafka_only("sticky.partitioning.linger.ms", ""),
    librdkafka_only("throttle_cb", ""),
    librdkafka_only("topic.blacklist", ""),
    librdkafka_only("topic.metadata.refresh.fast.cnt", ""),
    librdkafka_only("topic.metadata.refresh.sparse", "only topics in use are asked for"),
    consumer("auto.offset.reset"),
    consumer("enable.auto.commit"),
    consumer("fetch.min.bytes"),
    consumer("group.id"),
    consumer("isolation.level"),
    consumer("key.deserializer"),
    consumer("max.poll.records"),
    consumer("session.timeout.ms"),
    consumer("value.deserializer"),
    system("org.apache.kafka.sasl.oauthbearer.allowed.files"),
    system("org.apache.kafka.sasl.oauthbearer.allowed.urls"),
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

    /// A user who follows a hint is not to be refused again.
    #[test]
    fn no_hint_names_a_key_that_is_refused() {
        let hints = FOREIGN_KEYS.iter().map(|foreign| (foreign.name, foreign.note()));
        let refusals = keys::all().filter_map(|key| Some((key.name, format!("{:?}", key.refusal()?))));
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        for (name, hint) in hints.chain(refusals) {
            for word in hint.split(|c| !is_part(c)) {
                let refused = keys::find(word.trim_end_matches('.')).and_then(keys::Key::refusal);
                assert_eq!(refused, None, "{name}: {hint}");
            }
        }
    }

    /// What librdkafka 2.15 says of itself, of all that concerns producers.
    #[test]
    fn every_name_of_librdkafka_is_known() {
        let names = include_str!("librdkafka-2.15.txt").lines().filter(|line| !line.starts_with('#'));
        let is_known = |name: &&str| {
            keys::find(name).is_some() || FOREIGN_KEYS.iter().any(|foreign| foreign.name == *name)
        };
        let (known, unknown): (Vec<_>, Vec<_>) = names.partition(is_known);

        assert_eq!((known.len(), unknown), (157, Vec::<&str>::new()));
    }

    #[test]
    fn no_foreign_key_is_listed_twice() {
        let names: BTreeSet<_> = FOREIGN_KEYS.iter().map(|foreign| foreign.name).collect();

        assert_eq!(names.len(), FOREIGN_KEYS.len());
    }
}
