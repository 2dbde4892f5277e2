//! What `java.util.Properties` (OpenJDK 17) made of these texts was printed by a program that ran it; `None` is an
//! `IllegalArgumentException`.

use std::collections::BTreeMap;

use super::parse;

#[test]
fn texts_are_read_as_java_reads_them() {
    for (text, expected) in CASES {
        let entries = parse(text);

        let faulty = entries.iter().any(|entry| entry.fault.is_some());
        let read: BTreeMap<_, _> = entries.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
        match expected {
            None => assert!(faulty, "{text:?}"),
            Some(pairs) => {
                assert!(!faulty, "{text:?}");
                assert_eq!(read, pairs.iter().copied().collect(), "{text:?}");
            }
        }
    }
}

#[test]
fn characters_beyond_the_first_65536_take_two_escapes() {
    let entries = parse(r"a=\ud83d\ude00");

    assert_eq!(entries[0].value, "\u{1f600}");
    assert_eq!(entries[0].fault, None);
}

/// Java keeps half a character; there is no such thing in a Rust string.
#[test]
fn half_a_character_is_a_fault() {
    for text in [r"a=\ud83d", r"a=\ude00\ud83d", r"\ud83dx=b"] {
        assert!(parse(text)[0].fault.is_some(), "{text}");
    }
}

/// Java reads it as an empty key, or as nothing when "\r\n" follows.
#[test]
fn a_backslash_alone_is_nothing() {
    for text in ["\\", "\\\n", "\\\r\n", "a=1\n\\"] {
        assert!(parse(text).iter().all(|entry| entry.key == "a"), "{text:?}");
    }
}

#[test]
fn a_fault_names_the_line_where_its_entry_begins() {
    let entries = parse("# one\na=1\n\nb=\\\n  \\u00zz\nc=3");

    assert_eq!(entries[0].fault, None);
    assert!(entries[1].fault.as_ref().unwrap().starts_with("line 4 "), "{entries:?}");
    assert_eq!(entries[2].fault, None);
}

/// A text, and the pairs that it holds.
type Case = (&'static str, Option<&'static [(&'static str, &'static str)]>);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("a=b", Some(&[("a", "b")])),
    ("a:b", Some(&[("a", "b")])),
    ("a b", Some(&[("a", "b")])),
    ("a\tb", Some(&[("a", "b")])),
    ("a\u{000c}b", Some(&[("a", "b")])),
    ("a = b", Some(&[("a", "b")])),
    ("a : b", Some(&[("a", "b")])),
    ("  a  =  b  ", Some(&[("a", "b  ")])),
    ("a==b", Some(&[("a", "=b")])),
    ("a=:b", Some(&[("a", ":b")])),
    ("a:=b", Some(&[("a", "=b")])),
    ("a = = b", Some(&[("a", "= b")])),
    ("a  b c", Some(&[("a", "b c")])),
    ("a", Some(&[("a", "")])),
    ("a=", Some(&[("a", "")])),
    ("=b", Some(&[("", "b")])),
    (":b", Some(&[("", "b")])),
    (" = b", Some(&[("", "b")])),
    ("a\\=b=c", Some(&[("a=b", "c")])),
    ("a\\:b:c", Some(&[("a:b", "c")])),
    ("a\\ b c", Some(&[("a b", "c")])),
    ("# comment\na=b", Some(&[("a", "b")])),
    ("! comment\na=b", Some(&[("a", "b")])),
    ("  # comment\na=b", Some(&[("a", "b")])),
    ("a=#b", Some(&[("a", "#b")])),
    ("a=b # c", Some(&[("a", "b # c")])),
    ("a#b=c", Some(&[("a#b", "c")])),
    ("#a=b\\\nc=d", Some(&[("c", "d")])),
    ("a=b\\\nc", Some(&[("a", "bc")])),
    ("a=b\\\n   c", Some(&[("a", "bc")])),
    ("a=b\\\r\n\tc", Some(&[("a", "bc")])),
    ("a=b\\\\\nc=d", Some(&[("a", "b\\"), ("c", "d")])),
    ("a=b\\\\\\\nc", Some(&[("a", "b\\c")])),
    ("a=b\\", Some(&[("a", "b")])),
    ("a=b\\\n", Some(&[("a", "b")])),
    ("a=b\\\n\nc=d", Some(&[("a", "b"), ("c", "d")])),
    ("a=b\\\n   \nc=d", Some(&[("a", "b"), ("c", "d")])),
    ("a=b\\\n#c\nd=e", Some(&[("a", "b#c"), ("d", "e")])),
    ("\\\na=b", Some(&[("a", "b")])),
    ("\\\n#a=b", Some(&[])),
    ("\\\n\na=b", Some(&[("a", "b")])),
    ("a\\\nb=c", Some(&[("ab", "c")])),
    ("a\\\n  b=c", Some(&[("ab", "c")])),
    ("a \\\n b", Some(&[("a", "b")])),
    ("a \\\n = b", Some(&[("a", "b")])),
    ("a=\\\n  b", Some(&[("a", "b")])),
    ("\r\ra=b\rc=d", Some(&[("a", "b"), ("c", "d")])),
    ("\r\n\r\na=b\r\nc=d", Some(&[("a", "b"), ("c", "d")])),
    ("\n\u{000c}\t a=b", Some(&[("a", "b")])),
    ("a=\\t\\n\\r\\f", Some(&[("a", "\t\n\r\u{000c}")])),
    ("a=\\q\\\"\\'\\z", Some(&[("a", "q\"'z")])),
    ("a=\\b\\0\\x41", Some(&[("a", "b0x41")])),
    ("a=\\u0041", Some(&[("a", "A")])),
    ("a=\\u00e4\\u20AC", Some(&[("a", "\u{00e4}\u{20ac}")])),
    ("a=\\uuuu0041", None),
    ("a=\\u004", None),
    ("a=\\u00g1", None),
    ("\\u0061=b", Some(&[("a", "b")])),
    ("a=1\na=2", Some(&[("a", "2")])),
    ("a=1\nb=2\na=3", Some(&[("a", "3"), ("b", "2")])),
    ("a=C:\\\\tmp", Some(&[("a", "C:\\tmp")])),
    ("a=C:\\tmp", Some(&[("a", "C:\tmp")])),
    ("a=\u{00e4}\u{20ac}", Some(&[("a", "\u{00e4}\u{20ac}")])),
    ("a\u{00a0}b=c", Some(&[("a\u{00a0}b", "c")])),
    ("a=\u{00a0}b", Some(&[("a", "\u{00a0}b")])),
    ("a=b\u{000b}c", Some(&[("a", "b\u{000b}c")])),
    ("a\u{000b}=b", Some(&[("a\u{000b}", "b")])),
    ("", Some(&[])),
    ("\n", Some(&[])),
    ("#", Some(&[])),
    ("#\\\na=b", Some(&[("a", "b")])),
    ("a=b\n#end", Some(&[("a", "b")])),
    ("a\\\\=b", Some(&[("a\\", "b")])),
    ("a\\\\\\=b=c", Some(&[("a\\=b", "c")])),
    ("a=b\\ \nc", Some(&[("a", "b "), ("c", "")])),
    ("a=\\ b", Some(&[("a", " b")])),
    ("a=b\\u0020", Some(&[("a", "b ")])),
    ("key with spaces", Some(&[("key", "with spaces")])),
    ("a.b.c=1,2 , 3", Some(&[("a.b.c", "1,2 , 3")])),
    ("a=b\\\n!c", Some(&[("a", "b!c")])),
    ("a=\\\n", Some(&[("a", "")])),
    ("a\\", Some(&[("a", "")])),
    ("\\\\", Some(&[("\\", "")])),
    ("a=b\u{0085}c=d", Some(&[("a", "b\u{0085}c=d")])),
    ("a=b\u{2028}c", Some(&[("a", "b\u{2028}c")])),
    ("a=\\u0", None),
    ("a=\\u12\\\n34", Some(&[("a", "\u{1234}")])),
    ("\u{feff}a=b", Some(&[("\u{feff}a", "b")])),
];
