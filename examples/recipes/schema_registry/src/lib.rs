//! Sends values of a Rust type as Avro, with a schema that a registry knows.
//!
//! The registry is asked once, when the program starts, and not for each record: a schema has one id for ever. So a record is
//! serialized where it is sent, without waiting, and an outage of the registry does not hold up a program that runs.

mod avro;
mod order;

use kafka_producer::{KafkaProducer, KafkaProducerBuilder, RegisteredSchema, StringSerializer};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, post_schema};
use schema_registry_converter::schema_registry_common::{SchemaType, SuppliedSchema};

pub use self::avro::AvroSerializer;
pub use self::order::{Order, SCHEMA, TOPIC};

/// Builds a producer for orders.
///
/// The registry adds the schema if it does not have it.
///
/// # Errors
///
/// If the registry cannot be reached or does not take the schema, for instance because readers of the one before could not read it, and as
/// those of [`KafkaProducerBuilder::build`].
pub async fn orders(
    registry: &SrSettings,
    producer: KafkaProducerBuilder,
) -> Result<KafkaProducer<String, Order>, Box<dyn std::error::Error>> {
    // The name that Kafka's own serializers use for the values of a topic.
    let subject = format!("{TOPIC}-value");
    let schema = SuppliedSchema::new(None, SchemaType::Avro, order::SCHEMA_TEXT.to_owned());
    let registered = post_schema(registry, subject, schema).await?;

    let values = RegisteredSchema::new(registered.id, AvroSerializer::new(&SCHEMA)?);
    Ok(producer.serializers(StringSerializer, values).build()?)
}
