//! rskafka. It has no idempotence and no partitioner.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kafka_producer_peers::deliveries::OUTSTANDING;
use kafka_producer_peers::options::{Arguments, Mode, Options};
use kafka_producer_peers::outcome::{Run, payloads, timed_one_of};
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::producer::aggregator::RecordAggregator;
use rskafka::client::producer::{BatchProducer, BatchProducerBuilder};
use rskafka::record::Record;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

type Partition = BatchProducer<RecordAggregator>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = Arguments::of_process();
    let options = Options::take(&mut arguments);
    let outstanding: usize = arguments.take("outstanding", OUTSTANDING);
    let partitions: i32 = arguments.take("partitions", 4);
    arguments.finish();
    tokio::spawn(run(options, outstanding, partitions)).await?
}

async fn run(
    options: Options,
    outstanding: usize,
    partitions: i32,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let brokers = options.bootstrap.split(',').map(str::to_owned).collect();
    let mut builder = ClientBuilder::new(brokers);
    if !options.tls_ca.is_empty() {
        builder = builder.tls_config(tls(&options.tls_ca)?);
    }
    let client = builder.build().await?;
    let mut producers = Vec::new();
    for partition in 0..partitions {
        let partition =
            client.partition_client(&options.topic, partition, UnknownTopicHandling::Retry).await?;
        let builder = BatchProducerBuilder::new(Arc::new(partition))
            .with_linger(Duration::from_millis(options.linger_ms))
            .with_compression(codec(&options.compression)?);
        producers.push(builder.build(RecordAggregator::new(options.batch_size)));
    }
    let payloads = payloads(&options);
    for producer in &producers {
        producer.produce(record(&payloads[0])).await?;
    }

    let mut run = Run::start("rskafka");
    let every = timed_one_of(&options);
    let mut on_their_way = FuturesUnordered::new();
    // As a sticky partitioner would: a batch here, then a batch there.
    let in_batch = (options.batch_size / options.size).max(1) as u64;
    for (number, payload) in (0..options.records).zip(payloads.iter().cycle()) {
        let place = (number / in_batch % producers.len() as u64) as usize;
        let sent = (number.is_multiple_of(every)).then(Instant::now);
        on_their_way.push(produce(&producers[place], record(payload), sent));
        let most = if options.mode == Mode::Lone { 0 } else { outstanding - 1 };
        while on_their_way.len() > most {
            if let Some(latency) = on_their_way.next().await.transpose()?.flatten() {
                run.latency(latency);
            }
        }
    }
    while let Some(latency) = on_their_way.next().await {
        if let Some(latency) = latency? {
            run.latency(latency);
        }
    }
    run.finish(options.records, 0, "");
    Ok(())
}

async fn produce(
    producer: &Partition,
    record: Record,
    sent: Option<Instant>,
) -> Result<Option<Duration>, rskafka::client::producer::Error> {
    producer.produce(record).await?;
    Ok(sent.map(|sent| sent.elapsed()))
}

fn record(payload: &[u8]) -> Record {
    Record {
        key: None,
        value: Some(payload.to_vec()),
        headers: std::collections::BTreeMap::new(),
        timestamp: chrono::Utc::now(),
    }
}

fn codec(name: &str) -> Result<Compression, String> {
    match name {
        "none" => Ok(Compression::NoCompression),
        "gzip" => Ok(Compression::Gzip),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(format!("unknown codec {name}")),
    }
}

fn tls(ca: &str) -> Result<Arc<ClientConfig>, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
