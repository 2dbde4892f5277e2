//! Frames out of bytes that arrive in pieces, and the headers of answers.

use bytes::{Buf, BytesMut};
use kafka_producer::__internals::{decode_response_header, take_frames};

use super::input::Input;

/// The input is: the longest frame, the length of the pieces, then the bytes.
pub(crate) fn frames(data: &[u8]) {
    let mut input = Input::new(data);
    let max_len = usize::from(input.byte()) * 4;
    let piece_len = usize::from(input.byte()) + 1;
    let bytes = input.rest();

    let expected = expected(bytes, max_len);
    let mut received = BytesMut::new();
    let mut found = Some(Vec::new());
    let memory = allocation_counter::measure(|| {
        for piece in bytes.chunks(piece_len) {
            received.extend_from_slice(piece);
            let Some(frames) = take_frames(&mut received, max_len) else {
                found = None;
                return;
            };
            found.as_mut().expect("the loop ends at a fault").extend(frames);
        }
    });

    // A frame is a view; what is allocated is what has arrived, and lists of views.
    let limit = 1024 + 64 * u64::try_from(bytes.len()).expect("inputs are small");
    assert!(memory.bytes_max <= limit, "{} bytes of memory for {} bytes", memory.bytes_max, bytes.len());
    match (&found, &expected) {
        (Some(found), Some(expected)) => assert_eq!(found, expected),
        (found, expected) => assert_eq!(found.is_some(), expected.is_some()),
    }
    for frame in expected.into_iter().flatten() {
        headers(frame);
    }
    headers(bytes);
}

/// Says what the frames are, `None` if there is something that is no frame.
fn expected(mut bytes: &[u8], max_len: usize) -> Option<Vec<&[u8]>> {
    let mut frames = Vec::new();
    while bytes.len() >= 4 {
        let len = usize::try_from(bytes.get_i32()).ok().filter(|len| *len <= max_len)?;
        let Some((frame, rest)) = bytes.split_at_checked(len) else { break };
        frames.push(frame);
        bytes = rest;
    }
    Some(frames)
}

fn headers(frame: &[u8]) {
    for version in [0, 1] {
        let Some((correlation_id, len)) = decode_response_header(version, frame) else { continue };
        assert_eq!(frame[..4], correlation_id.to_be_bytes());
        assert!(len <= frame.len());
        assert!(version > 0 || len == 4);
    }
}
