//! Frames: pipelined, in pieces, broken, hostile.

use bytes::{BufMut, BytesMut};
use kafka_mock::{Api, MockCluster};
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest, ProduceRequest};

use crate::support::{Client, batch, metadata_request, produce_request, values};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let mut together = BytesMut::new();
    for index in 0..200 {
        let (frame, _) = match index % 2 {
            0 => client.frame(12, &metadata_request(&["t"])),
            _ => client.frame(9, &produce_request("t", 0, batch(&[&index.to_string()]))),
        };
        together.extend_from_slice(&frame);
    }

    client.write_raw(&together).await;

    for index in 0..200 {
        let answered = match index % 2 {
            0 => client.read::<MetadataRequest>(12).await.map(|(id, _)| id),
            _ => client.read::<ProduceRequest>(9).await.map(|(id, _)| id),
        };
        assert_eq!(answered, Some(100 + index));
    }
    let expected: Vec<_> = (0..200).filter(|index| index % 2 == 1).map(|index| index.to_string()).collect();
    assert_eq!(values(&cluster, "t", 0), expected);
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let cluster = MockCluster::start(1).await.unwrap();
    let mut client = Client::connect(&cluster, 0).await;
    let (frame, id) = client.frame(12, &metadata_request(&["t"]));

    for byte in &frame {
        client.write_raw(&[*byte]).await;
        tokio::task::yield_now().await;
    }

    assert_eq!(client.read::<MetadataRequest>(12).await.map(|(id, _)| id), Some(id));
}

#[tokio::test]
async fn frames_beyond_the_limit_close_the_connection() {
    let cluster = MockCluster::builder().max_request_bytes(1000).start().await.unwrap();
    for length in [1001, i32::MAX, -1, i32::MIN] {
        let mut client = Client::connect(&cluster, 0).await;
        client.write_raw(&length.to_be_bytes()).await;
        assert!(client.is_closed_by_broker().await, "length {length}");
    }
    assert_eq!(cluster.refusals().len(), 4);
}

#[tokio::test]
async fn counts_that_the_frame_cannot_hold_close_the_connection() {
    let cluster = MockCluster::start(1).await.unwrap();
    let headers: [(Api, i16, &[u8]); 4] = [
        (Api::Metadata, 1, &[0x7f, 0xff, 0xff, 0xff]),
        (Api::Metadata, 12, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (Api::Produce, 3, &[0xff, 0xff, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff]),
        (Api::CreateTopics, 7, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (api, version, body) in headers {
        let mut client = Client::connect(&cluster, 0).await;
        let mut frame = BytesMut::new();
        frame.put_i16(api.key());
        frame.put_i16(version);
        frame.put_i32(1);
        frame.put_i16(-1);
        frame.put_slice(body);
        client.write_raw(&u32::try_from(frame.len()).unwrap().to_be_bytes()).await;
        client.write_raw(&frame).await;
        assert!(client.is_closed_by_broker().await, "{api:?}");
    }
    assert_eq!(cluster.refusals().len(), 4, "{:?}", cluster.refusals());
}

#[tokio::test]
async fn bytes_after_the_body_and_unknown_keys_close_the_connection() {
    let cluster = MockCluster::start(1).await.unwrap();

    let mut client = Client::connect(&cluster, 0).await;
    let (frame, _) = client.frame(0, &ApiVersionsRequest::default());
    let mut longer = frame.to_vec();
    longer.push(0);
    longer[3] += 1;
    client.write_raw(&longer).await;
    assert!(client.is_closed_by_broker().await);

    let mut client = Client::connect(&cluster, 0).await;
    client.write_raw(&[0, 0, 0, 10, 0, 12, 0, 0, 0, 0, 0, 1, 255, 255]).await;
    assert!(client.is_closed_by_broker().await);
}

#[tokio::test]
async fn mutilated_requests_bring_no_broker_down() {
    let cluster = MockCluster::start(1).await.unwrap();
    // A small generator of pseudo-random numbers (xorshift), so that every run tries the same.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..500 {
        let mut client = Client::connect(&cluster, 0).await;
        let (frame, _) = match round % 3 {
            0 => client.frame(12, &metadata_request(&["t", "u"])),
            1 => client.frame(9, &produce_request("t", 0, batch(&["a", "b"]))),
            _ => client.frame(3, &produce_request("t", 0, batch(&["a", "b"]))),
        };
        let mut frame = frame.to_vec();
        for _ in 0..1 + random() % 3 {
            let at = 8 + random() as usize % (frame.len() - 8);
            frame[at] = random() as u8;
        }
        client.write_raw(&frame).await;
    }

    let mut client = Client::connect(&cluster, 0).await;
    assert_eq!(client.call(0, &ApiVersionsRequest::default()).await.error_code, 0);
}
