//! Random events in random order: the view stays sound and the schedule never gets stuck.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    AddTopic(usize),
    Advance(u64),
    Answer { topics: Vec<MetadataResponseTopic>, brokers: Vec<i32>, version: i16, code: i16 },
    Ask,
    Disconnect,
    Fail,
    Hint { topic: usize, partition: i32, leader: i32, epoch: i32, has_endpoint: bool },
    Rebootstrap,
    RequestTopic(usize),
    RequestUpdate,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let answer = (
        vec(answered_topic(), 0..4),
        vec(prop_oneof![8 => 0..4_i32, 1 => any::<i32>()], 0..4),
        prop_oneof![Just(8_i16), Just(12)],
        prop_oneof![9 => Just(0_i16), 1 => Just(129), 1 => Just(42)],
    );
    let hint = (name(), 0..3_i32, -1..5_i32, -1..9_i32, any::<bool>());
    prop_oneof![
        2 => name().prop_map(Step::AddTopic),
        2 => (0..2000_u64).prop_map(Step::Advance),
        1 => (0..400_000_u64).prop_map(Step::Advance),
        6 => answer.prop_map(|(topics, brokers, version, code)| Step::Answer { topics, brokers, version, code }),
        6 => Just(Step::Ask),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Fail),
        2 => hint.prop_map(|(topic, partition, leader, epoch, has_endpoint)| {
            Step::Hint { topic, partition, leader, epoch, has_endpoint }
        }),
        1 => Just(Step::Rebootstrap),
        2 => name().prop_map(Step::RequestTopic),
        1 => Just(Step::RequestUpdate),
    ]
}

fn answered_topic() -> impl Strategy<Value = MetadataResponseTopic> {
    let number = prop_oneof![8 => 0..4_i32, 1 => any::<i32>()];
    let partition = (number, -1..5_i32, -1..9_i32, prop_oneof![4 => Just(0_i16), 1 => Just(5)]).prop_map(
        |(number, leader, epoch, error_code)| MetadataResponsePartition {
            error_code,
            ..partition(number, leader, epoch)
        },
    );
    let error_code = prop_oneof![6 => Just(0_i16), 1 => Just(3), 1 => Just(17), 1 => Just(29)];
    (0..NAMES.len(), 0..3_u8, error_code, vec(partition, 0..5)).prop_map(
        |(name, id, error_code, partitions)| MetadataResponseTopic {
            error_code,
            ..topic(NAMES[name], id, partitions)
        },
    )
}

struct Run {
    metadata: Metadata,
    now: Instant,
    under_way: Option<MetadataRequestId>,
}

impl Run {
    fn apply(&mut self, step: Step) {
        let now = self.now;
        let topic = |index: usize| Topic::from(NAMES[index]);
        match step {
            Step::AddTopic(index) => drop(self.metadata.add_topic(&topic(index), now)),
            Step::Advance(millis) => self.now += Duration::from_millis(millis),
            Step::Answer { topics, brokers, version, code } => {
                let Some(id) = self.under_way.take() else { return };
                let brokers = brokers.into_iter().map(broker).collect();
                let response = MetadataResponse { brokers, error_code: code, ..response(topics) };
                drop(self.metadata.handle_response(id, &response, version, now));
            }
            Step::Ask => {
                let was_due = self.metadata.is_due(now);
                let request = self.metadata.next_request(now);
                assert_eq!(request.is_some(), was_due);
                self.under_way = request.map(|(id, _)| id).or(self.under_way);
            }
            Step::Disconnect => self.metadata.handle_disconnect(now),
            Step::Fail => {
                let Some(id) = self.under_way.take() else { return };
                self.metadata.handle_failure(id, now);
            }
            Step::Hint { topic, partition, leader, epoch, has_endpoint } => {
                let topic = Topic::from(NAMES[topic]);
                let hint = LeaderHint { topic, partition, leader: NodeId(leader), leader_epoch: epoch };
                let endpoint =
                    NodeEndpoint { node_id: leader, host: "new".to_owned(), port: 9092, rack: None };
                let endpoints = if has_endpoint { vec![endpoint] } else { vec![] };
                drop(self.metadata.update_leaders(&[hint], &endpoints));
            }
            Step::Rebootstrap => {
                if self.metadata.should_rebootstrap(false, now) {
                    drop(self.metadata.rebootstrap(now));
                    self.under_way = None;
                }
            }
            Step::RequestTopic(index) => self.metadata.request_topic(&topic(index), now),
            Step::RequestUpdate => self.metadata.request_update(),
        }
    }

    fn check(&mut self) {
        // The sender asks this each time that it looks around.
        if self.metadata.should_rebootstrap(true, self.now) {
            self.metadata.rebootstrap(self.now);
            self.under_way = None;
        }

        let cluster = self.metadata.cluster();
        for topic in cluster.topics() {
            assert!(cluster.topic_error(topic.name()).is_none());
            let mut available = Vec::new();
            for (index, partition) in (0..).zip(topic.partitions()) {
                assert_eq!(partition.partition(), index);
                if let Some(leader) = partition.leader() {
                    assert!(cluster.node(leader).is_some());
                    available.push(index);
                }
            }
            assert_eq!(topic.available_partitions(), available);
        }

        let wait = self.metadata.poll_timeout(self.now).map(|at| at - self.now);
        assert_ne!(wait, Some(Duration::ZERO), "the caller's loop would spin");
        if self.under_way.is_some() || self.metadata.is_due(self.now) {
            return;
        }
        let is_wanted = cluster.topics().any(|topic| topic.partitions().iter().any(|p| p.leader().is_none()));
        let longest = if is_wanted { BACKOFF } else { MAX_AGE };
        assert!(wait.is_some_and(|wait| wait <= longest), "{wait:?} is more than {longest:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn view_stays_sound_and_schedule_goes_on(steps in vec(step(), 0..60)) {
        check_steps(steps);
    }
}

fn check_steps(steps: impl IntoIterator<Item = Step>) {
    let mut run = Run { metadata: new_metadata(), now: clock::now(), under_way: None };
    for step in steps {
        run.apply(step);
        run.check();
    }
}

#[test]
fn schedule_goes_on_although_no_answer_comes_for_long() {
    check_steps([
        Step::Ask,
        Step::Answer { topics: vec![], brokers: vec![0], version: 8, code: 0 },
        Step::RequestTopic(0),
        Step::Ask,
        Step::Advance(200_000),
    ]);
}
