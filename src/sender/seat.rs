//! `Seat`: where the sender lies between two polls, so that its task and handles reach it, one at a time.
//!
//! Its task takes the seat for each poll. A handle that has an order takes it, too, and carries out the order on its own thread.
//! If the seat is taken, the thread that sits there carries out the order before it leaves for good. So an order waits for one
//! poll at most, and never for the runtime.

use std::cell::Cell;
use std::fmt::Debug;

use crate::accumulator::{ProducerBatch, salvage};
use crate::fence::fenced;
use crate::log;
use crate::planted::planted;
use crate::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// What may sit in a seat.
pub(crate) trait Occupant: Debug {
    /// What can be asked of it by threads that do not sit there.
    type Order: Debug;
    /// What it shares with these.
    type Shared;

    /// Carries out the orders that were given so far ([`Seat::take_orders`]).
    fn handle_orders(&mut self, shared: &Self::Shared);

    /// Ends after a panic. `lost` was dropped by it.
    fn end_in_panic(&mut self, shared: &Self::Shared, message: String, lost: Vec<ProducerBatch>);

    /// Lets the handle that gave an order know that it will not be carried out.
    fn refuse(order: Self::Order);

    fn is_finished(&self) -> bool;
}

thread_local! {
    /// How many seats this thread has taken: the code of an application that runs there may use another producer.
    static TAKEN: Cell<u32> = const { Cell::new(0) };
}

/// This thread sits in a seat.
struct Seated;

impl Seated {
    fn here() -> Self {
        TAKEN.with(|taken| taken.set(taken.get() + 1));
        Self
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        TAKEN.with(|taken| taken.set(taken.get() - 1));
    }
}

/// Whether this thread sits in the seat of a sender, and so holds up that sender if it waits.
pub(crate) fn is_seated() -> bool {
    TAKEN.try_with(Cell::get).is_ok_and(|taken| taken > 0)
}

/// A place for one, and the orders that wait for it.
#[derive(Debug)]
pub(crate) struct Seat<O: Occupant> {
    orders: Mutex<Vec<O::Order>>,
    /// Empty once the occupant has finished.
    occupant: Mutex<Option<Box<O>>>,
    /// Orders are left for a simulation, which has the sender itself.
    #[cfg(test)]
    is_elsewhere: bool,
}

impl<O: Occupant> Default for Seat<O> {
    fn default() -> Self {
        Self {
            orders: Mutex::default(),
            occupant: Mutex::default(),
            #[cfg(test)]
            is_elsewhere: false,
        }
    }
}

#[cfg(test)]
impl<O: Occupant> Seat<O> {
    /// Returns a seat whose orders are left for a simulation.
    pub(crate) fn elsewhere() -> Self {
        Self { is_elsewhere: true, ..Self::default() }
    }
}

impl<O: Occupant> Seat<O> {
    /// Puts a new occupant into the seat.
    pub(crate) fn fill(&self, occupant: O) {
        *self.lock() = Some(Box::new(occupant));
    }

    /// Has the occupant do something. Returns `None` if it has finished, by that at the latest.
    pub(crate) fn drive<T>(&self, shared: &O::Shared, act: impl FnOnce(&mut O) -> T) -> Option<T> {
        let done = Self::drive_in(&mut self.lock(), shared, act);
        if !planted!(OrderLeftBehind) {
            self.serve(shared);
        }
        done
    }

    /// Has the occupant carry out an order, on this thread or on the one that sits there.
    pub(crate) fn give(&self, shared: &O::Shared, order: O::Order) {
        self.lock_orders().push(order);
        self.serve(shared);
    }

    /// Leaves an order for the thread that comes to the seat next.
    pub(crate) fn leave(&self, order: O::Order) {
        self.lock_orders().push(order);
    }

    pub(crate) fn take_orders(&self) -> Vec<O::Order> {
        std::mem::take(&mut self.lock_orders())
    }

    /// Has the orders carried out.
    ///
    /// A thread that finds the seat taken may leave: the thread that sits there looks for orders after it has got up,
    /// and finds those that were given before the seat was found taken.
    pub(crate) fn serve(&self, shared: &O::Shared) {
        #[cfg(test)]
        if self.is_elsewhere {
            return;
        }
        while !self.lock_orders().is_empty() {
            let mut seat = match self.occupant.try_lock() {
                Ok(seat) => seat,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            if seat.is_none() {
                self.take_orders().into_iter().for_each(O::refuse);
            }
            let _: Option<()> = Self::drive_in(&mut seat, shared, |occupant| occupant.handle_orders(shared));
        }
    }

    fn drive_in<T>(
        seat: &mut Option<Box<O>>,
        shared: &O::Shared,
        act: impl FnOnce(&mut O) -> T,
    ) -> Option<T> {
        let occupant = seat.as_mut()?;
        let _seated = Seated::here();
        let (done, lost) = salvage::catch_unwind(|| act(occupant));
        match done {
            Ok(done) if !occupant.is_finished() => return Some(done),
            Ok(_) => {}
            Err(thrown) => {
                let message = thrown.message();
                log::error!(message, "the sender panicked; its records fail");
                occupant.end_in_panic(shared, message, lost);
            }
        }
        drop(fenced(|| *seat = None));
        None
    }

    /// Calls `f` as if another thread had the seat meanwhile.
    #[cfg(test)]
    pub(crate) fn while_taken<T>(&self, f: impl FnOnce() -> T) -> T {
        let _seat = self.lock();
        f()
    }

    fn lock_orders(&self) -> MutexGuard<'_, Vec<O::Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<O>>> {
        self.occupant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
