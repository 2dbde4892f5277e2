//! Kafka's own partitioners, by the names of their Java classes.

use super::ConfigReason;
use super::kind::Kind;
use super::property::Property;

/// `partitioner.class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartitionerClass {
    /// The logic that is used without a class.
    BuiltIn,
    /// The same by the name of the class that it has replaced (KIP-794).
    Default,
    RoundRobin,
    /// The built-in logic, for records with a key as well.
    UniformSticky,
}

impl PartitionerClass {
    pub(crate) const KNOWN: [Self; 3] = [Self::Default, Self::RoundRobin, Self::UniformSticky];

    const fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "",
            Self::Default => "org.apache.kafka.clients.producer.internals.DefaultPartitioner",
            Self::RoundRobin => "org.apache.kafka.clients.producer.RoundRobinPartitioner",
            Self::UniformSticky => "org.apache.kafka.clients.producer.UniformStickyPartitioner",
        }
    }
}

impl Property for PartitionerClass {
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        let known = Self::KNOWN.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| {
            ConfigReason::JavaOnly(
                "Java classes cannot be loaded, use the builder's `partitioner`; RoundRobinPartitioner, \
                 DefaultPartitioner and UniformStickyPartitioner of Kafka are known"
                    .to_owned(),
            )
        })
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.name().to_owned()
    }
}
