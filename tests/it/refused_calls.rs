//! What the log tells of calls that the producer refuses.

use kafka_producer::ProducerRecord;

use crate::support::logged::Logged;
use crate::support::{TestResult, cluster_with, record, seconds, skip_time, soon};

const LARGE: &str = "WARN call refused: record of 2086 bytes exceeds max.request.size of 1000; not sent; make the record smaller, \
                     or raise max.request.size, and max.message.bytes of the topic";

#[tokio::test]
async fn refused_calls_are_told_once_a_minute_for_each_reason_and_at_the_end() -> TestResult {
    let logged = Logged::by("refused-calls");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).max_request_size(1000).build()?;
    let large = || record("x".repeat(2000));
    let negative = || ProducerRecord::to("orders").partition(-1).value("x");

    for _ in 0..4 {
        soon("send", producer.send(large())).await.unwrap_err();
        producer.try_enqueue(negative()).unwrap_err();
    }
    let negative = "WARN call refused: partition -1 of the record is negative; not sent";
    assert_eq!(logged.lines(), [LARGE, negative]);

    skip_time(seconds(61)).await;
    for _ in 0..3 {
        soon("enqueue", producer.enqueue(large())).await.unwrap_err();
    }
    assert_eq!(logged.lines(), [LARGE, negative, LARGE]);

    let _report = soon("close", producer.close(seconds(10))).await;
    assert_eq!(
        logged.lines()[3..],
        ["WARN 3 more calls refused: not fit to be sent", "WARN 2 more calls refused: too large"]
    );
    drop(producer);
    assert_eq!(logged.lines().len(), 5);
    Ok(())
}

#[tokio::test]
async fn what_was_refused_is_told_when_the_last_handle_is_dropped() -> TestResult {
    let logged = Logged::by("refused-and-dropped");
    let cluster = cluster_with(1, 1).await;
    let producer = logged.builder(&cluster).max_request_size(1000).build()?;
    for _ in 0..2 {
        soon("send", producer.send(record("x".repeat(2000)))).await.unwrap_err();
    }

    drop(producer);

    assert_eq!(logged.lines(), [LARGE, "WARN 1 more call refused: too large"]);
    Ok(())
}

/// The caller has given it up, so it is no news.
#[tokio::test]
async fn call_that_is_dropped_is_not_told_at_the_default_level() -> TestResult {
    let logged = Logged::by("dropped-calls");
    let producer = logged.builder_at("no-such-host.invalid:9092").build()?;

    for _ in 0..2 {
        let call = producer.send(record("x"));
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), call).await.is_err());
    }
    drop(producer);

    assert!(logged.lines().iter().all(|line| !line.contains("refused")), "{:?}", logged.lines());
    Ok(())
}
