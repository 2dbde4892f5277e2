//! Many results, held against those of one delivery each.

use std::task::Waker;

use futures::FutureExt;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::delivery::tests::{CountedWaker, cell, delivered, delivery, failed, poll, redirected};

/// Of the records at these places.
fn deliveries<'a>(places: impl IntoIterator<Item = (&'a Arc<BatchCell>, u32)>) -> Deliveries {
    places.into_iter().map(|(cell, index)| delivery(cell, index)).collect()
}

/// An offset, or the index of a record that has failed.
type Told = Result<Option<i64>, u32>;

fn told(result: Result<RecordMetadata, DeliveryError>) -> Told {
    result.map(|metadata| metadata.offset()).map_err(|error| error.into_parts().1)
}

/// Takes the results that are known, up to the first that is not.
fn take(deliveries: &mut Deliveries) -> Vec<Told> {
    let mut taken = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(result)) = Pin::new(&mut *deliveries).poll_next(&mut cx) {
        taken.push(told(result));
    }
    taken
}

fn offsets(told: &[Told]) -> Vec<i64> {
    told.iter().map(|told| told.unwrap().unwrap()).collect()
}

#[test]
fn results_come_in_the_order_of_the_records() {
    let (first, second) = (cell(), cell());
    let mut all = deliveries([(&first, 0), (&second, 4), (&first, 1), (&first, 2), (&second, 0)]);
    assert_eq!((all.len(), all.is_empty(), all.size_hint()), (5, false, (5, Some(5))));

    second.complete(delivered(50), &[]);
    assert!(take(&mut all).is_empty());
    first.complete(delivered(10), &[]);

    assert_eq!(offsets(&take(&mut all)), [10, 54, 11, 12, 50]);
    assert!(all.is_empty());
    assert!(all.next_result().is_none());
    all.push(delivery(&first, 7));
    assert_eq!(offsets(&take(&mut all)), [17]);
}

impl Deliveries {
    /// `None` if none is to come.
    fn next_result(&mut self) -> Option<Told> {
        let next = Pin::new(self).poll_next(&mut Context::from_waker(Waker::noop()));
        match next {
            Poll::Ready(next) => next.map(told),
            Poll::Pending => panic!("it is to come"),
        }
    }
}

#[test]
fn records_of_a_batch_in_a_row_take_one_place() {
    let (first, second) = (cell(), cell());
    let mut all = Deliveries::new();
    all.push_run(&first, 0, 500);
    all.push_run(&first, 500, 0);
    all.extend((500..1000).map(|index| delivery(&first, index)));
    all.push_run(&second, 0, 1);
    // Not the next one of it.
    all.push_run(&second, 2, 1);

    assert_eq!((all.len(), all.runs.len()), (1002, 3));
    assert_eq!(Arc::strong_count(&first), 2);
}

#[test]
fn settling_leaves_as_many_as_may_be_outstanding() {
    let cells: Vec<_> = (0..3).map(|_| cell()).collect();
    let mut all = deliveries(cells.iter().flat_map(|cell| [(cell, 0), (cell, 1)]));

    assert!(matches!(all.settle(6).now_or_never(), Some(Ok(()))));
    assert!(all.settle(5).now_or_never().is_none());
    cells[1].complete(delivered(0), &[]);
    assert!(all.settle(5).now_or_never().is_none());
    cells[0].complete(delivered(0), &[]);
    assert!(matches!(all.settle(4).now_or_never(), Some(Ok(()))));

    assert_eq!(all.len(), 4);
    assert!(matches!(all.settle(2).now_or_never(), Some(Ok(()))));
    assert!(all.settle(0).now_or_never().is_none());
    cells[2].complete(delivered(0), &[]);
    assert!(matches!(all.settle(0).now_or_never(), Some(Ok(()))));
    assert!(all.is_empty());
}

#[test]
fn settling_tells_each_failure_once_and_goes_on() {
    let (good, bad, last) = (cell(), cell(), cell());
    let mut all = deliveries([(&good, 0), (&bad, 3), (&bad, 4), (&last, 0)]);
    good.complete(delivered(0), &[]);
    bad.complete(failed(), &[]);
    last.complete(delivered(0), &[]);

    for (index, left) in [(3, 2), (4, 1)] {
        let error = all.settle(0).now_or_never().unwrap().unwrap_err();
        assert_eq!((error.into_parts().1, all.len()), (index, left));
    }

    assert!(matches!(all.settle(0).now_or_never(), Some(Ok(()))));
    assert!(all.is_empty());
}

#[test]
fn records_of_a_split_batch_are_found_in_its_pieces() {
    let (whole, left, right) = (cell(), cell(), cell());
    let mut all = deliveries((1..5).map(|index| (&whole, index)));
    assert!(take(&mut all).is_empty());

    whole.complete(redirected(&[(0, &left), (3, &right)]), &[]);
    right.complete(delivered(100), &[]);
    assert!(take(&mut all).is_empty());
    left.complete(delivered(50), &[]);

    assert_eq!(offsets(&take(&mut all)), [51, 52, 100, 101]);
}

#[test]
fn task_is_woken_once_for_each_batch_that_it_waits_for() {
    let (first, second) = (cell(), cell());
    let (woken, waker) = CountedWaker::new();
    let mut all = deliveries((0..100).map(|index| (&first, index)));
    all.push_run(&second, 0, 100);
    let mut settled = Box::pin(all.settle(0));
    assert!(poll(&mut settled, &waker).is_pending());
    assert!(poll(&mut settled, &waker).is_pending());

    first.complete(delivered(0), &[]);
    assert_eq!(woken.wakes(), 1);
    assert!(poll(&mut settled, &waker).is_pending());
    second.complete(delivered(0), &[]);

    assert_eq!(woken.wakes(), 2);
    assert!(poll(&mut settled, &waker).is_ready());
}

#[test]
fn batch_is_awaited_when_all_its_records_are() {
    let (batch, other) = (cell(), cell());
    batch.set_record_count(5);
    let mut all = deliveries([(&batch, 0), (&batch, 1), (&other, 0), (&batch, 2)]);
    assert!(all.settle(0).now_or_never().is_none());
    assert!(!batch.is_all_awaited());

    all.push_run(&batch, 3, 2);
    assert!(all.settle(0).now_or_never().is_none());
    assert!(batch.is_all_awaited());

    drop(all);
    assert!(!batch.is_all_awaited());
}

#[test]
fn dropped_deliveries_take_their_waker_back() {
    let (first, second) = (cell(), cell());
    let (woken, waker) = CountedWaker::new();
    let mut all = deliveries([(&first, 0), (&second, 0)]);
    assert!(Pin::new(&mut all).poll_next(&mut Context::from_waker(&waker)).is_pending());
    first.complete(delivered(0), &[]);
    assert!(Pin::new(&mut all).poll_next(&mut Context::from_waker(&waker)).is_ready());
    assert!(Pin::new(&mut all).poll_next(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(Arc::strong_count(&woken), 3);

    drop(all);

    assert_eq!(Arc::strong_count(&woken), 2);
    second.complete(delivered(0), &[]);
    assert_eq!(woken.wakes(), 1);
}

/// How a batch ends.
#[derive(Debug, Clone)]
enum End {
    Delivered,
    Failed,
    /// In two, at this record.
    Split(u32, Box<[Self; 2]>),
}

fn ends() -> impl Strategy<Value = End> {
    let whole = prop_oneof![3 => Just(End::Delivered), 1 => Just(End::Failed)];
    whole.prop_recursive(3, 8, 2, |end| {
        (1_u32..12, end.clone(), end)
            .prop_map(|(at, first, second)| End::Split(at, Box::new([first, second])))
    })
}

/// Ends a batch and the pieces of it.
fn complete(batch: &Arc<BatchCell>, end: &End, base: &mut i64, is_back_first: bool) {
    *base += 1000;
    match end {
        End::Delivered => batch.complete(delivered(*base), &[]),
        End::Failed => batch.complete(failed(), &[]),
        End::Split(at, ends) => {
            let pieces = [0, 1].map(|_| cell());
            batch.complete(redirected(&[(0, &pieces[0]), (*at, &pieces[1])]), &[]);
            let order = if is_back_first { [1, 0] } else { [0, 1] };
            for piece in order {
                complete(&pieces[piece], &ends[piece], base, is_back_first);
            }
        }
    }
}

proptest! {
    #[test]
    fn results_are_those_of_one_delivery_each(
        runs in vec((0_usize..4, 0_u32..10, 1_u32..6), 0..20),
        ends in vec(ends(), 4),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
        is_back_first: bool,
    ) {
        let cells: Vec<_> = (0..4).map(|_| cell()).collect();
        let mut all = Deliveries::new();
        let mut each = Vec::new();
        for (cell, first, count) in runs {
            all.push_run(&cells[cell], first, count);
            each.extend((first..first + count).map(|index| delivery(&cells[cell], index)));
        }

        let (mut taken, mut base) = (take(&mut all), 0);
        for cell in order {
            complete(&cells[cell], &ends[cell], &mut base, is_back_first);
            taken.extend(take(&mut all));
        }

        let expected: Vec<_> = each.iter().map(|delivery| told(delivery.try_result().unwrap())).collect();
        prop_assert_eq!(taken, expected);
        prop_assert!(all.is_empty() && all.runs.is_empty());
    }
}
