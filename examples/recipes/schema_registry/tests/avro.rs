//! The producer of orders with a registry and a cluster in this process.

use std::sync::{Arc, Mutex};

use apache_avro::from_value;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kafka_mock::MockCluster;
use kafka_producer::{KafkaProducer, ProducerRecord};
use recipe_support::soon;
use schema_registry::{Order, TOPIC, orders};
use schema_registry_converter::async_impl::avro::{AvroDecoder, AvroEncoder};
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::schema_registry_common::{SchemaType, SubjectNameStrategy, SuppliedSchema};
use serde_json::{Value, json};

/// The id of the first schema, in bytes that are not all zero.
const FIRST_ID: usize = 0x0102_0304;

/// Subjects and their schemas; a schema's id follows from its place.
type Schemas = Arc<Mutex<Vec<(String, String)>>>;

/// What a registry answers to `POST /subjects/SUBJECT/versions` and `GET /schemas/ids/ID`.
async fn registry(is_compatible: bool) -> (SrSettings, Schemas) {
    let schemas = Schemas::default();
    let refused = post(|| async {
        (
            StatusCode::CONFLICT,
            Json(json!({"error_code": 409, "message": "schema being registered is incompatible"})),
        )
    });
    let register = post(
        |State(schemas): State<Schemas>, Path(subject): Path<String>, Json(body): Json<Value>| async move {
            let schema = (subject, body["schema"].as_str().unwrap_or_default().to_owned());
            let mut schemas = schemas.lock().unwrap();
            let place = schemas.iter().position(|known| *known == schema).unwrap_or(schemas.len());
            if place == schemas.len() {
                schemas.push(schema);
            }
            Json(json!({"id": FIRST_ID + place}))
        },
    );
    let tell = get(|State(schemas): State<Schemas>, Path(id): Path<usize>| async move {
        Json(json!({"schema": schemas.lock().unwrap()[id - FIRST_ID].1}))
    });
    let routes = Router::new()
        .route("/subjects/{subject}/versions", if is_compatible { register } else { refused })
        .route("/schemas/ids/{id}", tell)
        .with_state(Arc::clone(&schemas));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, routes).into_future());
    (SrSettings::new_builder(url).no_proxy().build().unwrap(), schemas)
}

fn order(number: i64) -> Order {
    let gift_for = (number % 2 == 1).then(|| format!("friend {number}"));
    Order { what: format!("basket {number}"), count: number * 1000 - 2000, gift_for }
}

#[tokio::test]
async fn readers_with_the_registry_read_what_was_sent() {
    let cluster = MockCluster::builder().brokers(1).start().await.unwrap();
    let (registry, schemas) = registry(true).await;
    let builder = KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers());
    let producer = soon("schema", orders(&registry, builder)).await.unwrap();

    for number in 0..4 {
        let record =
            ProducerRecord::to(TOPIC).partition(0).key(format!("customer {number}")).value(order(number));
        soon("record", producer.send(record)).await.unwrap();
    }

    let (records, decoder) = (cluster.records(TOPIC, 0), AvroDecoder::new(registry));
    assert_eq!(records.len(), 4);
    for (number, record) in (0..).zip(&records) {
        let read = soon("schema", decoder.decode(record.value.as_deref())).await.unwrap();
        assert_eq!(from_value::<Order>(&read.value).unwrap(), order(number));
    }
    let schemas = schemas.lock().unwrap();
    assert_eq!(schemas.iter().map(|(subject, _)| subject.as_str()).collect::<Vec<_>>(), ["orders-value"]);
}

#[tokio::test]
async fn bytes_are_those_of_the_encoder_of_the_registry_s_client() {
    let cluster = MockCluster::builder().brokers(1).start().await.unwrap();
    let (registry, schemas) = registry(true).await;
    let builder = KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers());
    let producer = soon("schema", orders(&registry, builder)).await.unwrap();
    soon("record", producer.send(ProducerRecord::to(TOPIC).partition(0).value(order(3)))).await.unwrap();

    let schema = SuppliedSchema::new(None, SchemaType::Avro, schemas.lock().unwrap()[0].1.clone());
    let strategy = SubjectNameStrategy::TopicNameStrategyWithSchema(TOPIC.to_owned(), false, schema);
    let bytes = soon("bytes", AvroEncoder::new(registry).encode_struct(order(3), &strategy)).await.unwrap();
    assert_eq!(bytes[..5], [0, 1, 2, 3, 4]);
    assert_eq!(cluster.records(TOPIC, 0)[0].value.as_deref(), Some(&bytes[..]));
}

#[tokio::test]
async fn schema_that_the_registry_refuses_is_told_before_anything_is_sent() {
    let cluster = MockCluster::builder().brokers(1).start().await.unwrap();
    let (registry, _) = registry(false).await;
    let builder = KafkaProducer::builder().bootstrap_servers(cluster.bootstrap_servers());

    let error = soon("answer", orders(&registry, builder)).await.unwrap_err();

    assert!(error.to_string().contains("409"), "{error}");
}
