//! Transfers of snapshots that break off.

use std::time::Duration;

use crate::failure::Failure;
use crate::load::Mix;
use crate::network::apart;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

pub(super) const INTERRUPTED: Scenario = Scenario {
    name: "snapshot-interrupted",
    about: "a node gets its state by a slow snapshot, and it, the sender or the line fails meanwhile",
    settings: SLOW_SNAPSHOTS,
    mix: Mix {
        lease_reads: true,
        padding: PADDING,
    },
    faults,
    ..USUAL
};

/// Bytes added to each value: a state of a megabyte or two.
const PADDING: usize = 4_000;

/// Keys that make the state large from the start.
const KEYS: u64 = 250;

/// A transfer takes several seconds.
const SLOW_SNAPSHOTS: &str = "
[snapshot]
entries = 100
retained_entries = 20
rate_bytes = 200000

[storage]
ballast_bytes = 1048576
low_water_bytes = 8388608
";

/// How long a transfer goes on before it breaks off, in milliseconds.
const TRANSFER_MS: (u64, u64) = (100, 3_000);

fn faults(run: &mut Run) -> Result<(), Failure> {
    for key in 0..KEYS {
        run.put(&format!("filling-{key}"), &"x".repeat(PADDING))?;
    }
    for _ in 0..run.times(1, 5) {
        let leader = run.leader()?;
        let victim = run.other_than(leader)?;
        run.kill(victim)?;
        let before = run.eventually("the leader's log", |run| {
            Ok(run.status(leader)?.applied_index)
        })?;
        run.eventually("the log to be cut past what the victim has", |run| {
            let first = run.status(leader)?.first_index;
            if first > before + 1 {
                return Ok(());
            }
            Err(format!("it begins at {first}, the victim has {before}"))
        })?;
        run.start(victim)?;
        for _ in 0..run.times(4, 20) {
            let time = run.rng.between(TRANSFER_MS.0, TRANSFER_MS.1);
            run.stay(Duration::from_millis(time))?;
            interrupt(run, victim)?;
        }
        run.caught_up(victim)?;
    }
    Ok(())
}

fn interrupt(run: &mut Run, victim: u64) -> Result<(), Failure> {
    run.timeline
        .note("interrupt", &format!("a transfer to n{victim}"));
    match run.rng.below(4) {
        0 => {
            let leader = run.leader()?;
            if leader != victim {
                run.kill(leader)?;
                run.start(leader)?;
            }
            Ok(())
        }
        1 if crate::program::Tool::Nft.check().is_ok() => {
            let mut others = run.cluster.running();
            others.retain(|id| *id != victim);
            run.cut("partition", &apart(&[victim], &others))?;
            let time = run.rng.between(100, 3_000);
            run.stay(Duration::from_millis(time))?;
            run.heal()
        }
        _ => {
            run.kill(victim)?;
            run.start(victim)
        }
    }
}
