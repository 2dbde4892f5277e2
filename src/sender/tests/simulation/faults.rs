//! What callers do, and what goes wrong, in any run.

use super::schedule::{Damage, Loss, NODES, Noise, Op, Rest, Setup};

pub(super) fn work(setup: &Setup, noise: &mut Noise) -> Op {
    match noise.between(0, 99) {
        0..4 => Op::CancelCallers,
        4..8 => Op::DropDeliveries,
        8..12 => Op::Flush { lasts: noise.between(1, 100) },
        _ => Op::Send {
            // The last one is of another topic.
            partition: noise.between(0, setup.partitions.unsigned_abs().into()) as i32,
            spread: noise.between(1, 3) as i32,
            count: noise.between(1, 10) as u32,
            len: noise.pick(&[0, 10, 60, 150, 300]),
        },
    }
}

/// Codes of a broker that has not appended, and of one that cannot say.
const REFUSALS: [i16; 14] = [2, 3, 5, 6, 7, 9, 13, 19, 29, 56, 72, 74, 87, 89];
const DOUBTS: [i16; 7] = [-1, 6, 7, 20, 46, 56, 999];

pub(super) fn fault(setup: &Setup, noise: &mut Noise) -> Op {
    let node = noise.between(0, NODES.unsigned_abs().into()) as i32 % NODES;
    let partition = noise.between(0, setup.partitions.unsigned_abs().into()) as i32;
    let lasts = noise.pick(&[20, 200, 700, 2500]);
    let times = noise.pick(&[1, 1, 2, 6, 3000]);
    match noise.between(0, 28) {
        0..4 => Op::Cut { node, up: rest(noise), down: rest(noise) },
        4 | 5 => Op::Crash { node, noticed: noise.between(0, 400), lasts, moves: noise.is(30) },
        6..9 => Op::Lead { partition, node },
        9 => Op::Leaderless { partition, lasts },
        10 => Op::Freeze { node, lasts },
        11 => Op::Stall { node, lasts },
        12 => Op::Slow { node, latency: noise.between(5, 400), lasts },
        13 | 14 => Op::Refusal { node, code: noise.pick(&REFUSALS), times },
        15 => Op::Doubt { node, code: noise.pick(&DOUBTS), times },
        16 => Op::Lose { node, api: noise.pick(&[0, 0, 3, 18, 22]), what: loss(noise) },
        17 | 28 => Op::Mangle { node, how: damage(noise) },
        18 | 19 => Op::Lag { node, lasts },
        20 => Op::Shrink { node },
        21 => Op::Throttle { node, time: noise.between(1, 400), times },
        22 => match noise.is(50) {
            true => Op::MetadataError { code: noise.pick(&[3, 5, 29, 17, -1]), times },
            false => Op::IdError { code: noise.pick(&[14, 15, 31, 7, -1]), times },
        },
        23 => Op::Refuse { node, lasts },
        24 => match noise.is(50) {
            true => Op::Pause { lasts },
            false => Op::Jump { lasts },
        },
        25 => Op::ForgetProducers,
        26 => Op::Recreate { lasts },
        _ => Op::AddPartition,
    }
}

/// A leader writes what no follower copies, another one leads, and then perhaps the first one again. Returns when it is
/// over.
pub(super) fn ping_pong(partition: i32, begin: u64, noise: &mut Noise, ops: &mut Vec<(u64, Op)>) -> u64 {
    let lasts = noise.between(5, 200);
    let mut now = begin;
    (0..NODES).for_each(|node| ops.push((now, Op::Lag { node, lasts })));
    for _ in 0..noise.between(1, 3) {
        let count = noise.between(1, 6) as u32;
        ops.push((now, Op::Send { partition, spread: 1, count, len: noise.pick(&[0, 100]) }));
        now += noise.between(1, 12);
        let node = noise.between(0, NODES.unsigned_abs().into()) as i32 % NODES;
        ops.push((now, Op::Lead { partition, node }));
        now += noise.between(0, 30);
    }
    now
}

fn loss(noise: &mut Noise) -> Loss {
    match noise.between(0, 2) {
        0 => Loss::Answer,
        1 => Loss::Request,
        _ => Loss::Connection,
    }
}

fn rest(noise: &mut Noise) -> Rest {
    match noise.between(0, 3) {
        0 => Rest::Arrives,
        1 => Rest::ArrivesLate(noise.pick(&[10, 300, 2000])),
        2 => Rest::ArrivesUpTo(noise.between(0, 600) as usize),
        _ => Rest::IsLost,
    }
}

fn damage(noise: &mut Noise) -> Damage {
    match noise.between(0, 6) {
        0 => Damage::Id,
        1 => Damage::Length,
        2 | 3 => Damage::Swapped,
        4 => Damage::LeftOut,
        5 => Damage::Short(noise.between(1, 40) as usize),
        _ => Damage::Torn(noise.between(1, 60) as usize),
    }
}
