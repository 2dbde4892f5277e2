//! Records as callers build them: types, nulls, limits, and what `Debug` hides.

use std::time::Duration;

use super::*;

#[test]
fn builder_takes_every_owned_or_static_kind_of_bytes() {
    let expected = Some(Bytes::from_static(b"abc"));

    let records: [ProducerRecord; 5] = [
        ProducerRecord::to("t").key("abc").value("abc"),
        ProducerRecord::to("t").key(String::from("abc")).value(String::from("abc")),
        ProducerRecord::to("t").key(b"abc".to_vec()).value(b"abc".to_vec()),
        ProducerRecord::to("t").key(Bytes::from("abc")).value(Bytes::from("abc")),
        ProducerRecord::to("t").key(&b"abc"[..]).value(&b"abc"[..]),
    ];

    for record in records {
        assert_eq!(record.key, expected);
        assert_eq!(record.value, expected);
    }
}

#[test]
fn types_follow_from_where_the_record_goes() {
    fn send<K, V>(record: ProducerRecord<K, V>) -> (Option<K>, Option<V>) {
        (record.key, record.value)
    }

    let as_bytes = send::<Bytes, Bytes>(ProducerRecord::to("t").key("k"));
    let typed = send::<String, i64>(ProducerRecord::to("t").key("k").value(7));

    assert_eq!(as_bytes, (Some(Bytes::from("k")), None));
    assert_eq!(typed, (Some(String::from("k")), Some(7)));
}

#[test]
fn null_differs_from_empty() {
    let null: ProducerRecord = ProducerRecord::to("t");
    let empty: ProducerRecord = ProducerRecord::to("t").value("");

    assert_ne!(null, empty);
}

#[test]
fn equality_looks_at_every_field() {
    let base = || -> ProducerRecord {
        ProducerRecord::to("t").key("k").value("v").partition(1).timestamp(2).header("a", "b")
    };

    assert_eq!(base(), base());
    assert_ne!(base(), ProducerRecord { topic: "u".into(), ..base() });
    assert_ne!(base(), base().key("l"));
    assert_ne!(base(), base().value("w"));
    assert_ne!(base(), base().partition(2));
    assert_ne!(base(), base().timestamp(3));
    assert_ne!(base(), base().header("a", "b"));
    assert_ne!(base(), ProducerRecord { partition: None, ..base() });
}

#[test]
fn negative_numbers_are_refused_by_name() {
    let partition = ProducerRecord::<Bytes, Bytes>::to("t").partition(-1).check().unwrap_err();
    let timestamp = ProducerRecord::<Bytes, Bytes>::to("t").timestamp(-7).check().unwrap_err();

    assert_eq!(partition, InvalidRecord::NegativePartition { partition: -1 });
    assert_eq!(partition.to_string(), "partition -1 of the record is negative");
    assert_eq!(timestamp, InvalidRecord::NegativeTimestamp { timestamp: -7 });
    assert_eq!(timestamp.to_string(), "timestamp -7 of the record is negative");
}

#[test]
fn topic_name_that_no_request_can_carry_is_refused() {
    let named = |length| ProducerRecord::<Bytes, Bytes>::to("x".repeat(length)).check();

    assert_eq!(named(32_767), Ok(()));
    let error = named(32_768).unwrap_err();
    assert_eq!(error.to_string(), "topic name of 32768 bytes exceeds the protocol's limit of 32767");
}

#[test]
fn zero_and_absent_numbers_are_fine() {
    assert_eq!(ProducerRecord::<Bytes, Bytes>::to("t").check(), Ok(()));
    assert_eq!(ProducerRecord::<Bytes, Bytes>::to("t").partition(0).timestamp(0).check(), Ok(()));
}

#[test]
fn system_times_become_milliseconds() {
    let at = |time| ProducerRecord::<Bytes, Bytes>::to("t").timestamp_at(time).timestamp;

    assert_eq!(at(UNIX_EPOCH), Some(0));
    assert_eq!(at(UNIX_EPOCH + Duration::from_micros(1999)), Some(1));
    assert_eq!(at(UNIX_EPOCH - Duration::from_nanos(1)), Some(-1));
    assert_eq!(at(UNIX_EPOCH - Duration::from_micros(1001)), Some(-2));
}

#[test]
fn debug_shows_lengths_and_no_contents() {
    let record: ProducerRecord<Bytes, String> =
        ProducerRecord::to("orders").key("secret").value("classified").header("hidden", "private!");

    let shown = format!("{record:?}");

    assert_eq!(
        shown,
        "ProducerRecord { topic: \"orders\", partition: None, timestamp: None, key: Some(6 bytes), \
         value: Some(10 bytes), headers: [name of 6 bytes: Some(8 bytes)] }"
    );
}

#[test]
fn debug_of_an_unknown_type_shows_nothing_of_it() {
    struct Secret;

    let record: ProducerRecord<Secret, Bytes> = ProducerRecord::to("t").key(Secret);

    assert!(format!("{record:?}").contains("key: Some(_), value: None"));
}

#[test]
fn headers_keep_order_and_repeated_names() {
    let headers = Headers::from([("a", "1"), ("b", "2"), ("a", "3")]);

    let all: Vec<_> = headers.iter().map(|header| (header.name(), header.value())).collect();
    assert_eq!(all, [("a", Some(&b"1"[..])), ("b", Some(b"2")), ("a", Some(b"3"))]);
    let values: Vec<_> = headers.all("a").map(Header::value).collect();
    assert_eq!(values, [Some(&b"1"[..]), Some(b"3")]);
    assert_eq!(headers.last("a").unwrap().value(), Some(&b"3"[..]));
    assert_eq!(headers.last("c"), None);
}

#[test]
fn removing_a_name_keeps_the_others_in_order() {
    let mut headers = Headers::from([("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);

    let removed = headers.remove("a");

    assert_eq!(removed, 2);
    assert_eq!(headers, Headers::from([("b", "2"), ("c", "4")]));
}

#[test]
fn header_values_are_made_from_everything_that_is_bytes() {
    let mut headers = Headers::new();
    headers.push("h", "v");
    headers.push("h", String::from("v"));
    headers.push("h", b"v");
    headers.push("h", &b"v"[..]);
    headers.push("h", vec![b'v']);
    headers.push("h", Bytes::from("v"));
    headers.push("h", Some("v"));
    headers.push("h", Some(Bytes::from("v")));

    assert!(headers.iter().all(|header| header.value() == Some(b"v")));
}

#[test]
fn null_header_value_differs_from_an_empty_one() {
    let null = Headers::from([("h", None::<Bytes>)]);
    let empty = Headers::from([("h", "")]);

    assert_eq!(null.last("h").unwrap().value(), None);
    assert_eq!(empty.last("h").unwrap().value(), Some(&b""[..]));
    assert_ne!(null, empty);
    assert_eq!(null, Headers::from([("h", HeaderValue::NULL)]));
}
