//! Processes that stand still, and wake up believing that no time has passed.

use std::time::Duration;

use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

/// How long one stands still, in milliseconds: below an election timeout to well above a lease.
const PAUSE_MS: (u64, u64) = (300, 4_000);

pub(super) const LEADER: Scenario = Scenario {
    name: "pause",
    about: "whoever leads, a follower or all stand still (SIGSTOP), mostly past the lease",
    faults,
    ..USUAL
};

fn faults(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(6, 60) {
        let writes = run.rng.between(5, 30);
        run.writes(writes)?;
        let leader = run.leader()?;
        let still = match run.rng.below(10) {
            0..7 => vec![leader],
            7..9 => vec![run.other_than(leader)?],
            _ => run.cluster.running(),
        };
        for id in &still {
            run.pause(*id)?;
        }
        if still == [leader] && run.rng.chance(60) {
            // It wakes up past its lease, to questions that were asked after others had been told of
            // newer values.
            let others = run.awake();
            run.leader_among(Some(&others))?;
            run.writes(20)?;
        } else {
            let time = run.rng.between(PAUSE_MS.0, PAUSE_MS.1);
            run.stay(Duration::from_millis(time))?;
        }
        for id in &still {
            run.resume(*id)?;
        }
    }
    Ok(())
}
