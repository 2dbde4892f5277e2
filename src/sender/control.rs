//! `Control`: what handles and the sender's task share, and how handles reach the sender when no thread drives its
//! task.
//!
//! The sender itself lies here, in its [`Seat`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use crate::delivery::{BatchCell, Delivery};
use crate::error::{DeliveryError, DeliveryErrorKind};
use crate::fence::fenced;
use crate::log;
use crate::login::LoginNews;
use crate::metadata::Cluster;
use crate::sender::purge::Purge;
use crate::sender::seat::Seat;
use crate::sender::shell::Shell;
use crate::sender::topic_interests::{TopicInterest, TopicInterests};
use crate::sender::topology::BootstrapNews;
use crate::sender::transactions::{Call, CallReply, Wish};
use crate::topic_partition::Topic;

/// What handles ask of the sender.
#[derive(Debug, Default)]
pub(crate) struct Control {
    topic_interests: Mutex<TopicInterests>,
    /// Version of the view of the cluster that was published last.
    cluster_version: AtomicU64,
    /// The error of each record that was not settled when the sender ended.
    undelivered: Mutex<Vec<DeliveryError>>,
    seat: Seat<Shell>,
    /// Why the sender has ended. Set before a handle can notice that it has.
    end: OnceLock<DeliveryErrorKind>,
    /// Calls of `close` that are under way, each with the end of its timeout.
    closes: watch::Sender<BTreeMap<u64, Instant>>,
    next_close: AtomicU64,
}

/// Tries to tell of news while wakers panic.
const MAX_TRIES: usize = 10;

/// What a handle asks the sender to do at once.
#[derive(Debug)]
pub(super) enum Order {
    /// Fail whatever is not settled, and end.
    Abort,
    /// End if nothing is left to do.
    EndIfIdle,
    /// Take in what has come of fetching credentials.
    NoteLogin(LoginNews),
    /// Take in what has come of looking for the names of brokers.
    NoteBootstrap(BootstrapNews),
    /// Take a step in a transaction.
    Transact(Call),
    /// Give records up, and return the error of each.
    Purge(Purge, oneshot::Sender<Vec<DeliveryError>>),
    /// Give a record up that was not sent, by the cell of its batch and its place there, and say whether it was withdrawn.
    Withdraw(Withdrawal),
}

/// A record that a caller wants back.
#[derive(Debug)]
pub(super) struct Withdrawal {
    /// That of the batch in which the record was last, as far as the caller knows.
    pub(super) cell: Arc<BatchCell>,
    /// Its place there.
    pub(super) index: u32,
    pub(super) result: oneshot::Sender<bool>,
}

impl Order {
    /// Lets the caller who gave it know that there is no sender to carry it out.
    pub(super) fn refuse(self) {
        guarded(|| drop(self));
    }
}

impl Control {
    /// Asks for the metadata of a topic. The caller must wake the sender after this.
    pub(crate) fn want_topic(&self, topic: &Topic) {
        self.topic_interests().want(topic);
    }

    /// The same for a caller that waits for it, until it lets go of what this returns.
    pub(crate) fn await_topic<'a>(&'a self, topic: &'a Topic) -> AwaitingTopic<'a> {
        self.topic_interests().begin_wait(topic);
        AwaitingTopic { control: self, topic }
    }

    /// Fails whatever is not settled.
    pub(crate) fn abort(&self) {
        self.give(Order::Abort);
    }

    /// Ends a sender that is closed and has nothing left to do, without waiting for its task.
    pub(crate) fn end_if_idle(&self) {
        self.give(Order::EndIfIdle);
    }

    /// Gives records up. The receiver fails if the sender has ended. The caller must wake the sender after this.
    pub(crate) fn purge(&self, what: Purge) -> oneshot::Receiver<Vec<DeliveryError>> {
        let (result, receiver) = oneshot::channel();
        self.give(Order::Purge(what, result));
        receiver
    }

    /// Gives a record up if it was not sent. The receiver fails if the sender has ended. The caller must wake the sender after this.
    ///
    /// Unlike other orders it is left for the sender's task, which carries out all that have come meanwhile together. If that does not come,
    /// the caller has them carried out by [`Control::carry_out`].
    pub(crate) fn withdraw(&self, delivery: &Delivery) -> oneshot::Receiver<bool> {
        let (result, receiver) = oneshot::channel();
        if let Some((cell, index)) = delivery.place() {
            self.seat.leave(Order::Withdraw(Withdrawal { cell: Arc::clone(cell), index, result }));
        }
        receiver
    }

    /// Carries out the orders that are left.
    pub(crate) fn carry_out(&self) {
        self.seat.serve(self);
    }

    /// Asks something of the transactions. The caller must wake the sender after this.
    pub(crate) fn transact(&self, wish: Wish) -> CallReply {
        let (call, reply) = Call::new(wish);
        self.give(Order::Transact(call));
        reply
    }

    /// Tells the sender what has come of fetching credentials. The caller must wake the sender after this.
    pub(crate) fn note_login(&self, news: LoginNews) {
        self.give(Order::NoteLogin(news));
    }

    /// Tells the sender what has come of looking for the names of brokers. The caller must wake the sender after this.
    pub(crate) fn note_bootstrap(&self, news: BootstrapNews) {
        self.give(Order::NoteBootstrap(news));
    }

    #[inline]
    pub(crate) fn cluster_version(&self) -> u64 {
        self.cluster_version.load(Ordering::Acquire)
    }

    /// Returns the error of each record that was not settled when the sender ended.
    pub(crate) fn undelivered(&self) -> Vec<DeliveryError> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns why the sender has ended, if it has.
    pub(crate) fn end(&self) -> Option<&DeliveryErrorKind> {
        self.end.get()
    }

    /// Registers a call of `close` that waits until `deadline`.
    pub(crate) fn begin_close(&self, deadline: Instant) -> Closing<'_> {
        let id = self.next_close.fetch_add(1, Ordering::Relaxed);
        self.change_closes(|closes| {
            closes.insert(id, deadline);
        });
        Closing { control: self, id, news: self.closes.subscribe() }
    }

    fn change_closes(&self, change: impl FnOnce(&mut BTreeMap<u64, Instant>)) {
        if !guarded(|| self.closes.send_modify(change)) {
            Self::tell_again(&self.closes);
        }
    }

    pub(super) fn take_topic_interests(&self) -> Vec<TopicInterest> {
        self.topic_interests().take()
    }

    pub(super) fn take_orders(&self) -> Vec<Order> {
        self.seat.take_orders()
    }

    /// Shows a new view of the cluster to all who wait for one.
    pub(super) fn publish(&self, clusters: &watch::Sender<Arc<Cluster>>, cluster: Arc<Cluster>) {
        // The version first: a caller who sees the new view and takes the old version for that of it would go by what it has kept
        // of the old view, find that it need not wait, and so on without end. The other way round it waits for the news.
        self.cluster_version.store(cluster.version(), Ordering::Release);
        if !guarded(|| drop(clusters.send_replace(cluster))) {
            Self::tell_again(clusters);
        }
    }

    /// Wakes all tasks that wait for news. If a waker panics, some tasks after it stay asleep, so this wakes all once more.
    pub(super) fn tell_again<T>(news: &watch::Sender<T>) {
        for _ in 0..MAX_TRIES {
            if guarded(|| news.send_modify(|_| {})) {
                return;
            }
        }
    }

    /// Says why the sender ends. Only the first reason counts.
    pub(super) fn note_end(&self, kind: &DeliveryErrorKind) {
        // A second end is of a sender that could not finish its first.
        let _ = self.end.set(kind.clone());
    }

    fn note_undelivered(&self, failed: Vec<DeliveryError>) {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
    }

    /// Puts a new sender into its seat.
    pub(super) fn seat(&self, shell: Shell) {
        self.seat.fill(shell);
    }

    /// Has the sender do something, for its task. Returns `None` if it has ended, by that at the latest.
    pub(super) fn drive<T>(&self, act: impl FnOnce(&mut Shell) -> T) -> Option<T> {
        self.seat.drive(self, act)
    }

    fn give(&self, order: Order) {
        self.seat.give(self, order);
    }

    /// Returns what handles share with a sender that a simulation drives. It takes the orders.
    #[cfg(test)]
    pub(super) fn simulated() -> Self {
        Self { seat: Seat::elsewhere(), ..Self::default() }
    }

    /// Calls `f` as if another thread had the seat meanwhile.
    #[cfg(test)]
    pub(super) fn while_taken<T>(&self, f: impl FnOnce() -> T) -> T {
        self.seat.while_taken(f)
    }

    fn topic_interests(&self) -> MutexGuard<'_, TopicInterests> {
        self.topic_interests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for the metadata of a topic.
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub(crate) struct AwaitingTopic<'a> {
    control: &'a Control,
    topic: &'a Topic,
}

impl Drop for AwaitingTopic<'_> {
    fn drop(&mut self) {
        self.control.topic_interests().end_wait(self.topic);
    }
}

/// A call of `close` that is under way.
#[derive(Debug)]
pub(crate) struct Closing<'a> {
    control: &'a Control,
    id: u64,
    news: watch::Receiver<BTreeMap<u64, Instant>>,
}

impl Closing<'_> {
    /// Returns when the last of the calls that are under way gives up.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        self.news.borrow_and_update().values().max().copied()
    }

    /// Waits until another call has begun or has been given up.
    pub(crate) async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.control.change_closes(|closes| {
            closes.remove(&self.id);
        });
    }
}

/// The errors of records that are being given up. If they are not taken, because of a panic or because the sender ends,
/// they are noted as those of records that were not delivered.
#[derive(Debug)]
pub(super) struct Report<'a> {
    control: &'a Control,
    pub(super) errors: Vec<DeliveryError>,
}

impl<'a> Report<'a> {
    pub(super) fn new(control: &'a Control) -> Self {
        Self { control, errors: Vec::new() }
    }

    pub(super) fn take(mut self) -> Vec<DeliveryError> {
        std::mem::take(&mut self.errors)
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.control.note_undelivered(std::mem::take(&mut self.errors));
    }
}

/// Does something that runs wakers of callers. One that panics must not end the sender. Returns whether none did.
pub(super) fn guarded(act: impl FnOnce()) -> bool {
    let is_done = fenced(act).is_ok();
    if !is_done {
        log::error!("a waker panicked");
    }
    is_done
}
