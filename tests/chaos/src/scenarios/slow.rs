//! A node that is slow and not dead.

use std::time::Duration;

use super::group::Group;
use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};
use crate::tool::{PROCESSOR_GROUPS, Tool};

pub(super) const PROCESSOR: Scenario = Scenario {
    name: "slow-node",
    about: "whoever leads, or another, gets a small share of a processor and has it all back later",
    needs: &[Tool::ProcessorGroup],
    faults,
    ..USUAL
};

/// Of a tenth of a second, the microseconds that a slow node may run: too little to lead with, to
/// hardly enough.
const PERIOD: u64 = 100_000;
const QUOTA: (u64, u64) = (2_000, 20_000);

/// How long it is slow, in milliseconds: many elections.
const SLOW_MS: (u64, u64) = (3_000, 8_000);

fn faults(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(4, 40) {
        run.writes(15)?;
        let leader = run.leader()?;
        let victim = if run.rng.chance(75) {
            leader
        } else {
            run.other_than(leader)?
        };
        let quota = run.rng.between(QUOTA.0, QUOTA.1);
        let group = Group::make(PROCESSOR_GROUPS)?;
        group.limit("cpu.cfs_period_us", &PERIOD.to_string())?;
        group.limit("cpu.cfs_quota_us", &quota.to_string())?;
        group.take(run.cluster.process(victim)?)?;
        run.timeline
            .note("slow", &format!("n{victim}: {quota} of {PERIOD} us"));
        let time = run.rng.between(SLOW_MS.0, SLOW_MS.1);
        run.stay(Duration::from_millis(time))?;
        // With it or without it, the others are enough.
        run.writes(15)?;
        run.eventually(&format!("n{victim} to be held back"), |_| {
            match group.count("cpu.stat", "nr_throttled") {
                Ok(0) => Err("it was never".to_owned()),
                Ok(_) => Ok(()),
                Err(failure) => Err(failure.to_string()),
            }
        })?;
        group.limit("cpu.cfs_quota_us", "-1")?;
        run.caught_up(victim)?;
        run.writes(5)?;
    }
    Ok(())
}
