//! Authentication by a mechanism that says fixed words, against brokers whose words are `kafka-protocol`'s.

use std::sync::Mutex;

use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use rand::rngs::StdRng;

use super::*;
use crate::network::connection_history::LastCause;
use crate::network::event::AuthenticationError;
use crate::network::sasl::{Opening, SaslExchange, SaslMechanism, SaslStep};

mod ahead;
mod old_brokers;
mod sessions;
mod strangers;
mod work;

/// What [`Script`] says: a word, or why it says no more.
pub(super) type Word = Result<&'static str, &'static str>;

/// A mechanism that says the same words in each exchange.
#[derive(Debug, Clone)]
pub(super) struct Script {
    words: &'static [Word],
    /// What brokers have said to that.
    heard: Arc<Mutex<Vec<String>>>,
    opening: Opening,
    /// The first word is not there at first, whatever `opening` says.
    is_late: bool,
}

impl Script {
    pub(super) fn new(words: &'static [Word]) -> Self {
        Self { words, heard: Arc::default(), opening: Opening::Later, is_late: false }
    }

    pub(super) fn opening(self, opening: Opening) -> Self {
        Self { opening, ..self }
    }

    fn late(self) -> Self {
        Self { is_late: true, ..self }
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl SaslMechanism for Script {
    fn name(&self) -> Arc<str> {
        Arc::from("SCRIPT")
    }

    fn opening(&self) -> Opening {
        self.opening
    }

    fn begin(&self, broker: &Node, _: &mut StdRng) -> Box<dyn SaslExchange> {
        self.heard.lock().unwrap().push(format!("{} begins", broker.host()));
        let (heard, is_late) = (Arc::clone(&self.heard), self.is_late);
        Box::new(Recital { words: self.words.iter(), heard, opening: self.opening, is_late })
    }
}

#[derive(Debug)]
struct Recital {
    words: std::slice::Iter<'static, Word>,
    heard: Arc<Mutex<Vec<String>>>,
    opening: Opening,
    is_late: bool,
}

impl SaslExchange for Recital {
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, Arc<str>> {
        self.heard.lock().unwrap().push(String::from_utf8(challenge.to_vec()).unwrap());
        self.work()
    }

    fn has_said_all(&self) -> bool {
        self.opening != Opening::Later && self.words.len() == 0
    }

    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        if std::mem::take(&mut self.is_late) {
            return Ok(SaslStep::Wait);
        }
        let word = self.words.next().copied().transpose().map_err(Arc::from)?;
        Ok(word.map_or(SaslStep::Done, |word| SaslStep::Say(Bytes::from_static(word.as_bytes()))))
    }
}

pub(super) const TWO_WORDS: &[Word] = &[Ok("hello"), Ok("it is me")];
/// What SASL takes to speak, and Metadata.
pub(super) const RANGES: &[(i16, i16, i16)] = &[(3, 0, 12), (17, 0, 1), (18, 0, 4), (36, 0, 2)];
const LIFETIME: Duration = Duration::from_secs(100);

fn bench(script: &Script) -> Bench {
    Bench::with_config(NetworkConfig { sasl_mechanism: Some(Arc::new(script.clone())), ..config() })
}

/// Has a broker that speaks SASL say what it speaks.
fn negotiate(bench: &mut Bench) -> ConnectionId {
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = bench.sent();
    bench.client.handle_frame(connection, versions_answer_of(sent, 4, 0, RANGES), bench.now);
    connection
}

/// Polls the request that asks for the mechanism.
fn asked_for(bench: &mut Bench) -> (Sent, String) {
    let (sent, mut frame) = bench.sent();
    assert_eq!(frame.split_to(8)[4..], [0, 17, 0, 1]);
    let mut frame = with_header_of(17, 1, frame);
    RequestHeader::decode(&mut frame, 1).unwrap();
    (sent, SaslHandshakeRequest::decode(&mut frame, 1).unwrap().mechanism.to_string())
}

/// Polls the request that says a word.
fn said(bench: &mut Bench) -> (Sent, String) {
    let (sent, mut frame) = bench.sent();
    assert_eq!(frame.split_to(8)[4..], [0, 36, 0, 2]);
    let mut frame = with_header_of(36, 2, frame);
    RequestHeader::decode(&mut frame, 2).unwrap();
    let request = SaslAuthenticateRequest::decode(&mut frame, 2).unwrap();
    (sent, String::from_utf8(request.auth_bytes.to_vec()).unwrap())
}

fn with_header_of(api_key: i16, version: i16, rest: Bytes) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(api_key);
    frame.put_i16(version);
    frame.put(rest);
    frame.freeze()
}

/// An answer to the question for the mechanism.
pub(super) fn mechanism_answer(sent: Sent, error_code: i16) -> Bytes {
    let mechanisms = ["PLAIN", "SCRAM-SHA-256"].map(StrBytes::from_static_str).to_vec();
    let response = SaslHandshakeResponse::default().with_error_code(error_code).with_mechanisms(mechanisms);
    let mut frame = BytesMut::new();
    frame.put_i32(sent.correlation_id);
    response.encode(&mut frame, 1).unwrap();
    frame.freeze()
}

/// An answer to a word.
fn word_answer(sent: Sent, response: &SaslAuthenticateResponse) -> Bytes {
    word_answer_in(sent, 2, response)
}

/// The same in another version.
pub(super) fn word_answer_in(sent: Sent, version: i16, response: &SaslAuthenticateResponse) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(sent.correlation_id);
    if version >= 2 {
        frame.put_u8(0);
    }
    response.encode(&mut frame, version).unwrap();
    frame.freeze()
}

fn take_mechanism(bench: &mut Bench, sent: Sent, error_code: i16) {
    bench.client.handle_frame(sent.connection, mechanism_answer(sent, error_code), bench.now);
}

fn reply(bench: &mut Bench, sent: Sent, response: &SaslAuthenticateResponse) {
    bench.client.handle_frame(sent.connection, word_answer(sent, response), bench.now);
}

pub(super) fn words(words: &'static str, lifetime: Duration) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_auth_bytes(Bytes::from_static(words.as_bytes()))
        .with_session_lifetime_ms(lifetime.as_millis().try_into().unwrap())
}

pub(super) fn refusal() -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_code(58)
        .with_error_message(Some(StrBytes::from_static_str("wrong password")))
}

fn refused(is_renewal: bool) -> DisconnectReason {
    let message = Some(Arc::from("wrong password"));
    let code = ErrorCode::SaslAuthenticationFailed;
    let mechanism = Arc::from("SCRIPT");
    DisconnectReason::AuthenticationFailed(AuthenticationError::Refused {
        code,
        mechanism,
        subject: "what sasl.jaas.config says",
        message,
        note: None,
        is_renewal,
    })
}

/// Goes through an exchange of two words, after which the session lasts for so long.
fn authenticate(bench: &mut Bench, lifetime: Duration) {
    let (sent, _) = asked_for(bench);
    take_mechanism(bench, sent, 0);
    let (sent, _) = said(bench);
    reply(bench, sent, &words("who?", Duration::ZERO));
    let (sent, _) = said(bench);
    reply(bench, sent, &words("welcome", lifetime));
}

fn last_cause(bench: &Bench) -> Option<LastCause> {
    bench.client.states.node(NODE)?.history().last_cause().cloned()
}

#[test]
fn broker_is_told_who_we_are_before_the_first_request() {
    let script = Script::new(TWO_WORDS);
    let mut bench = bench(&script);
    let connection = negotiate(&mut bench);

    let (sent, mechanism) = asked_for(&mut bench);
    assert_eq!((sent.connection, mechanism.as_str()), (connection, "SCRIPT"));
    take_mechanism(&mut bench, sent, 0);
    let (sent, word) = said(&mut bench);
    assert_eq!(word, "hello");
    reply(&mut bench, sent, &words("who?", Duration::ZERO));
    let (sent, word) = said(&mut bench);
    assert_eq!(word, "it is me");
    assert!(bench.client.is_connecting());
    assert!(!bench.client.is_ready(NODE, bench.now));
    assert_eq!((bench.client.has_in_flight(), bench.events()), (false, vec![]));
    reply(&mut bench, sent, &words("welcome", Duration::ZERO));

    assert_eq!(bench.events(), [ready(NODE)]);
    assert!(bench.client.can_send(NODE, bench.now));
    assert_eq!(script.heard(), ["kafka-1 begins", "", "who?", "welcome"]);
    let request = bench.send_and_poll(NODE, "a");
    assert_eq!(request.correlation_id, sent.correlation_id + 1);
}

#[test]
fn error_about_a_mechanism_tells_which_are_offered() {
    let error = |code: ErrorCode, offered: &str| AuthenticationError::MechanismRefused {
        code,
        mechanism: Arc::from("PLAIN"),
        offered: Arc::from(offered),
    };

    let text = error(ErrorCode::UnsupportedSaslMechanism, "SCRAM-SHA-256, GSSAPI").to_string();
    assert!(text.contains("sasl.mechanism PLAIN; it offers SCRAM-SHA-256, GSSAPI ("), "{text}");
    // Kafka 1.0 tells at a listener without SASL which mechanisms other listeners have.
    for offered in ["", "PLAIN, SCRAM-SHA-256"] {
        let text = error(ErrorCode::IllegalSaslState, offered).to_string();
        assert!(text.contains("takes no SASL at this address; security.protocol"), "{text}");
    }
}

/// That is what brokers do that were to be told who we are.
#[test]
fn broker_that_closes_instead_of_the_first_answer_may_want_sasl() {
    let mut bench = Bench::new();
    for has_answered in [false, true] {
        let connection = bench.make_ready(NODE);
        let sent = bench.send_and_poll(NODE, "a");
        if has_answered {
            bench.answer(sent);
            bench.send_and_poll(NODE, "b");
        }
        bench.events();

        bench.client.handle_closed(connection, "closed by the broker".into(), None, bench.now);

        let events = bench.events();
        let Some(NetworkEvent::Disconnected { reason, .. }) = events.last() else { panic!("{events:?}") };
        let text = reason.to_string();
        assert!(text.contains("connection lost: closed by the broker"), "{text}");
        assert_eq!(text.contains("brokers that want SASL"), !has_answered, "{text}");
        assert_eq!(text.contains("security.protocol"), !has_answered, "{text}");
        bench.now += Duration::from_secs(10);
    }
}

#[test]
fn requests_are_not_sent_early_to_a_broker_that_has_to_be_told_who_we_are() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let connection = bench.connect(NODE);

    bench.client.handle_connected(connection, bench.now);

    assert!(!bench.client.can_send_early(NODE, bench.now));
}

#[test]
fn refused_authentication_ends_the_connection_and_is_its_last_cause() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let connection = negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    let (sent, _) = said(&mut bench);

    reply(&mut bench, sent, &refusal());

    assert_eq!(bench.closed(), connection);
    assert_eq!(bench.events(), [disconnected(refused(false), ConnectionStep::Authentication)]);
    assert_eq!(last_cause(&bench), Some(LastCause { reason: refused(false), at: bench.now }));
    let text = "authentication failed: broker refuses what sasl.jaas.config says (SCRIPT, SASL_AUTHENTICATION_FAILED (58)): wrong password";
    assert_eq!(refused(false).to_string(), text);
    assert!(!bench.client.connect(NODE, bench.now));
    bench.advance(RECONNECT_BACKOFF);
    // That the broker does not take the password says nothing about the versions of ApiVersions.
    negotiate(&mut bench);
    asked_for(&mut bench);
}

#[test]
fn refused_mechanism_ends_the_connection_and_tells_what_the_broker_takes() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let connection = negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);

    take_mechanism(&mut bench, sent, 33);

    assert_eq!(bench.closed(), connection);
    let reason = last_cause(&bench).unwrap().reason.to_string();
    let expected = "authentication failed: broker does not take sasl.mechanism SCRIPT; it offers PLAIN, \
                    SCRAM-SHA-256 (UNSUPPORTED_SASL_MECHANISM (33))";
    assert_eq!(reason, expected);
}

#[test]
fn broker_that_the_mechanism_does_not_believe_is_left() {
    let mut bench = bench(&Script::new(&[Ok("hello"), Err("broker does not know the password")]));
    let connection = negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    let (sent, _) = said(&mut bench);

    reply(&mut bench, sent, &words("trust me", LIFETIME));

    assert_eq!(bench.closed(), connection);
    let error = AuthenticationError::exchange("broker does not know the password");
    assert_eq!(
        bench.events(),
        [disconnected(DisconnectReason::AuthenticationFailed(error), ConnectionStep::Authentication)]
    );
}

/// Some mechanisms repeat what a broker said before it has proved anything.
#[test]
fn words_in_reasons_of_mechanisms_are_on_one_line_and_cut() {
    let hostile = format!("broker says x\n2026-11-29 ERROR forged\u{1b}[2J{}", "y".repeat(10_000));

    let text = DisconnectReason::from(AuthenticationError::exchange(&hostile)).to_string();

    assert!(
        text.starts_with("authentication failed: broker says x 2026-11-29 ERROR forged [2Jyyy"),
        "{text}"
    );
    assert!(text.chars().count() < 4100, "{}", text.len());
}

#[test]
fn broker_that_speaks_no_sasl_is_left() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let connection = bench.connect(NODE);
    bench.client.handle_connected(connection, bench.now);
    let (sent, _) = bench.sent();

    let ranges = &[(3, 0, 12), (18, 0, 4)];
    bench.client.handle_frame(connection, versions_answer_of(sent, 4, 0, ranges), bench.now);

    assert_eq!(bench.closed(), connection);
    let error = AuthenticationError::UnsupportedVersion(ApiKey::SaslHandshake);
    assert_eq!(
        bench.events(),
        [disconnected(DisconnectReason::AuthenticationFailed(error), ConnectionStep::Authentication)]
    );
}

#[test]
fn answer_to_a_word_that_is_not_understood_closes_the_connection() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    let (sent, _) = said(&mut bench);

    bench.answer(sent);

    assert_eq!(bench.closed(), sent.connection);
    let reason = last_cause(&bench).unwrap().reason;
    let DisconnectReason::Malformed(problem) = reason else { panic!("{reason}") };
    assert!(matches!(problem, MalformedResponse::Unreadable(ApiKey::SaslAuthenticate, _)), "{problem}");
}

#[test]
fn broker_that_does_not_finish_its_part_in_time_is_given_up() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let start = bench.now;
    negotiate(&mut bench);
    bench.advance(SETUP_TIMEOUT / 4);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    bench.advance(SETUP_TIMEOUT / 4);
    let (sent, _) = said(&mut bench);
    reply(&mut bench, sent, &words("who?", Duration::ZERO));
    let (sent, _) = said(&mut bench);

    assert_eq!(bench.client.poll_timeout(), Some(start + SETUP_TIMEOUT));
    bench.advance(SETUP_TIMEOUT / 2);

    assert_eq!(bench.closed(), sent.connection);
    assert_eq!(
        bench.events(),
        [disconnected(DisconnectReason::AuthenticationTimedOut, ConnectionStep::Authentication)]
    );
}

#[test]
fn throttled_broker_has_so_much_longer_for_its_part() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    let start = bench.now;
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);

    bench.client.throttle(NODE, SETUP_TIMEOUT, bench.now);
    bench.advance(SETUP_TIMEOUT);

    assert!(bench.has_no_action());
    take_mechanism(&mut bench, sent, 0);
    said(&mut bench);
    assert_eq!(bench.client.poll_timeout(), Some(start + SETUP_TIMEOUT * 2));
}

#[test]
fn secrets_are_not_printed_with_what_is_sent() {
    let mut bench = bench(&Script::new(&[Ok("hunter2")]));
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    let action = bench.client.poll_action();
    let shown = format!("{action:?}");
    assert!(shown.contains("Transmit") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn words_of_a_refusal_are_short_and_on_one_line() {
    let mut bench = bench(&Script::new(TWO_WORDS));
    negotiate(&mut bench);
    let (sent, _) = asked_for(&mut bench);
    take_mechanism(&mut bench, sent, 0);
    let (sent, _) = said(&mut bench);
    let text = format!("no\n2026-01-01 ERROR forged {}", "x".repeat(1_000_000));
    let refusal = refusal().with_error_message(Some(StrBytes::from_string(text)));
    reply(&mut bench, sent, &refusal);
    let shown = last_cause(&bench).unwrap().reason.to_string();
    assert!(
        shown.len() < 10_000 && !shown.contains('\n'),
        "{} bytes, newline: {}",
        shown.len(),
        shown.contains('\n')
    );
}
