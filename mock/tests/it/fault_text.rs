//! Faults written as text.

use std::time::Duration;

use kafka_mock::{Api, Fault};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn every_reaction_can_be_written() {
    let table = [
        ("error=6", Fault::error_code(6)),
        ("error=-1", Fault::error_code(-1)),
        ("error-after-append=20", Fault::error_code_after_append(20)),
        ("delay=300ms", Fault::delay(millis(300))),
        ("trickle=10/5ms", Fault::trickle(10, millis(5))),
        ("throttle=2s", Fault::throttle(millis(2000))),
        ("freeze=2s", Fault::freeze(millis(2000))),
        ("move-leader-before=1", Fault::move_leader_before(1)),
        ("move-leader-before=none", Fault::move_leader_before(None)),
        ("move-leader-after=2", Fault::move_leader_after(2)),
        ("move-leader-after=none", Fault::move_leader_after(None)),
        ("drop", Fault::drop_response()),
        ("disconnect-before", Fault::disconnect_before()),
        ("disconnect-after", Fault::disconnect_after()),
        ("reset-before", Fault::reset_before()),
        ("reset-after", Fault::reset_after()),
        ("cut=10", Fault::cut_response(10)),
        ("stall=0", Fault::stall_response(0)),
        ("shift-correlation-id=1", Fault::shift_correlation_id(1)),
        ("shift-correlation-id=+1", Fault::shift_correlation_id(1)),
        ("shift-length=-3", Fault::shift_length(-3)),
        ("garble=7", Fault::garble_response(7)),
        ("leave-out", Fault::leave_out()),
        ("repeat", Fault::repeat_response()),
        ("replace=485454502f", Fault::replace_response(&b"HTTP/"[..])),
    ];
    for (text, fault) in table {
        assert_eq!(text.parse(), Ok(fault), "{text}");
    }
}

#[test]
fn every_condition_can_be_written() {
    let drop = Fault::drop_response;
    let table = [
        ("broker=1", drop().broker(1)),
        ("topic=orders", drop().topic("orders")),
        ("topic=a=b", drop().topic("a=b")),
        ("topic=orders partition=3", drop().partition("orders", 3)),
        ("partition=3 topic=orders", drop().partition("orders", 3)),
        ("connection=2", drop().connection(2)),
        ("request=5", drop().request(5)),
        ("nth=1", drop()),
        ("nth=3", drop().skip(2).times(1)),
        ("skip=2", drop().skip(2)),
        ("times=4", drop().times(4)),
        ("always skip=1", drop().skip(1).always()),
        ("produce broker=1 nth=3", drop().api(Api::Produce).broker(1).skip(2)),
    ];
    for (text, fault) in table {
        assert_eq!(format!("{text} drop").parse(), Ok(fault.clone()), "{text}");
        assert_eq!(format!("  drop\t {text} ").parse(), Ok(fault), "{text}");
    }
}

#[test]
fn every_kind_of_request_has_its_names() {
    for api in Api::ALL {
        let name = format!("{api:?}");
        for name in [name.clone(), name.to_lowercase(), name.to_uppercase()] {
            assert_eq!(format!("{name} drop").parse(), Ok(Fault::drop_response().api(api)), "{name}");
        }
    }
    for name in ["api-versions", "api_versions", "Api-Versions"] {
        assert_eq!(format!("{name} drop").parse(), Ok(Fault::drop_response().api(Api::ApiVersions)));
    }
}

#[test]
fn what_is_no_fault_is_told_by_its_word() {
    let table = [
        ("", r#""": no reaction, such as drop or error=6"#),
        ("produce broker=1", r#""produce broker=1": no reaction, such as drop or error=6"#),
        ("produce drip", r#""drip": neither a condition nor a reaction"#),
        ("describe-groups drop", r#""describe-groups": neither a condition nor a reaction"#),
        ("drop delay=1s", r#""delay=1s": a second reaction; another one needs a line of its own"#),
        ("drop broker=1 broker=2", r#""broker=2": said twice, or against an earlier word"#),
        ("produce fetch drop", r#""fetch": said twice, or against an earlier word"#),
        ("times=2 always drop", r#""always": said twice, or against an earlier word"#),
        ("nth=2 skip=1 drop", r#""skip=1": said twice, or against an earlier word"#),
        ("nth=2 times=1 drop", r#""times=1": said twice, or against an earlier word"#),
        ("partition=1 drop", r#""partition=1 drop": a partition needs a topic"#),
        ("drop=1", r#""drop=1": takes no value"#),
        ("always=1 drop", r#""always=1": takes no value"#),
        ("produce=1 drop", r#""produce=1": takes no value"#),
        ("broker drop", r#""broker": the value must be a broker's id"#),
        ("broker=one drop", r#""broker=one": the value must be a broker's id"#),
        ("topic= drop", r#""topic=": the value must be a name, as in topic=orders"#),
        ("topic=t partition=x drop", r#""partition=x": the value must be a partition's number"#),
        ("nth=0 drop", r#""nth=0": the value must be a number from 1 on"#),
        ("nth=4294967296 drop", r#""nth=4294967296": the value must be a number from 1 on"#),
        ("request=0 drop", r#""request=0": the value must be a number from 1 on"#),
        ("connection=-1 drop", r#""connection=-1": the value must be a number from 1 on"#),
        ("times=-1 drop", r#""times=-1": the value must be a number of requests"#),
        ("error=NONE", r#""error=NONE": the value must be an error code, as in error=6"#),
        ("error=40000", r#""error=40000": the value must be an error code, as in error=6"#),
        ("delay=5", r#""delay=5": the value must be a time, as in 300ms or 2s"#),
        ("delay=-5ms", r#""delay=-5ms": the value must be a time, as in 300ms or 2s"#),
        ("freeze", r#""freeze": the value must be a time, as in 300ms or 2s"#),
        ("trickle=0/5ms", r#""trickle=0/5ms": the value must be bytes and a pause, as in 10/5ms"#),
        ("trickle=5ms", r#""trickle=5ms": the value must be bytes and a pause, as in 10/5ms"#),
        ("cut=-1", r#""cut=-1": the value must be a number of bytes"#),
        ("stall", r#""stall": the value must be a number of bytes"#),
        ("move-leader-after=x", r#""move-leader-after=x": the value must be a broker's id, or none"#),
        ("shift-length=many", r#""shift-length=many": the value must be a positive or negative number"#),
        ("garble=-1", r#""garble=-1": the value must be a seed from 0 to 2^64-1"#),
        ("replace=", r#""replace=": the value must be an even number of hexadecimal digits"#),
        ("replace=123", r#""replace=123": the value must be an even number of hexadecimal digits"#),
        ("replace=+1", r#""replace=+1": the value must be an even number of hexadecimal digits"#),
        ("replace=ä1", r#""replace=ä1": the value must be an even number of hexadecimal digits"#),
    ];
    for (text, expected) in table {
        let error = text.parse::<Fault>().unwrap_err();
        assert_eq!((error.to_string().as_str(), error.line()), (expected, None), "{text}");
    }
}

#[test]
fn a_script_has_a_fault_on_each_line() {
    let script = "# comment\n\nproduce drop # first\r\n  fetch   cut=3\n#delay=1s\n\tdelay=1s#second";

    let faults = Fault::parse_script(script);

    let expected = [
        Fault::drop_response().api(Api::Produce),
        Fault::cut_response(3).api(Api::Fetch),
        Fault::delay(millis(1000)),
    ];
    assert_eq!(faults, Ok(expected.to_vec()));
    assert_eq!(Fault::parse_script(""), Ok(Vec::new()));
}

#[test]
fn a_script_tells_the_line_of_its_first_error() {
    let error = Fault::parse_script("produce drop\n\n# fine\nproduce dorp\nalso wrong").unwrap_err();

    assert_eq!(error.line(), Some(4));
    assert_eq!(error.to_string(), r#"line 4: "dorp": neither a condition nor a reaction"#);
}
