//! The writer: the shapes of primitives, and segments that are not copied.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use bytes::Bytes;

use super::{EncodeError, Segments, Writer};
use crate::wire::Uuid;

fn written(is_flexible: bool, write: impl FnOnce(&mut Writer) -> Result<(), EncodeError>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.set_flexible(is_flexible);
    write(&mut writer).unwrap();
    let mut frame = concat(&writer.finish().unwrap());
    frame.split_off(4)
}

fn concat(frame: &Segments) -> Vec<u8> {
    let bytes = frame.concat();
    assert_eq!(bytes.len(), frame.len);
    assert!(frame.pieces().all(|piece| !piece.is_empty()));
    bytes
}

#[test]
fn integers_are_big_endian() {
    let bytes = written(false, |out| {
        out.bool(true);
        out.i8(-1);
        out.i16(-32767);
        out.i32(-2_147_483_647);
        out.i64(-9_223_372_036_854_775_807);
        out.uuid(Uuid([7; 16]));
        out.unsigned_varint(300);
        Ok(())
    });

    let expected =
        [&[1, 0xff, 0x80, 1, 0x80, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 1][..], &[7; 16], &[0xac, 0x02]].concat();
    assert_eq!(bytes, expected);
}

#[test]
fn strings_come_in_two_shapes() {
    assert_eq!(written(false, |out| out.string("ab")), b"\x00\x02ab");
    assert_eq!(written(true, |out| out.string("ab")), b"\x03ab");
    assert_eq!(written(false, |out| out.nullable_string(Some(""))), b"\x00\x00");
    assert_eq!(written(true, |out| out.nullable_string(Some(""))), b"\x01");
    assert_eq!(written(false, |out| out.nullable_string(None)), b"\xff\xff");
    assert_eq!(written(true, |out| out.nullable_string(None)), b"\x00");
}

#[test]
fn byte_strings_come_in_two_shapes() {
    assert_eq!(written(false, |out| out.bytes(b"ab")), b"\x00\x00\x00\x02ab");
    assert_eq!(written(true, |out| out.bytes(b"ab")), b"\x03ab");
    assert_eq!(written(true, |out| out.shared_bytes(Bytes::from_static(b"ab"))), b"\x03ab");
}

#[test]
fn counts_come_in_two_shapes() {
    let null = |out: &mut Writer| {
        out.null_count();
        Ok(())
    };

    assert_eq!(written(false, |out| out.count(300)), [0, 0, 1, 44]);
    assert_eq!(written(true, |out| out.count(300)), [0xad, 0x02]);
    assert_eq!(written(false, null), [0xff; 4]);
    assert_eq!(written(true, null), [0]);
}

#[test]
fn tag_section_exists_in_flexible_versions_only() {
    let no_tags = |out: &mut Writer| {
        out.no_tags();
        Ok(())
    };

    assert_eq!(written(false, no_tags), [0_u8; 0]);
    assert_eq!(written(true, no_tags), [0]);
}

#[test]
fn string_that_does_not_fit_is_refused() {
    for is_flexible in [false, true] {
        let mut writer = Writer::new();
        writer.set_flexible(is_flexible);

        assert_eq!(writer.string(&"x".repeat(32767)), Ok(()));
        assert_eq!(writer.string(&"x".repeat(32768)), Err(EncodeError::StringTooLong(32768)));
    }
}

#[test]
fn count_that_does_not_fit_is_refused() {
    let mut writer = Writer::new();

    assert_eq!(writer.count(2_147_483_647), Ok(()));
    assert_eq!(writer.count(2_147_483_648), Err(EncodeError::CountTooLarge(2_147_483_648)));
}

#[test]
fn empty_frame_is_its_length() {
    assert_eq!(concat(&Writer::new().finish().unwrap()), [0; 4]);
}

#[test]
fn frame_begins_with_the_length_of_what_follows() {
    let mut writer = Writer::new();
    writer.i32(9);
    writer.put_shared(Bytes::from(vec![5; 2000]));
    let frame = concat(&writer.finish().unwrap());

    assert_eq!(frame.len(), 2008);
    assert_eq!(frame[..8], [0, 0, 0x07, 0xd4, 0, 0, 0, 9]);
    assert_eq!(frame[8..], [5; 2000]);
}

#[test]
fn large_pieces_are_referenced_and_small_ones_copied() {
    let (large, other, small) =
        (Bytes::from(vec![1; 1024]), Bytes::from(vec![2; 4096]), Bytes::from(vec![3; 1023]));
    let mut writer = Writer::new();
    writer.put_shared(large.clone());
    writer.put_shared(other.clone());
    writer.i8(8);
    writer.put_shared(small);
    writer.put_shared(large.clone());
    let frame = writer.finish().unwrap();

    let pieces: Vec<_> = frame.pieces().collect();
    let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
    assert_eq!(lengths, [4, 1024, 4096, 1024, 1024]);
    assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    assert_eq!(pieces[2].as_ptr(), other.as_ptr());
    assert_eq!(pieces[3][..2], [8, 3]);
    assert_eq!(pieces[4].as_ptr(), large.as_ptr());
    assert_eq!(concat(&frame)[..4], 7168_u32.to_be_bytes());
}

#[test]
fn frame_that_does_not_fit_is_refused() {
    // One mebibyte, referenced until the frame would be longer than its length can say.
    let piece = Bytes::from(vec![0; 1 << 20]);
    let mut writer = Writer::new();
    for _ in 0..2048 {
        writer.put_shared(piece.clone());
    }

    assert_eq!(writer.finish().unwrap_err(), EncodeError::FrameTooLong(1 << 31));
}
