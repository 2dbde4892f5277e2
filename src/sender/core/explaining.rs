//! What the log is told: machines make the lines, and if nothing is delivered this file says why.

use std::time::{Duration, Instant};

use super::SenderCore;
use crate::error::{BrokerState, Spent, none_connected, remedy_for};
use crate::metadata::Node;
use crate::protocol::ErrorCode;
use crate::sender::line::{Line, News};
use crate::sender::numbering::Numbers;
use crate::sender::partition::{Next, Partition};
use crate::sender::stall::{Explanation, Reason};
use crate::topic_partition::{NodeId, Topic};

/// Why something waits.
type Cause = (Reason, String);

impl SenderCore {
    /// Tells the log what the machines have to say.
    pub(super) fn tell_log(&mut self, now: Instant) {
        while let Some(line) = self.next_line(now) {
            line.log(&self.settings.client_id);
            #[cfg(test)]
            self.told.push(line);
        }
    }

    /// Has the log told something, unless it was lately.
    pub(super) fn tell(&mut self, news: News, now: Instant) {
        let News { node, about, line } = news;
        let known = node.and_then(|node| self.network.address(node));
        self.brokers.tell(known.map(Node::address), about, line, now);
    }

    fn next_line(&mut self, now: Instant) -> Option<Line> {
        let line = self.brokers.next_line().or_else(|| self.stall.next_line());
        line.or_else(|| self.settlement.next_line(now))
    }

    /// Whether a record or a caller waits for brokers.
    pub(super) fn is_anything_awaited(&self) -> bool {
        self.schedule.is_any_active() || self.topology.is_any_awaited()
    }

    /// Looks whether anything is delivered, once that is due.
    pub(super) fn look_for_stall(&mut self, now: Instant) {
        if !self.stall.is_due(self.read_until) {
            return;
        }
        if !self.is_anything_awaited() {
            return self.stall.handle_rest();
        }
        let (schedule, topology) = (&self.schedule, &self.topology);
        let oldest = || {
            let batch = schedule.oldest().map(|(created, _)| created);
            batch.into_iter().chain(topology.first_awaited().map(|(since, _)| since)).min()
        };
        if let Some(since) = self.stall.look(oldest, self.read_until)
            && let Some(explanation) = self.explain(now)
        {
            self.stall.explain(since, &explanation, now);
        }
    }

    /// Says what waits, and why.
    fn explain(&self, now: Instant) -> Option<Explanation> {
        let batch = self.schedule.oldest();
        let topic = self.topology.first_awaited();
        let Some((_, id)) = batch.filter(|(created, _)| topic.is_none_or(|(since, _)| *created <= since))
        else {
            let (_, topic) = topic?;
            let (reason, why) = self.explain_topic(topic, now);
            return Some(Explanation { reason, text: format!("callers wait for topic \"{topic}\": {why}") });
        };
        let partition = self.schedule.partition(id)?;
        let (reason, why) = self.explain_batch(id, partition, now);
        let counters = &*self.counters;
        let ended = counters.records_delivered.value() + counters.record_errors.value();
        let records = self.accumulator.appended_records().saturating_sub(ended).max(1);
        let memory = self.accumulator.memory();
        let bytes = in_bytes(memory.total().saturating_sub(memory.available()));
        let (topic, number) =
            (&partition.queue.topic_partition().topic, partition.queue.topic_partition().partition);
        let wait = if records == 1 { "record waits" } else { "records wait" };
        let text =
            format!("{} {wait} ({bytes} of buffer.memory); \"{topic}\"-{number}: {why}", grouped(records));
        Some(Explanation { reason, text })
    }

    /// Says why callers wait for a topic.
    fn explain_topic(&self, topic: &Topic, now: Instant) -> Cause {
        let cluster = self.topology.cluster();
        if let Some(cause) = self.explain_no_broker(now) {
            return cause;
        }
        let code = cluster.topic_error(topic);
        match (code, cluster.partition_count(topic), cluster.obstacle()) {
            (Some(code), _, _) => (Reason::NoTopic, format!("brokers answer {}", with_remedy(code))),
            (None, _, Some(obstacle)) => (Reason::NoTopic, obstacle.to_owned()),
            (None, Some(count), None) => {
                (Reason::NoTopic, format!("it has {count} partitions, and not the one that is asked for"))
            }
            (None, None, None) => self
                .explain_silence(now)
                .unwrap_or_else(|| (Reason::NoTopic, "brokers have not described it".to_owned())),
        }
    }

    /// Says why the oldest batch of a partition waits.
    fn explain_batch(&self, id: usize, partition: &Partition, now: Instant) -> Cause {
        let head = partition.queue.peek();
        let is_sent =
            partition.oldest_in_flight().is_some_and(|sent| head.is_none_or(|head| sent <= head.created));
        let next = partition.next(head, self.pace(id, now), now);
        let answer = partition.last_answer().map(|(code, attempts)| {
            let attempts =
                if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
            (Reason::Answer, format!("brokers answer {}, {attempts} so far", with_remedy(code)))
        });
        match next {
            _ if is_sent => self.explain_sent(partition, answer, now),
            Next::Sealing => (Reason::Compression, "its batch is being compressed".to_owned()),
            Next::Linger(until) => {
                let left = Spent(until.saturating_duration_since(now));
                (Reason::Line, format!("its batch waits for more records for another {left} (linger.ms)"))
            }
            Next::NoLeader => self.explain_no_leader(partition, now),
            Next::Backoff(_) => answer.unwrap_or_else(|| self.explain_leader(partition.leader(), now)),
            Next::Ready(leader) => self.explain_leader(Some(leader), now),
            Next::Blocked if self.pace(id, now).numbers == Numbers::Awaited => self.explain_no_numbers(now),
            Next::Blocked | Next::Idle => self.explain_sent(partition, answer, now),
        }
    }

    /// Says why a batch waits that was sent, or has to wait for one that was.
    fn explain_sent(&self, partition: &Partition, answer: Option<Cause>, now: Instant) -> Cause {
        let asked = partition.asked().or_else(|| partition.leader());
        if let Some(node) = asked
            && let Some(cause) = self.explain_silence_of(node, now)
        {
            return cause;
        }
        answer.unwrap_or_else(|| self.explain_leader(asked, now))
    }

    /// Says why a broker that leads a partition takes no batch.
    fn explain_leader(&self, leader: Option<NodeId>, now: Instant) -> Cause {
        let refusal = self.topology.refusal(leader, |leader| self.network.is_ready(leader, now));
        if let Some(refusal) = refusal {
            return (Reason::Refused, refusal.to_string());
        }
        let known = leader.and_then(|leader| self.topology.cluster().node(leader));
        let Some(report) = known.and_then(|known| self.brokers.report(known.address(), now)) else {
            return self
                .explain_no_broker(now)
                .unwrap_or_else(|| (Reason::NoLeader, "its leader has no address in metadata".to_owned()));
        };
        let leader = Node::describe(known.map_or(NodeId(-1), Node::id), known);
        if let Some(left) = report.throttled_for {
            let text =
                format!("leader {leader} throttles this producer by its quota for another {}", Spent(left));
            return (Reason::Throttled, text);
        }
        if let Some(cause) = known.and_then(|known| self.explain_silence_of(known.id(), now)) {
            return cause;
        }
        if report.state == BrokerState::Connected && report.last_failure.is_none() {
            return (
                Reason::NotAnswered,
                format!("leader {leader} is connected and has not taken it so far"),
            );
        }
        (Reason::NotConnected, format!("leader {report}"))
    }

    fn explain_no_leader(&self, partition: &Partition, now: Instant) -> Cause {
        let (cluster, of) = (self.topology.cluster(), partition.queue.topic_partition());
        if let Some(cause) = self.explain_no_broker(now) {
            return cause;
        }
        let text = match (cluster.topic_error(&of.topic), cluster.partition_count(&of.topic)) {
            (Some(code), _) => return (Reason::NoTopic, format!("brokers answer {}", with_remedy(code))),
            (None, None) => "metadata has not described the topic".to_owned(),
            (None, Some(count)) if cluster.partition(&of.topic, of.partition).is_none() => {
                format!("the topic has {count} partitions")
            }
            _ if partition.has_leader() => "its leader has no address in metadata".to_owned(),
            _ => "brokers name no leader; bring a replica of it back".to_owned(),
        };
        (Reason::NoLeader, text)
    }

    fn explain_no_numbers(&self, now: Instant) -> Cause {
        if let Some(cause) = self.explain_no_broker(now) {
            return cause;
        }
        if let Some(transactions) = &self.transactions {
            let silence = self.explain_silence(now).map(|(_, text)| format!(" ({text})")).unwrap_or_default();
            return (Reason::Transaction, format!("{}{silence}", transactions.lack()));
        }
        if let Some(code) = self.numbering.last_error() {
            return (Reason::ProducerId, format!("no producer id: brokers answer {}", with_remedy(code)));
        }
        let silence = self.explain_silence(now).map(|(_, text)| format!(": {text}")).unwrap_or_default();
        (Reason::ProducerId, format!("no broker has given a producer id{silence}"))
    }

    /// Says why no broker can be asked, if that is so.
    fn explain_no_broker(&self, now: Instant) -> Option<Cause> {
        let cluster = self.topology.cluster();
        if let Some(refusal) = cluster.refusal() {
            return Some((Reason::Refused, refusal.to_owned()));
        }
        let none = none_connected(&self.brokers.reports(now))?;
        Some((Reason::NoBroker, cluster.obstacle().map_or(none, str::to_owned)))
    }

    /// Says which broker has not answered for long.
    fn explain_silence(&self, now: Instant) -> Option<Cause> {
        let nodes = self.topology.cluster().nodes().iter().map(Node::id);
        let since = |node| Some((self.network.unanswered_since(node)?, node));
        let (_, node) = nodes.filter_map(since).min()?;
        self.explain_silence_of(node, now)
    }

    fn explain_silence_of(&self, node: NodeId, now: Instant) -> Option<Cause> {
        let silent = now.saturating_duration_since(self.network.unanswered_since(node)?);
        let broker = Node::describe(node, self.network.address(node));
        let is_long = silent >= LONG;
        is_long
            .then(|| (Reason::NotAnswered, format!("broker {broker} has not answered for {}", Spent(silent))))
    }

    /// Returns what the log was told since the last call.
    #[cfg(test)]
    pub(in crate::sender) fn take_told(&mut self) -> Vec<String> {
        self.told.drain(..).map(|line| format!("{:?} {}", line.level, line.text)).collect()
    }
}

/// A broker that has not answered for so long is the reason why nothing goes on.
const LONG: Duration = Duration::from_secs(1);

fn with_remedy(code: ErrorCode) -> String {
    match remedy_for(code) {
        Some(remedy) => format!("{code} ({remedy})"),
        None => code.to_string(),
    }
}

/// Writes a number with commas: `1,200`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a number of bytes as a person reads it: `1.3 MB`.
fn in_bytes(bytes: usize) -> String {
    let tenths = |unit: usize| (bytes / (unit / 10)) as u64;
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} bytes"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", tenths(unit) / 10, tenths(unit) % 10)
}
