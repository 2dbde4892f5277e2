//! [`LibrdkafkaPartitioner`]: the partitioners of librdkafka, and Sarama's.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;

use super::{Partitioner, PartitionerRecord, partition_for_key};
use crate::metadata::Cluster;
use crate::pipeline::BoxError;

/// Sends each key where librdkafka sends it, for topics that clients built on librdkafka write to as well: rdkafka, confluent-kafka for
/// Python, Go and .NET, and others.
///
/// **These clients send a key elsewhere than this crate and Java's do, unless they are told otherwise.** Their default is
/// [`ConsistentRandom`](Self::ConsistentRandom), which hashes with CRC-32; that of Kafka's own producers, and of this crate without a
/// partitioner, hashes with murmur2 ([`partition_for_key`]). Sarama for Go has a third default, which is [`Fnv1aRandom`](Self::Fnv1aRandom).
/// Two producers of one topic that do not agree write the records of one key to two partitions, where their order is lost. The guide to
/// migration says how to move a topic from one to the other.
///
/// `FromStr` reads the names that librdkafka's property `partitioner` has for them, and `Display` writes these.
///
/// A random partition is chosen for each record alone, which makes small batches: this crate's own way for records without a key fills one
/// batch after the other.
///
/// ```
/// use kafka_producer::{KafkaProducer, LibrdkafkaPartitioner};
///
/// # fn example() -> Result<(), kafka_producer::BuildError> {
/// let producer = KafkaProducer::builder()
///     .bootstrap_servers("localhost:9092")
///     .partitioner(LibrdkafkaPartitioner::ConsistentRandom)
///     .build()?;
/// # drop(producer);
/// # Ok(())
/// # }
/// assert_eq!("consistent_random".parse(), Ok(LibrdkafkaPartitioner::ConsistentRandom));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LibrdkafkaPartitioner {
    /// A random partition for each record, with or without a key: `random`.
    Random,
    /// CRC-32 of the key; records without a key go to one partition, as those with an empty key: `consistent`.
    Consistent,
    /// CRC-32 of the key; a random partition for records without a key or with an empty one: `consistent_random`, librdkafka's default.
    ConsistentRandom,
    /// Murmur2 of the key, as Java's producer; records without a key go to one partition: `murmur2`.
    Murmur2,
    /// Murmur2 of the key, as Java's producer; a random partition for records without a key: `murmur2_random`.
    Murmur2Random,
    /// FNV-1a of the key, as Sarama; records without a key go to one partition: `fnv1a`.
    Fnv1a,
    /// FNV-1a of the key; a random partition for records without a key: `fnv1a_random`, and the default of Sarama
    /// (`NewHashPartitioner`).
    Fnv1aRandom,
}

impl LibrdkafkaPartitioner {
    const ALL: [Self; 7] = [
        Self::Random,
        Self::Consistent,
        Self::ConsistentRandom,
        Self::Murmur2,
        Self::Murmur2Random,
        Self::Fnv1a,
        Self::Fnv1aRandom,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Consistent => "consistent",
            Self::ConsistentRandom => "consistent_random",
            Self::Murmur2 => "murmur2",
            Self::Murmur2Random => "murmur2_random",
            Self::Fnv1a => "fnv1a",
            Self::Fnv1aRandom => "fnv1a_random",
        }
    }

    /// Returns the partition that a key belongs to, or `None` if any will do, or if there are no partitions.
    fn partition_for(self, key: Option<&[u8]>, count: usize) -> Option<i32> {
        let bytes = key.unwrap_or_default();
        let hash = match self {
            Self::Random => return None,
            Self::ConsistentRandom if bytes.is_empty() => return None,
            Self::Murmur2Random | Self::Fnv1aRandom if key.is_none() => return None,
            Self::Consistent | Self::ConsistentRandom => crc32(bytes),
            Self::Fnv1a | Self::Fnv1aRandom => fnv1a(bytes),
            Self::Murmur2 | Self::Murmur2Random => return partition_for_key(bytes, count),
        };
        let count = u32::try_from(count).ok()?;
        i32::try_from(hash.checked_rem(count)?).ok()
    }

    /// `random` returns a number below the one that it is given.
    fn choose(
        self,
        record: &PartitionerRecord<'_>,
        cluster: &Cluster,
        mut random: impl FnMut(usize) -> usize,
    ) -> Result<i32, BoxError> {
        let count = cluster.partition_count(record.topic()).unwrap_or_default();
        if count == 0 {
            return Err("topic has no partitions".into());
        }
        if let Some(partition) = self.partition_for(record.key(), count) {
            return Ok(partition);
        }
        let available = cluster.available_partitions(record.topic());
        let first = i32::try_from(random(count))?;
        // As librdkafka does: a second try, and no third.
        let is_available = available.binary_search(&first).is_ok();
        if is_available { Ok(first) } else { Ok(i32::try_from(random(count))?) }
    }
}

impl Partitioner for LibrdkafkaPartitioner {
    fn partition(&self, record: &PartitionerRecord<'_>, cluster: &Cluster) -> Result<i32, BoxError> {
        self.choose(record, cluster, |below| rand::rng().random_range(0..below))
    }
}

impl fmt::Display for LibrdkafkaPartitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LibrdkafkaPartitioner {
    type Err = UnknownPartitioner;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| UnknownPartitioner(name.to_owned()))
    }
}

/// librdkafka has no partitioner of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "librdkafka has no partitioner {0:?}: there are random, consistent, consistent_random, murmur2, murmur2_random, fnv1a and fnv1a_random"
)]
pub struct UnknownPartitioner(String);

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xEDB8_8320 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// FNV-1a of 32 bits, of which Sarama takes the absolute value as a signed number.
fn fnv1a(bytes: &[u8]) -> u32 {
    let hash =
        bytes.iter().fold(0x811C_9DC5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.cast_signed().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Node, PartitionInfo, TopicInfo};
    use crate::record::Headers;
    use crate::topic_partition::NodeId;

    use LibrdkafkaPartitioner as By;

    /// Keys and hashes of Go's `hash/fnv`, with Sarama's absolute value.
    const FNV1A: [(&[u8], u32); 11] = [
        (b"kafka", 0x0d33_c4e1),
        (b"giberish123456789", 0x77a5_8295),
        (b"1234", 0x023b_dd03),
        (b"234", 0x2dea_3cd2),
        (b"34", 0x740f_a83e),
        (b"4", 0x310c_a263),
        (b"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x65cb_d69c),
        (b"reAmbleWillBeRemoved,ThePrePartThatIs", 0x6e49_c79a),
        (b"eAmbleWillBeRemoved,ThePrePartThatIs", 0x69ee_d356),
        (b"AmbleWillBeRemoved,ThePrePartThatIs", 0x6abc_c023),
        (b"", 0x7ee3_623b),
    ];

    /// Keys and hashes of Python's `zlib.crc32`.
    const CRC32: [(&[u8], u32); 5] = [
        (b"", 0),
        (b"123456789", 0xCBF4_3926),
        (b"kafka", 0x5bbc_7517),
        (b"customer-7", 0x028c_7948),
        (&[0xff, 0, 0x80], 0xac61_6edf),
    ];

    fn cluster(leaders: &[bool]) -> Cluster {
        let led = |is_led: &bool| is_led.then_some(NodeId(1));
        let partitions =
            (0..).zip(leaders).map(|(partition, is_led)| PartitionInfo::new(partition, led(is_led)));
        Cluster::new([Node::new(NodeId(1), "one", 9092)], [TopicInfo::new("t", partitions)])
    }

    /// `draws` are the random numbers; how many of them were taken is returned, too.
    fn choose(by: By, key: Option<&[u8]>, cluster: &Cluster, draws: &[usize]) -> (i32, usize) {
        let (headers, mut taken) = (Headers::new(), 0);
        let record = PartitionerRecord::new("t", key, None, &headers);
        let draw = |below| {
            taken += 1;
            draws[taken - 1] % below
        };
        (by.choose(&record, cluster, draw).unwrap(), taken)
    }

    #[test]
    fn hashes_are_those_of_other_clients() {
        assert!(FNV1A.iter().all(|(key, hash)| fnv1a(key) == *hash));
        for (key, hash) in CRC32 {
            assert_eq!(crc32(key), hash, "{key:?}");
        }
    }

    #[test]
    fn keys_go_by_their_hash_whether_a_partition_has_a_leader_or_not() {
        let cluster = cluster(&[false; 7]);
        for (key, hash) in FNV1A {
            let expected = (i32::try_from(hash % 7).unwrap(), 0);
            assert_eq!(choose(By::Fnv1a, Some(key), &cluster, &[]), expected);
            assert_eq!(choose(By::Fnv1aRandom, Some(key), &cluster, &[]), expected);
        }
        for (key, hash) in &CRC32[1..] {
            let expected = (i32::try_from(hash % 7).unwrap(), 0);
            assert_eq!(choose(By::Consistent, Some(key), &cluster, &[]), expected);
            assert_eq!(choose(By::ConsistentRandom, Some(key), &cluster, &[]), expected);
        }
        // From Java's client, as librdkafka says of its murmur2.
        assert_eq!(choose(By::Murmur2, Some(b"foobar"), &cluster, &[]), (0, 0));
        assert_eq!(choose(By::Murmur2Random, Some(b"a"), &cluster, &[]), (5, 0));
    }

    #[test]
    fn records_without_a_key_go_to_one_partition_or_anywhere_as_the_name_says() {
        let cluster = cluster(&[true; 7]);
        let of = |by, key| choose(by, key, &cluster, &[3]);

        assert_eq!(of(By::Consistent, None), (0, 0));
        assert_eq!(of(By::Consistent, Some(b"")), (0, 0));
        assert_eq!(of(By::ConsistentRandom, None), (3, 1));
        assert_eq!(of(By::ConsistentRandom, Some(b"")), (3, 1));
        // Java's client sends the empty key to 2 of 7.
        assert_eq!(of(By::Murmur2, None), (2, 0));
        assert_eq!(of(By::Murmur2Random, None), (3, 1));
        assert_eq!(of(By::Murmur2Random, Some(b"")), (2, 0));
        assert_eq!(of(By::Fnv1a, None), (0x7ee3_623b % 7, 0));
        assert_eq!(of(By::Fnv1aRandom, None), (3, 1));
        assert_eq!(of(By::Random, Some(b"kafka")), (3, 1));
    }

    #[test]
    fn random_partition_without_a_leader_is_drawn_once_more() {
        let cluster = cluster(&[true, false, true, false]);

        assert_eq!(choose(By::Random, None, &cluster, &[2]), (2, 1));
        assert_eq!(choose(By::Random, None, &cluster, &[1, 0]), (0, 2));
        assert_eq!(choose(By::Random, None, &cluster, &[1, 3]), (3, 2));
    }

    #[test]
    fn topic_without_partitions_is_an_error() {
        let headers = Headers::new();
        let record = PartitionerRecord::new("t", Some(b"k"), None, &headers);

        assert!(By::Consistent.partition(&record, &Cluster::default()).is_err());
    }

    #[test]
    fn names_are_those_of_librdkafka() {
        for by in By::ALL {
            assert_eq!(by.to_string().parse(), Ok(by));
        }
        let error = "sticky".parse::<By>().unwrap_err();
        assert!(
            error.to_string().starts_with("librdkafka has no partitioner \"sticky\": there are random, ")
        );
    }
}
