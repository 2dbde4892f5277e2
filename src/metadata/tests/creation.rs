//! Brokers may create a topic when a record waits for it, and never because it is refreshed.

use super::*;

fn known() -> Vec<MetadataResponseTopic> {
    vec![topic("old", 1, vec![partition(0, 1, 5)])]
}

fn missing(name: &str) -> MetadataResponseTopic {
    topic_error(name, ErrorCode::UnknownTopicOrPartition)
}

/// Takes the request that is due and has it answered; returns its topics and whether they may be created.
fn ask(metadata: &mut Metadata, topics: Vec<MetadataResponseTopic>, now: Instant) -> (Vec<String>, bool) {
    let (id, request) = metadata.next_request(now).unwrap();
    metadata.handle_response(id, &response(topics), VERSION, now).unwrap();
    let names = requested_topics(&request).into_iter().map(str::to_owned).collect();
    (names, request.allow_auto_topic_creation)
}

fn asked(names: &[&str], may_create: bool) -> (Vec<String>, bool) {
    (names.iter().map(|name| (*name).to_owned()).collect(), may_create)
}

#[test]
fn first_question_about_topics_that_records_wait_for_creates_them() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.request_topic(&Topic::from("b"), now);
    metadata.request_topic(&Topic::from("a"), now);

    assert_eq!(ask(&mut metadata, vec![], now), asked(&["a", "b"], true));
}

#[test]
fn refresh_creates_nothing() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.request_topic(&Topic::from("old"), now);
    assert_eq!(ask(&mut metadata, known(), now), asked(&["old"], true));

    metadata.request_update();
    let now = now + BACKOFF;
    assert_eq!(ask(&mut metadata, vec![missing("old")], now), asked(&["old"], false));
    for second in 1..30 {
        let now = now + Duration::from_secs(second);
        assert_eq!(ask(&mut metadata, vec![missing("old")], now), asked(&["old"], false));
    }
}

#[test]
fn waiting_for_a_known_topic_creates_nothing() {
    let now = clock::now();
    let mut metadata = metadata_with(known(), now);

    metadata.request_topic(&Topic::from("old"), now);

    assert_eq!(ask(&mut metadata, known(), now + BACKOFF), asked(&["old"], false));
}

#[test]
fn topic_that_is_merely_in_use_is_not_created() {
    let now = clock::now();
    let mut metadata = metadata_with(known(), now);

    metadata.add_topic(&Topic::from("used"), now);

    assert_eq!(ask(&mut metadata, vec![missing("used")], now), asked(&["used"], false));
}

#[test]
fn new_topic_is_asked_for_alone_and_before_a_refresh() {
    let now = clock::now();
    let mut metadata = metadata_with(known(), now);
    metadata.request_update();
    metadata.request_topic(&Topic::from("new"), now);

    let new = topic("new", 2, vec![partition(0, 2, 1)]);
    assert_eq!(ask(&mut metadata, vec![new.clone()], now), asked(&["new"], true));
    assert_eq!(leader(&metadata, "old", 0), Some(1));
    let now = now + BACKOFF;
    assert_eq!(ask(&mut metadata, [known(), vec![new]].concat(), now), asked(&["new", "old"], false));
}

#[test]
fn those_that_wait_for_a_missing_topic_do_not_keep_others_from_being_refreshed() {
    let mut now = clock::now();
    let mut metadata = metadata_with(known(), now);

    let mut requests = Vec::new();
    for _ in 0..6 {
        // A caller that waits asks again after each answer.
        metadata.request_topic(&Topic::from("missing"), now);
        metadata.request_update();
        now += BACKOFF;
        let topics = [known(), vec![missing("missing")]].concat();
        requests.push(ask(&mut metadata, topics, now));
    }

    let [create, refresh] = [asked(&["missing"], true), asked(&["missing", "old"], false)];
    assert_eq!(requests, [&create, &refresh, &create, &refresh, &create, &refresh].map(Clone::clone));
}

#[test]
fn those_that_wait_for_a_refused_topic_do_not_keep_a_topic_in_use_from_being_asked_for() {
    let now = clock::now();
    let mut metadata = metadata_with(known(), now);
    let refused = || vec![topic_error("refused", ErrorCode::TopicAuthorizationFailed)];
    metadata.request_topic(&Topic::from("refused"), now);
    metadata.add_topic(&Topic::from("used"), now);

    assert_eq!(ask(&mut metadata, refused(), now), asked(&["refused"], true));
    // Those who wait ask again after each answer.
    metadata.request_topic(&Topic::from("refused"), now);
    let used = topic("used", 2, vec![partition(0, 2, 1)]);
    assert_eq!(ask(&mut metadata, vec![used], now), asked(&["used"], false));

    assert_eq!(leader(&metadata, "used", 0), Some(2));
    assert!(!metadata.is_due(now), "the backoff holds back what remains");
    assert_eq!(ask(&mut metadata, refused(), now + BACKOFF), asked(&["refused"], true));
}

#[test]
fn nothing_is_created_for_those_that_have_given_up() {
    let mut now = clock::now();
    let mut metadata = metadata_with(known(), now);
    metadata.request_topic(&Topic::from("missing"), now);
    let topics = || [known(), vec![missing("missing")]].concat();
    assert_eq!(ask(&mut metadata, topics(), now), asked(&["missing"], true));

    for _ in 0..10 {
        now += BACKOFF;
        assert_eq!(ask(&mut metadata, topics(), now), asked(&["missing", "old"], false));
    }
}

#[test]
fn versions_that_cannot_forbid_creation_leave_out_what_may_have_been_deleted() {
    let now = clock::now();
    let mut metadata = metadata_with([known(), vec![missing("gone")]].concat(), now);
    metadata.request_update();
    let (_, request) = metadata.next_request(now + BACKOFF).unwrap();
    assert_eq!(requested_topics(&request), ["gone", "old"]);

    let request = metadata.adapt(request, 3);
    assert_eq!((requested_topics(&request), request.allow_auto_topic_creation), (vec!["old"], true));

    let mut metadata = metadata_with(known(), now);
    metadata.request_update();
    let (id, request) = metadata.next_request(now + BACKOFF).unwrap();
    metadata.handle_response(id, &response(vec![missing("old")]), VERSION, now + BACKOFF).unwrap();
    assert!(requested_topics(&metadata.adapt(request, 3)).is_empty());
}
