//! All brokers move to other addresses at once, and only the bootstrap address still leads to them (KIP-899).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_producer::KafkaProducer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::fault::CONFIGS;
use super::fault::Scene;
use super::judgement::judge;
use super::stream::Keys;
use super::stream::Stream;
use super::trace;
use crate::support::KafkaCluster;
use crate::support::Version;
use crate::support::ports;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producer_finds_brokers_that_have_all_moved_to_other_addresses() {
    trace::start();
    let Some(cluster) = KafkaCluster::start(Version::V4_3_1, 3).await else { return };
    let door = Door::open(cluster.broker(1).address()).await;
    let producer: KafkaProducer = KafkaProducer::builder()
        .bootstrap_servers(door.address.to_string())
        // Three brokers at once may take their time to start.
        .delivery_timeout(Duration::from_secs(400))
        .build()
        .expect("a valid configuration");
    let streams =
        [Stream::new("orders", 6, Keys::All, &producer), Stream::new("events", 4, Keys::None, &producer)];
    for stream in &streams {
        cluster.create_topic(stream.topic, stream.partitions, 3, &CONFIGS).await;
    }
    let scene = Scene { cluster: &cluster, streams: &streams, recreated: None, hasty: None };

    let is_over = AtomicBool::new(false);
    let load = futures::future::join_all(streams.iter().map(|stream| stream.run(&is_over)));
    tokio::join!(load, async {
        scene.flows().await;
        for broker in cluster.brokers() {
            broker.kill_9();
        }
        let ports = ports::free_ports(cluster.brokers().len());
        for (broker, port) in cluster.brokers().iter().zip(ports) {
            broker.move_to(port);
        }
        door.lead_to(cluster.broker(2).address());
        futures::future::join_all(cluster.brokers().iter().map(|broker| broker.restart())).await;
        scene.is_whole().await;
        scene.flows().await;
        is_over.store(true, Ordering::Relaxed);
    });

    let figures = judge(&cluster, &streams, "three brokers at new addresses").await;
    assert_eq!(figures.failed(), 0);
}

/// An address that leads to one broker now and to another later, as that of a load balancer does.
struct Door {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Door {
    async fn open(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(ports::address(0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let target = Arc::new(Mutex::new(target));
        let task = tokio::spawn(serve(listener, Arc::clone(&target)));
        Self { address, target, task }
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: Arc<Mutex<SocketAddr>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::spawn(async move {
            // Whatever goes wrong here is to be noticed by the client: its connection ends.
            if let Ok(mut broker) = TcpStream::connect(target).await {
                drop(tokio::io::copy_bidirectional(&mut client, &mut broker).await);
            }
        });
    }
}
