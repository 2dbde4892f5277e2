//! What to answer to a key that Kafka does not have.

use super::ConfigReason;
use super::foreign::FOREIGN_KEYS;
use super::keys;

/// Explains an unknown key.
pub(crate) fn explain(key: &str) -> ConfigReason {
    if let Some(foreign) = FOREIGN_KEYS.iter().find(|foreign| foreign.name == key) {
        return ConfigReason::Unknown { note: foreign.note(), suggestion: foreign.instead };
    }
    let Some(meant) = nearest(key) else {
        return ConfigReason::Unknown { note: String::new(), suggestion: None };
    };
    match keys::find(meant).and_then(keys::Key::refusal) {
        None => ConfigReason::Unknown { note: String::new(), suggestion: Some(meant) },
        // Who mends the name would only be refused again.
        Some(ConfigReason::JavaOnly(refusal) | ConfigReason::NotAvailable(refusal)) => {
            ConfigReason::Unknown { note: format!("much like {meant:?}: {refusal}"), suggestion: None }
        }
        Some(_) => ConfigReason::Unknown { note: String::new(), suggestion: None },
    }
}

/// Returns the key that was probably meant: the one that takes the fewest edits once capitals and separators are
/// left out, else one that continues what was given.
fn nearest(given: &str) -> Option<&'static str> {
    let squashed = squash(given);
    // Whatever is longer than any key is not a slip of the pen, and not worth comparing.
    if squashed.is_empty() || squashed.len() > LONGEST {
        return None;
    }
    let (distance, name) = keys::all()
        .map(|key| (edit_distance(&squashed, &squash(key.name)), key.name))
        .min_by_key(|(distance, _)| *distance)?;
    if distance <= (squashed.len() / 3).max(1) {
        return Some(name);
    }
    let continues = |key: &&keys::Key| squash(key.name).starts_with(&squashed);
    keys::all().filter(continues).min_by_key(|key| (!key.is_supported(), key.name.len())).map(|key| key.name)
}

fn squash(key: &str) -> Vec<char> {
    key.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

/// Counts the insertions, deletions, replacements and swaps of neighbours between two words.
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = Vec::with_capacity(above.len());
        row.push(i + 1);
        for (j, r) in right.iter().enumerate() {
            let replaced = above[j] + usize::from(l != r);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

/// Longer than every key.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::{edit_distance, explain, nearest, squash};
    use crate::config::{ConfigReason, keys};

    #[test]
    fn misspelt_keys_are_recognised() {
        for (given, meant) in [
            ("linger", "linger.ms"),
            ("linger_ms", "linger.ms"),
            ("lingerMs", "linger.ms"),
            ("LINGER.MS", "linger.ms"),
            (" linger.ms", "linger.ms"),
            ("ack", "acks"),
            ("batchsize", "batch.size"),
            ("bacth.size", "batch.size"),
            ("batch.sizes", "batch.size"),
            ("bootstrap.server", "bootstrap.servers"),
            ("bootstrap-servers", "bootstrap.servers"),
            ("BOOTSTRAP_SERVERS", "bootstrap.servers"),
            ("compression", "compression.type"),
            ("delivery.timeout", "delivery.timeout.ms"),
            ("enable.idempotent", "enable.idempotence"),
            ("max.in.flight.requests", "max.in.flight.requests.per.connection"),
            ("transaction.id", "transactional.id"),
        ] {
            assert_eq!(nearest(given), Some(meant), "{given}");
        }
    }

    /// A user who follows a hint is not to be refused again.
    #[test]
    fn no_suggestion_is_a_key_that_is_refused() {
        for key in keys::all() {
            let misspelt = format!("{}x", key.name);
            let ConfigReason::Unknown { note, suggestion } = explain(&misspelt) else { panic!("{misspelt}") };
            let refusal = key.refusal();
            assert_eq!(suggestion, Some(key.name).filter(|_| refusal.is_none()), "{misspelt}: {note}");
            assert_eq!(note.is_empty(), refusal.is_none(), "{misspelt}: {note}");
        }
    }

    #[test]
    fn name_that_is_much_like_that_of_a_refused_key_gets_the_refusal() {
        let ConfigReason::Unknown { note, .. } = explain("interceptor.class") else { panic!() };

        assert_eq!(
            note,
            "much like \"interceptor.classes\": Java classes cannot be loaded, use the builder's `interceptor`"
        );
    }

    #[test]
    fn keys_like_no_other_get_no_suggestion() {
        for given in ["", "...", "foo", "x", "spring.application.name", &"linger.ms".repeat(100_000)] {
            assert_eq!(nearest(given), None, "{}", given.len());
        }
    }

    #[test]
    fn distance_counts_each_kind_of_edit_once() {
        for (left, right, distance) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("acks", "ack", 1),
            ("acks", "acka", 1),
            ("acks", "akcs", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(&squash(left), &squash(right)), distance, "{left} {right}");
        }
    }
}
