//! Random events in random order: whatever happens, nothing is lost.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::authentication::{RANGES, Script, TWO_WORDS, mechanism_answer, refusal, word_answer_in, words};
use super::*;
use crate::network::sasl::Opening;

/// Something that happens to a client. The numbers choose among what there is, modulo its count.
#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Answer(usize),
    AnswerWrongly(usize),
    Close {
        connection: usize,
        first_unsent: Option<usize>,
    },
    Connect(i32),
    Connected(usize),
    ConnectFailed(usize),
    /// Brokers close all connections.
    CloseAll,
    Retire(i32),
    /// The broker does not believe us, if it is just being told who we are.
    Refuse(usize),
    Garbage(usize, Vec<u8>),
    /// All that it takes to make a node ready, or to answer what it has been asked.
    MakeReady(i32),
    PollActions(usize),
    Send {
        node: i32,
        expects_response: bool,
    },
    Throttle(i32, u64),
    UpdateNodes(Vec<(i32, u16)>),
    Written(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..2_i32;
    let index = || 0..8_usize;
    prop_oneof![
        2 => prop_oneof![0..100_u64, 0..40_000_u64].prop_map(Step::Advance),
        8 => index().prop_map(Step::Answer),
        1 => index().prop_map(Step::AnswerWrongly),
        2 => (index(), proptest::option::of(index()))
            .prop_map(|(connection, first_unsent)| Step::Close { connection, first_unsent }),
        4 => node().prop_map(Step::Connect),
        4 => index().prop_map(Step::Connected),
        1 => index().prop_map(Step::ConnectFailed),
        1 => Just(Step::CloseAll),
        1 => node().prop_map(Step::Retire),
        1 => index().prop_map(Step::Refuse),
        1 => (index(), vec(any::<u8>(), 0..12)).prop_map(|(connection, bytes)| Step::Garbage(connection, bytes)),
        6 => node().prop_map(Step::MakeReady),
        8 => index().prop_map(Step::PollActions),
        20 => (node(), any::<bool>()).prop_map(|(node, expects_response)| Step::Send { node, expects_response }),
        1 => (node(), 0..10_000_u64).prop_map(|(node, millis)| Step::Throttle(node, millis)),
        1 => vec((node(), prop_oneof![9 => Just(9092_u16), 1 => Just(1)]), 0..4).prop_map(Step::UpdateNodes),
        3 => (index(), index()).prop_map(|(connection, frame)| Step::Written(connection, frame)),
    ]
}

/// The other side: what a transport and its brokers know.
#[derive(Default)]
struct World {
    /// Every connection that was ever asked for, also those that are closed.
    connections: Vec<ConnectionId>,
    /// Frames handed over and not answered, oldest first: correlation id, API key, version.
    frames: BTreeMap<ConnectionId, Vec<(i32, i16, i16)>>,
    closed: Vec<ConnectionId>,
    /// By purpose: the node, whether it is answered, and how often it came back.
    purposes: Vec<(NodeId, bool, usize)>,
    /// Per node, the purposes sent and not come back, oldest first.
    waiting: BTreeMap<NodeId, Vec<usize>>,
    answered: usize,
    words: usize,
}

struct Run {
    client: NetworkClient<usize>,
    world: World,
    now: Instant,
    /// Whether brokers have to be told who we are.
    has_sasl: bool,
}

impl Run {
    fn new(has_sasl: bool) -> Self {
        let script = Script::new(TWO_WORDS).opening(Opening::Public);
        let mechanism = || Arc::new(script) as Arc<dyn SaslMechanism>;
        let config = NetworkConfig { sasl_mechanism: has_sasl.then(mechanism), ..config() };
        let mut client = NetworkClient::new(config, StdRng::seed_from_u64(7));
        let now = clock::now();
        let nodes: Vec<_> = (0..2).map(|id| node(NodeId(id))).collect();
        client.update_nodes(&nodes, now);
        Self { client, world: World::default(), now, has_sasl }
    }

    fn connection(&self, index: usize) -> Option<ConnectionId> {
        // The latest are the likeliest to be alive.
        let index = index.checked_rem(self.world.connections.len())?;
        self.world.connections.iter().rev().nth(index).copied()
    }

    fn open(&self) -> Vec<ConnectionId> {
        let World { connections, closed, .. } = &self.world;
        connections.iter().copied().filter(|connection| !closed.contains(connection)).collect()
    }

    fn apply(&mut self, step: Step) {
        self.take(step);
        self.check();
    }

    fn take(&mut self, step: Step) -> Option<()> {
        let now = self.now;
        match step {
            Step::Advance(millis) => {
                self.now += Duration::from_millis(millis);
                self.client.handle_timeout(self.now);
            }
            Step::Answer(index) => self.answer(self.connection(index)?, 0)?,
            Step::AnswerWrongly(index) => self.answer(self.connection(index)?, 1)?,
            Step::Close { connection, first_unsent } => {
                let connection = self.connection(connection)?;
                let frames = self.world.frames.remove(&connection).unwrap_or_default();
                let first_unsent = first_unsent.and_then(|index| frames.get(index)).map(|frame| frame.0);
                self.client.handle_closed(connection, "reset".into(), first_unsent, now);
                self.world.closed.push(connection);
            }
            Step::Connect(node) => drop(self.client.connect(NodeId(node), now)),
            Step::Connected(index) => self.client.handle_connected(self.connection(index)?, now),
            Step::ConnectFailed(index) => {
                let connection = self.connection(index)?;
                self.client.handle_connect_failed(connection, "refused".into(), now);
                self.world.closed.push(connection);
            }
            Step::CloseAll => self.close_all(),
            Step::Refuse(index) => self.refuse(self.connection(index)?)?,
            Step::Retire(node) => self.client.retire(NodeId(node), now),
            Step::Garbage(index, bytes) => {
                self.client.handle_frame(self.connection(index)?, Bytes::from(bytes), now);
            }
            Step::MakeReady(node) => {
                self.client.connect(NodeId(node), now);
                self.poll_actions(usize::MAX);
                for connection in self.open() {
                    self.client.handle_connected(connection, now);
                }
                // ApiVersions, the mechanism, two words.
                for _ in 0..if self.has_sasl { 4 } else { 1 } {
                    self.poll_actions(usize::MAX);
                    for connection in self.open() {
                        self.answer(connection, 0);
                    }
                }
            }
            Step::PollActions(count) => self.poll_actions(count),
            Step::Send { node, expects_response } => self.send(NodeId(node), expects_response),
            Step::Throttle(node, millis) => {
                self.client.throttle(NodeId(node), Duration::from_millis(millis), now);
            }
            Step::UpdateNodes(nodes) => {
                let node = |(id, port)| Node::new(NodeId(id), format!("kafka-{id}"), port);
                let nodes: Vec<_> = nodes.into_iter().map(node).collect();
                self.client.update_nodes(&nodes, now);
            }
            Step::Written(connection, frame) => {
                let connection = self.connection(connection)?;
                let (id, ..) = *self.world.frames.get(&connection)?.get(frame)?;
                self.client.handle_written(connection, id, now);
            }
        }
        Some(())
    }

    fn close_all(&mut self) {
        self.poll_actions(usize::MAX);
        for connection in self.open() {
            self.client.handle_closed(connection, "reset".into(), None, self.now);
            self.world.closed.push(connection);
        }
    }

    fn answer(&mut self, connection: ConnectionId, id_offset: i32) -> Option<()> {
        let frames = self.world.frames.get_mut(&connection).filter(|frames| !frames.is_empty())?;
        let (correlation_id, api_key, version) = frames.remove(0);
        let sent = Sent { connection, correlation_id: correlation_id.wrapping_add(id_offset) };
        let frame = match api_key {
            17 => mechanism_answer(sent, 0),
            18 if self.has_sasl => versions_answer_of(sent, version, 0, RANGES),
            18 => versions_answer(sent, version, 0),
            36 => {
                self.world.words += 1;
                word_answer_in(sent, version, &words("go on", Duration::from_secs(10)))
            }
            // Produce stands for requests that are not answered.
            0 => return None,
            _ => answer(sent),
        };
        self.client.handle_frame(connection, frame, self.now);
        Some(())
    }

    fn refuse(&mut self, connection: ConnectionId) -> Option<()> {
        let frames = self.world.frames.get_mut(&connection)?;
        let (correlation_id, _, version) = *frames.first().filter(|frame| frame.1 == 36)?;
        frames.remove(0);
        let sent = Sent { connection, correlation_id };
        self.client.handle_frame(connection, word_answer_in(sent, version, &refusal()), self.now);
        Some(())
    }

    fn send(&mut self, node: NodeId, expects_response: bool) {
        let purpose = self.world.purposes.len();
        self.world.purposes.push((node, expects_response, 0));
        if self.client.can_send(node, self.now) {
            self.world.waiting.entry(node).or_default().push(purpose);
        }
        let api_key = if expects_response { ApiKey::Metadata } else { ApiKey::Produce };
        let request = NetworkRequest {
            node,
            api_key,
            purpose,
            expects_response,
            timeout: REQUEST_TIMEOUT,
            max_version: i16::MAX,
        };
        self.client.send(request, self.now, |_, _| Ok(()));
    }

    fn poll_actions(&mut self, count: usize) {
        for _ in 0..count {
            match self.client.poll_action() {
                None => return,
                Some(NetworkAction::Connect { connection, .. }) => {
                    assert!(!self.world.connections.contains(&connection));
                    self.world.connections.push(connection);
                }
                Some(NetworkAction::Close { connection }) => {
                    assert!(self.world.connections.contains(&connection));
                    self.world.closed.push(connection);
                }
                Some(NetworkAction::Transmit { connection, frame }) => {
                    assert!(self.world.connections.contains(&connection));
                    assert!(!self.world.closed.contains(&connection));
                    let mut bytes: BytesMut = frame.segments.pieces().flatten().skip(4).collect();
                    let (api_key, version, id) = (bytes.get_i16(), bytes.get_i16(), bytes.get_i32());
                    assert_eq!(id, frame.correlation_id);
                    self.world.frames.entry(connection).or_default().push((id, api_key, version));
                }
            }
        }
    }

    fn check(&mut self) {
        // Otherwise the caller's loop would spin.
        self.client.handle_timeout(self.now);
        assert!(self.client.poll_timeout().is_none_or(|deadline| deadline > self.now));

        while let Some(event) = self.client.poll_event() {
            self.check_event(event);
        }
        for id in (0..2).map(NodeId) {
            let waiting = self.world.waiting.get(&id).map_or(0, Vec::len);
            assert_eq!(self.client.in_flight_count(id), waiting);
            assert!(waiting <= MAX_IN_FLIGHT);
        }
        let any_waiting = self.world.waiting.values().any(|waiting| !waiting.is_empty());
        assert_eq!(self.client.has_in_flight(), any_waiting);
    }

    fn check_event(&mut self, event: NetworkEvent<usize>) {
        let (purpose, node, is_answer, was_sent) = match event {
            NetworkEvent::Disconnected { .. } | NetworkEvent::Ready { .. } => return,
            NetworkEvent::Failed { purpose, node, reason, .. } => {
                (purpose, node, false, reason != FailureReason::NotReady)
            }
            NetworkEvent::Response { purpose, node, .. } => (purpose, node, true, true),
            NetworkEvent::Written { purpose, node } => (purpose, node, false, true),
        };
        let (sent_to, expects_response, count) = &mut self.world.purposes[purpose];
        *count += 1;
        assert_eq!((*sent_to, *count), (node, 1), "purpose {purpose}");
        assert!(*expects_response || !is_answer, "answer to a request that has none");
        if !was_sent {
            return;
        }
        let waiting = self.world.waiting.get_mut(&node).unwrap();
        if is_answer {
            assert_eq!(waiting.first(), Some(&purpose), "answered out of order");
            self.world.answered += 1;
        }
        waiting.retain(|other| *other != purpose);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_purpose_comes_back_exactly_once(has_sasl: bool, steps in vec(step(), 0..200)) {
        let mut run = Run::new(has_sasl);
        for step in steps {
            run.apply(step);
        }

        run.apply(Step::CloseAll);

        prop_assert!(run.world.purposes.iter().all(|(_, _, count)| *count == 1));
    }

    /// Even if the transport says nothing any more, time brings every purpose back.
    #[test]
    fn nothing_waits_for_ever(has_sasl: bool, steps in vec(step(), 0..200)) {
        let mut run = Run::new(has_sasl);
        for step in steps {
            run.apply(step);
        }

        run.apply(Step::Advance(3_600_000));

        prop_assert!(run.world.purposes.iter().all(|(_, _, count)| *count == 1));
        prop_assert!(!run.client.is_connecting());
    }
}

/// Guards the guard: steps do get as far as answers.
#[test]
fn steps_reach_answers() {
    let mut run = Run::new(false);
    let steps = [
        Step::Connect(1),
        Step::PollActions(1),
        Step::Connected(0),
        Step::PollActions(1),
        Step::Answer(0),
        Step::Send { node: 1, expects_response: true },
        Step::PollActions(1),
        Step::Answer(0),
    ];

    for step in steps {
        run.apply(step);
    }

    assert_eq!(run.world.answered, 1);
    assert!(run.client.can_send(NodeId(1), run.now));
}

/// The same for sessions: one is begun, and renewed when it ends while a request is under way.
#[test]
fn steps_reach_a_second_session() {
    let mut run = Run::new(true);
    let steps = [
        Step::MakeReady(1),
        Step::Advance(8000),
        Step::Send { node: 1, expects_response: true },
        Step::Advance(1500),
        Step::MakeReady(1),
        Step::MakeReady(1),
        Step::Send { node: 1, expects_response: true },
    ];

    for step in steps {
        run.apply(step);
    }

    assert_eq!((run.world.answered, run.world.words), (1, 4));
    assert!(run.client.has_in_flight());
}
