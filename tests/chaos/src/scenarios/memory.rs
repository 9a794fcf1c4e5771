//! Too little memory: the kernel kills the node.

use std::time::Duration;

use super::group::Group;
use crate::cluster::Around;
use crate::ends::End;
use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};
use crate::tool::{MEMORY_GROUPS, Tool};

pub(super) const LIMIT: Scenario = Scenario {
    name: "memory-limit",
    about: "a node is started with so little memory that the kernel may kill it at any point",
    needs: &[Tool::MemoryGroup],
    faults,
    ..USUAL
};

/// Bytes that a node may use: from too few to begin with to hardly enough.
const BYTES: (u64, u64) = (4 << 20, 20 << 20);

/// How long it may try.
const TRIES_FOR: Duration = Duration::from_secs(4);

fn faults(run: &mut Run) -> Result<(), Failure> {
    for round in 0..run.times(4, 40) {
        run.writes(10)?;
        let leader = run.leader()?;
        let victim = if run.rng.chance(50) {
            leader
        } else {
            run.other_than(leader)?
        };
        run.kill(victim)?;
        // The first time always with too few.
        let bytes = if round == 0 {
            BYTES.0
        } else {
            run.rng.between(BYTES.0, BYTES.1)
        };
        let group = limited(bytes)?;
        run.may_end.insert(victim, End::Killed);
        run.timeline
            .note("memory limit", &format!("n{victim}: {bytes} bytes"));
        run.start_in(victim, &around(&group))?;
        if round == 0 {
            run.ended(victim)?;
        }
        run.stay(TRIES_FOR)?;
        run.writes(10)?;
        if run.cluster.is_running(victim) {
            holds(&group, victim)?;
            run.timeline
                .note("lived on little memory", &format!("n{victim}"));
        } else {
            has_killed(&group, victim)?;
            run.timeline
                .note("killed for memory", &format!("n{victim}"));
        }
        run.kill(victim)?;
        run.start(victim)?;
        run.may_end.remove(&victim);
        run.caught_up(victim)?;
    }
    Ok(())
}

/// A group with so much memory.
fn limited(bytes: u64) -> Result<Group, Failure> {
    let group = Group::make(MEMORY_GROUPS)?;
    group.limit("memory.limit_in_bytes", &bytes.to_string())?;
    Ok(group)
}

fn around(group: &Group) -> Around {
    let enter = format!("echo $$ > {} && exec \"$@\"", group.processes().display());
    Around {
        before: ["sh", "-c", &enter, "sh"].map(str::to_owned).to_vec(),
        ..Around::default()
    }
}

/// The kernel must have wanted more than there was.
fn has_killed(group: &Group, id: u64) -> Result<(), Failure> {
    match group.count("memory.oom_control", "oom_kill")? {
        0 => Err(Failure::Violation(format!(
            "n{id} was killed, and not for want of memory"
        ))),
        _ => Ok(()),
    }
}

/// The node must have been in it all the time.
fn holds(group: &Group, id: u64) -> Result<(), Failure> {
    match group.read("cgroup.procs")?.trim() {
        "" => Err(Failure::harness(
            format!("limit the memory of n{id}"),
            "it is not in its group",
        )),
        _ => Ok(()),
    }
}
