//! Numbers of variable length, compared with Java's.

use proptest::prelude::{any, prop_assert_eq, proptest};

use super::{
    VarintError, bytes_for, put_unsigned_varint, put_unsigned_varlong, put_varint, put_varlong,
    read_unsigned_varint, read_unsigned_varlong, read_varint, read_varlong, unsigned_varint_len, varint_len,
    varlong_len,
};

// Written by `ByteUtils.writeVarint` of kafka-clients 4.3.1.
const VARINTS: [(i32, &[u8]); 13] = [
    (0, &[0x00]),
    (-1, &[0x01]),
    (1, &[0x02]),
    (-2, &[0x03]),
    (63, &[0x7e]),
    (-64, &[0x7f]),
    (64, &[0x80, 0x01]),
    (-65, &[0x81, 0x01]),
    (8191, &[0xfe, 0x7f]),
    (-8192, &[0xff, 0x7f]),
    (8192, &[0x80, 0x80, 0x01]),
    (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
    (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
];

// Written by `ByteUtils.writeVarlong` of kafka-clients 4.3.1.
const VARLONGS: [(i64, &[u8]); 6] = [
    (0, &[0x00]),
    (-1, &[0x01]),
    (1_099_511_627_776, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x40]),
    (-1_099_511_627_776, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]),
    (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
    (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
];

#[test]
fn varints_equal_those_of_java() {
    for (value, bytes) in VARINTS {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(out, bytes, "{value}");
        assert_eq!(varint_len(value), bytes.len(), "{value}");

        let mut input = bytes;
        assert_eq!(read_varint(&mut input), Ok(value));
        assert!(input.is_empty(), "{value}");
    }
}

#[test]
fn varlongs_equal_those_of_java() {
    for (value, bytes) in VARLONGS {
        let mut out = Vec::new();
        put_varlong(&mut out, value);
        assert_eq!(out, bytes, "{value}");
        assert_eq!(varlong_len(value), bytes.len(), "{value}");

        let mut input = bytes;
        assert_eq!(read_varlong(&mut input), Ok(value));
        assert!(input.is_empty(), "{value}");
    }
}

#[test]
fn sizes_grow_every_seven_bits() {
    for highest in 0..64 {
        assert_eq!(bytes_for(highest), (highest / 7 + 1) as usize, "{highest}");
    }
}

#[test]
fn varint_wider_than_32_bits_is_refused() {
    for bytes in [
        &[0x80, 0x80, 0x80, 0x80, 0x10][..],
        &[0x81, 0x80, 0x80, 0x80, 0x70],
        &[0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x8f, 0x00],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
    ] {
        let mut input = bytes;
        assert_eq!(read_unsigned_varint(&mut input), Err(VarintError::TooLong), "{bytes:02x?}");
        assert_eq!(input, bytes);
    }
}

#[test]
fn varlong_wider_than_64_bits_is_refused() {
    let mut bytes = [0x80; 11];
    bytes[9] = 0x02;
    assert_eq!(read_unsigned_varlong(&mut &bytes[..]), Err(VarintError::TooLong));
    bytes[9] = 0x81;
    bytes[10] = 0;
    assert_eq!(read_unsigned_varlong(&mut &bytes[..]), Err(VarintError::TooLong));
}

#[test]
fn unfinished_varint_is_truncated_at_every_length() {
    for bytes in [&[][..], &[0x80], &[0xff; 4]] {
        assert_eq!(read_unsigned_varint(&mut &bytes[..]), Err(VarintError::Truncated));
    }
    for length in 0..10 {
        assert_eq!(read_varlong(&mut &vec![0xff; length][..]), Err(VarintError::Truncated));
    }
}

#[test]
fn padded_varint_is_read_as_java_reads_it() {
    assert_eq!(read_unsigned_varint(&mut &[0x81, 0x80, 0x00][..]), Ok(1));
}

proptest! {
    #[test]
    fn every_unsigned_varint_comes_back(value: u32, shift in 0_u32..32) {
        let value = value >> shift;
        let mut out = Vec::new();
        put_unsigned_varint(&mut out, value);

        prop_assert_eq!(out.len(), unsigned_varint_len(value));
        prop_assert_eq!(read_unsigned_varint(&mut &out[..]), Ok(value));
    }

    #[test]
    fn every_varint_comes_back(value in any::<i32>(), shift in 0_u32..32) {
        let value = value >> shift;
        let mut out = Vec::new();
        put_varint(&mut out, value);

        prop_assert_eq!(out.len(), varint_len(value));
        prop_assert_eq!(read_varint(&mut &out[..]), Ok(value));
    }

    #[test]
    fn every_varlong_comes_back(value in any::<i64>(), shift in 0_u32..64) {
        let value = value >> shift;
        let mut out = Vec::new();
        put_varlong(&mut out, value);

        prop_assert_eq!(out.len(), varlong_len(value));
        prop_assert_eq!(read_varlong(&mut &out[..]), Ok(value));
    }

    #[test]
    fn unsigned_varlong_of_a_small_number_is_its_varint(value: u32) {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        put_unsigned_varint(&mut short, value);
        put_unsigned_varlong(&mut long, u64::from(value));

        prop_assert_eq!(short, long);
    }
}
