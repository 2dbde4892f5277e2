//! Producer properties as Kafka's tools take them: a file, `key=value` arguments, and the servers.

use std::error::Error;
use std::path::Path;

use kafka_producer::ProducerConfig;

/// What the tools fail with.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Reads the file first, so that the arguments take precedence over it.
pub(crate) fn read(file: Option<&Path>, properties: &[String]) -> Result<ProducerConfig, Failure> {
    let mut config = match file {
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            ProducerConfig::from_properties_text(&decode(&bytes))
        }
        None => ProducerConfig::new(),
    };
    for property in properties {
        let (key, value) =
            property.split_once('=').ok_or_else(|| format!("{property:?} is not of the form key=value"))?;
        config = config.property(key.trim(), value);
    }
    Ok(config)
}

/// Reads text as Java reads files of properties: each byte is a character of ISO-8859-1. A file that begins with the byte order mark
/// of UTF-8 is in UTF-8.
fn decode(bytes: &[u8]) -> String {
    match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => String::from_utf8_lossy(rest).into_owned(),
        None => bytes.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn bytes_are_read_as_java_reads_them() {
        assert_eq!(decode(b"client.id=caf\xe9 \x80\n"), "client.id=caf\u{e9} \u{80}\n");
        assert_eq!(decode("client.id=café".as_bytes()), "client.id=cafÃ©");
        assert_eq!(decode("\u{feff}client.id=café".as_bytes()), "client.id=café");
        assert_eq!(decode(b""), "");
    }
}
