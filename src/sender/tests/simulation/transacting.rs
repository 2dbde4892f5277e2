//! What happens in runs with transactions.

use kafka_mock::Api;
use kafka_mock::sans_io::Brokers;

use super::client::FOR_EVER;
use super::schedule::{Loss, NODES, Noise, Op, RivalAim, Schedule, Setup, Transacting};

/// Makes the producer transactional, ends transactions here and there, and adds what goes wrong with them.
pub(super) fn add(schedule: &mut Schedule, noise: &mut Noise) {
    prepare(&mut schedule.setup, noise);
    let ops = &mut schedule.ops;
    // Producers that are forgotten by timestamps are a fault of brokers that no client can help.
    ops.retain(|(_, op)| {
        !matches!(op, Op::Expire | Op::Purge { .. } | Op::Resume | Op::Flush { .. } | Op::Withdraw { .. })
    });
    let is_long = noise.is(30);
    let mut at = 0;
    while at < ops.len() {
        let time = ops[at].0;
        at += noise.between(1, if is_long { 12 } else { 5 }) as usize;
        let place = at.min(ops.len());
        let time = ops.get(place).map_or(time, |(time, _)| *time);
        for op in steps(noise) {
            ops.insert(place, (time, op));
            at += 1;
        }
    }
    let kinds = noise.pick(&[0, 1, 1, 2, 3]);
    for _ in 0..kinds {
        let kind = noise.between(0, 6);
        for _ in 0..noise.between(1, 3) {
            let near = ops.get(noise.between(0, 80) as usize % ops.len().max(1));
            let time = near.map_or(0, |(time, _)| *time) + noise.between(0, 3);
            let op = trouble(&schedule.setup, kind, noise);
            ops.push((time, op));
            if matches!(op, Op::LoadSlowly { .. }) {
                ops.push((time + 1, coordinate(noise)));
            }
        }
    }
}

fn prepare(setup: &mut Setup, noise: &mut Noise) {
    let is_old = setup.produce_version < 9 && noise.is(70);
    let version = match (is_old, setup.produce_version) {
        (true, _) => None,
        (false, ..12) => noise.pick(&[None, Some(0), Some(1)]),
        (false, _) => noise.pick(&[None, Some(1), Some(2), Some(2), Some(2)]),
    };
    setup.acks = -1;
    setup.is_idempotent = true;
    setup.is_fail_stop = false;
    setup.retries = setup.retries.max(1);
    setup.transacting = Some(Transacting {
        timeout: noise.pick(&[60_000, 60_000, 60_000, 10_000, 2000]),
        max_block: noise.pick(&[60_000, 60_000, 5000, 1000]),
        version,
        is_old,
    });
}

/// What the caller does next, last first.
fn steps(noise: &mut Noise) -> Vec<Op> {
    let patience = noise.pick(&[FOR_EVER, FOR_EVER, FOR_EVER, FOR_EVER, 0, 1, 3, 20, 300]);
    match noise.between(0, 99) {
        0..50 => vec![Op::Commit { patience }],
        50..64 => vec![Op::Abort { patience }],
        64..70 => vec![Op::DropGuard],
        70..72 => vec![Op::LeakGuard],
        72..78 => vec![Op::Finish { patience }],
        78..82 => vec![Op::Begin { patience }],
        82..92 => vec![Op::Offsets { group: noise.between(0, 1) as usize, patience }],
        _ => vec![
            Op::Commit { patience: FOR_EVER },
            Op::Offsets { group: noise.between(0, 1) as usize, patience },
        ],
    }
}

fn coordinate(noise: &mut Noise) -> Op {
    let group = noise.pick(&[None, None, None, Some(0), Some(1)]);
    Op::Coordinate { group, node: noise.between(0, NODES.unsigned_abs().into()) as i32 % NODES }
}

/// Codes of the requests of transactions that pass, or that make it impossible to commit.
const OBJECTIONS: [(i16, &[i16]); 5] = [
    (10, &[14, 15, -1]),
    (24, &[14, 15, 16, 51, 120, 29]),
    (25, &[14, 15, 16, 51, 120, 30]),
    (26, &[14, 15, 16, 51, -1]),
    (28, &[7, 14, 15, 16, 120, 3]),
];

fn trouble(setup: &Setup, kind: u64, noise: &mut Noise) -> Op {
    let node = noise.between(0, NODES.unsigned_abs().into()) as i32 % NODES;
    let lasts = noise.pick(&[20, 200, 2500, 9000]);
    match kind {
        0 => coordinate(noise),
        1 => Op::LoadSlowly { time: noise.pick(&[10, 100, 1000]) },
        2 => {
            let what = noise.pick(&[Loss::Answer, Loss::Request, Loss::Connection, Loss::Connection]);
            Op::Lose { node, api: noise.pick(&[10, 22, 24, 25, 26, 26, 26, 28]), what }
        }
        3 => {
            let (api, codes) = noise.pick(&OBJECTIONS);
            Op::Object { api, code: noise.pick(codes), times: noise.pick(&[1, 1, 2, 6]) }
        }
        4 => Op::HoldMarkers { lasts },
        5 if setup.sasl.is_none() && noise.is(50) => Op::Rival {
            then: noise.pick(&[
                RivalAim::Rest,
                RivalAim::Rest,
                RivalAim::Abort,
                RivalAim::Commit,
                RivalAim::LeaveOpen,
            ]),
        },
        5 => Op::TimeOut,
        _ if setup.produce_version >= 12 => Op::Finalize { level: noise.pick(&[None, Some(1), Some(2)]) },
        _ => coordinate(noise),
    }
}

/// Versions of requests as before Kafka 2.5.
pub(super) fn make_old(brokers: &mut Brokers) {
    for (api, newest) in [
        (Api::AddOffsetsToTxn, 1),
        (Api::AddPartitionsToTxn, 1),
        (Api::EndTxn, 1),
        (Api::FindCoordinator, 2),
        (Api::InitProducerId, 1),
        (Api::TxnOffsetCommit, 2),
    ] {
        brokers.set_api_versions(api, 0, newest).unwrap();
    }
}
