//! Orders to the sender, which its own task carries out or a handle does.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use super::model;
use crate::accumulator::ProducerBatch;
use crate::sender::seat::{Occupant, Seat};

/// Carries orders out by counting them.
#[derive(Debug)]
struct Counts {
    ends: bool,
    is_finished: bool,
}

/// A seat with what was done.
#[derive(Debug, Default)]
struct Control {
    seat: Seat<Counts>,
    carried_out: AtomicU32,
    refused: AtomicU32,
}

/// Counts a refusal when it is dropped undone.
#[derive(Debug)]
struct Order(Arc<Control>);

impl Occupant for Counts {
    type Order = Order;
    type Shared = Arc<Control>;

    fn handle_orders(&mut self, control: &Arc<Control>) {
        let orders = control.seat.take_orders().len();
        control.carried_out.fetch_add(orders as u32, Ordering::Relaxed);
    }

    fn end_in_panic(&mut self, _: &Arc<Control>, message: String, _: Vec<ProducerBatch>) {
        panic!("{message}");
    }

    fn refuse(order: Order) {
        order.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn is_finished(&self) -> bool {
        self.is_finished
    }
}

/// Two handles and the task, which polls once. Returns how many orders were carried out, and how many refused.
fn orders(ends: bool) -> (u32, u32) {
    let control = Arc::new(Control::default());
    control.seat.fill(Counts { ends, is_finished: false });
    let handles = [(); 2].map(|()| {
        let control = Arc::clone(&control);
        thread::spawn(move || control.seat.give(&control, Order(Arc::clone(&control))))
    });

    control.seat.drive(&control, |sender| {
        sender.handle_orders(&control);
        sender.is_finished = sender.ends;
    });

    handles.into_iter().for_each(|handle| handle.join().unwrap());
    (control.carried_out.load(Ordering::Relaxed), control.refused.load(Ordering::Relaxed))
}

/// Every order is carried out.
pub fn orders_of_two_threads() {
    model(|| assert_eq!(orders(false), (2, 0)));
}

/// Every order to a sender that ends is carried out or refused.
pub fn orders_to_a_sender_that_ends() {
    model(|| {
        let (carried_out, refused) = orders(true);

        assert_eq!(carried_out + refused, 2);
    });
}
