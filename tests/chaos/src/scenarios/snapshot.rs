//! Transfers of snapshots that break off.

use std::time::{Duration, Instant};

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
    bound_all: Duration::from_secs(1_800),
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
const TRANSFER_MS: (u64, u64) = (50, 1_500);

/// Time for a transfer that broke off to go on, before another is brought about.
const GOES_ON: Duration = Duration::from_secs(4);

fn faults(run: &mut Run) -> Result<(), Failure> {
    for key in 0..KEYS {
        // What the line cannot make shorter: the rate counts what is sent.
        let value: String = (0..PADDING).map(|_| letter(run)).collect();
        run.put(&format!("filling-{key}"), &value)?;
    }
    for _ in 0..run.times(1, 5) {
        let leader = run.leader()?;
        let victim = run.other_than(leader)?;
        let mut broken = 0;
        for _ in 0..run.times(4, 20) {
            transfer(run, victim)?;
            let time = run.rng.between(TRANSFER_MS.0, TRANSFER_MS.1);
            run.stay(Duration::from_millis(time))?;
            let moving = run.receives_snapshot(victim);
            interrupt(run, victim)?;
            if moving {
                broken += 1;
                run.timeline
                    .note("broken off", &format!("a transfer to n{victim}"));
            }
        }
        if broken == 0 {
            let why = "none was on its way";
            return Err(Failure::harness("break off a transfer", why));
        }
        run.caught_up(victim)?;
    }
    Ok(())
}

fn letter(run: &mut Run) -> char {
    const LETTERS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    run.rng.pick(LETTERS).copied().map_or('x', char::from)
}

/// Waits for a transfer to this node; if none goes on, it is away until the log has been cut past what
/// it has.
fn transfer(run: &mut Run, victim: u64) -> Result<(), Failure> {
    let until = Instant::now() + GOES_ON;
    while Instant::now() < until {
        if run.receives_snapshot(victim) {
            return Ok(());
        }
        run.stay(Duration::from_millis(25))?;
    }
    run.kill(victim)?;
    let before = run.eventually("what the others have", |run| {
        let leader = run.leader_now().ok_or("nobody leads")?;
        Ok(run.status(leader)?.applied_index)
    })?;
    run.eventually("the log to be cut past what the victim has", |run| {
        let leader = run.leader_now().ok_or("nobody leads")?;
        let first = run.status(leader)?.first_index;
        if first > before + 1 {
            return Ok(());
        }
        Err(format!("it begins at {first}, the victim has {before}"))
    })?;
    run.start(victim)?;
    run.eventually("a transfer to begin", |run| {
        match run.receives_snapshot(victim) {
            true => Ok(()),
            false => Err(format!("n{victim} gets none")),
        }
    })
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
        1 if crate::tool::Tool::Nft.check().is_ok() => {
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
