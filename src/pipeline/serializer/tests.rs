//! Bytes of serializers, compared with those of Java's.

use std::convert::Infallible;

use bytes::Bytes;

use super::*;

fn serialize<T: ?Sized>(serializer: &impl Serializer<T>, data: &T) -> Vec<u8> {
    serializer.serialize("t", &mut Headers::new(), data, &mut Vec::new()).unwrap().to_vec()
}

fn serialize_by_default<T: Serializable>(data: T) -> Vec<u8> {
    serialize(&T::Serializer::default(), &data)
}

/// Expected bytes printed by the serializers of kafka-clients 4.3.1.
#[test]
fn numbers_are_the_bytes_that_java_sends() {
    assert_eq!(serialize_by_default(-2_i16), [0xff, 0xfe]);
    assert_eq!(serialize_by_default(258_i16), [1, 2]);
    assert_eq!(serialize_by_default(-2), [0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(serialize_by_default(16_909_060), [1, 2, 3, 4]);
    assert_eq!(serialize_by_default(i64::MIN), [0x80, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(serialize_by_default(72_623_859_790_382_856_i64), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(serialize_by_default(-1.5_f32), [0xbf, 0xc0, 0, 0]);
    assert_eq!(serialize_by_default(0.1_f32), [0x3d, 0xcc, 0xcc, 0xcd]);
    assert_eq!(serialize_by_default(-1.5_f64), [0xbf, 0xf8, 0, 0, 0, 0, 0, 0]);
    assert_eq!(serialize_by_default(0.1_f64), [0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]);
}

/// Expected bytes printed by `StringSerializer` of kafka-clients 4.3.1.
#[test]
fn text_is_utf_8() {
    let expected = [0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80];

    assert_eq!(serialize_by_default("é€😀"), expected);
    assert_eq!(serialize_by_default(String::from("é€😀")), expected);
    assert_eq!(serialize_by_default(Arc::<str>::from("é€😀")), expected);
    assert_eq!(serialize(&StringSerializer, "é€😀"), expected);
}

#[test]
fn bytes_stay_as_they_are() {
    assert_eq!(serialize_by_default(Bytes::from_static(b"\x00\xff")), [0, 0xff]);
    assert_eq!(serialize_by_default(vec![0, 0xff]), [0, 0xff]);
    assert_eq!(serialize_by_default([0_u8, 0xff]), [0, 0xff]);
    assert_eq!(serialize_by_default(&b"\x00\xff"[..]), [0, 0xff]);
    assert_eq!(serialize(&BytesSerializer, &[0_u8, 0xff][..]), [0, 0xff]);
}

#[test]
fn bytes_and_text_are_borrowed_not_copied() {
    let (text, bytes) = (String::from("abc"), Bytes::from_static(b"abc"));
    let mut headers = Headers::new();
    let (mut one, mut two) = (Vec::new(), Vec::new());

    let from_text = StringSerializer.serialize("t", &mut headers, &text, &mut one).unwrap();
    let from_bytes = BytesSerializer.serialize("t", &mut headers, &bytes, &mut two).unwrap();

    assert_eq!(from_text.as_ptr(), text.as_ptr());
    assert_eq!(from_bytes.as_ptr(), bytes.as_ptr());
    assert_eq!((one.capacity(), two.capacity()), (0, 0));
}

#[test]
fn closure_writes_into_the_buffer_it_is_given() {
    let serializer = serialize_with(|number: &u8, out: &mut Vec<u8>| {
        out.resize(usize::from(*number), b'x');
        Ok::<_, Infallible>(())
    });
    let mut scratch = Vec::with_capacity(64);
    let place = scratch.as_ptr();

    let bytes = serializer.serialize("t", &mut Headers::new(), &3, &mut scratch).unwrap();

    assert_eq!(bytes, b"xxx");
    assert_eq!(bytes.as_ptr(), place);
}

#[test]
fn closure_may_return_its_bytes() {
    let vec = serialize_to_vec(|text: &str| Ok::<_, Infallible>(text.as_bytes().to_vec()));
    let string = serialize_to_vec(|text: &str| Ok::<_, Infallible>(text.to_uppercase()));

    assert_eq!(serialize(&vec, "abc"), b"abc");
    assert_eq!(serialize(&string, "abc"), b"ABC");
}

#[test]
fn error_of_a_closure_is_passed_on() {
    let writing = serialize_with(|(): &(), _: &mut Vec<u8>| Err("no room"));
    let returning = serialize_to_vec(|(): &()| Err::<Vec<u8>, _>("no room"));

    let (mut one, mut two) = (Vec::new(), Vec::new());
    let from_writing = writing.serialize("t", &mut Headers::new(), &(), &mut one).unwrap_err();
    let from_returning = returning.serialize("t", &mut Headers::new(), &(), &mut two).unwrap_err();

    assert_eq!(from_writing.to_string(), "no room");
    assert_eq!(from_returning.to_string(), "no room");
}

#[test]
fn serializer_may_be_shared_and_hidden_behind_its_trait() {
    let serializer: Arc<dyn Serializer<i64>> = Arc::new(LongSerializer);

    assert_eq!(serialize(&Arc::clone(&serializer), &1), [0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn serializers_know_the_classes_of_kafka_that_write_the_same() {
    fn known<T>(serializer: &impl Serializer<T>) -> Vec<&'static str> {
        let all = [
            "ByteArray",
            "ByteBuffer",
            "Bytes",
            "Double",
            "Float",
            "Integer",
            "Long",
            "Short",
            "String",
            "UUID",
        ];
        let stands_for = |name: &&str| {
            let class = format!("org.apache.kafka.common.serialization.{name}Serializer");
            serializer.stands_for(&class).unwrap()
        };
        all.into_iter().filter(stands_for).collect()
    }

    let plain = ["ByteArray", "ByteBuffer", "Bytes", "String"];
    assert_eq!(known::<Vec<u8>>(&BytesSerializer), plain);
    assert_eq!(known::<String>(&Arc::new(StringSerializer)), plain);
    assert_eq!(known(&DoubleSerializer), ["Double"]);
    assert_eq!(known(&FloatSerializer), ["Float"]);
    assert_eq!(known(&IntegerSerializer), ["Integer"]);
    assert_eq!(known(&LongSerializer), ["Long"]);
    assert_eq!(known(&ShortSerializer), ["Short"]);
    assert_eq!(LongSerializer.stands_for("com.example.LongSerializer"), Some(false));
    let custom = serialize_to_vec(|text: &str| Ok::<_, Infallible>(text.to_owned()));
    assert_eq!(custom.stands_for("com.example.AvroSerializer"), None);
    let registered = RegisteredSchema::new(7, StringSerializer);
    let stands_for = |class| Serializer::<String>::stands_for(&registered, class);
    assert_eq!(stands_for("org.apache.kafka.common.serialization.StringSerializer"), Some(false));
    assert_eq!(stands_for("io.confluent.kafka.serializers.KafkaAvroSerializer"), None);
}
