//! One restart after the other, as an operator does it.

use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

pub(super) const RESTART: Scenario = Scenario {
    name: "rolling-restart",
    about: "every node is asked to end (SIGTERM) and started again, one after the other",
    faults,
    ..USUAL
};

fn faults(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(2, 20) {
        for id in run.cluster.ids() {
            run.writes(10)?;
            run.terminate(id)?;
            run.writes(10)?;
            run.start(id)?;
            run.caught_up(id)?;
        }
    }
    Ok(())
}
