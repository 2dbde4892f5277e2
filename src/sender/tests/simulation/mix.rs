//! What some runs have in addition: two or three kinds of trouble each, so that most runs stay simple enough to show plain
//! mistakes, and every kind meets every other one in some.

use std::sync::LazyLock;

use super::schedule::{Distrust, Loss, NODES, Noise, Op, Rest, Sasl, Schedule, Setup};
use super::transacting;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    BadRecords,
    Backfill,
    BusyPool,
    Close,
    Controllers,
    Epochs,
    FailStop,
    Hidden,
    Idle,
    /// Access tokens. Beside the others, in one of eight runs.
    Login,
    Purge,
    Quota,
    Reborn,
    Relocation,
    Replacement,
    /// Beside the others, in one of five runs.
    Sasl,
    StandStill,
    /// Beside the others, in one of six runs.
    Tls,
    /// Beside the others, in one of three runs.
    Transactions,
}

const ALL: &[Trouble] = &[
    Trouble::BadRecords,
    Trouble::Backfill,
    Trouble::BusyPool,
    Trouble::Close,
    Trouble::Controllers,
    Trouble::Epochs,
    Trouble::FailStop,
    Trouble::Hidden,
    Trouble::Idle,
    Trouble::Purge,
    Trouble::Quota,
    Trouble::Reborn,
    Trouble::Relocation,
    Trouble::Replacement,
    Trouble::StandStill,
];

/// What does not happen yet, since the sender does not cope with it.
const OFF: &[Trouble] = &[];

/// All there is but `OFF`, or what `SIMULATION_TROUBLES=Quota,Close` names, to search for mistakes of one kind.
static ON: LazyLock<Vec<Trouble>> = LazyLock::new(|| {
    let is_on = |trouble: &&Trouble| match std::env::var("SIMULATION_TROUBLES") {
        Ok(wanted) => wanted.split(',').any(|name| name == format!("{trouble:?}")),
        Err(_) => !OFF.contains(trouble),
    };
    ALL.iter()
        .chain(&[Trouble::Login, Trouble::Sasl, Trouble::Tls, Trouble::Transactions])
        .filter(is_on)
        .copied()
        .collect()
});

/// Adds to a run that is made up already.
pub(super) fn add(schedule: &mut Schedule, seed: u64) {
    add_or(schedule, seed, &[]);
}

/// Adds kinds of trouble, or what the seed decides.
pub(super) fn add_or(schedule: &mut Schedule, seed: u64, wanted: &[Trouble]) {
    // Drawn apart from the rest, so that what there was before stays what it was.
    let mut noise = Noise(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1));
    let kinds = noise.pick(&[0, 1, 1, 2, 2, 3]);
    let mut troubles: Vec<Trouble> = Vec::new();
    for _ in 0..kinds {
        let trouble = noise.pick(ALL);
        if !troubles.contains(&trouble) {
            troubles.push(trouble);
        }
    }
    if !wanted.is_empty() {
        troubles = wanted.to_vec();
    }
    let end = schedule.ops.last().map_or(0, |(at, _)| *at);
    for trouble in troubles.into_iter().filter(|trouble| ON.contains(trouble)) {
        prepare(&mut schedule.setup, trouble, &mut noise);
        for _ in 0..noise.between(1, 4) {
            // Where something happens rather than in a long pause.
            let near = schedule.ops.get(noise.between(0, 60) as usize % schedule.ops.len().max(1));
            let at = near.map_or(end, |(at, _)| *at) + noise.between(0, 3);
            happen(schedule, trouble, at, &mut noise);
        }
    }
    // Drawn apart again, for the same reason.
    let mut noise = Noise(seed.wrapping_mul(0x9fb2_1c65_1e98_df25).wrapping_add(3));
    let is_drawn = |trouble, percent, noise: &mut Noise| {
        ON.contains(&trouble) && (wanted.contains(&trouble) || (wanted.is_empty() && noise.is(percent)))
    };
    if is_drawn(Trouble::Sasl, 20, &mut noise) {
        demand_sasl(schedule, &mut noise);
    }
    let mut noise = Noise(seed.wrapping_mul(0xa076_1d64_78bd_642f).wrapping_add(5));
    if is_drawn(Trouble::Login, 12, &mut noise) {
        demand_tokens(schedule, &mut noise);
    }
    let mut noise = Noise(seed.wrapping_mul(0xe703_7ed1_a0b4_28db).wrapping_add(7));
    if is_drawn(Trouble::Tls, 16, &mut noise) {
        encrypt(schedule, &mut noise);
    }
    let mut noise = Noise(seed.wrapping_mul(0x8ebc_6af0_9c88_c6e3).wrapping_add(9));
    if is_drawn(Trouble::Transactions, 34, &mut noise) {
        transacting::add(schedule, &mut noise);
    }
    // Two at one time keep their order.
    schedule.ops.sort_by_key(|(at, _)| *at);
}

/// Brokers that want to know who the producer is, and what goes wrong with that.
fn demand_sasl(schedule: &mut Schedule, noise: &mut Noise) {
    let is_old = noise.is(15);
    let lifetime = match schedule.setup.max_idle < 300_000 {
        // Long after its use a connection is still renewed.
        true => noise.pick(&[0, 5000, 20_000]),
        false => noise.pick(&[0, 300, 1200, 2000, 5000]),
    };
    let mut haste = Noise(noise.0.wrapping_add(1));
    schedule.setup.sasl = Some(Sasl {
        is_scram: noise.is(50),
        is_old,
        lifetime: if is_old { 0 } else { lifetime },
        parts: noise.pick(&[0, 0, 1, 5]),
        token_lifetime: None,
        keeps_secrets: haste.is(70),
        head_start: haste.pick(&[0, 0, 1, 2, 10]),
        is_strict: haste.is(20),
    });
    let end = schedule.ops.last().map_or(0, |(at, _)| *at);
    for _ in 0..noise.between(0, 4) {
        let at = noise.between(0, end.min(20_000));
        let node = noise.between(0, NODES.unsigned_abs().into()) as i32 % NODES;
        let op = match noise.between(0, 3) {
            0 => Op::ChangePassword { lasts: noise.pick(&[20, 200, 2500, 9000]) },
            1 => Op::Deny { times: noise.pick(&[1, 1, 3, 20]) },
            2 => Op::Pretend { times: noise.pick(&[1, 3, 20]) },
            // Half an exchange, and then silence or the end.
            _ => Op::Lose {
                node,
                api: noise.pick(&[17, 36, 36]),
                what: noise.pick(&[Loss::Answer, Loss::Request, Loss::Connection]),
            },
        };
        schedule.ops.push((at, op));
        if noise.is(50) {
            schedule.ops.push((at, Op::Cut { node, up: Rest::IsLost, down: Rest::IsLost }));
        }
    }
}

/// Brokers that want an access token, and what goes wrong with that.
fn demand_tokens(schedule: &mut Schedule, noise: &mut Noise) {
    let is_long = schedule.setup.max_idle < 300_000;
    let token_lifetime = noise.pick(if is_long { &[0, 20_000, 60_000] } else { &[0, 1500, 4000, 20_000] });
    let mut haste = Noise(noise.0.wrapping_add(1));
    schedule.setup.sasl = Some(Sasl {
        is_scram: false,
        is_old: false,
        lifetime: noise.pick(if is_long { &[0, 20_000] } else { &[0, 0, 1200, 5000] }),
        // A token is taken out of force in the middle of this.
        parts: 0,
        token_lifetime: Some(token_lifetime),
        keeps_secrets: haste.is(70),
        head_start: haste.pick(&[0, 0, 1, 2, 10]),
        is_strict: haste.is(20),
    });
    let end = schedule.ops.last().map_or(0, |(at, _)| *at);
    for _ in 0..noise.between(1, 5) {
        let latest = noise.pick(&[0, 0, 3000, 20_000]);
        let at = noise.between(0, latest).min(end);
        let node = noise.between(0, NODES.unsigned_abs().into()) as i32 % NODES;
        let lasts = noise.pick(&[20, 200, 2500, 9000, 40_000]);
        let op = match noise.between(0, 5) {
            0 => Op::Deny { times: noise.pick(&[1, 1, 3, 20]) },
            1 => Op::HaltTokens { lasts, is_permanent: false },
            2 => Op::HaltTokens { lasts: noise.pick(&[lasts, 10_000_000]), is_permanent: true },
            3 => Op::DelayTokens { delay: noise.pick(&[200, 1500, 5000, 12_000]), lasts },
            _ => Op::RevokeTokens,
        };
        schedule.ops.push((at, op));
        if noise.is(60) {
            schedule.ops.push((at + 1, Op::Cut { node, up: Rest::IsLost, down: Rest::IsLost }));
        }
    }
}

/// Connections that break while they hold what they have taken, and brokers that are not trusted for some time.
fn encrypt(schedule: &mut Schedule, noise: &mut Noise) {
    let Schedule { setup, ops } = schedule;
    setup.is_encrypted = true;
    if noise.is(50) {
        // Several requests at a time.
        setup.batch_size = 200;
        setup.in_flight = setup.in_flight.max(3);
    }
    let end = ops.last().map_or(0, |(at, _)| *at);
    for _ in 0..noise.between(1, 4) {
        let near = ops.get(noise.between(0, 60) as usize % ops.len().max(1));
        let mut at = near.map_or(end, |(at, _)| *at);
        let partition = noise.between(0, setup.partitions.unsigned_abs().into()) as i32;
        let node = if partition == setup.partitions { 0 } else { partition % NODES };
        let lasts = noise.pick(&[20, 200, 2500, 9000]);
        if noise.is(40) {
            let how = noise.pick(&[Distrust::AfterHandshake, Distrust::Lasting, Distrust::Passing]);
            ops.push((at, Op::Distrust { node, lasts, how }));
        } else {
            // Nothing is taken off the stream meanwhile.
            ops.push((at, Op::Stall { node, lasts: noise.between(1, 12) }));
            let count = noise.between(2, 8) as u32;
            ops.push((at, Op::Send { partition, spread: 1, count, len: noise.pick(&[60, 150]) }));
            at += noise.between(0, 9);
        }
        let up = noise.pick(&[Rest::Arrives, Rest::Arrives, Rest::ArrivesLate(300), Rest::IsLost]);
        ops.push((at, Op::Cut { node, up, down: Rest::IsLost }));
        if noise.is(40) {
            ops.push((at, Op::Refuse { node, lasts }));
        }
    }
}

fn prepare(setup: &mut Setup, trouble: Trouble, noise: &mut Noise) {
    match trouble {
        Trouble::BadRecords => {
            (setup.refusal, setup.names_culprits) =
                noise.pick(&[(87, true), (87, true), (87, false), (32, false), (32, true), (2, false)]);
        }
        Trouble::BusyPool => setup.is_compressed = true,
        Trouble::Controllers => setup.controllers = noise.between(1, 3) as u16,
        // Batches that are under way beside each other, of one record each.
        Trouble::Backfill | Trouble::Purge | Trouble::Reborn if noise.is(50) => {
            setup.batch_size = 200;
            setup.in_flight = setup.in_flight.max(3);
            if trouble == Trouble::Backfill && noise.is(50) {
                setup.trust = 3_600_000;
            }
        }
        Trouble::FailStop if setup.acks != 0 => setup.is_fail_stop = true,
        Trouble::Idle => setup.max_idle = noise.pick(&[5000, 20_000]),
        _ => {}
    }
}

fn happen(schedule: &mut Schedule, trouble: Trouble, at: u64, noise: &mut Noise) {
    let partition = noise.between(0, schedule.setup.partitions.unsigned_abs().into()) as i32;
    let node = noise.between(0, NODES.unsigned_abs().into()) as i32 % NODES;
    let lasts = noise.pick(&[20, 200, 700, 2500, 9000]);
    let leader = if partition == schedule.setup.partitions { 0 } else { partition % NODES };
    let ops = &mut schedule.ops;
    let send = |count| Op::Send { partition, spread: 1, count, len: 10 };
    match trouble {
        Trouble::BadRecords => {
            let (before, after) = (noise.between(0, 4) as u32, noise.between(0, 4) as u32);
            ops.push((at, Op::BadRecord { partition, before, after }));
        }
        Trouble::Backfill => backfill(ops, at, (partition, leader), noise),
        Trouble::BusyPool => match noise.is(60) {
            true => ops.push((at, Op::BusyPool { lasts: noise.pick(&[lasts, 1_000_000]) })),
            false => ops.push((at, Op::DropWork)),
        },
        Trouble::Close => {
            let has_closed = ops.iter().any(|(_, op)| matches!(op, Op::Close { .. }));
            if !has_closed && noise.is(60) {
                ops.push((at, Op::Close { patience: noise.pick(&[0, 5, 200, 3000, 100_000]) }));
            }
        }
        // The list does it.
        Trouble::Controllers => {}
        // They are beside the others.
        Trouble::Login | Trouble::Sasl | Trouble::Tls | Trouble::Transactions => {}
        Trouble::Idle => idle(ops, at, (partition, leader), noise),
        Trouble::Epochs => epochs(ops, at, partition, node, noise),
        Trouble::FailStop => {
            if noise.is(50) {
                ops.push((at, Op::BadRecord { partition, before: 1, after: 2 }));
            }
            ops.push((at + noise.between(1, 300), Op::Resume));
            ops.push((at + noise.between(1, 300), send(3)));
        }
        Trouble::Hidden => ops.push((at, Op::Hide { lasts })),
        Trouble::Purge => purge(ops, at, (partition, leader), noise),
        Trouble::Quota => {
            let time = noise.pick(&[50, 400, 2000, 6000]);
            ops.push((at, Op::Quota { time, times: noise.pick(&[1, 2, 6]) }));
            ops.push((at + 1, send(2)));
        }
        Trouble::Reborn => reborn(ops, at, partition, node, noise),
        Trouble::Relocation => ops.push((at, Op::Relocate { lasts })),
        Trouble::Replacement => {
            if !ops.iter().any(|(_, op)| matches!(op, Op::Replace)) {
                ops.push((at, Op::Replace));
                ops.push((at + lasts, Op::Send { partition: 0, spread: 4, count: 4, len: 10 }));
            }
        }
        Trouble::StandStill => {
            ops.push((at, send(2)));
            ops.push((at + noise.between(0, 6), Op::Pause { lasts: noise.pick(&[600, 2100, 3000, 11_000]) }));
        }
    }
}

/// Records with old timestamps, whose producer brokers forget.
fn backfill(ops: &mut Vec<(u64, Op)>, at: u64, (partition, leader): (i32, i32), noise: &mut Noise) {
    let (spread, count) = (noise.between(1, 2) as i32, noise.between(1, 6) as u32);
    let age = noise.pick(&[0, 3_600_000, 100_000_000]);
    ops.push((at, Op::Backfill { partition, spread, count, age }));
    if noise.is(50) {
        // All of it is acknowledged, and of what comes next the first is refused.
        let at = at + noise.between(100, 300);
        ops.push((at, Op::Expire));
        ops.push((at, Op::Refusal { node: leader, code: 19, times: 1 }));
        ops.push((at, Op::Send { partition, spread: 1, count: 3, len: 150 }));
    } else if noise.is(70) {
        ops.push((at + noise.between(0, 20), Op::Expire));
        ops.push((at + noise.between(0, 20), Op::Backfill { partition, spread, count, age }));
    }
}

/// What waits for longer than a topic may idle is in use.
fn idle(ops: &mut Vec<(u64, Op)>, at: u64, (partition, leader): (i32, i32), noise: &mut Noise) {
    match noise.between(0, 2) {
        0 => ops.push((at, Op::Leaderless { partition, lasts: noise.pick(&[2500, 9000, 30_000]) })),
        1 => {
            ops.push((at, Op::Refuse { node: leader, lasts: noise.pick(&[9000, 40_000]) }));
            ops.push((at, Op::Cut { node: leader, up: Rest::IsLost, down: Rest::IsLost }));
        }
        _ => {}
    }
    ops.push((at + 1, Op::Send { partition, spread: 1, count: 2, len: 10 }));
}

fn purge(ops: &mut Vec<(u64, Op)>, at: u64, (partition, leader): (i32, i32), noise: &mut Noise) {
    if noise.is(50) {
        // Of batches under way the oldest is refused and waits for another attempt, the others are not read.
        let count = noise.between(2, 6) as u32;
        ops.push((at, Op::Refusal { node: leader, code: 19, times: 1 }));
        ops.push((at, Op::Send { partition, spread: 1, count, len: 150 }));
        ops.push((at + noise.between(1, 3), Op::Freeze { node: leader, lasts: 60 }));
    }
    let purge = (at + noise.between(0, 20), Op::Purge { all: noise.is(70) });
    // The noise is as it was without these, so that other seeds stay what they were.
    if at.is_multiple_of(2) {
        ops.push((purge.0.saturating_sub(at % 5), Op::Withdraw { every: 1 + (at / 2 % 4) as usize }));
    }
    ops.push(purge);
}

/// Clients are told of a leader epoch that no broker knows of later.
fn epochs(ops: &mut Vec<(u64, Op)>, at: u64, partition: i32, node: i32, noise: &mut Noise) {
    let lasts = noise.pick(&[20, 200, 700, 2500, 9000]);
    let send = |count| Op::Send { partition, spread: 1, count, len: 10 };
    ops.push((at, Op::EpochLead { partition, lead: noise.between(1, 10) as i32 }));
    ops.push((at, Op::MetadataError { code: 5, times: 1 }));
    ops.push((at + noise.between(20, 300), send(2)));
    if noise.is(50) {
        ops.push((at + lasts, Op::Crash { node, noticed: 5, lasts: 2500, moves: false }));
    }
    ops.push((at + lasts, Op::Lead { partition, node }));
    ops.push((at + lasts, Op::EpochLead { partition, lead: 0 }));
    ops.push((at + lasts + 1, send(2)));
}

/// A topic is made anew while answers of the old one are late, and what is sent to the new one is refused at first.
fn reborn(ops: &mut Vec<(u64, Op)>, begin: u64, partition: i32, node: i32, noise: &mut Noise) {
    if noise.is(70) {
        return late_answer(ops, begin, partition, noise);
    }
    let mut now = begin;
    let send = |count| Op::Send { partition, spread: 1, count, len: 10 };
    ops.push((now, send(2)));
    now += noise.between(0, 8);
    match noise.between(0, 2) {
        0 => ops.push((now, Op::Slow { node, latency: noise.between(20, 300), lasts: 400 })),
        1 => ops.push((now, Op::Stall { node, lasts: noise.between(20, 300) })),
        _ => ops.push((now, Op::Freeze { node, lasts: noise.between(20, 300) })),
    }
    ops.push((now, send(1)));
    now += noise.between(0, 8);
    ops.push((now, Op::Recreate { lasts: noise.between(1, 40) }));
    for _ in 0..noise.between(1, 3) {
        ops.push((now, send(noise.between(1, 3) as u32)));
        now += noise.between(0, 150);
    }
    ops.push((now, Op::Refusal { node, code: noise.pick(&[19, 3, 100]), times: 1 }));
    ops.push((now, send(2)));
}

/// An answer of the old topic comes when the new one is known, and of the next two batches the first is refused.
fn late_answer(ops: &mut Vec<(u64, Op)>, begin: u64, partition: i32, noise: &mut Noise) {
    // As topics are made.
    let node = partition % NODES;
    let latency = noise.between(100, 300);
    let send = |partition, count, len| Op::Send { partition, spread: 1, count, len };
    ops.push((begin, send(partition, 1, 10)));
    ops.push((begin + noise.between(1, 4), Op::Slow { node, latency, lasts: noise.between(3, 12) }));
    let now = begin + noise.between(8, 20);
    ops.push((now, Op::Recreate { lasts: 1 }));
    ops.push((now + 2, send(partition + 1, 1, 10)));
    let now = begin + latency + noise.between(5, 30);
    ops.push((now, Op::Refusal { node, code: 19, times: 1 }));
    ops.push((now, send(partition, 3, 150)));
}
