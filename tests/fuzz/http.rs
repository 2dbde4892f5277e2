//! Answers of HTTP out of bytes that arrive in pieces.

use kafka_producer::__internals::read_http_answer;

use super::input::Input;

/// The input is: the length of the pieces, then the bytes.
pub(crate) fn http(data: &[u8]) {
    let mut input = Input::new(data);
    let piece_len = usize::from(input.byte()) + 1;
    let bytes = input.rest();

    let mut in_pieces = None;
    let memory = allocation_counter::measure(|| in_pieces = read_http_answer(bytes.chunks(piece_len)));

    assert_eq!(in_pieces, read_http_answer(std::iter::once(bytes)), "cuts change nothing");
    // What has arrived, the body, and a line at a time.
    let limit = 1024 + 16 * u64::try_from(bytes.len()).expect("inputs are small");
    assert!(memory.bytes_max <= limit, "{} bytes for {}", memory.bytes_max, bytes.len());
}
