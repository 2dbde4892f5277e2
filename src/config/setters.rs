//! The typed setters, written once for the configuration and for every builder that holds one.

/// Writes the setters into an `impl` block: `config_setters!()` for [`ProducerConfig`](super::ProducerConfig) itself,
/// `config_setters!(config)` for a type with one in its field `config`.
macro_rules! config_setters {
    ($($config:ident)?) => {
        /// Sets which replicas must have a batch before it counts as delivered (`acks`, default all).
        ///
        /// With [`All`](crate::Acks::All) an acknowledged record survives the loss of any broker as long as
        /// one in-sync replica lives. [`Leader`](crate::Acks::Leader) saves one round trip between brokers;
        /// if the leader dies, the records that it had not passed on are lost. With [`None`](crate::Acks::None)
        /// records may be lost without an error.
        #[must_use]
        pub fn acks(mut self, acks: $crate::Acks) -> Self {
            self$(.$config)?.set("acks", acks, |settings| &mut settings.acks);
            self
        }

        /// Sets how many bytes of records are gathered for one partition before they are sent (`batch.size`, default 16384 bytes).
        ///
        /// From 0 to 2147483647. Unlike the Java client, the producer refuses a value above
        /// [`buffer_memory`](Self::buffer_memory). 0 sends every record alone, which costs one request for
        /// each. Large batches compress better and take more memory for each partition. A record larger than
        /// this goes into a batch of its own.
        ///
        /// With compression this is the size after compression, estimated from the topic's earlier batches
        /// (KIP-126): if these shrank to a quarter, a batch takes up to four times as many bytes of records,
        /// but no more than [`max_request_size`](Self::max_request_size), and only while memory is free.
        #[must_use]
        pub fn batch_size(mut self, bytes: usize) -> Self {
            self$(.$config)?.set("batch.size", bytes, |settings| &mut settings.batch_size);
            self
        }

        /// Sets how long the producer looks for an address of a name in `bootstrap.servers` before callers hear of it
        /// (`bootstrap.resolve.timeout.ms`, default 0).
        ///
        /// The producer looks names up in the background, again and again (KIP-909). If none of them has had an address for so long
        /// since it was built, calls that wait for metadata fail with
        /// [`SendErrorKind::BootstrapUnresolved`](crate::SendErrorKind::BootstrapUnresolved) instead of waiting for
        /// [`max_block`](Self::max_block). The producer goes on looking, and accepts records once a name has an address. With 0
        /// there is no such limit; Java's producer with 0 resolves the names while it is built, and fails there.
        #[must_use]
        pub fn bootstrap_resolve_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("bootstrap.resolve.timeout.ms", timeout, |settings| &mut settings.bootstrap_resolve_timeout);
            self
        }

        /// Sets how long a transaction may take before the coordinator aborts it (`transaction.timeout.ms`, default 60 s).
        ///
        /// From 0 to 2147483647 ms. Brokers refuse 0, and more than their `transaction.max.timeout.ms`, which is 15 minutes unless it is
        /// set otherwise. A producer whose transaction was aborted by the coordinator is fenced.
        #[must_use]
        pub fn transaction_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("transaction.timeout.ms", timeout, |settings| &mut settings.transaction_timeout);
            self
        }

        /// Sets the name under which the producer writes transactions (`transactional.id`, default none).
        ///
        /// It is the same after a restart, and no other producer has it at the same time: see
        /// [`TransactionalProducer`](crate::TransactionalProducer). Build the producer with
        /// [`build_transactional`](crate::KafkaProducerBuilder::build_transactional).
        #[must_use]
        pub fn transactional_id(mut self, id: impl Into<String>) -> Self {
            self$(.$config)?.set("transactional.id", id.into(), |settings| &mut settings.transactional_id);
            self
        }

        /// Sets the brokers to ask first: text as Kafka writes it, which is `host:port`, separated by commas, or a list of these
        /// (`bootstrap.servers`, required).
        ///
        /// One living broker is enough, because it names the others. With two or three, the producer can also
        /// start while one of them restarts. An IPv6 address stands in brackets, as in `[::1]:9092`.
        /// `PLAINTEXT://` may stand before an address. The producer resolves names when it connects, so a name
        /// that cannot be resolved yet is no error.
        #[must_use]
        pub fn bootstrap_servers(mut self, servers: impl Into<$crate::BootstrapServers>) -> Self {
            self$(.$config)?.set_property("bootstrap.servers", servers.into().as_str());
            self
        }

        /// Sets how many bytes of records may wait for being sent or acknowledged (`buffer.memory`, default 33554432 bytes).
        ///
        /// At least [`batch_size`](Self::batch_size). When the memory is full, sending waits, for
        /// [`max_block`](Self::max_block) at most. With little memory, records do not wait long behind others
        /// for a slow broker; with much memory, the producer accepts records through longer outages.
        ///
        /// Unlike in Java, partitions share the memory by a rule. As long as there is memory, a partition may
        /// have one batch. To get more, its share of the memory must be at most twice the square of the share
        /// that stays free: one partition alone can take half, and each may take less when less is free.
        /// So partitions without a leader, or with a slow one, leave memory for the others: *n* of them leave
        /// about 1/(2*n*). Calls that wait for memory for one partition get it in their order. Among
        /// partitions, the one that holds least comes first.
        #[must_use]
        pub fn buffer_memory(mut self, bytes: usize) -> Self {
            self$(.$config)?.set("buffer.memory", bytes, |settings| &mut settings.buffer_memory);
            self
        }

        /// Sets the name under which brokers log, count and throttle this client (`client.id`, default `producer-` and a
        /// number, or the `transactional.id`).
        ///
        /// At most 32767 bytes.
        #[must_use]
        pub fn client_id(mut self, name: impl Into<String>) -> Self {
            self$(.$config)?.set("client.id", name.into(), |settings| &mut settings.client_id);
            self
        }

        /// Sets the rack that this client is in (`client.rack`, default none).
        ///
        /// At most 32767 bytes. It has an effect only with [`partitioner_rack_aware`](Self::partitioner_rack_aware).
        #[must_use]
        pub fn client_rack(mut self, rack: impl Into<String>) -> Self {
            self$(.$config)?.set("client.rack", rack.into(), |settings| &mut settings.client_rack);
            self
        }

        /// Sets the codec that batches are compressed with (`compression.type`, default none).
        ///
        /// LZ4 and snappy cost little time and often halve what goes over the network and onto the brokers' disks.
        /// zstd and gzip make batches about a third smaller than that; zstd takes twice as long, gzip ten times,
        /// and both are spread over all cores. Larger batches compress better. A batch that gets no smaller is
        /// sent uncompressed.
        ///
        /// gzip, snappy and zstd need the crate's feature of that name. zstd also needs brokers of Kafka 2.1 or
        /// newer.
        #[must_use]
        pub fn compression(mut self, compression: $crate::Compression) -> Self {
            self$(.$config)?.set("compression.type", compression, |settings| &mut settings.compression);
            self
        }

        /// Sets how small gzip makes batches, and how slowly (`compression.gzip.level`, default -1).
        ///
        /// 1 is the fastest and 9 the slowest. -1 is 3, of which batches come out 2 % larger than of 6, in nearly half the time; Java's
        /// library takes 6 for it. It has no effect on other codecs.
        #[must_use]
        pub fn compression_gzip_level(mut self, level: i32) -> Self {
            let level = $crate::config::GzipLevel(level);
            self$(.$config)?.set("compression.gzip.level", level, |settings| &mut settings.compression_gzip_level);
            self
        }

        /// Sets how small zstd makes batches, and how slowly (`compression.zstd.level`, default 3).
        ///
        /// From -131072, the fastest, to 22; 0 counts as 3. The highest levels take a hundred times as long as 3,
        /// and tens of megabytes of memory for each core. It has no effect on other codecs.
        #[must_use]
        pub fn compression_zstd_level(mut self, level: i32) -> Self {
            self$(.$config)?.set("compression.zstd.level", level, |settings| &mut settings.compression_zstd_level);
            self
        }

        /// Sets how long a connection may be idle before it is closed (`connections.max.idle.ms`, default 540 s).
        ///
        /// `None`, Kafka's -1, never closes one. Many brokers and firewalls close idle connections themselves
        /// after ten minutes; the next record then pays for a new one.
        #[must_use]
        pub fn connections_max_idle(mut self, idle: Option<::std::time::Duration>) -> Self {
            self$(.$config)?.set("connections.max.idle.ms", idle, |settings| &mut settings.connections_max_idle);
            self
        }

        /// Sets how long a record may take from being accepted to being acknowledged, with all retries (`delivery.timeout.ms`, default 120 s).
        ///
        /// At most 2147483647 ms, and at least [`linger`](Self::linger) +
        /// [`request_timeout`](Self::request_timeout). The producer refuses a shorter one; if you set none, it
        /// raises the default to that sum. With a short timeout records fail while brokers elect a leader; with
        /// a long one the producer keeps records in memory through an outage. A record that timed out may have
        /// been written.
        #[must_use]
        pub fn delivery_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("delivery.timeout.ms", timeout, |settings| &mut settings.delivery_timeout);
            self
        }

        /// Sets whether brokers recognise a batch that the producer sends again (`enable.idempotence`, default true).
        ///
        /// With it a record is in the log once, in order, whatever is lost on the way. It needs
        /// [`Acks::All`](crate::Acks::All), retries, and at most five
        /// [requests in flight](Self::max_in_flight_requests_per_connection): if you set it to true together
        /// with other values of these, the configuration is refused. If you do not set it and choose other
        /// [`acks`](Self::acks), it is off.
        ///
        /// Without it a batch whose answer was lost may be written twice. With `acks=1` or `all`, records stay in
        /// order, because the producer then sends one batch of a partition at a time.
        #[must_use]
        pub fn enable_idempotence(mut self, enable: bool) -> Self {
            self$(.$config)?.set("enable.idempotence", enable, |settings| &mut settings.enable_idempotence);
            self
        }

        /// Sets whether the producer pushes metrics to brokers that ask for them (`enable.metrics.push`, default true; KIP-714).
        ///
        /// That needs the feature `telemetry`: without it, nothing is pushed, and the configuration is refused if you set this to true.
        /// Brokers ask if their operators have subscribed to metrics of clients; otherwise nothing is pushed either. The last push is when
        /// the producer is closed, which waits for it for at most a second.
        #[must_use]
        pub fn enable_metrics_push(mut self, enable: bool) -> Self {
            self$(.$config)?.set("enable.metrics.push", enable, |settings| &mut settings.enable_metrics_push);
            self
        }

        /// Sets how long a batch waits for more records before it is sent (`linger.ms`, default 5 ms).
        ///
        /// Fractions of a millisecond are kept; more than 2147483647 ms count as that many. With zero, a batch
        /// goes as soon as a connection is free; under light load, batches are then small. A full batch does
        /// not wait for it. With 5 ms or more, a full batch may wait for a tick of the runtime's timer, one to
        /// two milliseconds, while other requests are under way.
        ///
        /// If you do not set it, a batch goes at once when each of its records is awaited (its
        /// [`Delivery`](crate::Delivery) has been polled) and nothing is under way to its broker; while
        /// something is, records gather. Java's default makes a caller wait in this case, too. If you set
        /// it, even to 5 ms, every batch waits.
        #[must_use]
        pub fn linger(mut self, linger: ::std::time::Duration) -> Self {
            self$(.$config)?.set("linger.ms", linger, |settings| &mut settings.linger);
            self
        }

        /// Sets how long sending may wait for the metadata of a topic and for memory, both together (`max.block.ms`, default 60 s).
        ///
        /// Zero never waits: sending then fails for a topic that is not known yet and whenever the buffer is
        /// full.
        #[must_use]
        pub fn max_block(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("max.block.ms", timeout, |settings| &mut settings.max_block);
            self
        }

        /// Sets how many requests may be unanswered on one connection (`max.in.flight.requests.per.connection`, default 5).
        ///
        /// From 1 to 5, or to 2147483647 once [idempotence](Self::enable_idempotence) is switched off
        /// explicitly. 1 costs a round trip between any two requests to a broker.
        #[must_use]
        pub fn max_in_flight_requests_per_connection(mut self, requests: usize) -> Self {
            self$(.$config)?.set("max.in.flight.requests.per.connection", requests, |settings| &mut settings.max_in_flight_requests_per_connection);
            self
        }

        /// Sets how many bytes one record, and the batches of one request, may have before compression (`max.request.size`, default 1048576 bytes).
        ///
        /// At most 2147483647. A broker refuses batches larger than its own `message.max.bytes`, also about 1
        /// MiB unless changed. It may exceed [`buffer_memory`](Self::buffer_memory): a record must fit both.
        #[must_use]
        pub fn max_request_size(mut self, bytes: usize) -> Self {
            self$(.$config)?.set("max.request.size", bytes, |settings| &mut settings.max_request_size);
            self
        }

        /// Sets whether brokers are told which broker of which cluster the producer means to reach (`metadata.cluster.check.enable`,
        /// default true).
        ///
        /// A broker of Kafka 4.4 or newer that is another one says so (KIP-1242), and the producer begins anew with
        /// [`bootstrap_servers`](Self::bootstrap_servers). This finds addresses that have come to stand for another broker. It
        /// has no effect with [`metadata_recovery_strategy`](Self::metadata_recovery_strategy) `None`, and none on older
        /// brokers.
        #[must_use]
        pub fn metadata_cluster_check(mut self, check: bool) -> Self {
            self$(.$config)?.set("metadata.cluster.check.enable", check, |settings| &mut settings.metadata_cluster_check);
            self
        }

        /// Sets how old the knowledge of topics and brokers may grow before it is refreshed (`metadata.max.age.ms`, default 300 s).
        ///
        /// It bounds how late new partitions are noticed; moved leaders are noticed at once. Zero refreshes
        /// without pause.
        #[must_use]
        pub fn metadata_max_age(mut self, age: ::std::time::Duration) -> Self {
            self$(.$config)?.set("metadata.max.age.ms", age, |settings| &mut settings.metadata_max_age);
            self
        }

        /// Sets how long a topic is remembered after its last record (`metadata.max.idle.ms`, default 300 s).
        ///
        /// At least 5000 ms. The first record after that waits for metadata again. If brokers do not describe a
        /// topic and no call waits for it, it may be forgotten earlier: the producer remembers at most a thousand
        /// topics of this kind.
        #[must_use]
        pub fn metadata_max_idle(mut self, idle: ::std::time::Duration) -> Self {
            self$(.$config)?.set("metadata.max.idle.ms", idle, |settings| &mut settings.metadata_max_idle);
            self
        }

        /// Sets how long the producer tries to get metadata before it begins again with `bootstrap.servers` (`metadata.recovery.rebootstrap.trigger.ms`, default 300 s).
        ///
        /// It has an effect only with the recovery strategy
        /// [`Rebootstrap`](crate::MetadataRecoveryStrategy::Rebootstrap). With zero, the producer begins again at
        /// the first failure.
        #[must_use]
        pub fn metadata_recovery_rebootstrap_trigger(mut self, after: ::std::time::Duration) -> Self {
            self$(.$config)?.set("metadata.recovery.rebootstrap.trigger.ms", after, |settings| &mut settings.metadata_recovery_rebootstrap_trigger);
            self
        }

        /// Sets what to do when no known broker can be reached (`metadata.recovery.strategy`, default rebootstrap).
        ///
        /// With `rebootstrap` the producer goes back to `bootstrap.servers` when metadata is due, an attempt to
        /// connect to each known broker has failed, and the connection to the bootstrap server is lost, too. With
        /// `none` the producer keeps to the brokers that it knows: if all brokers of the cluster get new
        /// addresses, it cannot find them.
        #[must_use]
        pub fn metadata_recovery_strategy(mut self, strategy: $crate::MetadataRecoveryStrategy) -> Self {
            self$(.$config)?.set("metadata.recovery.strategy", strategy, |settings| &mut settings.metadata_recovery_strategy);
            self
        }

        /// Sets whether records without a key prefer partitions with shorter queues (`partitioner.adaptive.partitioning.enable`, default true).
        ///
        /// If not, all partitions get the same share of the records, and records for a slow broker fill the
        /// memory. It has no effect on a partitioner of your own.
        #[must_use]
        pub fn partitioner_adaptive_partitioning(mut self, enable: bool) -> Self {
            self$(.$config)?.set("partitioner.adaptive.partitioning.enable", enable, |settings| &mut settings.partitioner_adaptive_partitioning);
            self
        }

        /// Sets how long a broker may take no batches before records without a key avoid its partitions (`partitioner.availability.timeout.ms`, default 0: for ever).
        ///
        /// It has an effect only with [adaptive partitioning](Self::partitioner_adaptive_partitioning), and none on
        /// a partitioner of your own.
        #[must_use]
        pub fn partitioner_availability_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("partitioner.availability.timeout.ms", timeout, |settings| &mut settings.partitioner_availability_timeout);
            self
        }

        /// Sets the partitioner by the name of Kafka's class for it (`partitioner.class`, default none).
        ///
        /// Java classes cannot be loaded, but those of Kafka have counterparts:
        /// `org.apache.kafka.clients.producer.RoundRobinPartitioner` is
        /// [`RoundRobinPartitioner`](crate::RoundRobinPartitioner). `…clients.producer.UniformStickyPartitioner` is the
        /// built-in logic with [`partitioner_ignore_keys`](Self::partitioner_ignore_keys), and
        /// `…clients.producer.internals.DefaultPartitioner` the built-in logic as it is; Kafka 4 has neither any
        /// more. A partitioner that is given to the builder itself takes precedence, whatever
        /// class is named here.
        #[must_use]
        pub fn partitioner_class(mut self, class: impl Into<String>) -> Self {
            self$(.$config)?.set_property("partitioner.class", &class.into());
            self
        }

        /// Sets whether records with a key are spread like those without (`partitioner.ignore.keys`, default false).
        ///
        /// If so, records with equal keys go to any partition and lose their order.
        #[must_use]
        pub fn partitioner_ignore_keys(mut self, ignore: bool) -> Self {
            self$(.$config)?.set("partitioner.ignore.keys", ignore, |settings| &mut settings.partitioner_ignore_keys);
            self
        }

        /// Sets whether records without a key stay in the rack of the producer if they can (`partitioner.rack.aware`, default
        /// false).
        ///
        /// They then go to partitions whose leader has the `broker.rack` that [`client_rack`](Self::client_rack) names, as long as
        /// there is one that takes records, and to the others otherwise (KIP-1123). This saves traffic between zones, and fills the
        /// partitions as unevenly as the producers are spread over racks. It has no effect on records with a key, and none on a
        /// partitioner of your own.
        #[must_use]
        pub fn partitioner_rack_aware(mut self, aware: bool) -> Self {
            self$(.$config)?.set("partitioner.rack.aware", aware, |settings| &mut settings.partitioner_rack_aware);
            self
        }

        /// Sets the size of the receive buffer of each socket (`receive.buffer.bytes`, default 32768 bytes).
        ///
        /// At most 2147483647. With `None`, Kafka's -1, the operating system chooses the size.
        #[must_use]
        pub fn receive_buffer(mut self, bytes: Option<usize>) -> Self {
            self$(.$config)?.set("receive.buffer.bytes", bytes, |settings| &mut settings.receive_buffer);
            self
        }

        /// Sets how long to wait before connecting to a broker again after the first failure (`reconnect.backoff.ms`, default 50 ms).
        ///
        /// It doubles with each failure up to [`reconnect_backoff_max`](Self::reconnect_backoff_max), give or
        /// take 20 %. If you set this and not the maximum, it does not grow. If the maximum is smaller, the
        /// maximum counts. With zero, the producer tries again without pause.
        #[must_use]
        pub fn reconnect_backoff(mut self, backoff: ::std::time::Duration) -> Self {
            self$(.$config)?.set("reconnect.backoff.ms", backoff, |settings| &mut settings.reconnect_backoff);
            self
        }

        /// Sets the longest wait before connecting to a broker again (`reconnect.backoff.max.ms`, default 1000 ms).
        ///
        /// See [`reconnect_backoff`](Self::reconnect_backoff).
        #[must_use]
        pub fn reconnect_backoff_max(mut self, backoff: ::std::time::Duration) -> Self {
            self$(.$config)?.set("reconnect.backoff.max.ms", backoff, |settings| &mut settings.reconnect_backoff_max);
            self
        }

        /// Sets how long to wait for the answer to one request (`request.timeout.ms`, default 30 s).
        ///
        /// At most 2147483647 ms. With a short timeout the producer reacts sooner to a broker that hangs. If it
        /// is below the brokers' `replica.lag.time.max.ms` (30 s), a slow replica causes retries.
        #[must_use]
        pub fn request_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("request.timeout.ms", timeout, |settings| &mut settings.request_timeout);
            self
        }

        /// Sets how often a batch is sent again after a failure that may pass (`retries`, default 2147483647).
        ///
        /// At most 2147483647. [`delivery_timeout`](Self::delivery_timeout) is the better limit: leave this at
        /// its default. With 0, records fail whenever the leader of a partition moves.
        #[must_use]
        pub fn retries(mut self, retries: u32) -> Self {
            self$(.$config)?.set("retries", retries, |settings| &mut settings.retries);
            self
        }

        /// Sets how long to wait before the first retry of a request (`retry.backoff.ms`, default 100 ms).
        ///
        /// It doubles with each attempt up to [`retry_backoff_max`](Self::retry_backoff_max), give or take 20
        /// %; if the maximum is smaller, the maximum counts. The producer asks for metadata at the same pace.
        /// With zero, it retries without pause.
        #[must_use]
        pub fn retry_backoff(mut self, backoff: ::std::time::Duration) -> Self {
            self$(.$config)?.set("retry.backoff.ms", backoff, |settings| &mut settings.retry_backoff);
            self
        }

        /// Sets the longest wait before a retry of a request (`retry.backoff.max.ms`, default 1000 ms).
        ///
        /// See [`retry_backoff`](Self::retry_backoff).
        #[must_use]
        pub fn retry_backoff_max(mut self, backoff: ::std::time::Duration) -> Self {
            self$(.$config)?.set("retry.backoff.max.ms", backoff, |settings| &mut settings.retry_backoff_max);
            self
        }

        /// Sets who the producer says that it is, and how it proves that (`sasl.mechanism` and `sasl.jaas.config`, default none).
        ///
        /// It counts only if [`security_protocol`](Self::security_protocol) asks for it.
        #[must_use]
        pub fn sasl(mut self, sasl: $crate::Sasl) -> Self {
            self$(.$config)?.set_sasl(sasl);
            self
        }

        /// Sets how brokers are spoken to (`security.protocol`, default PLAINTEXT).
        ///
        /// With `Ssl` and `SaslSsl` connections are encrypted, as [`tls`](Self::tls) says; both need the feature `tls`. With
        /// `SaslPlaintext` and `SaslSsl` brokers are told who the producer is, by [`sasl`](Self::sasl).
        #[must_use]
        pub fn security_protocol(mut self, protocol: $crate::SecurityProtocol) -> Self {
            self$(.$config)?.set("security.protocol", protocol, |settings| &mut settings.security_protocol);
            self
        }

        /// Sets the size of the send buffer of each socket (`send.buffer.bytes`, default 131072 bytes).
        ///
        /// At most 2147483647. With `None`, Kafka's -1, the operating system chooses the size; on connections that
        /// are fast and have long round trips its choice is better.
        #[must_use]
        pub fn send_buffer(mut self, bytes: Option<usize>) -> Self {
            self$(.$config)?.set("send.buffer.bytes", bytes, |settings| &mut settings.send_buffer);
            self
        }

        /// Sets how long the first attempt to connect to a broker may take (`socket.connection.setup.timeout.ms`, default 10 s).
        ///
        /// It covers all that comes before the first request: TCP, TLS, the question which versions the broker speaks, and SASL.
        /// It doubles with each failure up to
        /// [`socket_connection_setup_timeout_max`](Self::socket_connection_setup_timeout_max), give or take
        /// 20 %; if the maximum is smaller, the maximum counts. With zero, every attempt fails.
        #[must_use]
        pub fn socket_connection_setup_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("socket.connection.setup.timeout.ms", timeout, |settings| &mut settings.socket_connection_setup_timeout);
            self
        }

        /// Sets how long any attempt to connect to a broker may take (`socket.connection.setup.timeout.max.ms`, default 30 s).
        ///
        /// See [`socket_connection_setup_timeout`](Self::socket_connection_setup_timeout).
        #[must_use]
        pub fn socket_connection_setup_timeout_max(mut self, timeout: ::std::time::Duration) -> Self {
            self$(.$config)?.set("socket.connection.setup.timeout.max.ms", timeout, |settings| &mut settings.socket_connection_setup_timeout_max);
            self
        }

        /// Sets whom the producer trusts and what it shows to brokers when it encrypts connections (all keys that begin with `ssl.`).
        ///
        /// It replaces what was set for these keys before. It counts only if
        /// [`security_protocol`](Self::security_protocol) asks for TLS.
        #[must_use]
        pub fn tls(mut self, tls: $crate::Tls) -> Self {
            self$(.$config)?.set_tls(tls);
            self
        }

        /// Sets the properties of a map by Kafka's names; see [`property`](Self::property).
        #[must_use]
        pub fn properties<Name, Value>(mut self, properties: impl IntoIterator<Item = (Name, Value)>) -> Self
        where
            Name: AsRef<str>,
            Value: AsRef<str>,
        {
            for (key, value) in properties {
                self$(.$config)?.set_property(key.as_ref(), value.as_ref());
            }
            self
        }

        /// Sets a property by Kafka's name, to a value as Kafka writes it: `property("linger.ms", "20")`.
        ///
        /// Blanks around the value do not count. Times are whole numbers of milliseconds. This method accepts any
        /// key and value. [`validate`](crate::ProducerConfig::validate) and the building of a producer refuse keys
        /// that Kafka does not have, and keys and values for features that this crate does not have.
        #[must_use]
        pub fn property(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
            self$(.$config)?.set_property(key.as_ref(), value.as_ref());
            self
        }
    };
}

pub(crate) use config_setters;
