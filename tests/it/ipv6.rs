//! Brokers with IPv6 addresses.

use std::net::Ipv6Addr;

use kafka_producer::{KafkaProducer, SendErrorKind};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{builder_at, cluster_with, log_of, millis, record, soon};

#[tokio::test]
async fn bootstrap_server_may_have_an_ipv6_address() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else {
        return println!("skipped: this machine has no IPv6");
    };
    let cluster = cluster_with(1, 1).await;
    let broker = cluster.bootstrap_servers();
    let address = listener.local_addr().unwrap();
    let passing_on = tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&broker).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });

    for bootstrap in [format!("[::1]:{}", address.port()), format!("[0:0::1]:{}", address.port())] {
        let producer: KafkaProducer = builder_at(bootstrap).build().unwrap();
        soon("result", producer.send(record(0))).await.unwrap();
    }

    assert_eq!(log_of(&cluster, 0), ["0", "0"]);
    passing_on.abort();
}

#[tokio::test]
async fn errors_write_ipv6_addresses_with_their_brackets() {
    let producer = builder_at("[::1]:1").max_block(millis(300)).build().unwrap();

    let error = soon("result", producer.send(record(0))).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::MetadataTimeout { .. }), "{error:?}");
    let text = format!("{error}");
    assert!(text.contains("no broker can be reached ([::1]:1: "), "{text}");
}
