//! Brokers that can be reached through a SOCKS5 proxy only: a dialer asks the proxy for each connection.
//!
//! `cargo run --release --example socks5_proxy`
//!
//! The proxy looks the names of brokers up, so they need not be known here. It is a small one in this process; with
//! `SOCKS_PROXY=host:port` the example takes another, such as that of `ssh -D`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_producer::{DialTarget, Dialer, Dialing, KafkaProducer, ProducerRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Failure, Target};

/// Connects through a proxy that asks for no password (RFC 1928).
struct Socks5 {
    host: String,
    port: u16,
}

impl Dialer for Socks5 {
    fn dial(&self, target: DialTarget) -> Dialing<'_> {
        Box::pin(async move {
            let mut stream = target.connect_tcp_to(&self.host, self.port).await?;
            ask_for(&mut stream, target.host(), target.port()).await?;
            Ok(Box::new(stream) as _)
        })
    }
}

const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Has the proxy connect the stream to a host, which may be a name or an address.
async fn ask_for(stream: &mut TcpStream, host: &str, port: u16) -> io::Result<()> {
    stream.write_all(&[VERSION, 1, NO_PASSWORD]).await?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice).await?;
    if choice != [VERSION, NO_PASSWORD] {
        return Err(io::Error::other("the proxy is no SOCKS5 proxy, or wants a password"));
    }
    let len = u8::try_from(host.len()).map_err(|_| io::Error::other("the name is too long for SOCKS5"))?;
    let mut request = vec![VERSION, CONNECT, 0, NAME, len];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;

    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    let [_, status, _, kind] = reply;
    if status != 0 {
        let text = format!("the proxy could not connect to {host}:{port}: SOCKS5 status {status}");
        return Err(io::Error::new(io::ErrorKind::HostUnreachable, text));
    }
    let bound = match kind {
        IPV4 => 4,
        IPV6 => 16,
        _ => usize::from(stream.read_u8().await?),
    };
    // Where the proxy's own connection begins, and its port: of no use here.
    stream.read_exact(&mut vec![0; bound + 2]).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let target = Target::from_args("proxied", 1).await?;
    let passed_on = Arc::new(AtomicUsize::new(0));
    let proxy = match std::env::var("SOCKS_PROXY") {
        Ok(proxy) => proxy,
        Err(_) => start_proxy(Arc::clone(&passed_on)).await?,
    };
    let (host, port) = proxy.rsplit_once(':').ok_or("SOCKS_PROXY must be host:port")?;
    let dialer = Socks5 { host: host.to_owned(), port: port.parse()? };

    let producer = KafkaProducer::builder().bootstrap_servers(&*target.servers).dialer(dialer).build()?;
    for number in 0..3 {
        let record = ProducerRecord::to(target.topic.clone()).value(format!("order {number}"));
        println!("{} delivered through the proxy at {proxy}", producer.send(record).await?);
    }
    let _ = producer.close(Duration::from_secs(10)).await;

    if let Some(mock) = &target.mock {
        let (records, connections) =
            (mock.records(&target.topic, 0).len(), passed_on.load(Ordering::Relaxed));
        println!("The topic holds {records} records, and the proxy has made {connections} connections");
        if records != 3 || (connections == 0 && std::env::var("SOCKS_PROXY").is_err()) {
            return Err("3 records were sent through the proxy".into());
        }
    }
    target.shutdown().await;
    Ok(())
}

/// Starts a proxy that does what this example needs, and no more. Returns its address.
async fn start_proxy(passed_on: Arc<AtomicUsize>) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let passed_on = Arc::clone(&passed_on);
            tokio::spawn(async move { pass_on(stream, &passed_on).await });
        }
    });
    Ok(address)
}

async fn pass_on(mut near: TcpStream, passed_on: &AtomicUsize) -> io::Result<()> {
    let mut greeting = [0; 3];
    near.read_exact(&mut greeting).await?;
    near.write_all(&[VERSION, NO_PASSWORD]).await?;
    let mut request = [0; 5];
    near.read_exact(&mut request).await?;
    let mut host = vec![0; usize::from(request[4])];
    near.read_exact(&mut host).await?;
    let port = near.read_u16().await?;
    let host = String::from_utf8(host).map_err(io::Error::other)?;
    let mut far = TcpStream::connect((host.as_str(), port)).await?;
    passed_on.fetch_add(1, Ordering::Relaxed);
    near.write_all(&[VERSION, 0, 0, IPV4, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
