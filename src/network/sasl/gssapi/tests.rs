//! The conversation of RFC 4752, with a context that answers as a test wants.

use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;
use crate::topic_partition::NodeId;

type Answers = Vec<Option<Result<Answer, ContextFault>>>;

/// What a test and its context have in common.
#[derive(Debug, Default)]
struct Script {
    has_ticket: bool,
    /// What is answered, the next one last; `None` for "not yet".
    answers: Answers,
    asked: Vec<Question>,
    hosts: Vec<String>,
    refusals: usize,
}

#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn with(answers: impl IntoIterator<Item = Option<Result<Answer, ContextFault>>>) -> Self {
        let this = Self::default();
        let mut answers: Answers = answers.into_iter().collect();
        answers.reverse();
        this.edit(|script| {
            script.has_ticket = true;
            script.answers = answers;
        });
        this
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut Script) -> T) -> T {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn exchange(&self) -> Box<dyn SaslExchange> {
        let node = Node::new(NodeId(1), "b1.example.com", 9092);
        Gssapi::new(Arc::new(self.clone())).begin(&node, &mut StdRng::seed_from_u64(7))
    }

    fn asked(&self) -> Vec<Question> {
        self.edit(|script| script.asked.clone())
    }
}

impl SecurityContexts for Scripted {
    fn begin(&self, host: &str) -> Option<Box<dyn SecurityContext>> {
        self.edit(|script| {
            script.hosts.push(host.to_owned());
            let context: Box<dyn SecurityContext> = Box::new(self.clone());
            script.has_ticket.then_some(context)
        })
    }
}

impl SecurityContext for Scripted {
    fn ask(&mut self, question: Question) {
        self.edit(|script| script.asked.push(question));
    }

    fn answer(&mut self) -> Option<Result<Answer, ContextFault>> {
        self.edit(|script| script.answers.pop().flatten())
    }

    fn refused(&mut self) -> Arc<str> {
        self.edit(|script| script.refusals += 1);
        Arc::from("the ticket is of alice for kafka/b1.example.com")
    }
}

fn token(token: &'static [u8], is_complete: bool) -> Option<Result<Answer, ContextFault>> {
    Some(Ok(Answer::Token { token: Bytes::from_static(token), is_complete }))
}

fn message(message: &'static [u8]) -> Option<Result<Answer, ContextFault>> {
    Some(Ok(Answer::Message(Bytes::from_static(message))))
}

fn fault_of(text: &str, may_pass: bool) -> Option<Result<Answer, ContextFault>> {
    Some(Err(ContextFault { text: Arc::from(text), may_pass }))
}

fn say(text: &'static [u8]) -> Result<SaslStep, Arc<str>> {
    Ok(SaslStep::Say(Bytes::from_static(text)))
}

#[test]
fn context_is_made_and_no_layer_is_chosen() {
    let script = Scripted::with([
        token(b"request", false),
        token(b"", true),
        message(&[7, 0, 255, 255]),
        message(b"wrapped choice"),
    ]);
    let mut exchange = script.exchange();

    assert_eq!(exchange.respond(&[]), say(b"request"));
    assert_eq!(exchange.respond(b"reply"), say(b""));
    assert_eq!(exchange.respond(b"wrapped layers"), say(b"wrapped choice"));
    assert_eq!(exchange.respond(&[]), Ok(SaslStep::Done));

    let expected = [
        Question::Token(None),
        Question::Token(Some(Bytes::from_static(b"reply"))),
        Question::Unwrap(Bytes::from_static(b"wrapped layers")),
        Question::Wrap(Bytes::from_static(&[1, 0, 0, 0])),
    ];
    assert_eq!(script.asked(), expected);
    assert_eq!(script.edit(|script| script.hosts.clone()), ["b1.example.com"]);
    assert!(exchange.respond(&[]).is_err(), "it is over");
}

#[test]
fn exchange_waits_for_the_ticket_and_for_each_answer() {
    let script = Scripted::with([None, None, token(b"request", true), None, message(&[1, 0, 0, 0]), None]);
    script.edit(|script| script.has_ticket = false);
    let mut exchange = script.exchange();

    assert_eq!(exchange.respond(&[]), Ok(SaslStep::Wait));
    assert_eq!(exchange.work(), Ok(SaslStep::Wait));
    assert_eq!(script.asked(), []);
    script.edit(|script| script.has_ticket = true);
    assert_eq!(exchange.work(), Ok(SaslStep::Wait));
    assert_eq!(exchange.work(), Ok(SaslStep::Wait));
    assert_eq!(script.asked(), [Question::Token(None)], "it asks once");
    assert_eq!(exchange.work(), say(b"request"));
    assert_eq!(exchange.respond(b"layers"), Ok(SaslStep::Wait));
    assert_eq!(exchange.work(), Ok(SaslStep::Wait), "what it says to them is being wrapped");
    assert_eq!(script.asked().len(), 3);
}

#[test]
fn failure_that_may_pass_is_no_refusal() {
    let passing = Scripted::with([fault_of("the KDC is away", true)]);
    let lasting = Scripted::with([fault_of("no such broker", false)]);

    assert_eq!(passing.exchange().respond(&[]), Ok(SaslStep::GiveUp(Arc::from("the KDC is away"))));
    assert_eq!(lasting.exchange().respond(&[]), Err(Arc::from("no such broker")));
}

#[test]
fn broker_that_insists_on_a_layer_or_names_none_is_refused() {
    for (layers, text) in [
        (&[6_u8, 0, 255, 255][..], "demands a layer of security"),
        (&[0, 0, 0, 0], "demands a layer of security"),
        (&[], "in 0 bytes in place of 4"),
        (&[1, 0, 0, 0, 0], "in 5 bytes in place of 4"),
    ] {
        let answer = Some(Ok(Answer::Message(Bytes::from_static(layers))));
        let mut exchange = Scripted::with([token(b"t", true), answer]).exchange();
        exchange.respond(&[]).unwrap();

        let error = exchange.respond(b"layers").unwrap_err();

        assert!(error.starts_with("GSSAPI: the broker") && error.contains(text), "{error}");
    }
}

#[test]
fn broker_cannot_go_on_for_ever_nor_leave_anything_out() {
    let script = Scripted::with((0..100).map(|_| token(b"t", false)));
    let mut exchange = script.exchange();
    exchange.respond(&[]).unwrap();
    let error = (0..100).find_map(|_| exchange.respond(b"more").err());
    assert_eq!(error.as_deref(), Some("GSSAPI: no end after 8 tokens"));
    assert_eq!(script.asked().len(), 9);

    let mut exchange = Scripted::with([token(b"t", false)]).exchange();
    exchange.respond(&[]).unwrap();
    assert_eq!(exchange.respond(&[]), Err(Arc::from("GSSAPI: the broker leaves out its token")));

    let all = [token(b"t", true), message(&[1, 0, 0, 0]), message(b"w")];
    let mut exchange = Scripted::with(all).exchange();
    exchange.respond(&[]).unwrap();
    exchange.respond(b"layers").unwrap();
    assert!(exchange.respond(b"one thing more").is_err());
}

#[test]
fn refusal_says_whose_ticket_it_is_and_doubts_it() {
    let script = Scripted::with([token(b"t", false)]);
    let mut exchange = script.exchange();
    exchange.respond(&[]).unwrap();

    let note = exchange.refused("no");

    assert_eq!(note.as_deref(), Some("the ticket is of alice for kafka/b1.example.com"));
    assert_eq!(script.edit(|script| script.refusals), 1);
    assert_eq!(script.exchange().refused("no"), None, "nothing was shown");
}

#[test]
fn tokens_are_shown_nowhere() {
    let script = Scripted::with([token(b"hunter2", true)]);
    let mut exchange = script.exchange();
    let said = exchange.respond(&[]);
    let asked = Question::Token(Some(Bytes::from_static(b"hunter2")));

    let shown =
        format!("{exchange:?} {said:?} {asked:?} {:?} {:?}", token(b"hunter2", true), message(b"hunter2"));

    assert!(shown.contains("[hidden]"), "the test looks at something");
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// What a broker does to a conversation that would end well.
#[derive(Debug, Clone)]
enum Damage {
    DropStep(usize),
    /// A call of the client's in place of an answer of the broker's, or the other way round.
    AddStep(usize, bool, Vec<u8>),
    ChangeWords(usize, Vec<u8>),
    DropAnswer(usize),
    AddAnswer(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = || prop::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        (0..4_usize).prop_map(Damage::DropStep),
        (0..4_usize, any::<bool>(), words()).prop_map(|(at, works, words)| Damage::AddStep(at, works, words)),
        (0..4_usize, words()).prop_map(|(at, words)| Damage::ChangeWords(at, words)),
        (0..5_usize).prop_map(Damage::DropAnswer),
        (0..5_usize, 0..4_usize).prop_map(|(at, kind)| Damage::AddAnswer(at, kind)),
    ]
}

fn answer_of(kind: usize) -> Option<Result<Answer, ContextFault>> {
    match kind {
        0 => None,
        1 => token(b"t", false),
        2 => token(b"", true),
        _ => message(&[1, 0, 0, 0]),
    }
}

/// Nothing but the whole conversation ends well, whatever a broker says.
#[test]
fn only_the_whole_conversation_ends_well() {
    let ended_well = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::default();
    let ended = runner.run(&prop::collection::vec(damage(), 0..4), |damages| {
        // The first answer is to the call that begins it all.
        let mut steps = vec![(false, b"reply".to_vec()), (false, b"layers".to_vec()), (false, Vec::new())];
        let mut answers = vec![1, 2, 3, 3];
        for damage in damages {
            match damage {
                Damage::DropStep(at) if at < steps.len() => drop(steps.remove(at)),
                Damage::AddStep(at, works, words) if at <= steps.len() => steps.insert(at, (works, words)),
                Damage::ChangeWords(at, words) if at < steps.len() => steps[at].1 = words,
                Damage::DropAnswer(at) if at < answers.len() => drop(answers.remove(at)),
                Damage::AddAnswer(at, kind) if at <= answers.len() => answers.insert(at, kind),
                _ => {}
            }
        }
        let script = Scripted::with(answers.into_iter().map(answer_of));
        let mut exchange = script.exchange();
        let mut step = exchange.respond(&[]);
        for (works, words) in steps {
            if step == Ok(SaslStep::Done) {
                break;
            }
            step = if works { exchange.work() } else { exchange.respond(&words) };
        }
        if step == Ok(SaslStep::Done) {
            ended_well.set(ended_well.get() + 1);
            let asked = script.asked();
            let wraps = asked.iter().filter(|question| matches!(question, Question::Wrap(_))).count();
            let unwraps = asked.iter().filter(|question| matches!(question, Question::Unwrap(_))).count();
            prop_assert_eq!((wraps, unwraps), (1, 1));
        }
        Ok(())
    });
    ended.unwrap();
    assert!(
        ended_well.get() > 20,
        "{} of 256 have ended well, so there was little to look at",
        ended_well.get()
    );
}
