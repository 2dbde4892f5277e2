//! Public behaviour against `kafka-mock`.

use std::time::Duration;

use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, ProducerRecord};

#[tokio::test]
async fn smoke() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = MockCluster::start(3).await?;
    cluster.create_topic("topic-demo", 4, 3)?;
    let producer: KafkaProducer =
        KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers()).build()?;
    let metadata = producer.send(ProducerRecord::to("topic-demo").key("k").value("v")).await?;
    println!("{metadata:?}");
    let mut deliveries = Vec::new();
    for i in 0..10_000 {
        deliveries.push(producer.enqueue(ProducerRecord::to("topic-demo").value(format!("{i}"))).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    println!("{:?}", producer.metrics());
    println!("{:?}", producer.close(Duration::from_secs(5)).await);
    Ok(())
}
