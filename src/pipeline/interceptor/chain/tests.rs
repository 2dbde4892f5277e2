//! The chain of interceptors, also with interceptors that fail or panic.

use std::error::Error;
use std::sync::{Arc, Mutex};

use super::*;
use crate::fence::broken::{Bomb, BrokenLog};
use crate::pipeline::AckOutcome;
use crate::record::Headers;

type Record = ProducerRecord<String, String>;

/// Appends its name to the value of each record, and notes what it is told.
struct Append {
    name: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl ProducerInterceptor<String, String> for Append {
    fn on_send(&self, record: &Record) -> Result<Option<Record>, BoxError> {
        let value = format!("{}{}", record.value.as_deref().unwrap_or_default(), self.name);
        Ok(Some(record.clone().value(value)))
    }

    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        let outcome = match acknowledgement.error() {
            Some(error) => error.to_string(),
            None => format!("{:?}", acknowledgement.offset()),
        };
        self.seen.lock().unwrap().push(format!("{} {outcome}", self.name));
    }
}

/// Fails in the way it is told.
enum Faulty {
    Error,
    ErrorThatThrows,
    Panic,
    PanicThatThrows,
    UnprintableError,
}

impl ProducerInterceptor<String, String> for Faulty {
    fn on_send(&self, _record: &Record) -> Result<Option<Record>, BoxError> {
        match self {
            Self::Error => Err("refused".into()),
            Self::ErrorThatThrows => Err(Throws(Bomb).into()),
            Self::Panic => panic!("on purpose"),
            Self::PanicThatThrows => std::panic::panic_any(Bomb),
            Self::UnprintableError => Err(Unprintable.into()),
        }
    }

    fn on_acknowledgement(&self, _acknowledgement: &Acknowledgement<'_>) {
        match self {
            Self::PanicThatThrows => std::panic::panic_any(Bomb),
            _ => panic!("on purpose"),
        }
    }
}

/// An error that panics when it is dropped.
#[derive(Debug)]
struct Throws(Bomb);

impl fmt::Display for Throws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl Error for Throws {}

#[derive(Debug)]
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose")
    }
}

impl Error for Unprintable {}

/// Looks on and changes nothing.
struct Idle;

impl ProducerInterceptor<String, String> for Idle {}

fn record(value: &str) -> Record {
    ProducerRecord::to("t").value(value)
}

fn append(name: &'static str, seen: &Arc<Mutex<Vec<String>>>) -> Append {
    Append { name, seen: Arc::clone(seen) }
}

#[test]
fn each_interceptor_gets_the_record_of_the_one_before() {
    let mut chain = InterceptorChain::new();
    chain.push(append("1", &Arc::default()));
    chain.push(append("2", &Arc::default()));

    assert_eq!(chain.on_send(record("v")), record("v12"));
}

#[test]
fn interceptor_that_returns_nothing_leaves_the_record() {
    let mut chain = InterceptorChain::new();
    chain.push(append("1", &Arc::default()));
    chain.push(Idle);
    chain.push(append("2", &Arc::default()));

    assert_eq!(chain.on_send(record("v")), record("v12"));
}

#[test]
fn failing_interceptor_is_passed_over_and_the_next_gets_the_last_good_record() {
    for faulty in [
        Faulty::Error,
        Faulty::ErrorThatThrows,
        Faulty::Panic,
        Faulty::PanicThatThrows,
        Faulty::UnprintableError,
    ] {
        let mut chain = InterceptorChain::new();
        chain.push(append("1", &Arc::default()));
        chain.push(faulty);
        chain.push(append("2", &Arc::default()));

        assert_eq!(chain.on_send(record("v")), record("v12"));
    }
}

#[test]
fn all_interceptors_failing_leaves_the_record_as_it_was() {
    let mut chain = InterceptorChain::new();
    chain.push(Faulty::Error);
    chain.push(Faulty::Panic);

    assert_eq!(chain.on_send(record("v")), record("v"));
}

#[test]
fn every_interceptor_is_told_of_delivery_and_of_failure_in_order() {
    let seen = Arc::default();
    let mut chain = InterceptorChain::new();
    chain.push(append("1", &seen));
    chain.push(Faulty::Panic);
    chain.push(Faulty::PanicThatThrows);
    chain.push(append("2", &seen));
    let headers = Headers::new();
    let delivered = AckOutcome { offset: Some(7), ..AckOutcome::default() };
    let error: BoxError = "too large".into();

    chain.on_acknowledgement(&Acknowledgement::new("t", Some(1), &headers, delivered));
    chain.on_acknowledgement(&Acknowledgement::new("t", None, &headers, AckOutcome::failed(&*error)));

    assert_eq!(*seen.lock().unwrap(), ["1 Some(7)", "2 Some(7)", "1 too large", "2 too large"]);
}

#[test]
fn acknowledgement_tells_what_it_was_made_of() {
    let headers = Headers::from([("a", "b")]);
    let outcome = AckOutcome {
        offset: Some(7),
        timestamp: Some(8),
        serialized_key_size: None,
        serialized_value_size: Some(9),
        error: None,
    };

    let acknowledgement = Acknowledgement::new("t", Some(3), &headers, outcome);

    assert_eq!(acknowledgement.topic(), "t");
    assert_eq!(acknowledgement.partition(), Some(3));
    assert_eq!(acknowledgement.headers(), &headers);
    assert_eq!(acknowledgement.offset(), Some(7));
    assert_eq!(acknowledgement.timestamp(), Some(8));
    assert_eq!(acknowledgement.serialized_key_size(), None);
    assert_eq!(acknowledgement.serialized_value_size(), Some(9));
    assert!(acknowledgement.error().is_none());
}

#[test]
fn shared_interceptor_is_an_interceptor() {
    let seen = Arc::default();
    let shared = Arc::new(append("1", &seen));
    let mut chain = InterceptorChain::new();
    chain.push(Arc::clone(&shared));

    assert_eq!(chain.on_send(record("v")), record("v1"));
    assert!(!chain.is_empty());
}

#[test]
fn chain_without_interceptors_returns_the_record() {
    let chain = InterceptorChain::default();

    assert!(chain.is_empty());
    assert_eq!(chain.on_send(record("v")), record("v"));
}

#[test]
fn log_that_panics_about_an_interceptor_keeps_none_from_being_called() {
    const MESSAGE: &str = "interceptor failed and was passed over";
    let seen = Arc::default();
    let mut chain = InterceptorChain::new();
    chain.push(Faulty::Panic);
    chain.push(append("2", &seen));
    let headers = Headers::new();
    let told = Acknowledgement::new("t", Some(1), &headers, AckOutcome::default());

    let left = BrokenLog::during(MESSAGE, 1, || chain.on_send(record("v")));
    BrokenLog::during(MESSAGE, 1, || chain.on_acknowledgement(&told));

    assert_eq!((left, seen.lock().unwrap().len()), (record("v2"), 1));
}
