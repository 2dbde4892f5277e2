//! Exchanges that have to compute, and secrets on their way to a socket.

use super::*;
#[cfg(feature = "sasl")]
use crate::config::{Credentials, Mechanism};
use crate::login::Current;
use crate::network::sasl;
#[cfg(feature = "sasl")]
use crate::secret::Secret;

/// A mechanism that computes in three parts before it says its only word.
#[derive(Debug)]
struct Laborer;

impl SaslMechanism for Laborer {
    fn name(&self) -> Arc<str> {
        Arc::from("LABORER")
    }

    fn begin(&self, _: &Node, _: &mut StdRng) -> Box<dyn SaslExchange> {
        Box::new(Labor { parts: 3 })
    }
}

#[derive(Debug)]
struct Labor {
    parts: usize,
}

impl SaslExchange for Labor {
    fn respond(&mut self, _: &[u8]) -> Result<SaslStep, Arc<str>> {
        Ok(if self.parts == 0 { SaslStep::Done } else { SaslStep::Work })
    }

    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        self.parts -= 1;
        Ok(if self.parts == 0 { SaslStep::Say(Bytes::from_static(b"done")) } else { SaslStep::Work })
    }
}

#[test]
fn what_is_computed_for_an_exchange_leaves_time_for_others_between_its_parts() {
    let mut bench = Bench::with_config(NetworkConfig { sasl_mechanism: Some(Arc::new(Laborer)), ..config() });
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);

    for _ in 0..3 {
        assert!(bench.has_no_action());
        assert_eq!(bench.client.poll_timeout(), Some(bench.now + Duration::from_millis(1)));
        bench.advance(Duration::from_millis(1));
    }
    let (sent, word) = said(&mut bench);
    assert_eq!(word, "done");
    reply(&mut bench, sent, &words("", Duration::ZERO));

    assert_eq!(bench.events(), [ready(NODE)]);
}

#[test]
fn connection_that_is_lost_while_an_exchange_computes_takes_the_work_with_it() {
    let mut bench = Bench::with_config(NetworkConfig { sasl_mechanism: Some(Arc::new(Laborer)), ..config() });
    let connection = negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);

    bench.client.handle_closed(connection, "reset".into(), None, bench.now);
    bench.advance(Duration::from_millis(1));

    assert_eq!(bench.events(), [disconnected(closed("reset"), ConnectionStep::Authentication)]);
    assert!(bench.has_no_action());
}

/// The broker has done all that it should.
#[test]
fn exchange_that_waits_for_a_token_in_vain_says_so() {
    let tokens = sasl::oauth_bearer(Current::new(), || 0);
    let mut bench = Bench::with_config(NetworkConfig { sasl_mechanism: Some(tokens), ..config() });
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);

    bench.advance(SETUP_TIMEOUT);

    bench.closed();
    let reason = DisconnectReason::CredentialsTimedOut { subject: "the access token" };
    assert_eq!(reason.to_string(), "the access token that the broker is to be shown did not come in time");
    assert_eq!(bench.events(), [disconnected(reason, ConnectionStep::Authentication)]);
}

#[test]
#[cfg(feature = "sasl")]
fn passwords_on_their_way_to_a_socket_are_shown_nowhere() {
    let credentials =
        Credentials { username: "alice".to_owned(), password: Secret::new("hunter2"), is_token: false };
    let plain = sasl::mechanism(Mechanism::Plain, &credentials);
    let mut bench = Bench::with_config(NetworkConfig { sasl_mechanism: plain, ..config() });
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);

    let action = bench.client.poll_action();
    let shown = format!("{action:?} {action:#?} {:?} {:#?}", bench.client, bench.client);

    assert!(shown.contains("Transmit") && shown.contains("Authenticating"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
