//! Crashes by SIGKILL, alone and together.

use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

/// Writes between two crashes, at least and below.
const WRITES: (u64, u64) = (10, 60);

pub(super) const LEADER: Scenario = Scenario {
    name: "kill-leader",
    about: "kill -9 of whoever leads, again and again (5 times, 50 with --all)",
    faults: leader,
    ..USUAL
};

pub(super) const EVERYONE: Scenario = Scenario {
    name: "kill-everyone",
    about: "kill -9 of all nodes at once, again and again (3 times, 20 with --all)",
    faults: everyone,
    ..USUAL
};

fn leader(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(5, 50) {
        let writes = run.rng.between(WRITES.0, WRITES.1);
        run.writes(writes)?;
        let leader = run.leader()?;
        let term = run.term_now();
        run.kill(leader)?;
        // The others go on without it, most times.
        if run.rng.chance(70) {
            let writes = run.rng.between(1, WRITES.0);
            run.writes(writes)?;
        }
        run.start(leader)?;
        run.caught_up(leader)?;
        run.led_after(term)?;
    }
    Ok(())
}

fn everyone(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(3, 20) {
        let writes = run.rng.between(WRITES.0, WRITES.1);
        run.writes(writes)?;
        let term = run.term_now();
        let mut ids = run.cluster.running();
        // The order in which they fall is of the seed.
        while !ids.is_empty() {
            let at = usize::try_from(run.rng.below(ids.len() as u64)).unwrap_or(0);
            run.kill(ids.swap_remove(at))?;
        }
        for id in run.cluster.ids() {
            run.start(id)?;
        }
        run.led_after(term)?;
    }
    Ok(())
}
