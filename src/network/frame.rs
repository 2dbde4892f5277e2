//! Where one frame ends among the bytes that have come.

use bytes::{Buf, Bytes, BytesMut};

/// Takes the next frame off the front of the bytes that have been received, without its length, or returns `None`
/// if more bytes must come first.
///
/// Nothing is allocated on the word of the length alone.
///
/// # Errors
///
/// A length that is negative or above `max_len`: what follows is no frame of Kafka's, and the connection is of no
/// more use.
pub(crate) fn next_frame(received: &mut BytesMut, max_len: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = received.first_chunk() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let len = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
    if len > max_len {
        return Err(stranger(received).unwrap_or(FrameError::TooLong { len, max_len }));
    }
    if received.len() - LENGTH < len {
        return Ok(None);
    }

    received.advance(LENGTH);
    Ok(Some(received.split_to(len).freeze()))
}

/// Says who answers so, if it is another than a broker. The first bytes tell it.
fn stranger(received: &[u8]) -> Option<FrameError> {
    match received {
        [0x14..=0x17, 3, 0..=4, ..] => Some(FrameError::Tls),
        [b'H', b'T', b'T', b'P', ..] => Some(FrameError::Http),
        [_, _, _, _, ..] if received.iter().take(LENGTH).all(|byte| matches!(byte, b' '..=b'~')) => {
            Some(FrameError::Text)
        }
        _ => None,
    }
}

/// What was received is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("answers HTTP, is no Kafka broker")]
    Http,
    #[error("frame length {0} is negative")]
    Negative(i32),
    /// As servers of mail or of a shell do.
    #[error("answers with text, is no Kafka broker")]
    Text,
    /// The length is the head of a TLS record, such as that of the alert by which servers answer to what is no TLS.
    #[error(
        "the broker speaks TLS at this address, and the producer does not: set security.protocol to SSL or SASL_SSL, or correct the port"
    )]
    Tls,
    #[error("frame of {len} bytes exceeds the limit of {max_len}")]
    TooLong { len: usize, max_len: usize },
    #[error(
        "frame of {len} bytes exceeds the limit of {MAX_HANDSHAKE_LEN}, which holds until the broker has told its versions and who it is; \
         it may be an early answer about many topics, then the next connection does without it"
    )]
    TooLongYet { len: usize },
}

/// What a broker's answer may take up. An answer about half a million partitions has room in it.
pub(crate) const MAX_RESPONSE_LEN: usize = 64 * 1024 * 1024;

/// What an answer may take up before the connection takes requests: those about versions, and the words of SASL. The client does not
/// know by then who is at the other end.
pub(crate) const MAX_HANDSHAKE_LEN: usize = 1024 * 1024;

const LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        frame
    }

    #[test]
    fn frame_is_found_when_its_last_byte_has_come() {
        let mut received = BytesMut::new();

        for byte in &frame(b"body")[..7] {
            received.extend_from_slice(&[*byte]);
            assert_eq!(next_frame(&mut received, 100), Ok(None));
        }
        received.extend_from_slice(b"y");

        assert_eq!(next_frame(&mut received, 100), Ok(Some(Bytes::from_static(b"body"))));
        assert_eq!(next_frame(&mut received, 100), Ok(None));
    }

    #[test]
    fn frames_that_came_together_are_told_apart() {
        let mut received = BytesMut::from_iter([frame(b"one"), frame(b""), frame(b"three")].concat());

        let frames: Vec<_> = std::iter::from_fn(|| next_frame(&mut received, 100).unwrap()).collect();

        assert_eq!(frames, ["one", "", "three"]);
        assert!(received.is_empty());
    }

    /// RFC 8446, sections 5.1 and 6.
    #[test]
    fn alert_of_a_tls_server_is_known_for_what_it_is() {
        let mut received = BytesMut::from(&[0x15, 3, 3, 0, 2, 2, 80][..]);

        assert_eq!(next_frame(&mut received, MAX_RESPONSE_LEN), Err(FrameError::Tls));
    }

    #[test]
    fn text_in_place_of_a_frame_is_known_for_what_it_is() {
        for (said, told) in [
            ("HTTP/1.1 400 Bad Request\r\n", "answers HTTP"),
            ("SSH-2.0-OpenSSH_9.6\r\n", "answers with text"),
            ("220 mail.example.com ESMTP\r\n", "answers with text"),
            ("-ERR unknown command\r\n", "answers with text"),
        ] {
            let mut received = BytesMut::from(said);

            let error = next_frame(&mut received, MAX_RESPONSE_LEN).unwrap_err();

            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn negative_length_is_an_error() {
        let mut received = BytesMut::from(&(-1_i32).to_be_bytes()[..]);

        assert_eq!(next_frame(&mut received, 100), Err(FrameError::Negative(-1)));
    }

    #[test]
    fn length_above_the_limit_is_an_error_before_the_frame_has_come() {
        let mut received = BytesMut::from(&101_i32.to_be_bytes()[..]);

        let error = next_frame(&mut received, 100).unwrap_err();

        assert_eq!(error, FrameError::TooLong { len: 101, max_len: 100 });
        assert_eq!(error.to_string(), "frame of 101 bytes exceeds the limit of 100");
    }

    #[test]
    fn frame_at_the_limit_is_taken() {
        let mut received = BytesMut::from_iter(frame(&[7; 100]));

        assert_eq!(next_frame(&mut received, 100).unwrap().unwrap().len(), 100);
    }

    #[test]
    fn largest_length_allocates_nothing() {
        let mut received = BytesMut::from(&i32::MAX.to_be_bytes()[..]);
        let capacity = received.capacity();

        assert_eq!(next_frame(&mut received, usize::MAX), Ok(None));
        assert_eq!(received.capacity(), capacity);
    }
}
