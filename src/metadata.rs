//! What the producer knows of the cluster: brokers, topics, partitions and their leaders.

mod cluster;
mod node;
mod topic_info;

pub use self::cluster::Cluster;
pub use self::node::Node;
pub use self::topic_info::{PartitionInfo, TopicInfo};
