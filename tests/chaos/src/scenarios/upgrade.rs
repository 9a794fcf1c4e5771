//! Another plugin while nodes fall, or are restarted.

use std::process::Child;

use crate::failure::Failure;
use crate::load::FSM;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

pub(super) const UNDER_KILLS: Scenario = Scenario {
    name: "upgrade",
    about: "kv becomes kv-v2 while the nodes that lead are killed",
    faults: under_kills,
    ..USUAL
};

pub(super) const WHILE_RESTARTING: Scenario = Scenario {
    name: "rolling-upgrade",
    about: "kv becomes kv-v2 while every node is asked to end and started again, one after the other",
    faults: while_restarting,
    ..USUAL
};

fn under_kills(run: &mut Run) -> Result<(), Failure> {
    run.writes(50)?;
    let mut upgrade = Upgrade::ask(run)?;
    for _ in 0..run.times(3, 10) {
        let writes = run.rng.between(1, 20);
        run.writes(writes)?;
        let leader = run.leader()?;
        run.kill(leader)?;
        run.writes(5)?;
        run.start(leader)?;
        run.caught_up(leader)?;
    }
    upgrade.finish(run)?;
    run.writes(50)
}

/// Asked for at any moment: while all run, or while one is down that then has to get the plugin.
fn while_restarting(run: &mut Run) -> Result<(), Failure> {
    run.writes(50)?;
    let ids = run.cluster.ids();
    let (first, down) = (run.rng.pick(&ids).copied(), run.rng.chance(50));
    let mut upgrade = None;
    for round in 0..run.times(1, 6) {
        for id in &ids {
            let now = round == 0 && first == Some(*id);
            if now && !down {
                upgrade = Some(Upgrade::ask(run)?);
            }
            run.terminate(*id)?;
            if now && down {
                upgrade = Some(Upgrade::ask(run)?);
            }
            let writes = run.rng.between(1, 20);
            run.writes(writes)?;
            run.start(*id)?;
            run.caught_up(*id)?;
        }
    }
    if let Some(mut upgrade) = upgrade {
        upgrade.finish(run)?;
    }
    run.writes(50)
}

/// An upgrade of the load's fsm that goes on beside the faults.
struct Upgrade {
    old: String,
    path: String,
    asked: Child,
}

impl Upgrade {
    fn ask(run: &mut Run) -> Result<Self, Failure> {
        let leader = run.leader()?;
        let old = run.eventually("the plugin's name", |run| {
            run.status(leader).map(|status| status.plugin)
        })?;
        let path = run.plugin("kv-v2").to_string_lossy().into_owned();
        let asked = run.beside(&["upgrade", FSM, &path])?;
        run.timeline.note("upgrade", "kv to kv-v2");
        Ok(Self { old, path, asked })
    }

    /// Waits until every node runs the new plugin.
    fn finish(&mut self, run: &mut Run) -> Result<(), Failure> {
        // Its answer may have been lost with a node; asking again is the same request.
        run.eventually("the upgrade", |run| match self.asked.try_wait() {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => {
                let again = run.beside(&["upgrade", FSM, &self.path]);
                self.asked = again.map_err(|failure| failure.to_string())?;
                Err(format!("coracle upgrade ended with {status}"))
            }
            Ok(None) => Err("it goes on".to_owned()),
            Err(error) => Err(error.to_string()),
        })?;
        for id in run.cluster.ids() {
            run.eventually("the new plugin everywhere", |run| {
                let now = run.status(id)?.plugin;
                if now == self.old {
                    return Err(format!("n{id} still runs {now}"));
                }
                Ok(())
            })?;
        }
        run.timeline.note("upgraded", "on every node");
        Ok(())
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ended = self.asked.kill().and_then(|()| self.asked.wait());
    }
}
