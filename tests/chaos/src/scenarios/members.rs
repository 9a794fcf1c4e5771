//! Nodes that come and go while others fall.

use crate::ends::End;
use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

pub(super) const CHURN: Scenario = Scenario {
    name: "churn",
    about: "nodes join, replace others or leave, while whoever leads, or another, is killed",
    nodes_at_most: 12,
    faults,
    ..USUAL
};

/// Joins in the short form and in the long one; ids are never used again.
const JOINS: (u64, u64) = (2, 9);

fn faults(run: &mut Run) -> Result<(), Failure> {
    for round in 0..run.times(JOINS.0, JOINS.1) {
        run.writes(10)?;
        let role = if round % 2 == 0 { "learner" } else { "voter" };
        let new = run.join(role)?;
        let mut ids = run.cluster.running();
        ids.retain(|id| *id != new);
        let old = run.rng.pick(&ids).copied().unwrap_or(1);
        let (old_name, new_name) = (format!("n{old}"), format!("n{new}"));
        run.may_end.insert(old, End::Failure);
        let command = if role == "learner" {
            ["members", "replace", &old_name, &new_name].to_vec()
        } else {
            ["members", "remove", &old_name].to_vec()
        };
        run.timeline.note("change of members", &command.join(" "));
        let mut asked = run.beside(&command)?;
        // At least once in a run.
        if round == 0 || run.rng.chance(60) {
            let leader = run.leader()?;
            let other = || {
                run.cluster
                    .running()
                    .into_iter()
                    .find(|id| ![old, new].contains(id))
            };
            let victim = if leader == old { other() } else { Some(leader) };
            if let Some(victim) = victim {
                run.kill(victim)?;
                run.writes(1)?;
                run.start(victim)?;
            }
        }
        run.eventually("the change of members", |run| {
            if !run.cluster.is_running(old) {
                return Ok(());
            }
            match asked.try_wait() {
                Ok(None) => Err("it goes on".to_owned()),
                Ok(Some(status)) if status.success() => Err(format!("n{old} still runs")),
                Ok(Some(status)) => {
                    // Its answer may have been lost; asking again is the same request.
                    asked = run
                        .beside(&command)
                        .map_err(|failure| failure.to_string())?;
                    Err(format!("the command ended with {status}"))
                }
                Err(error) => Err(error.to_string()),
            }
        })?;
        let _ended = asked.kill().and_then(|()| asked.wait());
        run.eventually("the new members", |run| {
            let members = run.voters()?;
            match (members.contains(&new), members.contains(&old)) {
                (true, false) => Ok(()),
                _ => Err(format!("the voters are {members:?}")),
            }
        })?;
        run.timeline.note("removed", &old_name);
        run.caught_up(new)?;
    }
    Ok(())
}
