//! SCRAM against brokers that say anything.

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::config::{Credentials, Mechanism};
use crate::metadata::Node;
use crate::network::sasl::{self, SaslStep};
use crate::secret::Secret;
use crate::topic_partition::NodeId;

/// Has an exchange hear the two messages of a broker, and returns what it said to them, if it did. With `is_continued`, the first message
/// begins with the nonce of the client, as a good one does. Work that takes longer than a few thousand iterations is left.
pub fn hear_by_scram(is_continued: bool, first: &[u8], last: &[u8]) -> (Option<Vec<u8>>, bool) {
    let password = Secret::new("hunter2");
    let credentials = Credentials { username: "alice".to_owned(), password, is_token: false };
    let Some(scram) = sasl::mechanism(Mechanism::ScramSha256, &credentials) else { return (None, false) };
    let mut exchange = scram.begin(&Node::new(NodeId(0), "broker", 9092), &mut StdRng::seed_from_u64(7));
    let Ok(SaslStep::Say(said)) = exchange.respond(&[]) else { return (None, false) };
    let nonce = said.rsplit(|byte| *byte == b'=').next().unwrap_or_default();
    let first = if is_continued { [b"r=", nonce, first].concat() } else { first.to_vec() };
    let mut step = exchange.respond(&first);
    for _ in 0..MOST_WORK {
        if !matches!(step, Ok(SaslStep::Work)) {
            break;
        }
        step = exchange.work();
    }
    let Ok(SaslStep::Say(said)) = step else { return (None, false) };
    (Some(said.to_vec()), exchange.respond(last) == Ok(SaslStep::Done))
}

const MOST_WORK: usize = 4;
