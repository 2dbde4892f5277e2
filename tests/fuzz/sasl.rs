//! Who the producer says that it is: what brokers say to that, and what users write about it.

use kafka_producer::__internals::hear_by_scram;
use kafka_producer::ProducerConfig;

/// The two messages of a broker, apart at the first line break behind the first byte, which chooses whether the first message begins with
/// the nonce of the client.
pub(crate) fn scram(data: &[u8]) {
    let Some((choice, messages)) = data.split_first() else { return };
    let mut messages = messages.splitn(2, |byte| *byte == b'\n');
    let (first, last) = (messages.next().unwrap_or_default(), messages.next().unwrap_or_default());

    let (said, is_believed) = hear_by_scram(choice & 1 == 1, first, last);

    if let Some(said) = said {
        let said = String::from_utf8(said).expect("it is a text");
        assert!(said.starts_with("c=biws,r=") && said.contains(",p="), "{said}");
        assert!(choice & 1 == 1, "a broker that does not continue the nonce is believed");
    }
    // Nothing that is made up can be the signature.
    assert!(!is_believed, "a broker that does not know the password is believed");
}

/// Any line as `sasl.jaas.config`, with a password somewhere in it, at the place that the first byte says.
pub(crate) fn jaas(data: &[u8]) {
    let Some((place, line)) = data.split_first() else { return };
    let line = String::from_utf8_lossy(line);
    let middle = (0..=line.len()).rev().find(|at| *at <= usize::from(*place) && line.is_char_boundary(*at));
    let (before, behind) = line.split_at(middle.unwrap_or(0));
    let line = format!("{before}{PASSWORD}{behind}");

    let config = ProducerConfig::new()
        .property("bootstrap.servers", "kafka:9092")
        .property("security.protocol", "SASL_PLAINTEXT")
        .property("sasl.mechanism", "PLAIN")
        .property("sasl.jaas.config", &line);

    let mut shown = format!("{:?} {:?}", config.validate(), config.get("sasl.jaas.config"));
    if let Err(error) = config.validate() {
        shown += &error.to_string();
    }
    assert!(!shown.contains(PASSWORD), "{shown}");
}

const PASSWORD: &str = "hunter2";
