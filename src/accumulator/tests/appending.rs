//! Records into batches (Kafka: `RecordAccumulatorTest`).

use super::*;

#[test]
fn batch_is_filled_to_the_byte() {
    let bench = Bench::new();
    let value = value_of(313);

    let deliveries: Vec<_> = (0..3).map(|_| bench.append(&value)).collect();
    // 61 + 3 * 313 = 1000.
    let head = bench.queue.look().unwrap();
    assert_eq!((head.len, head.is_full), (BATCH, true));
    bench.append("next");

    assert_eq!(deliveries.iter().map(|done| done.bytes).collect::<Vec<_>>(), [HEADER + 313, 313, 313]);
    assert_eq!(bench.queue.queued_batches(), 2);
    assert_eq!(bench.take().record_count(), 3);
    assert_eq!(bench.take().record_count(), 1);
}

const HEADER: usize = 61;

#[test]
fn record_that_would_exceed_the_batch_by_a_byte_goes_into_the_next() {
    let bench = Bench::new();
    bench.append_all(&[&value_of(313), &value_of(313)]);

    bench.append(&value_of(314));

    let counts = [bench.take().record_count(), bench.take().record_count()];
    assert_eq!(counts, [2, 1]);
}

#[test]
fn record_larger_than_a_batch_has_one_of_its_own() {
    for compression in [Compression::None, Compression::Lz4] {
        let bench = Bench::with(compression, 100 * BATCH);
        bench.append("before");
        let large = bench.append(&"l".repeat(5 * BATCH));
        bench.append("after");

        assert!(large.bytes > 5 * BATCH);
        assert_eq!(bench.queue.queued_batches(), 3);
        assert!(bench.queue.look().unwrap().is_full);
    }
}

#[test]
fn large_record_alone_is_full_at_once() {
    let bench = Bench::new();

    bench.append(&"l".repeat(5 * BATCH));

    assert!(bench.queue.look().unwrap().is_full);
    bench.append("s");
    assert_eq!(bench.queue.queued_batches(), 2);
}

#[test]
fn small_buffers_grow_with_their_batch_while_memory_is_short() {
    let settings = Settings {
        batch_size: 16 * 1024,
        compression: Compression::None,
        compression_level: 0,
        max_plain: 16 * 1024,
        append_window: WINDOW,
        spares_awaited: false,
    };
    let mut bench = Bench::new();
    bench.accumulator = RecordAccumulator::new(settings, BufferMemory::new(60 * 1024, 16 * 1024));
    let topic = bench.accumulator.topic(&Topic::from("topic"), 1);
    bench.queue = Arc::clone(bench.accumulator.ensure_queue(&topic, 0, || true).unwrap());
    let held = bench.accumulator.memory().try_take_exactly(34 * 1024).unwrap();
    let free = bench.accumulator.memory().available();

    let mut reserved = Vec::new();
    for _ in 0..60 {
        bench.append(&"x".repeat(180));
        reserved.push(free - bench.accumulator.memory().available());
    }

    reserved.dedup();
    assert_eq!(reserved, [1024, 2048, 4096, 8192, 16 * 1024]);
    assert_eq!((bench.queue.queued_batches(), bench.take().record_count()), (1, 60));
    drop(held);
    assert!(bench.has_all_memory());
}

#[test]
fn ten_thousand_partitions_with_a_record_each_fit_into_the_default_memory() {
    let settings = Settings {
        batch_size: 16 * 1024,
        compression: Compression::None,
        compression_level: 0,
        max_plain: 16 * 1024,
        append_window: WINDOW,
        spares_awaited: false,
    };
    let mut bench = Bench::new();
    bench.accumulator = RecordAccumulator::new(settings, BufferMemory::new(32 * 1024 * 1024, 16 * 1024));
    let topic = bench.accumulator.topic(&Topic::from("topic"), 10_000);

    let deliveries: Vec<_> = (0..10_000)
        .map(|partition| {
            bench.queue = Arc::clone(bench.accumulator.ensure_queue(&topic, partition, || true).unwrap());
            bench.append(&"x".repeat(100)).delivery()
        })
        .collect();

    assert_eq!(deliveries.len(), 10_000);
    // Half of the memory went to the first batches as a whole; after that a record needs no more than 1 KiB.
    let held = bench.accumulator.memory().total() - bench.accumulator.memory().available();
    assert_eq!(held, 16 * 1024 * 1024 + (10_000 - 1024) * 1024);
    for queue in topic.iter() {
        queue.close().into_iter().for_each(|batch| deliver(batch, 0));
    }
    assert!(bench.has_all_memory());
}

#[test]
fn batch_that_cannot_grow_is_closed_and_sent_as_it_is() {
    let bench = Bench::with(Compression::None, 2 * BATCH);
    let held = bench.accumulator.memory().try_take_exactly(2 * BATCH - 200).unwrap();
    let small = bench.accumulator.memory().try_take_exactly(200).unwrap();
    let headers = Headers::new();
    let record = |value: &'static str| RecordRef {
        timestamp: 5,
        key: None,
        value: Some(value.as_bytes()),
        headers: &headers,
    };
    let append = |record: RecordRef<'_>, spare: &mut Option<BatchBuffer>| {
        let append = Append {
            transaction: NO_TRANSACTION,
            observer: None,
            payload_len: record.payload_len(),
            record,
            waits: EnqueueWaits::default(),
            now: bench.now,
        };
        bench.accumulator.try_append(&bench.queue, &append, AtBatchEnd::BeginNext, spare)
    };
    assert!(matches!(append(record("a"), &mut Some(small)), TryAppend::Done(_)));
    bench.queue.look();
    assert!(bench.is_announced());

    let value = concat!(
        "0123456789012345678901234567890123456789012345678901234567890123456789",
        "0123456789012345678901234567890123456789012345678901234567890123456789"
    );
    assert!(matches!(append(record(value), &mut None), TryAppend::NoMemory { least } if least > 200));

    assert!(bench.is_announced() && bench.queue.look().unwrap().is_full);
    assert_eq!(values(&mut bench.take()), ["a"]);
    drop(held);
    assert!(bench.has_all_memory());
}

#[test]
fn batch_takes_no_records_that_would_inherit_its_age() {
    let mut bench = Bench::new();
    bench.append("a");
    bench.now += WINDOW;
    bench.append("b");
    bench.now += Duration::from_millis(1);
    bench.append("c");

    assert_eq!(values(&mut bench.take()), ["a", "b"]);
    let second = bench.take();
    assert_eq!(second.created(), bench.now);
}

#[test]
fn boundary_of_batches_stops_who_asks_for_that() {
    let bench = Bench::new();
    bench.append(&value_of(700));

    assert!(matches!(bench.try_append(&value_of(700), AtBatchEnd::ComeBack), TryAppend::BatchEnded));
    assert_eq!(bench.queue.queued_batches(), 1);
    // Asked again it goes where it may.
    assert!(matches!(bench.try_append(&value_of(700), AtBatchEnd::ComeBack), TryAppend::Done(_)));
    assert_eq!(bench.queue.queued_batches(), 2);
}

#[test]
fn record_without_memory_says_how_much_it_needs() {
    let bench = Bench::with(Compression::None, BATCH);
    let held = bench.accumulator.memory().try_take_exactly(BATCH).unwrap();

    let TryAppend::NoMemory { least } = bench.try_append("12345", AtBatchEnd::BeginNext) else { panic!() };

    // 61 + 21 + 1 for the key, 1 + 5 for the value, 1 + 1 + 1 + 1 + 1 for the header.
    assert_eq!(least, 94);
    assert_eq!(bench.queue.queued_batches(), 0);
    drop(held);
    assert!(matches!(bench.try_append("12345", AtBatchEnd::BeginNext), TryAppend::Done(_)));
}

#[test]
fn threads_append_every_record_once_and_each_in_its_order() {
    const THREADS: usize = 4;
    const RECORDS: usize = 2000;
    let bench = Bench::with(Compression::Lz4, 1000 * BATCH);
    let is_done = AtomicBool::new(false);
    let mut taken: Vec<Vec<usize>> = vec![Vec::new(); THREADS];

    std::thread::scope(|scope| {
        let bench = &bench;
        let appending: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    for number in 0..RECORDS {
                        while !matches!(
                            bench.try_append(&format!("{thread}:{number}"), AtBatchEnd::BeginNext),
                            TryAppend::Done(_)
                        ) {}
                    }
                })
            })
            .collect();
        let is_done = &is_done;
        scope.spawn(move || {
            appending.into_iter().for_each(|thread| thread.join().unwrap());
            is_done.store(true, Ordering::SeqCst);
        });

        loop {
            let was_done = is_done.load(Ordering::SeqCst);
            match bench.queue.take_head() {
                TakenHead::Batch(mut batch) => {
                    for value in values(&mut batch) {
                        let (thread, number) = value.split_once(':').unwrap();
                        taken[thread.parse::<usize>().unwrap()].push(number.parse().unwrap());
                    }
                    deliver(*batch, 0);
                }
                TakenHead::Seal(job) => bench.accumulator.seal(job),
                TakenHead::Nothing if was_done && bench.queue.queued_batches() == 0 => break,
                TakenHead::Nothing => std::thread::yield_now(),
            }
        }
    });

    assert!(taken.iter().all(|numbers| numbers.iter().copied().eq(0..RECORDS)));
    assert!(bench.has_all_memory() && bench.accumulator.is_complete());
}

#[test]
fn large_record_alone_is_full_at_once_though_it_gets_small() {
    let bench = Bench::with(Compression::Lz4, 100 * BATCH);

    bench.append(&"l".repeat(5 * BATCH));
    assert!(bench.queue.look().unwrap().is_full);
    let TakenHead::Seal(job) = bench.queue.take_head() else { panic!() };
    bench.accumulator.seal(job);

    let head = bench.queue.look().unwrap();
    assert!(head.is_full && head.len < BATCH / 2, "{head:?}");
    assert_eq!(values(&mut bench.take()), ["l".repeat(5 * BATCH)]);
}

#[test]
fn batch_with_many_facts_beside_it_takes_no_more_records() {
    let bench = Bench::new();
    let mut records = 0;

    while bench.queue.queued_batches() < 2 {
        drop(bench.append(["", "x"][records % 2]));
        records += 1;
    }

    // Four bytes for each, of 1000 / 4. There would be room for ten more.
    assert!((60..70).contains(&records), "{records}");
}
