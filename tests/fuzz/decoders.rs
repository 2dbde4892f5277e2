//! Bodies of answers in any version that we speak; the first byte of the input chooses it.

use kafka_producer::__internals::{decode_response, versions};

pub(crate) fn api_versions(data: &[u8]) {
    decode(18, data);
}

pub(crate) fn init_producer_id(data: &[u8]) {
    decode(22, data);
}

pub(crate) fn metadata(data: &[u8]) {
    decode(3, data);
}

pub(crate) fn produce(data: &[u8]) {
    decode(0, data);
}

pub(crate) fn sasl_authenticate(data: &[u8]) {
    decode(36, data);
}

pub(crate) fn sasl_handshake(data: &[u8]) {
    decode(17, data);
}

fn decode(api_key: i16, data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let (first, last) = versions(api_key).into_inner();
    let version = first + i16::from(*choice) % (last - first + 1);

    let mut is_read = false;
    let memory = allocation_counter::measure(|| is_read = decode_response(api_key, version, body));

    let limit = SLACK + MAX_GROWTH * u64::try_from(body.len()).expect("inputs are small");
    assert!(memory.bytes_max <= limit, "{} bytes of memory for {} bytes", memory.bytes_max, body.len());
    assert_eq!(memory.bytes_current, 0, "a decoder keeps nothing");
    if is_read {
        let longer = [body, &[0]].concat();
        assert!(
            decode_response(api_key, version, &longer),
            "bytes behind the end of an answer are in the way"
        );
        // The input may have such bytes itself. Whatever they are, an answer has a beginning that cannot do without its end.
        assert!(!decode_response(api_key, version, &[]), "an answer of nothing is read");
    }
}

/// The most memory for a byte of an answer. A topic without name and partitions takes 3 bytes there and 64 here, a list
/// of one has room for four, and while a list grows there are two of it.
const MAX_GROWTH: u64 = 256;
const SLACK: u64 = 256;
