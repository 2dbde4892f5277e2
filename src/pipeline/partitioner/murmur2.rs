//! [`murmur2`]: the hash of keys.

/// Hashes bytes as Java's producer hashes keys: MurmurHash2 in 32 bits with a seed of Kafka's own.
///
/// [`partition_for_key`](crate::partition_for_key) turns the hash into a partition. The result is signed as in Java.
///
/// ```
/// use kafka_producer::murmur2;
///
/// assert_eq!(murmur2(b"foobar"), -790332482);
/// ```
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    let (blocks, tail) = data.as_chunks::<4>();
    // Java takes the length as `int`; only keys that no record can hold would differ.
    let mut hash = SEED ^ data.len() as u32;
    for block in blocks {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(*block));
    }
    if !tail.is_empty() {
        let rest = tail.iter().rev().fold(0, |rest, &byte| rest << 8 | u32::from(byte));
        hash = (hash ^ rest).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    (hash ^ hash >> 15).cast_signed()
}

fn mix(block: u32) -> u32 {
    let block = block.wrapping_mul(M);
    (block ^ block >> R).wrapping_mul(M)
}

/// Kafka's choice, in `org.apache.kafka.common.utils.Utils`.
const SEED: u32 = 0x9747_b28c;
/// Multiplier and shift are those of MurmurHash2 itself.
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        let lines = include_str!("murmur2/java_vectors.txt").lines().filter(|line| !line.starts_with('#'));

        let mut checked = 0;
        for line in lines {
            let (key, expected) = line.split_once(' ').unwrap();
            assert_eq!(murmur2(&from_hex(key)), expected.parse::<i32>().unwrap(), "{line}");
            checked += 1;
        }

        assert_eq!(checked, 200);
    }

    #[test]
    fn hashes_of_texts_are_those_of_java() {
        assert_eq!(murmur2(b""), 275_646_681);
        assert_eq!(murmur2(b"a"), -1_563_381_124);
        assert_eq!(murmur2(b"ab"), 316_155_434);
        assert_eq!(murmur2(b"abc"), 479_470_107);
        assert_eq!(murmur2(b"abcd"), -1_323_649_548);
        assert_eq!(murmur2(b"21"), -973_932_308);
        assert_eq!(murmur2(b"foobar"), -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string"), -985_981_536);
        assert_eq!(murmur2(b"a-little-bit-longer-string"), -1_486_304_829);
        assert_eq!(murmur2(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58_897_971);
        assert_eq!(murmur2(b"key"), -1_079_937_367);
    }

    fn from_hex(text: &str) -> Vec<u8> {
        let digits = text.strip_prefix("0x").unwrap().as_bytes();
        let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }
}
