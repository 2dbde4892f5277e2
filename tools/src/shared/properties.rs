//! Producer properties as Kafka's tools take them: a file, `key=value` arguments, and the servers.

use std::error::Error;
use std::path::Path;

use kafka_producer::ProducerConfig;

/// What the tools fail with.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Reads the file first, so that the arguments take precedence over it.
pub(crate) fn read(file: Option<&Path>, properties: &[String]) -> Result<ProducerConfig, Failure> {
    let mut config = match file {
        Some(path) => ProducerConfig::from_properties_file(path)?,
        None => ProducerConfig::new(),
    };
    for property in properties {
        let (key, value) =
            property.split_once('=').ok_or_else(|| format!("{property:?} is not of the form key=value"))?;
        config = config.property(key.trim(), value);
    }
    Ok(config)
}
