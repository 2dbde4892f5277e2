//! Schedules that have failed once, shrunk. They are run always.
//!
//! Those named after a bug of `planted.rs` are the least that it took to find it.

use super::schedule::Op::{
    AddPartition, Backfill, BusyPool, Close, Commit, Expire, Lag, Lead, Leaderless, LeakGuard, Mangle,
    MetadataError, Offsets, Pause, Purge, Recreate, Replace, Send, Stall, Throttle,
};
use super::schedule::{Damage, Sasl, Schedule, Setup, Transacting};
use super::simulate;

/// What the schedules below have in common.
const USUAL: Setup = Setup {
    noise: 0,
    acks: -1,
    is_idempotent: true,
    in_flight: 5,
    linger: 0,
    spares_awaited: false,
    delivery_timeout: 120_000,
    request_timeout: 1500,
    retries: 2_147_483_647,
    retry_backoff: 100,
    batch_size: 2000,
    buffer_memory: 4000,
    max_request_size: 100_000,
    is_compressed: false,
    produce_version: 12,
    max_message_bytes: 300,
    min_insync: 1,
    partitions: 2,
    knows_all_producers: false,
    is_fail_stop: false,
    trust: 10_000,
    refusal: 87,
    names_culprits: true,
    controllers: 0,
    max_idle: 300_000,
    sasl: None,
    is_encrypted: false,
    transacting: None,
    #[cfg(feature = "telemetry")]
    telemetry: None,
    is_aborted: false,
};

#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn kept() -> Vec<(&'static str, Schedule)> {
    vec![
        (
            "EpochBumpWithoutDraining",
            Schedule {
                setup: Setup {
                    noise: 8_617_118_599_681_011_762,
                    delivery_timeout: 2500,
                    request_timeout: 500,
                    min_insync: 2,
                    ..USUAL
                },
                ops: vec![
                    (13, Send { partition: 1, spread: 2, count: 2, len: 150 }),
                    (58, Leaderless { partition: 2, lasts: 200 }),
                    (107, Send { partition: 2, spread: 2, count: 2, len: 60 }),
                    (107, Send { partition: 1, spread: 3, count: 3, len: 300 }),
                    (214, Send { partition: 0, spread: 1, count: 2, len: 10 }),
                ],
            },
        ),
        (
            "GapNotHealed",
            Schedule {
                setup: Setup {
                    noise: 5_545_312_263_423_779_399,
                    in_flight: 1,
                    retry_backoff: 50,
                    batch_size: 600,
                    buffer_memory: 18_000,
                    max_request_size: 1000,
                    knows_all_producers: true,
                    ..USUAL
                },
                ops: vec![(44_469, Send { partition: 1, spread: 1, count: 1, len: 300 })],
            },
        ),
        (
            "NoPause",
            Schedule {
                setup: Setup {
                    noise: 12_646_375_899_449_475_997,
                    in_flight: 4,
                    request_timeout: 2000,
                    retries: 1,
                    retry_backoff: 10,
                    buffer_memory: 60_000,
                    produce_version: 13,
                    ..USUAL
                },
                ops: vec![
                    (59_957, Send { partition: 1, spread: 3, count: 1, len: 0 }),
                    (60_279, Pause { lasts: 2500 }),
                    (60_873, Send { partition: 1, spread: 1, count: 5, len: 60 }),
                    (60_879, AddPartition),
                    (61_730, Send { partition: 1, spread: 2, count: 1, len: 0 }),
                ],
            },
        ),
        (
            "a topic that is in use is never asked for beside one that is refused",
            Schedule {
                setup: Setup {
                    noise: 3_863_252_469_067_047_450,
                    in_flight: 1,
                    linger: 5,
                    request_timeout: 500,
                    retry_backoff: 50,
                    batch_size: 200,
                    buffer_memory: 400,
                    is_compressed: true,
                    max_message_bytes: 1_000_000,
                    min_insync: 2,
                    max_idle: 20_000,
                    ..USUAL
                },
                ops: vec![
                    (1151, MetadataError { code: 29, times: 3000 }),
                    (1151, Leaderless { partition: 1, lasts: 30_000 }),
                    (1225, Send { partition: 0, spread: 3, count: 3, len: 300 }),
                    (34_345, Send { partition: 1, spread: 3, count: 2, len: 300 }),
                    (65_777, Close { patience: 100_000 }),
                ],
            },
        ),
        (
            "a compression that is wanted no more keeps its memory",
            Schedule {
                setup: Setup {
                    noise: 4_093_892_843_308_397_718,
                    in_flight: 4,
                    linger: 5,
                    spares_awaited: true,
                    delivery_timeout: 2500,
                    request_timeout: 500,
                    retry_backoff: 50,
                    is_compressed: true,
                    produce_version: 3,
                    max_message_bytes: 1_000_000,
                    min_insync: 2,
                    partitions: 1,
                    ..USUAL
                },
                ops: vec![
                    (3422, BusyPool { lasts: 1_000_000 }),
                    (3430, Send { partition: 0, spread: 3, count: 3, len: 0 }),
                    (3432, Purge { all: false }),
                ],
            },
        ),
        (
            "an unanswered batch gets another number",
            Schedule {
                setup: Setup {
                    noise: 17_510_723_324_037_112_854,
                    delivery_timeout: 10_000,
                    retries: 3,
                    max_request_size: 1000,
                    is_compressed: true,
                    produce_version: 11,
                    partitions: 3,
                    ..USUAL
                },
                ops: vec![
                    (11, AddPartition),
                    (945, Throttle { node: 2, time: 76, times: 2 }),
                    (1357, Send { partition: 1, spread: 1, count: 1, len: 300 }),
                    (1477, Send { partition: 3, spread: 3, count: 2, len: 10 }),
                    (1479, Send { partition: 0, spread: 3, count: 1, len: 60 }),
                    (1497, Send { partition: 0, spread: 1, count: 1, len: 150 }),
                    (1499, Stall { node: 0, lasts: 2500 }),
                    (3311, Recreate { lasts: 200 }),
                ],
            },
        ),
        (
            "record that is sent again behind older ones, which made the broker forget the producer",
            Schedule {
                setup: Setup {
                    noise: 5_506_777_786_628_903_489,
                    in_flight: 4,
                    spares_awaited: true,
                    request_timeout: 500,
                    buffer_memory: 60_000,
                    max_request_size: 1000,
                    produce_version: 3,
                    max_message_bytes: 1_000_000,
                    min_insync: 2,
                    partitions: 1,
                    ..USUAL
                },
                ops: vec![
                    (6, Send { partition: 0, spread: 1, count: 1, len: 150 }),
                    (170, Mangle { node: 0, how: Damage::Short(11) }),
                    (227, Send { partition: 1, spread: 3, count: 3, len: 60 }),
                    (230, Backfill { partition: 0, spread: 1, count: 3, age: 100_000_000 }),
                    (233, Pause { lasts: 2100 }),
                    (617, Expire),
                ],
            },
        ),
        (
            "record that is sent again behind older ones, to another leader",
            Schedule {
                setup: Setup {
                    noise: 7_098_727_327_334_541_980,
                    request_timeout: 2000,
                    batch_size: 200,
                    buffer_memory: 8000,
                    produce_version: 3,
                    max_message_bytes: 1_000_000,
                    min_insync: 2,
                    partitions: 1,
                    is_fail_stop: true,
                    ..USUAL
                },
                ops: vec![
                    (15, Send { partition: 0, spread: 3, count: 3, len: 300 }),
                    (724, Send { partition: 0, spread: 2, count: 6, len: 60 }),
                    (727, Backfill { partition: 1, spread: 2, count: 6, age: 100_000_000 }),
                    (743, Lag { node: 1, lasts: 144 }),
                    (754, Lead { partition: 0, node: 2 }),
                    (785, Lead { partition: 0, node: 0 }),
                    (802, Throttle { node: 0, time: 254, times: 1 }),
                    (979, Expire),
                ],
            },
        ),
        (
            "a record that waits for memory when its guard is leaked",
            Schedule {
                setup: Setup {
                    noise: 3_727_775_281_275_380_312,
                    in_flight: 2,
                    delivery_timeout: 2500,
                    request_timeout: 2000,
                    retries: 3,
                    retry_backoff: 10,
                    batch_size: 600,
                    buffer_memory: 1200,
                    produce_version: 13,
                    max_message_bytes: 1_000_000,
                    min_insync: 2,
                    partitions: 1,
                    sasl: Some(Sasl {
                        is_scram: true,
                        is_old: false,
                        lifetime: 5000,
                        parts: 1,
                        token_lifetime: None,
                        keeps_secrets: true,
                        head_start: 10,
                        is_strict: false,
                    }),
                    transacting: Some(Transacting {
                        timeout: 60_000,
                        max_block: 60_000,
                        version: Some(2),
                        is_old: false,
                    }),
                    ..USUAL
                },
                ops: vec![
                    (241, Send { partition: 0, spread: 2, count: 3, len: 10 }),
                    (45_806, Offsets { group: 1, patience: 3 }),
                    (45_806, Commit { patience: 1_000_000_000 }),
                    (45_806, Send { partition: 1, spread: 2, count: 5, len: 300 }),
                    (45_841, Send { partition: 1, spread: 2, count: 7, len: 300 }),
                    (45_892, Send { partition: 1, spread: 3, count: 3, len: 150 }),
                    (45_895, LeakGuard),
                    (45_895, Send { partition: 0, spread: 1, count: 1, len: 10 }),
                    (45_900, Pause { lasts: 2100 }),
                    (45_944, Commit { patience: 1_000_000_000 }),
                    (46_004, Replace),
                ],
            },
        ),
    ]
}

/// Seeds that showed a mistake of the sender's when they were new: 36832 wrote a batch twice that lay, in doubt, behind one
/// that got a new number.
const SEEDS: [u64; 1] = [36_832];

#[test]
fn what_has_failed_once_does_not_fail_again() {
    for seed in SEEDS {
        if let Err(reason) = simulate(&Schedule::new(seed)) {
            panic!("seed {seed}: {reason}");
        }
    }
    for (name, schedule) in kept() {
        if let Err(reason) = simulate(&schedule) {
            panic!("{name}: {reason}");
        }
    }
}
