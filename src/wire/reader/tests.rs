//! The reader, on sound bytes and on damaged ones.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};

use super::{DecodeError, DecodeProblem, Reader};
use crate::wire::Uuid;

fn flexible(bytes: &[u8]) -> Reader<'_> {
    let mut reader = Reader::new(bytes);
    reader.set_flexible(true);
    reader
}

fn error(expected: &'static str, position: usize, problem: DecodeProblem) -> DecodeError {
    DecodeError { expected, position, problem }
}

#[test]
fn texts_for_people_are_cut_and_stand_on_one_line() {
    let read = |text: &str| {
        let length = i16::try_from(text.len()).unwrap().to_be_bytes();
        Reader::new(&[&length, text.as_bytes()].concat()).nullable_text().unwrap().unwrap()
    };

    assert_eq!(read("no\r\nERROR forged\u{1b}[2J"), "no  ERROR forged [2J");
    assert_eq!(read(&"ä".repeat(1000)), "ä".repeat(1000));
    assert_eq!(read(&"ä".repeat(1001)), format!("{}…", "ä".repeat(1000)));
    assert_eq!(Reader::new(&[0xff, 0xff]).nullable_text(), Ok(None));
}

#[test]
fn integers_are_big_endian() {
    let bytes = [
        &[0x01][..],
        &[0xff],
        &[0x80, 0x01],
        &[0x80, 0x01],
        &[0x80, 0, 0, 1],
        &[0x80, 0, 0, 1],
        &[0x80, 0, 0, 0, 0, 0, 0, 1],
        &[7; 16],
    ]
    .concat();
    let mut reader = Reader::new(&bytes);

    assert_eq!(reader.bool(), Ok(true));
    assert_eq!(reader.i8(), Ok(-1));
    assert_eq!(reader.i16(), Ok(-32767));
    assert_eq!(reader.u16(), Ok(32769));
    assert_eq!(reader.i32(), Ok(-2_147_483_647));
    assert_eq!(reader.u32(), Ok(2_147_483_649));
    assert_eq!(reader.i64(), Ok(-9_223_372_036_854_775_807));
    assert_eq!(reader.uuid(), Ok(Uuid([7; 16])));
    assert_eq!(reader.position(), bytes.len());
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn strings_come_in_two_shapes() {
    assert_eq!(Reader::new(b"\x00\x02ab").string(), Ok("ab"));
    assert_eq!(Reader::new(b"\x00\x00").string(), Ok(""));
    assert_eq!(Reader::new(b"\xff\xff").nullable_string(), Ok(None));
    assert_eq!(flexible(b"\x03ab").string(), Ok("ab"));
    assert_eq!(flexible(b"\x01").string(), Ok(""));
    assert_eq!(flexible(b"\x00").nullable_string(), Ok(None));
}

#[test]
fn byte_strings_come_in_two_shapes() {
    assert_eq!(Reader::new(b"\x00\x00\x00\x02ab").bytes(), Ok(&b"ab"[..]));
    assert_eq!(Reader::new(b"\xff\xff\xff\xff").nullable_bytes(), Ok(None));
    assert_eq!(flexible(b"\x03ab").bytes(), Ok(&b"ab"[..]));
    assert_eq!(flexible(b"\x00").nullable_bytes(), Ok(None));
}

#[test]
fn arrays_come_in_two_shapes() {
    assert_eq!(Reader::new(b"\x00\x00\x00\x01\x00\x00\x00\x09").i32_array(), Ok(vec![9]));
    assert_eq!(flexible(b"\x02\x00\x00\x00\x09").i32_array(), Ok(vec![9]));
}

#[test]
fn null_where_none_may_be_is_refused() {
    assert_eq!(Reader::new(b"\xff\xff").string(), Err(error("string", 0, DecodeProblem::Null)));
    assert_eq!(flexible(b"\x00").bytes(), Err(error("bytes", 0, DecodeProblem::Null)));
    assert_eq!(Reader::new(b"\xff\xff\xff\xff").i32_array(), Err(error("array", 0, DecodeProblem::Null)));
    assert_eq!(flexible(b"\x00").i32_array(), Err(error("array", 0, DecodeProblem::Null)));
}

#[test]
fn negative_length_is_refused() {
    let problem = DecodeProblem::NegativeLength(-2);

    assert_eq!(Reader::new(b"\xff\xfe").nullable_string(), Err(error("string", 0, problem.clone())));
    assert_eq!(Reader::new(b"\xff\xff\xff\xfe").nullable_bytes(), Err(error("bytes", 0, problem)));
}

#[test]
fn error_says_what_was_expected_and_where() {
    let mut reader = Reader::new(b"\x00\x00\x00\x05\x00");
    assert_eq!(reader.i32(), Ok(5));
    let error = reader.i16().unwrap_err();

    assert_eq!(error.to_string(), "expected int16 at byte 4: 2 bytes are needed, 1 are left");
}

#[test]
fn string_that_is_not_utf_8_names_the_offending_byte() {
    assert_eq!(Reader::new(b"\x00\x03ab\xff").string(), Err(error("string", 4, DecodeProblem::NotUtf8)));
}

#[test]
fn count_that_the_rest_cannot_hold_is_refused_before_it_is_reserved() {
    let problem = DecodeProblem::Count { count: 2_147_483_647, remaining: 0 };
    assert_eq!(Reader::new(&[0x7f, 0xff, 0xff, 0xff]).i32_array(), Err(error("array", 0, problem)));

    let problem = DecodeProblem::Count { count: 2, remaining: 7 };
    assert_eq!(flexible(b"\x03\0\0\0\0\0\0\0").i32_array(), Err(error("array", 0, problem)));

    let problem = DecodeProblem::Count { count: 4_294_967_294, remaining: 0 };
    assert_eq!(
        flexible(&[0xff, 0xff, 0xff, 0xff, 0x0f]).array(0, Reader::i32),
        Err(error("array", 0, problem))
    );
}

#[test]
fn trailing_bytes_are_refused() {
    let reader = Reader::new(b"\x00");

    assert_eq!(reader.finish(), Err(error("end of message", 0, DecodeProblem::TrailingBytes(1))));
}

#[test]
fn unknown_tags_are_skipped() {
    let mut reader = flexible(b"\x02\x05\x03abc\x06\x00\x2a");

    assert_eq!(reader.skip_tags(), Ok(()));
    assert_eq!(reader.i8(), Ok(42));
}

#[test]
fn known_tag_is_read_within_its_size() {
    let mut seen = None;
    let mut reader = flexible(b"\x01\x00\x02\x01\x02");
    let read = reader.tags(|tag, field| {
        seen = Some((tag, field.position(), field.i16()?));
        Ok(true)
    });

    assert_eq!(read, Ok(()));
    assert_eq!(seen, Some((0, 3, 0x0102)));
}

#[test]
fn known_tag_that_is_shorter_or_longer_than_its_size_is_refused() {
    let short = flexible(b"\x01\x00\x01\x01\x02").tags(|_, field| field.i16().map(|_| true));
    let problem = DecodeProblem::Truncated { needed: 2, remaining: 1 };
    assert_eq!(short, Err(error("int16", 3, problem)));

    let long = flexible(b"\x01\x00\x03\x01\x02\x03").tags(|_, field| field.i16().map(|_| true));
    assert_eq!(long, Err(error("end of message", 5, DecodeProblem::TrailingBytes(1))));
}

#[test]
fn tag_beyond_the_end_is_refused() {
    assert!(flexible(b"\x01\x00\x05\x01").skip_tags().is_err());
    assert!(flexible(b"\x01").skip_tags().is_err());
    assert!(flexible(b"\xff\xff\xff\xff\x0f").skip_tags().is_err());
}

#[test]
fn version_without_tags_has_no_tag_section() {
    let mut reader = Reader::new(b"\x05");

    assert_eq!(reader.skip_tags(), Ok(()));
    assert_eq!(reader.i8(), Ok(5));
}

proptest! {
    #[test]
    fn capacity_of_arrays_is_bounded_by_the_input(bytes in vec(any::<u8>(), 0..64), is_flexible: bool) {
        let mut reader = Reader::new(&bytes);
        reader.set_flexible(is_flexible);

        if let Ok(elements) = reader.i32_array() {
            prop_assert!(elements.capacity() <= bytes.len() / 4);
        }
    }
}
