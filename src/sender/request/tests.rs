//! Answers to Produce, matched with the batches of the request.

use crate::protocol::messages::produce::TopicProduceResponse;

use super::*;

fn sent(topic: &'static str, partition: i32) -> SentBatch {
    SentBatch {
        queue_id: 0,
        batch_id: 1,
        topic_partition: TopicPartition::new(topic, partition),
        log: LogCount::default(),
        topic_id: id_of(topic),
        records: 1,
        is_answered: false,
    }
}

/// Ids differ by the first letter.
fn id_of(topic: &str) -> Uuid {
    Uuid([topic.as_bytes()[0]; 16])
}

fn answer(index: i32, base_offset: i64) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: 0,
        base_offset,
        log_append_time_ms: -1,
        log_start_offset: -1,
        record_errors: Vec::new(),
        error_message: None,
        current_leader_id: -1,
        current_leader_epoch: -1,
    }
}

fn by_name(name: &str, partitions: Vec<PartitionProduceResponse>) -> TopicProduceResponse {
    TopicProduceResponse { name: name.to_owned(), topic_id: Uuid::ZERO, partitions }
}

fn by_id(topic_id: Uuid, partitions: Vec<PartitionProduceResponse>) -> TopicProduceResponse {
    TopicProduceResponse { name: String::new(), topic_id, partitions }
}

fn answers(
    request: &mut ProduceSent,
    topics: &[TopicProduceResponse],
) -> Vec<(SentBatch, PartitionProduceResponse)> {
    let mut matching = Matching::new(&mut request.batches);
    for topic in topics {
        matching.see(Told::Topic { name: &topic.name, id: topic.topic_id });
        topic.partitions.iter().for_each(|answer| matching.see(Told::Partition(answer.clone())));
    }
    matching.answers
}

/// Returns which batches were answered by which offsets, in the order of the answers.
fn matched(request: &mut ProduceSent, topics: Vec<TopicProduceResponse>) -> Vec<(String, i64)> {
    answers(request, &topics)
        .into_iter()
        .map(|(sent, answer)| (sent.topic_partition.to_string(), answer.base_offset))
        .collect()
}

fn expected(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(name, offset)| ((*name).to_owned(), *offset)).collect()
}

fn request() -> ProduceSent {
    ProduceSent { batches: vec![sent("a", 0), sent("a", 1), sent("b", 0)], spans: None }
}

#[test]
fn answers_find_their_batches_by_name_or_id_in_any_order() {
    let in_order = vec![by_name("a", vec![answer(0, 10), answer(1, 11)]), by_name("b", vec![answer(0, 20)])];
    assert_eq!(matched(&mut request(), in_order), expected(&[("a-0", 10), ("a-1", 11), ("b-0", 20)]));

    let reversed = vec![
        by_id(id_of("b"), vec![answer(0, 20)]),
        by_id(id_of("a"), vec![answer(1, 11)]),
        by_id(id_of("a"), vec![answer(0, 10)]),
    ];
    assert_eq!(matched(&mut request(), reversed), expected(&[("b-0", 20), ("a-1", 11), ("a-0", 10)]));
}

#[test]
fn first_of_two_answers_counts_and_strangers_do_not() {
    let mut request = request();
    let topics = vec![
        by_name("c", vec![answer(0, 1)]),
        by_name("a", vec![answer(7, 2), answer(0, 10), answer(0, 3), answer(-1, 4)]),
        by_id(Uuid::ZERO, vec![answer(0, 5)]),
    ];

    assert_eq!(matched(&mut request, topics), expected(&[("a-0", 10)]));
    let open: Vec<_> = request.batches.iter().map(|sent| sent.is_answered).collect();
    assert_eq!(open, [true, false, false]);
}

#[test]
fn answers_in_reverse_order_find_their_batches() {
    let mut request =
        ProduceSent { batches: (0..1000).map(|partition| sent("a", partition)).collect(), spans: None };
    let reversed = (0..1000).rev().map(|partition| answer(partition, partition.into())).collect();

    let matched = answers(&mut request, &[by_id(id_of("a"), reversed)]);

    assert_eq!(matched.len(), 1000);
    assert!(matched.iter().all(|(sent, answer)| sent.topic_partition.partition == answer.index));
}

#[test]
fn empty_answer_answers_nothing() {
    let mut request = request();

    assert!(matched(&mut request, Vec::new()).is_empty());
    assert!(request.batches.iter().all(|sent| !sent.is_answered));
}

#[test]
fn batch_alone_always_has_room_and_others_up_to_the_maximum() {
    let mut draft = ProduceDraft::default();
    assert!(draft.is_empty() && draft.has_room(5000, 1000));

    draft.push(sent("a", 0), Bytes::from(vec![0; 600]));

    assert!(draft.has_room(400, 1000) && !draft.has_room(401, 1000));
    assert_eq!((draft.bytes(), draft.is_empty()), (600, false));
}

#[test]
fn batches_of_a_topic_come_together_and_stay_in_their_order() {
    let mut draft = ProduceDraft::default();
    for (topic, partition) in [("b", 3), ("a", 1), ("b", 0), ("a", 0)] {
        draft.push(sent(topic, partition), Bytes::new());
    }

    draft.group();

    let order: Vec<_> = draft.sent().batches.iter().map(|sent| sent.topic_partition.to_string()).collect();
    assert_eq!(order, ["a-1", "a-0", "b-3", "b-0"]);
}
