//! The service on a cluster in this process, in peace and when things go wrong.

mod client;
mod service;

use std::process::{Command, Stdio};
use std::time::Duration;

use kafka_mock::{Api, Fault};
use recipe_support::{Program, key, records, soon, until, value};
use tokio::task::JoinSet;

use self::client::{Answer, get, post, try_post};
use self::service::{CLICKS, ORDERS, Service, cluster, producer, settings};

#[tokio::test]
async fn acknowledged_event_is_accepted_and_the_answer_says_where_it_stands() {
    let cluster = cluster().await;
    let service = Service::start(producer(&cluster).build().unwrap(), settings()).await;
    cluster.inject(Fault::disconnect_after().api(Api::Produce));

    let answer = post(service.address, ORDERS, "customer-7", "2 apples").await;

    assert_eq!((answer.status, answer.body.as_str()), (202, "orders-0@0\n"));
    let found = records(&cluster, ORDERS);
    assert_eq!((key(&found[0]), value(&found[0])), ("customer-7".to_owned(), "2 apples".to_owned()));
    assert!(cluster.pending_faults().is_empty());
    assert_eq!(service.end().await.delivered, 1);
}

#[tokio::test]
async fn event_that_cannot_be_sent_is_the_clients_fault() {
    let cluster = cluster().await;
    let limited = producer(&cluster).max_request_size(2000).build().unwrap();
    let service = Service::start(limited, http_ingest::Settings { max_event: 2000, ..settings() }).await;

    let unknown = post(service.address, "secrets", "", "2 apples").await;
    let beyond_the_service = post(service.address, ORDERS, "", "x".repeat(2001)).await;
    let beyond_the_producer = post(service.address, ORDERS, "", "x".repeat(2000)).await;
    cluster.set_max_message_bytes(500);
    let beyond_the_topic = post(service.address, ORDERS, "", "x".repeat(1000)).await;
    cluster.inject(Fault::error_code(87).api(Api::Produce));
    let invalid = post(service.address, ORDERS, "", "2 apples").await;

    assert_eq!(unknown.status, 404);
    assert_eq!(beyond_the_service.status, 413);
    assert_eq!(beyond_the_producer.status, 413);
    assert_eq!(beyond_the_topic.status, 413);
    assert_eq!(invalid.status, 400);
    assert_eq!(invalid.header("Retry-After"), None);
    assert!(records(&cluster, ORDERS).is_empty());
}

#[tokio::test]
async fn missing_right_is_the_fault_of_the_service() {
    let cluster = cluster().await;
    let service = Service::start(producer(&cluster).build().unwrap(), settings()).await;
    cluster.inject(Fault::error_code(29).api(Api::Produce));

    let answer = post(service.address, ORDERS, "", "2 apples").await;

    assert_eq!((answer.status, answer.header("Retry-After")), (500, None));
    assert!(!answer.body.contains("TOPIC_AUTHORIZATION_FAILED"), "{}", answer.body);
}

#[tokio::test]
async fn while_a_leader_is_dead_its_topic_is_to_be_tried_later_and_others_go_on() {
    let cluster = cluster().await;
    cluster.crash(0).await.unwrap();
    let mut brief = settings();
    brief.answer_within = Duration::from_millis(300);
    let service = Service::start(producer(&cluster).build().unwrap(), brief).await;

    let refused = post(service.address, ORDERS, "", "too early").await;
    let mut other = post(service.address, CLICKS, "", "a click").await;
    // The first one may have taken too long on a slow machine.
    until("the other topic takes events", async || {
        if other.status != 202 {
            other = post(service.address, CLICKS, "", "a click").await;
        }
        other.status == 202
    })
    .await;
    // The others notice that it is dead, and one of them leads.
    cluster.broker_down(0).await.unwrap();
    let mut late = post(service.address, ORDERS, "", "in time").await;
    until("the topic takes events again", async || {
        if late.status != 202 {
            late = post(service.address, ORDERS, "", "in time").await;
        }
        late.status == 202
    })
    .await;

    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    let found: Vec<_> = records(&cluster, ORDERS).iter().map(value).collect();
    assert!(!found.contains(&"too early".to_owned()), "{found:?}");
    assert!(found.contains(&"in time".to_owned()), "{found:?}");
}

#[tokio::test]
async fn when_memory_is_full_events_are_to_be_sent_later() {
    let cluster = cluster().await;
    let little = producer(&cluster).buffer_memory(64 << 10).linger(Duration::ZERO).build().unwrap();
    let mut brief = settings();
    brief.answer_within = Duration::from_millis(300);
    let service = Service::start(little.clone(), brief).await;
    assert_eq!(post(service.address, ORDERS, "", "first").await.status, 202);
    cluster.freeze(0).unwrap();

    // A partition may have half of the memory.
    let large = "x".repeat(20 << 10);
    let mut sent = post(service.address, ORDERS, "", &large).await;
    // If the time is over before it is sent, it is withdrawn.
    until("an event is under way", async || {
        if sent.status != 504 {
            sent = post(service.address, ORDERS, "", &large).await;
        }
        sent.status == 504
    })
    .await;
    let refused = post(service.address, ORDERS, "", &large).await;

    assert_eq!(sent.header("Retry-After"), None);
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("1")));
    cluster.unfreeze(0).unwrap();
    soon("what is under way", little.flush()).await;
    assert_eq!(records(&cluster, ORDERS).len(), 2);
}

#[tokio::test]
async fn service_is_ready_while_brokers_can_be_reached() {
    let cluster = cluster().await;
    for broker in cluster.broker_ids() {
        cluster.freeze(broker).unwrap();
    }
    let mut brief = settings();
    brief.answer_within = Duration::from_millis(300);
    let service = Service::start(producer(&cluster).build().unwrap(), brief).await;
    let is_ready = async || get(service.address, "/ready").await.status == 200;

    let at_first = get(service.address, "/ready").await;
    for broker in cluster.broker_ids() {
        cluster.unfreeze(broker).unwrap();
    }
    until("the service is ready", is_ready).await;
    for broker in cluster.broker_ids() {
        cluster.broker_down(broker).await.unwrap();
    }
    // A producer that has nothing to do does not notice.
    let refused = post(service.address, ORDERS, "", "2 apples").await;
    until("the service is not ready any more", async || !is_ready().await).await;
    for broker in cluster.broker_ids() {
        cluster.broker_up(broker).await.unwrap();
    }
    until("the service is ready again", is_ready).await;

    assert_eq!(at_first.status, 503);
    assert_ne!(refused.status, 202);
    assert!(at_first.body.contains("no broker has described the cluster"), "{}", at_first.body);
}

#[tokio::test]
async fn scrape_has_the_producers_numbers() {
    let cluster = cluster().await;
    let service = Service::start(producer(&cluster).build().unwrap(), settings()).await;
    for number in 0..3 {
        assert_eq!(post(service.address, ORDERS, "", format!("{number} apples")).await.status, 202);
    }

    let scrape = get(service.address, "/metrics").await;

    assert_eq!(scrape.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let number = |name: &str| {
        let line =
            scrape.body.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(number("kafka_producer_topic_record_send_total{"), 3.0);
    assert_eq!(number("kafka_producer_record_error_total{"), 0.0);
    assert!(number("kafka_producer_request_latency_seconds_count{") >= 3.0);
}

#[tokio::test]
async fn service_that_ends_says_that_it_is_not_ready_and_goes_on_taking_events() {
    let cluster = cluster().await;
    let mut long_notice = settings();
    long_notice.notice = Duration::from_secs(600);
    let service = Service::start(producer(&cluster).build().unwrap(), long_notice).await;
    let address = service.address;
    until("the service is ready", async || get(address, "/ready").await.status == 200).await;

    let serving = service.terminate();
    until("it is stopping", async || get(address, "/ready").await.body == "stopping\n").await;
    let answer = post(address, ORDERS, "", "2 apples").await;

    assert_eq!(answer.status, 202);
    assert!(!serving.is_finished());
    serving.abort();
}

/// How each event was answered.
async fn answers(mut asked: JoinSet<(String, Option<Answer>)>) -> Vec<(String, u16)> {
    let mut answers = Vec::new();
    while let Some(answer) = soon("an answer", asked.join_next()).await {
        let (event, answer) = answer.unwrap();
        answers.push((event, answer.map_or(0, |answer| answer.status)));
    }
    answers
}

#[tokio::test]
async fn end_amid_an_outage_comes_in_time_and_tells_of_every_event() {
    let cluster = cluster().await;
    let mut settings = settings();
    settings.close_within = Duration::from_millis(500);
    let one_at_once = producer(&cluster).max_in_flight_requests_per_connection(1).linger(Duration::ZERO);
    let producer = one_at_once.build().unwrap();
    let service = Service::start(producer.clone(), settings).await;
    let address = service.address;
    assert_eq!(post(address, ORDERS, "", "before").await.status, 202);

    // One leader stands still, the other works. Of what the first one gets, one batch is under way and the rest waits.
    cluster.freeze(0).unwrap();
    let mut asked = JoinSet::new();
    let ask = |topic: &'static str, event: String| async move {
        let answer = try_post(address, topic, "", event.as_str()).await;
        (event, answer)
    };
    asked.spawn(ask(ORDERS, "order 0".to_owned()));
    until("an event is under way", async || producer.metrics().requests_in_flight > 0).await;
    for number in 1..10 {
        asked.spawn(ask(ORDERS, format!("order {number}")));
        asked.spawn(ask(CLICKS, format!("click {number}")));
    }
    until("all events are accepted", async || {
        let metrics = producer.metrics();
        metrics.records_accepted == 20 && metrics.records_delivered == 10
    })
    .await;
    let report = soon("the service has ended", service.terminate()).await.unwrap().unwrap();
    let answers = answers(asked).await;

    // Each event got the answer that the report and the log confirm.
    let of = |status: u16| {
        let of = answers.iter().filter(|(_, found)| *found == status);
        of.map(|(event, _)| event.clone()).collect::<Vec<_>>()
    };
    let (accepted, later, unknown) = (of(202), of(503), of(504));
    assert_eq!((accepted.len(), later.len() + unknown.len()), (9, 10), "{answers:?}");
    assert!(!unknown.is_empty(), "{answers:?}");
    assert_eq!((report.delivered, report.undelivered.len()), (10, 10), "{report}");
    cluster.unfreeze(0).unwrap();
    let clicks: Vec<_> = records(&cluster, CLICKS).iter().map(value).collect();
    assert!(accepted.iter().all(|event| clicks.contains(event)), "{accepted:?}, {clicks:?}");
    let orders: Vec<_> = records(&cluster, ORDERS).iter().map(value).collect();
    assert!(later.iter().all(|event| !orders.contains(event)), "{later:?}, {orders:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn program_ends_by_itself_when_it_is_asked_to() {
    let cluster = cluster().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_http_ingest"));
    command.env("KAFKA_BOOTSTRAP_SERVERS", cluster.bootstrap_servers());
    command.env("TOPICS", "orders,clicks").env("LISTEN", "127.0.0.1:0").env("NOTICE_SECONDS", "0");
    command.stdout(Stdio::piped());
    let mut program = Program::start(&mut command);
    let mut output = std::io::BufReader::new(program.stdout().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
    assert_eq!(post(address, ORDERS, "", "2 apples").await.status, 202);

    let is_well = program.terminate().await;

    let mut report = String::new();
    std::io::BufRead::read_line(&mut output, &mut report).unwrap();
    assert_eq!((is_well, report.as_str()), (true, "1 record delivered, 0 failed\n"));
}
