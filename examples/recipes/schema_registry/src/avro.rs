//! [`AvroSerializer`]: Avro's binary encoding, without a header.

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use kafka_producer::{BoxError, Headers, Serializer};
use serde::Serialize;

/// Writes whatever `serde` serializes by one schema.
///
/// Put a [`RegisteredSchema`](kafka_producer::RegisteredSchema) around it, which tells readers which schema that is.
pub struct AvroSerializer {
    writer: GenericDatumWriter<'static>,
}

impl AvroSerializer {
    /// Makes a serializer.
    ///
    /// # Errors
    ///
    /// If the schema refers to others that it does not have.
    pub fn new(schema: &'static Schema) -> Result<Self, apache_avro::Error> {
        Ok(Self { writer: GenericDatumWriter::builder(schema).build()? })
    }
}

impl<T: Serialize> Serializer<T> for AvroSerializer {
    fn serialize<'a>(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        data: &'a T,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], BoxError> {
        // An error reaches the caller of `send`, with the record.
        self.writer.write_ser(scratch, data)?;
        Ok(scratch)
    }
}
