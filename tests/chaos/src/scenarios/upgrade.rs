//! Another plugin while nodes fall.

use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

pub(super) const UNDER_KILLS: Scenario = Scenario {
    name: "upgrade",
    about: "kv becomes kv-v2 while the nodes that lead are killed",
    faults,
    ..USUAL
};

fn faults(run: &mut Run) -> Result<(), Failure> {
    run.writes(50)?;
    let before = run.leader()?;
    let old = run.eventually("the plugin's name", |run| {
        run.status(before).map(|status| status.plugin)
    })?;
    let path = run.plugin("kv-v2").to_string_lossy().into_owned();
    let command = ["upgrade", crate::load::FSM, path.as_str()];
    let mut asked = run.beside(&command)?;
    for _ in 0..run.times(3, 10) {
        let writes = run.rng.between(1, 20);
        run.writes(writes)?;
        let leader = run.leader()?;
        run.kill(leader)?;
        run.writes(5)?;
        run.start(leader)?;
        run.caught_up(leader)?;
    }
    // Its answer may have been lost with a node; asking again is the same request.
    run.eventually("the upgrade", |run| match asked.try_wait() {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => {
            asked = run
                .beside(&command)
                .map_err(|failure| failure.to_string())?;
            Err(format!("coracle upgrade ended with {status}"))
        }
        Ok(None) => Err("it goes on".to_owned()),
        Err(error) => Err(error.to_string()),
    })?;
    for id in run.cluster.ids() {
        run.eventually("the new plugin everywhere", |run| {
            let now = run.status(id)?.plugin;
            if now == old {
                return Err(format!("n{id} still runs {now}"));
            }
            Ok(())
        })?;
    }
    run.timeline.note("upgrade", "kv to kv-v2");
    run.writes(50)
}
