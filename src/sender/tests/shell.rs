//! The task around the core, on tokio's paused time, with connections that are never made.

mod peers;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{oneshot, watch};
use tokio::task::coop;

use self::peers::{Attempts, Outcome};
use super::rig::{self, Config};
use crate::accumulator::{Append, AtBatchEnd, EnqueueWaits, RecordAccumulator, TryAppend};
use crate::clock;
use crate::delivery::Delivery;
use crate::error::{DeliveryError, DeliveryErrorKind, Persisted};
use crate::fence::broken::BrokenLog;
use crate::metadata::Cluster;
use crate::metrics::Counters;
use crate::network::transport::{Connecting, Connector};
use crate::planted::{Bug, plant};
use crate::protocol::record_batch::RecordRef;
use crate::record::Headers;
use crate::sender::{Board, CallReply, Control, Purge, Sender, Wish};
use crate::topic_partition::Topic;

struct Shell {
    sender: Mutex<Option<Sender>>,
    accumulator: Arc<RecordAccumulator>,
    control: Arc<Control>,
    attempts: Arc<Attempts>,
    clusters: watch::Receiver<Arc<Cluster>>,
    board: Arc<Board>,
}

impl Shell {
    fn new(outcome: Outcome) -> Self {
        let config = Config::default();
        let accumulator = rig::accumulator(&config);
        let core = rig::core(&config, &accumulator, &Arc::new(Counters::default()), clock::now());
        let board = core.board();
        let control = Arc::new(Control::default());
        let attempts = Arc::new(Attempts { outcome, ..Attempts::default() });
        let (published, clusters) = watch::channel(Arc::default());
        let connector: Arc<dyn Connector> = Arc::<Attempts>::clone(&attempts);
        let sender =
            Sender::new(core, Arc::clone(&accumulator), Arc::clone(&control), published, connector, 1000);
        Self { sender: Mutex::new(Some(sender)), accumulator, control, attempts, clusters, board }
    }

    fn sender(&self) -> Sender {
        self.sender.lock().unwrap().take().unwrap()
    }

    fn append(&self) -> Delivery {
        self.append_to("topic")
    }

    fn append_to(&self, topic: &'static str) -> Delivery {
        let headers = Headers::new();
        let record = RecordRef { timestamp: 1, key: None, value: Some(b"v"), headers: &headers };
        let append = Append {
            transaction: crate::accumulator::NO_TRANSACTION,
            observer: None,
            record,
            payload_len: record.payload_len(),
            waits: EnqueueWaits::default(),
            now: clock::now(),
        };
        let topic = self.accumulator.topic(&Topic::from(topic), 1);
        let queue = self.accumulator.ensure_queue(&topic, 0, || true).unwrap();
        match self.accumulator.try_append(queue, &append, AtBatchEnd::BeginNext, &mut None) {
            TryAppend::Done(done) => done.delivery(),
            other => panic!("{other:?}"),
        }
    }

    fn made(&self) -> usize {
        self.attempts.made.load(Ordering::Relaxed)
    }

    fn under_way(&self) -> usize {
        self.attempts.under_way.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn attempt_that_takes_too_long_is_let_go_of() {
    let shell = Shell::new(Outcome::None);
    let task = tokio::spawn(shell.sender());

    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(shell.under_way() <= 1, "{} attempts under way", shell.under_way());
    }

    assert!(shell.made() >= 10);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(shell.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn refused_attempts_keep_their_distance() {
    let shell = Shell::new(Outcome::Refused);
    let task = tokio::spawn(shell.sender());

    tokio::time::sleep(Duration::from_secs(60)).await;

    // Backoffs from 50 ms to a second.
    assert!((50..100).contains(&shell.made()), "{} attempts", shell.made());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn attempt_that_panics_is_one_that_has_failed() {
    let shell = Shell::new(Outcome::PanicAtOnce);
    let task = tokio::spawn(shell.sender());

    tokio::time::sleep(Duration::from_secs(60)).await;

    assert!((50..100).contains(&shell.made()), "{} attempts", shell.made());
    assert_eq!(shell.control.end(), None);
    let report = shell.board.reports(None, clock::now())[0].to_string();
    assert!(report.contains("OS can't spawn worker thread"), "{report}");
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn closed_sender_without_records_ends() {
    let mut shell = Shell::new(Outcome::None);
    let task = tokio::spawn(shell.sender());
    tokio::task::yield_now().await;

    shell.accumulator.close();
    task.await.unwrap();

    assert!(shell.clusters.changed().await.is_err(), "callers that wait for metadata hear of it");
    assert_eq!((shell.under_way(), shell.control.undelivered().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn closed_sender_goes_on_until_its_records_have_an_outcome() {
    let shell = Shell::new(Outcome::None);
    let delivery = shell.append();
    let task = tokio::spawn(shell.sender());
    shell.accumulator.close();

    let error = delivery.await.unwrap_err();
    task.await.unwrap();

    assert!(matches!(error.kind(), DeliveryErrorKind::TimedOut(_)));
}

#[tokio::test(start_paused = true)]
async fn waits_for_metadata_hear_of_the_close_at_once() {
    let mut shell = Shell::new(Outcome::None);
    let _delivery = shell.append();
    let _task = tokio::spawn(shell.sender());
    tokio::task::yield_now().await;
    shell.clusters.borrow_and_update();

    shell.accumulator.close();

    tokio::time::timeout(Duration::from_millis(10), shell.clusters.changed()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn aborted_sender_fails_its_records_at_once() {
    let shell = Shell::new(Outcome::None);
    let delivery = shell.append();
    let task = tokio::spawn(shell.sender());
    tokio::task::yield_now().await;

    shell.control.abort();
    shell.accumulator.wake_sender();
    task.await.unwrap();

    let error = delivery.try_result().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.persisted()), (DeliveryErrorKind::Closed, Persisted::No));
    assert_eq!(shell.control.undelivered().len(), 1);
}

#[test]
fn sender_that_is_dropped_with_its_runtime_fails_its_records() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (shell, delivery) = runtime.block_on(async {
        let shell = Shell::new(Outcome::None);
        let delivery = shell.append();
        tokio::spawn(shell.sender());
        tokio::task::yield_now().await;
        (shell, delivery)
    });

    drop(runtime);

    let error = delivery.try_result().unwrap().unwrap_err();
    assert_eq!(error.kind(), DeliveryErrorKind::RuntimeShutdown);
    assert_eq!(error.record().unwrap().value.unwrap(), "v");
    assert!(shell.accumulator.is_closed() && shell.accumulator.is_complete());
    assert_eq!(shell.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn sender_that_panics_says_so_and_gives_its_records_back() {
    let mut shell = Shell::new(Outcome::Panic);
    let delivery = shell.append();
    let panicked = DeliveryErrorKind::SenderPanicked("a bug of number 7".to_owned());

    tokio::spawn(shell.sender()).await.unwrap();

    let error = delivery.try_result().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.persisted()), (panicked.clone(), Persisted::No));
    assert!(error.to_string().contains("a bug of number 7"), "{error}");
    assert_eq!(error.record().unwrap().value.unwrap(), "v");
    assert_eq!(shell.control.undelivered().len(), 1);
    assert_eq!(shell.control.end(), Some(&panicked));
    assert!(shell.clusters.changed().await.is_err(), "callers that wait for metadata hear of it");
    assert!(shell.accumulator.is_closed() && shell.accumulator.is_complete());
    assert_eq!(shell.accumulator.memory().available(), shell.accumulator.memory().total());
}

#[tokio::test(start_paused = true)]
async fn records_are_given_back_although_what_was_thrown_throws_and_so_does_the_log() {
    let _log = BrokenLog::set("the sender panicked; its records fail", 1);
    let shell = Shell::new(Outcome::Bomb);
    let delivery = shell.append();
    let panicked = DeliveryErrorKind::SenderPanicked("no message".to_owned());

    tokio::spawn(shell.sender()).await.unwrap();

    assert_eq!(delivery.try_result().unwrap().unwrap_err().kind(), panicked);
    assert_eq!((shell.control.undelivered().len(), shell.control.end()), (1, Some(&panicked)));
}

#[tokio::test(start_paused = true)]
async fn orders_are_carried_out_although_the_task_is_not_polled() {
    let shell = Shell::new(Outcome::None);
    let (first, task) = (shell.append(), shell.sender());

    let purged = shell.control.purge(Purge::All).try_recv().unwrap();
    let second = shell.append();
    shell.control.abort();

    assert_eq!(purged.len(), 1);
    assert_eq!(first.try_result().unwrap().unwrap_err().kind(), DeliveryErrorKind::Purged);
    assert_eq!(second.try_result().unwrap().unwrap_err().kind(), DeliveryErrorKind::Closed);
    assert_eq!(shell.control.undelivered().len(), 1);
    assert!(shell.control.purge(Purge::All).try_recv().is_err(), "there is no sender any more");
    task.await;
}

#[tokio::test(start_paused = true)]
async fn withdrawals_are_left_for_the_task_unless_it_does_not_come() {
    let shell = Shell::new(Outcome::None);
    let (first, second, task) = (shell.append(), shell.append(), shell.sender());

    let mut withdrawn = [&first, &second].map(|delivery| shell.control.withdraw(delivery));
    assert!(withdrawn[0].try_recv().is_err() && first.try_result().is_none());
    shell.control.carry_out();

    assert!(withdrawn.iter_mut().all(|withdrawn| withdrawn.try_recv() == Ok(true)));
    assert_eq!(first.try_result().unwrap().unwrap_err().kind(), DeliveryErrorKind::Withdrawn);
    let third = shell.append();
    let withdrawn = shell.control.withdraw(&third);
    shell.accumulator.close();
    task.await;
    assert!(withdrawn.await.unwrap());
    let mut late = shell.control.withdraw(&third);
    shell.control.carry_out();
    assert!(late.try_recv().is_err(), "there is no sender any more");
}

#[test]
fn orders_of_many_threads_are_all_carried_out() {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let guard = runtime.enter();
    let shell = Shell::new(Outcome::None);
    let task = runtime.spawn(shell.sender());
    drop(guard);

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let delivery = shell.append();
                    let result = shell.control.purge(Purge::Queued);
                    shell.accumulator.wake_sender();
                    drop(result.blocking_recv().unwrap());
                    let error = delivery.try_result().unwrap().unwrap_err();
                    assert_eq!(error.kind(), DeliveryErrorKind::Purged);
                }
            });
        }
    });

    shell.accumulator.close();
    shell.control.end_if_idle();
    runtime.block_on(task).unwrap();
}

#[tokio::test(start_paused = true)]
async fn idle_sender_that_is_closed_ends_without_its_task() {
    let mut shell = Shell::new(Outcome::None);
    let _task = shell.sender();
    shell.control.end_if_idle();
    assert!(!shell.clusters.has_changed().unwrap_or(true));

    shell.accumulator.close();
    shell.control.end_if_idle();

    assert!(shell.clusters.changed().await.is_err());
    assert_eq!(shell.control.end(), Some(&DeliveryErrorKind::Closed));
}

/// Polls the sender's task once.
async fn poll_once(task: &mut Pin<Box<Sender>>) {
    std::future::poll_fn(|cx| {
        assert!(task.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[test]
fn attempts_to_connect_are_left_to_the_runtime_of_the_sender() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let guard = runtime.enter();
    let shell = Shell::new(Outcome::Restless);
    let mut task = Box::pin(shell.sender());
    drop(guard);
    runtime.block_on(poll_once(&mut task));
    assert_eq!(shell.made(), 1);
    let delivery = shell.append();

    let purged = shell.control.purge(Purge::All).try_recv().unwrap();

    assert_eq!(purged.len(), 1);
    assert_eq!(delivery.try_result().unwrap().unwrap_err().kind(), DeliveryErrorKind::Purged);
    assert_eq!(shell.control.end(), None);
    runtime.block_on(poll_once(&mut task));
}

#[tokio::test(start_paused = true)]
async fn sockets_are_read_before_a_purge_whatever_is_left_of_the_budget_of_the_caller() {
    let shell = Shell::new(Outcome::Counted);
    let mut task = Box::pin(shell.sender());
    poll_once(&mut task).await;
    let reads = || shell.attempts.reads.load(Ordering::Relaxed);
    let before = reads();

    std::future::poll_fn(|cx| {
        while let Poll::Ready(budget) = coop::poll_proceed(cx) {
            budget.made_progress();
        }
        shell.control.purge(Purge::All).try_recv().unwrap();
        Poll::Ready(())
    })
    .await;

    assert!(before > 0 && reads() > before, "{before} reads, and {} with the purge", reads());
}

/// A waker of an executor that has a bug.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a bug of the application");
    }
}

#[tokio::test(start_paused = true)]
async fn waker_of_a_close_that_panics_ends_no_other_close() {
    let control = Control::default();
    let mut first = control.begin_close(clock::now());
    first.deadline();
    let waker = Waker::from(Arc::new(Panics));
    let mut news = Box::pin(first.changed());
    assert!(news.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    let mut second = control.begin_close(clock::now() + Duration::from_secs(1));

    assert_eq!(second.deadline(), Some(clock::now() + Duration::from_secs(1)));
    assert!(news.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// Purges twice when it is woken, and waits for each purge with a waker that panics.
struct Purges {
    control: Arc<Control>,
    purged: Mutex<Vec<oneshot::Receiver<Vec<DeliveryError>>>>,
}

impl Wake for Purges {
    fn wake(self: Arc<Self>) {
        let panics = Waker::from(Arc::new(Panics));
        for _ in 0..2 {
            let mut purged = self.control.purge(Purge::All);
            assert!(Pin::new(&mut purged).poll(&mut Context::from_waker(&panics)).is_pending());
            self.purged.lock().unwrap().push(purged);
        }
    }
}

/// The sender ends while the orders are given, so the purges fail. The second panic in a row would end the process.
#[tokio::test(start_paused = true)]
async fn wakers_of_purges_that_come_too_late_may_panic() {
    let shell = Shell::new(Outcome::None);
    let _task = shell.sender();
    let mut delivery = shell.append();
    let purges = Arc::new(Purges { control: Arc::clone(&shell.control), purged: Mutex::default() });
    let waker = Waker::from(Arc::clone(&purges));
    assert!(Pin::new(&mut delivery).poll(&mut Context::from_waker(&waker)).is_pending());

    shell.control.abort();

    assert_eq!(shell.control.end(), Some(&DeliveryErrorKind::Closed));
    let failed = |purged: &mut oneshot::Receiver<_>| matches!(purged.try_recv(), Err(TryRecvError::Closed));
    let all_failed: Vec<_> = purges.purged.lock().unwrap().iter_mut().map(failed).collect();
    assert_eq!(all_failed, [true, true]);
}

/// Has three records given up by `order` while the log panics at a message. All three must have failed, and be reported once.
#[track_caller]
fn give_up_with_a_broken_log(order: impl FnOnce(&Control), message: &'static str, nth: usize) {
    let shell = Shell::new(Outcome::None);
    let _task = shell.sender();
    let topics = ["a", "b", "c"];
    let mut deliveries = topics.map(|topic| shell.append_to(topic));
    let waker = Waker::from(Arc::new(Panics));
    for delivery in &mut deliveries {
        assert!(Pin::new(delivery).poll(&mut Context::from_waker(&waker)).is_pending());
    }

    plant(Some(Bug::LogNotFenced));
    BrokenLog::during(message, nth, || order(&shell.control));
    plant(None);

    for delivery in &deliveries {
        assert!(delivery.try_result().unwrap().is_err());
    }
    let mut reported: Vec<_> =
        shell.control.undelivered().iter().map(|error| error.topic_partition().topic.to_string()).collect();
    reported.sort_unstable();
    assert_eq!(reported, topics, "{message:?}, {nth}");
}

#[tokio::test(start_paused = true)]
async fn errors_are_reported_once_although_the_sender_panics_while_it_gives_records_up() {
    for message in ["records failed", "a waker panicked"] {
        for nth in 1..=3 {
            give_up_with_a_broken_log(|control| drop(control.purge(Purge::All)), message, nth);
            give_up_with_a_broken_log(Control::abort, message, nth);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waker_that_panics_when_the_errors_of_a_purge_have_come_does_not_end_the_sender() {
    let shell = Shell::new(Outcome::Counted);
    let mut task = Box::pin(shell.sender());
    let (first, second) = (shell.append(), shell.append());
    let mut purged = shell.control.while_taken(|| shell.control.purge(Purge::All));
    let waker = Waker::from(Arc::new(Panics));
    assert!(Pin::new(&mut purged).poll(&mut Context::from_waker(&waker)).is_pending());

    poll_once(&mut task).await;

    assert_eq!(purged.try_recv().unwrap().len(), 2);
    assert_eq!(shell.control.end(), None);
    drop((first, second));
}

#[tokio::test(start_paused = true)]
async fn waker_that_panics_when_it_hears_of_the_close_does_not_end_the_sender() {
    let shell = Shell::new(Outcome::None);
    let mut task = Box::pin(shell.sender());
    let delivery = shell.append();
    poll_once(&mut task).await;
    let mut clusters = shell.clusters.clone();
    clusters.borrow_and_update();
    let waker = Waker::from(Arc::new(Panics));
    let mut changed = Box::pin(clusters.changed());
    assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    shell.accumulator.close();
    poll_once(&mut task).await;

    assert_eq!((shell.control.end(), delivery.try_result().is_none()), (None, true));
}

/// What a task sees that is polled as soon as it is woken.
struct Sees {
    control: Arc<Control>,
    clusters: watch::Receiver<Arc<Cluster>>,
    seen: Mutex<Vec<(u64, u64)>>,
}

impl Wake for Sees {
    fn wake(self: Arc<Self>) {
        let published = self.clusters.borrow().version();
        self.seen.lock().unwrap().push((published, self.control.cluster_version()));
    }
}

#[test]
fn task_that_sees_a_new_cluster_sees_its_version() {
    let control = Arc::new(Control::default());
    let (published, mut clusters) = watch::channel(Arc::<Cluster>::default());
    let seen = Mutex::default();
    let sees = Arc::new(Sees { control: Arc::clone(&control), clusters: clusters.clone(), seen });
    let waker = Waker::from(Arc::clone(&sees));
    let mut changed = Box::pin(clusters.changed());
    assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    control.publish(&published, Arc::new(Cluster::default().with_version(7)));

    assert_eq!(*sees.seen.lock().unwrap(), [(7, 7)]);
}

#[test]
fn waker_that_panics_neither_hides_a_new_cluster_nor_ends_the_one_who_shows_it() {
    let control = Control::default();
    let (published, mut clusters) = watch::channel(Arc::<Cluster>::default());
    let seen = clusters.clone();
    let waker = Waker::from(Arc::new(Panics));
    let mut changed = Box::pin(clusters.changed());
    assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    control.publish(&published, Arc::new(Cluster::default().with_version(7)));

    assert_eq!(seen.borrow().version(), 7);
}

/// A caller that drops its transaction and its producer while the sender connects.
#[derive(Debug)]
struct LeavingCaller {
    control: Arc<Control>,
    accumulator: Arc<RecordAccumulator>,
    abort: Mutex<Option<CallReply>>,
}

impl Connector for LeavingCaller {
    fn connect(&self, _: &str, _: u16, _: usize) -> Connecting {
        self.abort.lock().unwrap().get_or_insert_with(|| self.control.transact(Wish::Abort));
        self.accumulator.wake_sender();
        self.accumulator.close();
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn abort_that_was_asked_for_before_the_close_is_done_before_the_end() {
    let config = Config::transactional();
    let accumulator = rig::accumulator(&config);
    let mut core = rig::core(&config, &accumulator, &Arc::new(Counters::default()), clock::now());
    core.open_transaction();
    let control = Arc::new(Control::default());
    let caller = Arc::new(LeavingCaller {
        control: Arc::clone(&control),
        accumulator: Arc::clone(&accumulator),
        abort: Mutex::default(),
    });
    let (published, _clusters) = watch::channel(Arc::default());
    let connector: Arc<dyn Connector> = Arc::<LeavingCaller>::clone(&caller);
    let mut sender = Sender::new(core, accumulator, Arc::clone(&control), published, connector, 1000);
    control.want_topic(&Topic::from("topic"));

    let round = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut sender).poll(cx))).await;
    assert!(round.is_pending(), "the sender has ended before the transaction");

    let abort = caller.abort.lock().unwrap().clone().expect("the sender connects");
    assert_eq!(abort.outcome(), None);
    assert_eq!(control.end(), None);
}
