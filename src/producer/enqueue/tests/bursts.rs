//! Bursts and what they keep, on the caller's side alone.

use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;

use super::*;
use crate::delivery::Deliveries;
use crate::pipeline::{BytesSerializer, InterceptorChain, PartitionerRecord};
use crate::producer::{Face, TopicHandle};

/// Returns the bytes of the buffers that this thread keeps for serializers.
fn held_scratch() -> usize {
    Caller::with(|caller| {
        caller
            .scratches
            .iter()
            .map(|scratch| scratch.key.capacity() + scratch.value.capacity())
            .sum::<usize>()
            + caller.scratch.key.capacity()
            + caller.scratch.value.capacity()
    })
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn burst_keeps_no_large_scratch_and_serializes_few_large_records_at_a_time() {
    let peak = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&peak);
    let mut rig = Rig::new(1);
    rig.face_mut().value_serializer = Box::new(serialize_with(move |_: &Bytes, out: &mut Vec<u8>| {
        out.resize(1 << 20, 7);
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(())
    }));
    let orders = rig.producer.topic("orders");
    let mut deliveries = Deliveries::new();

    let error = orders.enqueue_all(&vec![Bytes::new(); 64], &mut deliveries).await.unwrap_err();

    assert!(matches!(error.kind(), SendErrorKind::TooLarge { .. }), "{error:?}");
    let (held, calls) = (held_scratch(), peak.load(Ordering::Relaxed));
    assert_eq!(calls, 1);
    assert!(held <= 128 * 1024, "{held} bytes are kept by the thread");
}

#[tokio::test(start_paused = true)]
async fn large_scratch_of_a_refused_record_is_given_up() {
    let mut rig = Rig::new(1);
    rig.face_mut().value_serializer = Box::new(serialize_with(move |_: &Bytes, out: &mut Vec<u8>| {
        out.resize(10 << 20, 7);
        Ok::<_, Infallible>(())
    }));

    assert!(rig.try_enqueue(small()).is_none());

    assert!(held_scratch() <= 128 * 1024, "{}", held_scratch());
}

#[tokio::test(start_paused = true)]
async fn burst_that_waits_serializes_each_record_twice_at_most_and_routes_it_once() {
    let (calls, asked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counted, counts) = (Arc::clone(&calls), Arc::clone(&asked));
    let mut rig = Rig::new(1);
    rig.face_mut().value_serializer = Box::new(serialize_with(move |value: &Bytes, out: &mut Vec<u8>| {
        counted.fetch_add(1, Ordering::Relaxed);
        out.extend_from_slice(value);
        Ok::<_, Infallible>(())
    }));
    rig.core_mut().routing.partitioner = Some(Box::new(move |_: &PartitionerRecord<'_>, _: &Cluster| {
        counts.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    }));
    let orders = rig.producer.topic("orders");
    let records = vec![Bytes::from("x".repeat(900)); 256];
    let mut deliveries = Deliveries::new();
    let mut all = Box::pin(orders.enqueue_all(&records, &mut deliveries));
    while all.as_mut().now_or_never().is_none() {
        rig.acknowledge(0);
    }
    drop(all);

    assert_eq!(deliveries.len(), 256);
    let (calls, asked) = (calls.load(Ordering::Relaxed), asked.load(Ordering::Relaxed));
    assert!(
        calls <= 512 && asked <= 256,
        "{calls} calls of the serializer, {asked} of the partitioner for 256 records"
    );
}

#[tokio::test(start_paused = true)]
async fn serializer_that_sends_and_then_panics_takes_no_other_record_along() {
    let cell: Arc<OnceLock<TopicHandle>> = Arc::default();
    let inner = Arc::clone(&cell);
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let mut rig = Rig::new(1);
    let plain = rig.producer.with_types::<Bytes, Bytes>().topic("orders");
    drop(cell.set(plain));
    // The core is shared by now; only the face is still our own.
    let face = Face::new(
        InterceptorChain::default(),
        Box::new(BytesSerializer),
        Box::new(serialize_with(move |value: &Bytes, out: &mut Vec<u8>| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            drop(inner.get().unwrap().try_enqueue(None, value).unwrap());
            assert!(number != 5, "a bug of the application");
            out.extend_from_slice(value);
            Ok::<_, Infallible>(())
        })),
    );
    rig.producer.face = Arc::new(face);
    let orders = rig.producer.topic("orders");
    let records = vec![Bytes::from("x"); 10];
    let mut deliveries = Deliveries::new();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        orders.enqueue_all(&records, &mut deliveries).now_or_never()
    }));
    assert!(panicked.is_err());
    assert_eq!(deliveries.len(), 0);
    let accepted = rig.producer.core.accumulator.queue("orders", 0).unwrap().appended_records();
    assert_eq!(accepted, 6);
    orders.enqueue_all(&records, &mut deliveries).now_or_never().unwrap().unwrap();
    assert_eq!(deliveries.len(), 10);
    let accepted = rig.producer.core.accumulator.queue("orders", 0).unwrap().appended_records();
    assert_eq!(accepted, 26);
}
