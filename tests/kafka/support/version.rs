//! The Kafka versions under test, and what differs between their jars.

/// A version of Apache Kafka that the tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The oldest that starts on Java 17: `ZooKeeper`, Produce v5, no zstd, no flexible versions.
    V1_0_2,
    /// The last years of `ZooKeeper`: Produce v9, no topic ids in Produce.
    V2_8_2,
    /// The last that can do without `KRaft`, which it does not do here; nothing removed yet of what Kafka 4 lacks.
    V3_9_2,
    /// The newest whose tools are published: `KRaft`, nothing below Produce v3.
    V4_3_1,
}

impl Version {
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::V1_0_2 => "1.0.2",
            Self::V2_8_2 => "2.8.2",
            Self::V3_9_2 => "3.9.2",
            Self::V4_3_1 => "4.3.1",
        }
    }

    /// The suffix of the broker's artifact name.
    pub(crate) const fn scala(self) -> &'static str {
        match self {
            Self::V1_0_2 => "2.12",
            Self::V2_8_2 | Self::V3_9_2 | Self::V4_3_1 => "2.13",
        }
    }

    /// Whether the brokers elect a controller among themselves, instead of asking `ZooKeeper`.
    pub(crate) const fn is_kraft(self) -> bool {
        matches!(self, Self::V3_9_2 | Self::V4_3_1)
    }

    /// Whether brokers can ask clients for metrics (KIP-714).
    pub(crate) const fn has_telemetry(self) -> bool {
        matches!(self, Self::V3_9_2 | Self::V4_3_1)
    }

    pub(crate) const fn console_consumer(self) -> &'static str {
        match self {
            Self::V1_0_2 | Self::V2_8_2 => "kafka.tools.ConsoleConsumer",
            Self::V3_9_2 | Self::V4_3_1 => "org.apache.kafka.tools.consumer.ConsoleConsumer",
        }
    }

    pub(crate) const fn console_producer(self) -> &'static str {
        match self {
            Self::V1_0_2 | Self::V2_8_2 | Self::V3_9_2 => "kafka.tools.ConsoleProducer",
            Self::V4_3_1 => "org.apache.kafka.tools.ConsoleProducer",
        }
    }

    /// What describes groups of consumers.
    pub(crate) const fn consumer_groups_command(self) -> &'static str {
        match self {
            Self::V1_0_2 | Self::V2_8_2 => "kafka.admin.ConsumerGroupCommand",
            Self::V3_9_2 | Self::V4_3_1 => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        }
    }

    /// What creates delegation tokens, since Kafka 1.1.
    pub(crate) const fn delegation_token_command(self) -> &'static str {
        match self {
            Self::V1_0_2 | Self::V2_8_2 => "kafka.admin.DelegationTokenCommand",
            Self::V3_9_2 | Self::V4_3_1 => "org.apache.kafka.tools.DelegationTokenCommand",
        }
    }

    pub(crate) const fn dump_log_segments(self) -> &'static str {
        match self {
            Self::V1_0_2 | Self::V2_8_2 | Self::V3_9_2 => "kafka.tools.DumpLogSegments",
            Self::V4_3_1 => "org.apache.kafka.tools.DumpLogSegments",
        }
    }

    /// The option of the console producer that names the brokers.
    pub(crate) const fn producer_bootstrap_option(self) -> &'static str {
        match self {
            Self::V1_0_2 => "--broker-list",
            Self::V2_8_2 | Self::V3_9_2 | Self::V4_3_1 => "--bootstrap-server",
        }
    }

    /// The option of the console producer that configures the reader of lines.
    pub(crate) const fn reader_option(self) -> &'static str {
        match self {
            Self::V1_0_2 | Self::V2_8_2 | Self::V3_9_2 => "--property",
            Self::V4_3_1 => "--reader-property",
        }
    }

    /// The option of the console consumer that configures what is printed.
    pub(crate) const fn formatter_option(self) -> &'static str {
        match self {
            Self::V1_0_2 | Self::V2_8_2 | Self::V3_9_2 => "--property",
            Self::V4_3_1 => "--formatter-property",
        }
    }

    /// Whether brokers check who has signed an access token.
    pub(crate) const fn checks_tokens(self) -> bool {
        matches!(self, Self::V3_9_2 | Self::V4_3_1)
    }

    /// Whether the console consumer can print partition, offset and headers.
    pub(crate) const fn prints_positions(self) -> bool {
        !matches!(self, Self::V1_0_2)
    }
}
