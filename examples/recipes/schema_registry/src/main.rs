//! Sends a few orders: `schema_registry REGISTRY_URL BOOTSTRAP_SERVERS`.

use std::time::Duration;

use kafka_producer::{KafkaProducer, ProducerRecord};
use schema_registry::{Order, TOPIC};
use schema_registry_converter::async_impl::schema_registry::SrSettings;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let (Some(registry), Some(servers)) = (arguments.next(), arguments.next()) else {
        return Err("usage: schema_registry REGISTRY_URL BOOTSTRAP_SERVERS".into());
    };
    let registry = SrSettings::new(registry);
    let producer =
        schema_registry::orders(&registry, KafkaProducer::builder().bootstrap_servers(servers)).await?;

    for (customer, what, count) in [("customer-7", "apples", 2), ("customer-9", "pears", 3)] {
        let order = Order { what: what.to_owned(), count, gift_for: None };
        let record = ProducerRecord::to(TOPIC).key(customer.to_owned()).value(order);
        println!("written to {}", producer.send(record).await?);
    }
    println!("{}", producer.close(Duration::from_secs(30)).await);
    Ok(())
}
