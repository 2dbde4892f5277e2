//! What holds for every mechanism: what it says at first, and that no secret is to be seen anywhere.

use rand::SeedableRng;

use super::*;
use crate::secret::Secret;
use crate::topic_partition::NodeId;

const PASSWORD: &str = "hunter2=,\u{e4}";

fn credentials() -> Credentials {
    Credentials { username: "alice".to_owned(), password: Secret::new(PASSWORD), is_token: false }
}

fn build(named: Mechanism, credentials: &Credentials) -> Arc<dyn SaslMechanism> {
    mechanism(named, credentials).unwrap()
}

fn begin(mechanism: &dyn SaslMechanism) -> Box<dyn SaslExchange> {
    mechanism.begin(&Node::new(NodeId(1), "kafka", 9092), &mut StdRng::seed_from_u64(7))
}

#[test]
fn plain_says_name_and_password_and_no_more() {
    let mut exchange = begin(&*build(Mechanism::Plain, &credentials()));

    let said = exchange.respond(&[]).unwrap();

    assert_eq!(said, SaslStep::Say(Bytes::from("\0alice\0hunter2=,\u{e4}")));
    assert_eq!(exchange.respond(&[]), Ok(SaslStep::Done));
}

#[test]
fn plain_refuses_what_would_look_like_another_user() {
    for (username, password) in [("ali\0ce", "p"), ("alice", "p\0q")] {
        let credentials =
            Credentials { username: username.to_owned(), password: Secret::new(password), is_token: false };
        let mut exchange = begin(&*build(Mechanism::Plain, &credentials));

        assert!(exchange.respond(&[]).unwrap_err().contains("NUL"));
    }
}

#[test]
fn passwords_are_shown_nowhere() {
    let mut shown = format!("{:?} {:#?}", credentials(), credentials());
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let mechanism = build(mechanism, &credentials());
        let mut exchange = begin(&*mechanism);
        for challenge in ["", "r=x", "e=no"] {
            let step = exchange.respond(challenge.as_bytes());
            shown += &format!(
                "{mechanism:?} {mechanism:#?} {exchange:?} {exchange:#?} {step:?} {:?}",
                exchange.work()
            );
        }
    }

    assert!(shown.contains("alice"), "the test looks at something");
    assert!(!shown.contains("hunter2"), "{shown}");
    let in_bytes = format!("{:?}", b"hunter2");
    assert!(!shown.contains(in_bytes.trim_matches(['[', ']'])), "{shown}");
}
