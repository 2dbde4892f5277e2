//! [`partition_for_key`]: the partition that a key hashes to.

use super::murmur2;

/// Returns the partition that the producer, and Java's, chooses for the bytes of a key in a topic of `partition_count`
/// partitions, or `None` for a topic without any.
///
/// All partitions count, with or without a leader, so that a key keeps its partition while brokers come and go. The empty key
/// is a key like others.
///
/// ```
/// use kafka_producer::partition_for_key;
///
/// assert_eq!(partition_for_key(b"foobar", 10), Some(6));
/// ```
#[must_use]
pub fn partition_for_key(key: &[u8], partition_count: usize) -> Option<i32> {
    let positive = murmur2(key) & i32::MAX;
    match i32::try_from(partition_count) {
        Ok(count) => positive.checked_rem(count),
        // More partitions than hashes.
        Err(_) => Some(positive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, partition of 10, partition of 7, from Java's client.
    const PARTITIONS: [(&[u8], i32, i32); 11] = [
        (b"", 1, 2),
        (b"a", 4, 5),
        (b"ab", 4, 0),
        (b"abc", 7, 4),
        (b"abcd", 0, 5),
        (b"21", 0, 3),
        (b"foobar", 6, 0),
        (b"a-little-bit-long-string", 2, 1),
        (b"a-little-bit-longer-string", 9, 0),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 7, 3),
        (b"key", 1, 4),
    ];

    #[test]
    fn partitions_are_those_of_java() {
        for (key, of_ten, of_seven) in PARTITIONS {
            assert_eq!(partition_for_key(key, 10), Some(of_ten), "{key:?}");
            assert_eq!(partition_for_key(key, 7), Some(of_seven), "{key:?}");
        }
    }

    #[test]
    fn single_partition_takes_every_key() {
        assert!(PARTITIONS.iter().all(|(key, ..)| partition_for_key(key, 1) == Some(0)));
    }

    #[test]
    fn topic_without_partitions_has_none_for_a_key() {
        assert_eq!(partition_for_key(b"key", 0), None);
    }
}
