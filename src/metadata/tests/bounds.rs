//! Callers may ask for any number of topics: what is kept and what a request names stay within bounds.

use super::*;

fn name(number: usize) -> String {
    format!("t{number:06}")
}

fn topic_of(number: usize) -> Topic {
    Topic::from(name(number))
}

fn described(names: &[String]) -> Vec<MetadataResponseTopic> {
    names.iter().map(|name| topic(name, 1, vec![partition(0, 1, 5)])).collect()
}

fn denied(names: &[String]) -> Vec<MetadataResponseTopic> {
    names.iter().map(|name| topic_error(name, ErrorCode::UnknownTopicOrPartition)).collect()
}

/// Takes the request that is due; returns its id, its topics and whether they may be created.
fn question(metadata: &mut Metadata, now: Instant) -> (MetadataRequestId, Vec<String>, bool) {
    let (id, request) = metadata.next_request(now).expect("a request is due");
    let names = requested_topics(&request).into_iter().map(str::to_owned).collect();
    (id, names, request.allow_auto_topic_creation)
}

/// Has requests answered as long as one is due; returns the topics of each and whether they may be created.
fn ask_all(
    metadata: &mut Metadata,
    answer: impl Fn(&[String]) -> Vec<MetadataResponseTopic>,
    now: Instant,
) -> Vec<(Vec<String>, bool)> {
    let mut questions = Vec::new();
    while metadata.is_due(now) {
        let (id, names, may_create) = question(metadata, now);
        metadata.handle_response(id, &response(answer(&names)), VERSION, now).unwrap();
        questions.push((names, may_create));
        assert!(questions.len() < 1000, "requests go on for ever");
    }
    questions
}

fn sorted(questions: &[(Vec<String>, bool)]) -> Vec<String> {
    let mut names: Vec<_> = questions.iter().flat_map(|(names, _)| names.iter().cloned()).collect();
    names.sort();
    names
}

fn lengths(questions: &[(Vec<String>, bool)]) -> Vec<usize> {
    questions.iter().map(|(names, _)| names.len()).collect()
}

/// Returns metadata that knows `count` topics, all in use, and the time at which it is due to ask for all of them again.
fn metadata_of(count: usize) -> (Metadata, Instant) {
    let now = clock::now();
    let mut metadata = new_metadata();
    for number in 0..count {
        metadata.add_topic(&topic_of(number), now);
    }
    ask_all(&mut metadata, described, now);
    metadata.request_update();
    (metadata, now + BACKOFF)
}

#[test]
fn many_topics_that_are_waited_for_are_asked_for_in_several_requests_at_once() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![], now);
    (0..25_000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), true, now));

    let questions = ask_all(&mut metadata, described, now);

    assert_eq!(lengths(&questions), [10_000, 10_000, 5000]);
    assert!(questions.iter().all(|(_, may_create)| *may_create));
    assert_eq!(sorted(&questions), (0..25_000).map(name).collect::<Vec<_>>());
    assert_eq!(metadata.cluster().topics().count(), 25_000);
}

#[test]
fn first_question_about_many_topics_is_a_full_update_of_several_requests() {
    let now = clock::now();
    let mut metadata = new_metadata();
    (0..25_000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), true, now));

    let questions = ask_all(&mut metadata, described, now);

    assert_eq!(lengths(&questions), [10_000, 10_000, 5000]);
    assert!(questions.iter().all(|(_, may_create)| *may_create));
    assert_eq!(metadata.age(now), Some(Duration::ZERO));
    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));
}

#[test]
fn long_names_make_smaller_requests() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![], now);
    let long = |number: usize| Topic::from(format!("{number:032767}"));
    (0..40).for_each(|number| metadata.request_topic_for_caller(&long(number), true, now));

    assert_eq!(lengths(&ask_all(&mut metadata, described, now)), [16, 16, 8]);
}

#[test]
fn full_update_of_many_topics_takes_several_requests_and_counts_when_it_is_complete() {
    let (mut metadata, now) = metadata_of(25_000);

    let (id, first, may_create) = question(&mut metadata, now);
    metadata.handle_response(id, &response(described(&first)), VERSION, now).unwrap();
    assert_eq!((first.len(), may_create), (10_000, false));
    assert_eq!(metadata.age(now), Some(BACKOFF));
    let rest = ask_all(&mut metadata, described, now);

    assert_eq!(lengths(&rest), [10_000, 5000]);
    assert_eq!(sorted(&[vec![(first, false)], rest].concat()), (0..25_000).map(name).collect::<Vec<_>>());
    assert_eq!(metadata.age(now), Some(Duration::ZERO));
    assert_eq!(metadata.poll_timeout(now), Some(now + MAX_AGE));
}

#[test]
fn new_topic_does_not_wait_for_the_end_of_a_full_update() {
    let (mut metadata, now) = metadata_of(25_000);
    let (id, first, _) = question(&mut metadata, now);

    metadata.request_topic_for_caller(&Topic::from("new"), true, now);
    metadata.handle_response(id, &response(described(&first)), VERSION, now).unwrap();
    let questions = ask_all(&mut metadata, described, now);

    assert_eq!(questions[0], (vec!["new".to_owned()], true));
    assert_eq!(lengths(&questions), [1, 10_000, 5000]);
}

#[test]
fn update_requested_during_a_full_update_is_another_one() {
    let (mut metadata, now) = metadata_of(15_000);
    let (id, first, _) = question(&mut metadata, now);
    metadata.handle_response(id, &response(described(&first)), VERSION, now).unwrap();

    metadata.request_update();

    assert_eq!(lengths(&ask_all(&mut metadata, described, now)), [5000]);
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
    assert_eq!(lengths(&ask_all(&mut metadata, described, now + BACKOFF)), [10_000, 5000]);
}

#[test]
fn request_that_fails_lets_others_go_first_and_is_made_up_for() {
    let (mut metadata, now) = metadata_of(25_000);
    let (id, first, _) = question(&mut metadata, now);
    metadata.handle_response(id, &response(described(&first)), VERSION, now).unwrap();

    let (id, failed, _) = question(&mut metadata, now);
    metadata.handle_failure(id, now);
    assert_eq!(metadata.poll_timeout(now), Some(now + BACKOFF));
    let rest = ask_all(&mut metadata, described, now + BACKOFF);

    assert_eq!(lengths(&rest), [10_000, 5000]);
    let again = rest[0].0.iter().filter(|name| failed.contains(name)).count();
    assert_eq!(again, 5000, "of those that failed only as many as there is room for");
    assert_eq!(sorted(&[vec![(first, false)], rest].concat()), (0..25_000).map(name).collect::<Vec<_>>());
    assert_eq!(metadata.age(now + BACKOFF), Some(Duration::ZERO));
}

#[test]
fn topics_that_were_asked_for_in_vain_let_others_go_first() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![], now);
    (0..20_000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), true, now));

    let (id, failed, _) = question(&mut metadata, now);
    metadata.handle_failure(id, now);
    let questions = ask_all(&mut metadata, described, now + BACKOFF);

    assert_eq!(failed, (0..10_000).map(name).collect::<Vec<_>>());
    assert_eq!(questions[0].0, (10_000..20_000).map(name).collect::<Vec<_>>());
    assert_eq!(questions[1..], [(failed, true)]);
}

#[test]
fn topics_that_are_missing_are_asked_for_again_all_between_two_backoffs() {
    let mut now = clock::now();
    let mut metadata = metadata_with(vec![], now);

    for _ in 0..2 {
        // Callers that wait ask again after each answer.
        (0..25_000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), true, now));
        let questions = ask_all(&mut metadata, denied, now);
        let created: Vec<_> = questions.into_iter().filter(|(_, may_create)| *may_create).collect();
        assert_eq!(sorted(&created), (0..25_000).map(name).collect::<Vec<_>>());
        now += BACKOFF;
    }
}

#[test]
fn topics_of_callers_that_are_gone_are_bounded_while_brokers_do_not_answer() {
    let now = clock::now();
    let mut metadata = new_metadata();

    for number in 0..20_000 {
        metadata.request_topic_for_caller(&topic_of(number), true, now);
        metadata.note_no_caller(&topic_of(number), now);
        metadata.request_topic_for_caller(&topic_of(number + 20_000), false, now);
    }

    assert_eq!(metadata.topics.len(), 1000);
    let questions = ask_all(&mut metadata, described, now);
    assert_eq!(lengths(&questions), [1000]);
    assert!(questions[0].0.contains(&name(39_999)), "the last to be asked for are kept");
}

#[test]
fn topics_of_callers_that_wait_are_all_kept() {
    let now = clock::now();
    let mut metadata = new_metadata();
    (0..3000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), true, now));
    (3000..9000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), false, now));
    assert_eq!(metadata.topics.len(), 4000);

    // They give up all together.
    (0..3000).for_each(|number| metadata.note_no_caller(&topic_of(number), now));

    assert_eq!(metadata.topics.len(), 1000);
}

#[test]
fn topics_that_records_wait_for_in_their_queues_are_all_kept() {
    let now = clock::now();
    let mut metadata = new_metadata();
    (0..3000).for_each(|number| metadata.request_topic(&topic_of(number), now));

    (0..3000).for_each(|number| metadata.note_no_caller(&topic_of(number), now));
    (3000..9000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), false, now));

    assert_eq!(metadata.topics.len(), 4000);
}

#[test]
fn topic_that_no_caller_has_asked_for_in_a_long_time_is_not_asked_for_after_an_outage() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.request_topic_for_caller(&Topic::from("gone"), false, now);
    metadata.request_topic_for_caller(&Topic::from("left"), true, now);
    metadata.note_no_caller(&Topic::from("left"), now + BACKOFF);
    metadata.request_topic_for_caller(&Topic::from("waiting"), true, now);

    let (_, names, _) = question(&mut metadata, now + MAX_IDLE);

    assert_eq!(names, ["left", "waiting"]);
}

#[test]
fn topic_that_was_asked_for_is_kept_until_the_answer_whatever_callers_do() {
    let now = clock::now();
    let mut metadata = new_metadata();
    metadata.request_topic_for_caller(&Topic::from("first"), false, now);
    let (id, names, _) = question(&mut metadata, now);

    (0..5000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), false, now));
    metadata.handle_response(id, &response(described(&names)), VERSION, now).unwrap();

    assert!(metadata.cluster().topic("first").is_some());
    assert_eq!(metadata.topics.len(), 1001);
}

#[test]
fn topic_that_was_asked_for_in_vain_counts_again_for_the_bound() {
    let now = clock::now();
    let mut metadata = new_metadata();
    (0..1000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), false, now));
    let (id, _, _) = question(&mut metadata, now);
    (1000..3000).for_each(|number| metadata.request_topic_for_caller(&topic_of(number), false, now));
    assert_eq!(metadata.topics.len(), 2000);

    metadata.handle_failure(id, now);

    assert_eq!(metadata.topics.len(), 1000);
}

#[test]
fn errors_of_topics_that_are_forgotten_go_with_them() {
    let now = clock::now();
    let mut metadata = metadata_with(vec![], now);

    for round in 0..5 {
        (0..1000).for_each(|number| {
            metadata.request_topic_for_caller(&topic_of(round * 1000 + number), false, now);
        });
        let (id, names, _) = question(&mut metadata, now);
        metadata.handle_response(id, &response(denied(&names)), VERSION, now).unwrap();
    }

    assert!(metadata.topics.len() <= 1000, "{}", metadata.topics.len());
    assert!(metadata.cluster().topic_errors().count() <= 2000);
    let (id, names, _) = question(&mut metadata, now + BACKOFF);
    metadata.handle_response(id, &response(denied(&names)), VERSION, now + BACKOFF).unwrap();
    assert_eq!(metadata.cluster().topic_errors().count(), 1000);
}
