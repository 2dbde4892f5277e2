//! Configuration: any text as properties, in a file's syntax or as a map.

use kafka_producer::ProducerConfig;

/// The first byte chooses between a text and a map, whose keys and values are then the lines in turns.
pub(crate) fn properties(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let config = if choice & 1 == 0 {
        ProducerConfig::from_properties_text(&text)
    } else {
        let lines: Vec<_> = text.split('\n').collect();
        ProducerConfig::from_properties(
            lines.chunks(2).map(|pair| (pair[0], pair.last().map_or("", |value| *value))),
        )
    };

    assert!(!format!("{config:?}").is_empty());
    match config.validate() {
        Ok(()) => assert_can_be_written_down(&config),
        Err(error) => {
            assert!(!error.problems().is_empty() && !error.to_string().is_empty());
        }
    }
}

/// What is in force, read as properties again, is in force again.
fn assert_can_be_written_down(config: &ProducerConfig) {
    let values = || keys().filter_map(|key| Some((key, config.get(key)?)));
    let again = ProducerConfig::from_properties(values());
    for (key, value) in values() {
        assert_eq!(again.get(key).as_deref(), Some(&*value), "{key}");
    }
}

/// Every key of Kafka's.
fn keys() -> impl Iterator<Item = &'static str> {
    let table = include_str!("../../src/config/kafka-4.4.tsv").lines();
    table.filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').next())
}
