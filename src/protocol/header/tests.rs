//! Headers, compared with the bytes of Java's.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use super::{RequestHeader, ResponseHeader};
use crate::protocol::ApiKey;
use crate::protocol::testdata::golden;
use crate::wire::{EncodeError, Reader, Writer};

fn encoded(header: RequestHeader<'_>) -> Vec<u8> {
    let mut out = Writer::new();
    header.encode(&mut out).unwrap();
    out.finish().unwrap().concat().split_off(4)
}

const HEADER: RequestHeader<'static> =
    RequestHeader { api_key: ApiKey::Produce, api_version: 13, correlation_id: 5, client_id: Some("cid") };

#[test]
fn request_header_2_equals_that_of_java() {
    assert_eq!(golden("RequestHeader[key0,ver13,corr5,client cid]"), [(2, encoded(HEADER))]);
}

#[test]
fn request_header_1_equals_that_of_java() {
    let header = encoded(RequestHeader { api_version: 8, ..HEADER });

    assert_eq!(golden("RequestHeader[key0,ver8,corr5,client cid]"), [(1, header)]);
}

#[test]
fn request_header_may_lack_a_client_id() {
    let header = encoded(RequestHeader { client_id: None, ..HEADER });

    assert_eq!(header, [0, 0, 0, 13, 0, 0, 0, 5, 0xff, 0xff, 0]);
}

#[test]
fn client_id_that_does_not_fit_is_refused() {
    let client_id = "x".repeat(32768);
    let header = RequestHeader { client_id: Some(&client_id), ..HEADER };

    assert_eq!(header.encode(&mut Writer::new()), Err(EncodeError::StringTooLong(32768)));
}

#[test]
fn response_header_0_is_a_correlation_id() {
    let mut reader = Reader::new(&[0, 0, 0, 7, 9]);

    assert_eq!(ResponseHeader::decode(&mut reader, 0), Ok(ResponseHeader { correlation_id: 7 }));
    assert_eq!(reader.position(), 4);
}

#[test]
fn response_header_1_has_tags_that_are_skipped() {
    for bytes in [&[0, 0, 0, 7, 0][..], &[0, 0, 0, 7, 1, 4, 2, 8, 8]] {
        let mut reader = Reader::new(bytes);

        assert_eq!(ResponseHeader::decode(&mut reader, 1), Ok(ResponseHeader { correlation_id: 7 }));
        assert_eq!(reader.finish(), Ok(()));
    }
}

#[test]
fn truncated_response_header_is_refused() {
    for length in 0..5 {
        assert!(ResponseHeader::decode(&mut Reader::new(&[0, 0, 0, 7, 0][..length]), 1).is_err());
    }
}
