//! A topic as `kafka-topics --describe` of Kafka 4 shows it.

use std::fmt::{self, Display, Formatter};

use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

/// What is known of a topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub(crate) name: String,
    /// `None` with brokers older than Kafka 2.8.
    pub(crate) id: Option<String>,
    pub(crate) is_internal: bool,
    /// Those that differ from Kafka's defaults.
    pub(crate) configs: Vec<(String, String)>,
    pub(crate) partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partition {
    pub(crate) id: i32,
    pub(crate) leader: Option<i32>,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
}

impl Description {
    pub(crate) fn new(topic: &MetadataResponseTopic) -> Self {
        let mut partitions: Vec<_> = topic.partitions.iter().map(Partition::new).collect();
        partitions.sort_by_key(|partition| partition.id);
        Self {
            name: topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default(),
            id: (!topic.topic_id.is_nil()).then(|| url_safe_base64(topic.topic_id.as_bytes())),
            is_internal: topic.is_internal,
            configs: Vec::new(),
            partitions,
        }
    }
}

impl Partition {
    fn new(partition: &MetadataResponsePartition) -> Self {
        let ids = |nodes: &[BrokerId]| nodes.iter().map(|node| node.0).collect();
        Self {
            id: partition.partition_index,
            leader: Some(partition.leader_id.0).filter(|leader| *leader >= 0),
            replicas: ids(&partition.replica_nodes),
            isr: ids(&partition.isr_nodes),
        }
    }
}

impl Display for Description {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Topic: {}", self.name)?;
        if let Some(id) = &self.id {
            write!(f, "\tTopicId: {id}")?;
        }
        let factor = self.partitions.first().map_or(0, |first| first.replicas.len());
        let configs: Vec<_> = self.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        write!(f, "\tPartitionCount: {}\tReplicationFactor: {factor}", self.partitions.len())?;
        writeln!(f, "\tConfigs: {}", configs.join(","))?;
        for Partition { id, leader, replicas, isr } in &self.partitions {
            let leader = leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
            write!(f, "\tTopic: {}\tPartition: {id}\tLeader: {leader}", self.name)?;
            // Metadata does not tell the eligible leaders, which Kafka's tool writes so.
            writeln!(f, "\tReplicas: {}\tIsr: {}\tElr: N/A\tLastKnownElr: N/A", join(replicas), join(isr))?;
        }
        Ok(())
    }
}

fn join(nodes: &[i32]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// How Kafka writes ids: without padding.
fn url_safe_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letters = (0..=group.len()).map(|at| char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]));
        text.extend(letters);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_as_kafkas_tool_shows_it() {
        let description = Description {
            name: "orders".to_owned(),
            id: Some("sBiVnj8rQLS8WGRrbQGV0w".to_owned()),
            configs: vec![("min.insync.replicas".to_owned(), "2".to_owned())],
            partitions: vec![
                Partition { id: 0, leader: Some(1), replicas: vec![1, 2], isr: vec![1, 2] },
                Partition { id: 1, leader: None, replicas: vec![2, 1], isr: vec![2] },
            ],
            ..Description::default()
        };

        assert_eq!(
            description.to_string(),
            "Topic: orders\tTopicId: sBiVnj8rQLS8WGRrbQGV0w\tPartitionCount: 2\tReplicationFactor: 2\
             \tConfigs: min.insync.replicas=2\n\
             \tTopic: orders\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\tElr: N/A\tLastKnownElr: N/A\n\
             \tTopic: orders\tPartition: 1\tLeader: none\tReplicas: 2,1\tIsr: 2\tElr: N/A\tLastKnownElr: N/A\n"
        );
    }

    #[test]
    fn ids_are_written_in_base64_without_padding() {
        assert_eq!(url_safe_base64(b"light w"), "bGlnaHQgdw");
        assert_eq!(url_safe_base64(b"light wo"), "bGlnaHQgd28");
        assert_eq!(url_safe_base64(b"light wor"), "bGlnaHQgd29y");
        assert_eq!(url_safe_base64(&[0xfb, 0xff]), "-_8");
    }
}
