//! What is sent, and its schema.

use std::sync::LazyLock;

use apache_avro::Schema;
use serde::{Deserialize, Serialize};

/// Where orders go.
pub const TOPIC: &str = "orders";

/// An order of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub what: String,
    pub count: i64,
    /// A later version of the schema has it, with a default, so that programs with the first version can be read and can read.
    pub gift_for: Option<String>,
}

/// The schema as the registry stores it.
pub(crate) const SCHEMA_TEXT: &str = r#"{
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "what", "type": "string"},
        {"name": "count", "type": "long"},
        {"name": "gift_for", "type": ["null", "string"], "default": null}
    ]
}"#;

/// The schema as Avro's encoder takes it.
pub static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse_str(SCHEMA_TEXT).expect("the schema is a constant, and a test parses it"));
