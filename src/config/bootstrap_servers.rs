//! What the setter of `bootstrap.servers` takes.

use std::borrow::Cow;
use std::sync::Arc;

/// The value of `bootstrap.servers`, out of one text or of a list. A function of your own that hands on what its caller gives takes
/// `impl Into<BootstrapServers>`.
///
/// ```
/// use kafka_producer::ProducerConfig;
///
/// let hosts = vec!["kafka-1:9092".to_owned(), "kafka-2:9092".to_owned()];
/// let config = ProducerConfig::new().bootstrap_servers(hosts);
///
/// assert_eq!(config, ProducerConfig::new().bootstrap_servers("kafka-1:9092,kafka-2:9092"));
/// assert_eq!(config, ProducerConfig::new().bootstrap_servers(["kafka-1:9092", "kafka-2:9092"]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapServers(String);

impl BootstrapServers {
    /// Returns them as Kafka writes them, separated by commas.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_list<S: AsRef<str>>(list: &[S]) -> Self {
        Self(list.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(","))
    }
}

impl From<&str> for BootstrapServers {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for BootstrapServers {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&String> for BootstrapServers {
    fn from(text: &String) -> Self {
        Self(text.clone())
    }
}

impl From<Box<str>> for BootstrapServers {
    fn from(text: Box<str>) -> Self {
        Self(text.into())
    }
}

impl From<Arc<str>> for BootstrapServers {
    fn from(text: Arc<str>) -> Self {
        Self((*text).to_owned())
    }
}

impl From<Cow<'_, str>> for BootstrapServers {
    fn from(text: Cow<'_, str>) -> Self {
        Self(text.into_owned())
    }
}

impl<S: AsRef<str>> From<Vec<S>> for BootstrapServers {
    fn from(list: Vec<S>) -> Self {
        Self::of_list(&list)
    }
}

impl<S: AsRef<str>> From<&Vec<S>> for BootstrapServers {
    fn from(list: &Vec<S>) -> Self {
        Self::of_list(list)
    }
}

impl<S: AsRef<str>> From<&[S]> for BootstrapServers {
    fn from(list: &[S]) -> Self {
        Self::of_list(list)
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for BootstrapServers {
    fn from(list: [S; N]) -> Self {
        Self::of_list(&list)
    }
}

impl<S: AsRef<str>, const N: usize> From<&[S; N]> for BootstrapServers {
    fn from(list: &[S; N]) -> Self {
        Self::of_list(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_are_taken() {
        let text = |servers: BootstrapServers| servers.as_str().to_owned();
        let (owned, list) = ("a:1,b:2".to_owned(), vec!["a:1".to_owned(), "b:2".to_owned()]);

        let texts = [
            text((&owned).into()),
            text((*owned).into()),
            text(Box::<str>::from("a:1,b:2").into()),
            text(Cow::Borrowed("a:1,b:2").into()),
            text((&list).into()),
            text((*list).into()),
            text(["a:1", "b:2"].into()),
            text((&["a:1", "b:2"]).into()),
            text(Arc::<str>::from("a:1,b:2").into()),
            text(owned.into()),
            text(list.into()),
        ];

        assert!(texts.iter().all(|text| text == "a:1,b:2"), "{texts:?}");
    }
}
