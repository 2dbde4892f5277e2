use super::*;
use crate::pipeline::ProducerInterceptor;
use crate::record::ProducerRecord;

const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn example() -> TraceContext {
    EXAMPLE.parse().unwrap()
}

#[test]
fn traceparents_of_the_specification_are_read_and_written() {
    let other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    assert_eq!(example().to_string(), EXAMPLE);
    assert_eq!(example().trace_id(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    assert_eq!(example().span_id(), 0xb7ad_6b71_6920_3331);
    assert!(example().is_sampled());
    let context: TraceContext = other.parse().unwrap();
    assert_eq!((context.to_string().as_str(), context.is_sampled(), context.flags()), (other, false, 0));
}

#[test]
fn later_versions_may_have_more_behind_the_flags() {
    let later = EXAMPLE.replacen("00", "cc", 1);

    assert_eq!(later.parse(), Ok(example()));
    assert_eq!(format!("{later}-what-the-future-brings").parse(), Ok(example()));
    assert_eq!(format!("{EXAMPLE}-").parse::<TraceContext>(), Err(TraceContextError::Parent));
}

#[test]
fn what_is_no_traceparent_is_refused() {
    let refused = |text: &str| text.parse::<TraceContext>().unwrap_err();

    for text in [
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-+7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
    ] {
        assert_eq!(refused(text), TraceContextError::Parent, "{text}");
    }
    assert_eq!(refused(&format!("00-{:032}-b7ad6b7169203331-01", 0)), TraceContextError::NoTrace);
    assert_eq!(
        refused(&format!("00-0af7651916cd43dd8448eb211c80319c-{:016}-01", 0)),
        TraceContextError::NoSpan
    );
    assert_eq!(TraceContext::new(0, 1, 0), Err(TraceContextError::NoTrace));
    assert_eq!(TraceContext::new(1, 0, 0), Err(TraceContextError::NoSpan));
}

#[test]
fn tracestates_of_the_specification_are_taken() {
    let state = |text: &str| example().with_state(text).map(|context| context.state().map(str::to_owned));
    let taken = |text: &str| Ok(Some(text.to_owned()));

    for text in [
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "fw529a3039@dt=FfeBJgTTvnbKmx",
        "a=1,b_c-d*e/f=2 3",
        "0t@v=!",
    ] {
        assert_eq!(state(text), taken(text));
    }
    assert_eq!(state("foo=1 , ,\tbar=2,"), taken("foo=1,bar=2"));
    assert_eq!(state(" ,"), Ok(None));
    let many: Vec<_> = (0..32).map(|number| format!("k{number}=v")).collect();
    assert_eq!(state(&many.join(",")), taken(&many.join(",")));
}

#[test]
fn what_is_no_tracestate_is_refused() {
    let many: Vec<_> = (0..33).map(|number| format!("k{number}=v")).collect();
    let long = format!("{}=1", "k".repeat(257));

    for text in [
        "foo",
        "foo=",
        "=1",
        "FOO=1",
        "foo@=1",
        "@foo=1",
        "foo@bar@baz=1",
        "foo@1=1",
        "foo=1,foo=2",
        "foo=bar=baz",
        "foo=\u{1}",
        "foo=é",
        "_k=1",
        &long,
        &many.join(","),
    ] {
        assert_eq!(example().with_state(text), Err(TraceContextError::State), "{text}");
    }
}

fn headers(record: &ProducerRecord) -> Vec<(&str, &[u8])> {
    record.headers.iter().map(|header| (header.name(), header.value().unwrap_or_default())).collect()
}

#[test]
fn headers_are_written_in_place_of_those_that_are_there() {
    let interceptor = TraceContextInterceptor::new(|| example().with_state("rojo=1").ok());
    let record: ProducerRecord = ProducerRecord::to("orders")
        .value("2 apples")
        .header("traceparent", "old")
        .header("source", "web")
        .header("tracestate", "old=1")
        .header("traceparent", "older");

    let changed = interceptor.on_send(&record).unwrap().unwrap();

    assert_eq!(
        headers(&changed),
        [("source", &b"web"[..]), ("traceparent", EXAMPLE.as_bytes()), ("tracestate", b"rojo=1")]
    );
    assert_eq!((changed.topic, changed.value), (record.topic, record.value));
}

#[test]
fn stale_state_goes_with_the_parent_that_it_belongs_to() {
    let interceptor = TraceContextInterceptor::new(|| Some(example()));
    let record: ProducerRecord = ProducerRecord::to("orders").header("tracestate", "old=1");

    let changed = interceptor.on_send(&record).unwrap().unwrap();

    assert_eq!(headers(&changed), [("traceparent", EXAMPLE.as_bytes())]);
}

#[test]
fn record_without_a_context_stays_as_it_is() {
    let interceptor = TraceContextInterceptor::new(|| None);
    let record: ProducerRecord = ProducerRecord::to("orders").header("traceparent", EXAMPLE);

    assert_eq!(interceptor.on_send(&record).unwrap(), None);
}
