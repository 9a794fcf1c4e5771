//! Clocks that jump or keep another pace, by libfaketime.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::Around;
use crate::failure::Failure;
use crate::load::Mix;
use crate::program::{Tool, faketime_library};
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

pub(super) const JUMP: Scenario = Scenario {
    name: "clock-jump",
    about: "the wall clock of one node after the other jumps by up to an hour, forth and back",
    needs: &[Tool::Faketime],
    prepare: |run| start_all(run, false),
    faults: jump,
    ..USUAL
};

pub(super) const PACE: Scenario = Scenario {
    name: "clock-pace",
    about: "nodes whose clocks, the monotonic one too, run at half to double speed; no lease reads",
    needs: &[Tool::Faketime],
    mix: Mix {
        lease_reads: false,
        padding: 0,
    },
    prepare: |run| start_all(run, true),
    faults: pace,
    ..USUAL
};

/// Seconds of a jump, at most.
const JUMP_SECONDS: u64 = 3_600;

/// Until libfaketime looks into its file again, and then some.
const SETTLE: Duration = Duration::from_millis(1_500);

fn file(run: &Run, id: u64) -> PathBuf {
    run.folder.join(format!("clock-n{id}"))
}

fn start_all(run: &mut Run, monotonic: bool) -> Result<(), Failure> {
    for id in run.cluster.ids() {
        set(run, id, "+0")?;
        let around = around(run, id, monotonic)?;
        run.start_in(id, &around)?;
    }
    Ok(())
}

fn around(run: &Run, id: u64, monotonic: bool) -> Result<Around, Failure> {
    let library = faketime_library().unwrap_or_default();
    let still = if monotonic { "0" } else { "1" };
    let file = std::path::absolute(file(run, id));
    let file = file.map_err(|error| Failure::harness("find the file of a clock", error))?;
    let variables = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", &*file.to_string_lossy()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", still),
    ];
    Ok(Around {
        before: Vec::new(),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    })
}

fn set(run: &Run, id: u64, how: &str) -> Result<(), Failure> {
    std::fs::write(file(run, id), format!("{how}\n"))
        .map_err(|error| Failure::harness("set a clock", error))
}

fn jump(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(6, 60) {
        let ids = run.cluster.running();
        let id = run.rng.pick(&ids).copied().unwrap_or(1);
        let seconds = run.rng.between(1, JUMP_SECONDS);
        let how = match run.rng.below(3) {
            0 => format!("+{seconds}"),
            1 => format!("-{seconds}"),
            _ => "+0".to_owned(),
        };
        run.timeline.note("clock jump", &format!("n{id}: {how}"));
        set(run, id, &how)?;
        run.stay(SETTLE)?;
        run.writes(5)?;
        if run.rng.chance(30) {
            // It starts with a clock that is wrong already.
            run.kill(id)?;
            let around = around(run, id, false)?;
            run.start_in(id, &around)?;
            run.caught_up(id)?;
        }
    }
    Ok(())
}

fn pace(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(3, 30) {
        let ids = run.cluster.running();
        let id = run.rng.pick(&ids).copied().unwrap_or(1);
        // A pace holds for a life: a monotonic clock never goes back.
        let tenths = run.rng.between(5, 21);
        let how = format!("+0 x{}.{}", tenths / 10, tenths % 10);
        run.timeline.note("clock pace", &format!("n{id}: {how}"));
        run.kill(id)?;
        set(run, id, &how)?;
        let around = around(run, id, true)?;
        run.start_in(id, &around)?;
        run.caught_up(id)?;
        run.writes(20)?;
    }
    Ok(())
}
