//! Appending records to the accumulator, and completing them.

use divan::Bencher;
use divan::counter::ItemsCount;
use kafka_producer::__internals::Accumulator;

fn main() {
    divan::main();
}

const RECORDS: usize = 10_000;

#[divan::bench(args = [1, 4, 1000])]
fn append_and_drain(bencher: Bencher<'_, '_>, partitions: usize) {
    let accumulator = Accumulator::new(partitions, 16 * 1024, 64 * 1024 * 1024);
    let value = [b'x'; 100];
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for number in 0..RECORDS {
            drop(accumulator.append(number % partitions, None, &value));
        }
        accumulator.drain()
    });
}

#[divan::bench]
fn append_and_read_the_result(bencher: Bencher<'_, '_>) {
    let accumulator = Accumulator::new(1, 16 * 1024, 64 * 1024 * 1024);
    let value = [b'x'; 100];
    let mut deliveries = Vec::with_capacity(RECORDS);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        deliveries.extend((0..RECORDS).filter_map(|_| accumulator.append(0, None, &value)));
        accumulator.drain();
        deliveries.drain(..).filter(|delivery| matches!(delivery.try_result(), Some(Ok(_)))).count()
    });
}
