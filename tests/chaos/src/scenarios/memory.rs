//! Too little memory: the kernel kills the node.

use std::path::{Path, PathBuf};
use std::time::Duration;

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
        let group = Group::make(bytes)?;
        run.may_end.insert(victim, End::Killed);
        run.timeline
            .note("memory limit", &format!("n{victim}: {bytes} bytes"));
        run.start_in(victim, &group.around())?;
        if round == 0 {
            run.ended(victim)?;
        }
        run.stay(TRIES_FOR)?;
        run.writes(10)?;
        if run.cluster.is_running(victim) {
            group.holds(victim)?;
            run.timeline
                .note("lived on little memory", &format!("n{victim}"));
        } else {
            group.has_killed(victim)?;
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

/// A group of processes with a limit; it goes when it is dropped.
struct Group {
    path: PathBuf,
}

impl Group {
    fn make(bytes: u64) -> Result<Self, Failure> {
        // Of the world outside, where this folder is: two runs may go on at once.
        let name = format!(
            "coracle-chaos-{}",
            coracle_client::random_key().unwrap_or_default()
        );
        let path = Path::new(MEMORY_GROUPS).join(name);
        std::fs::create_dir(&path)
            .map_err(|error| Failure::Skipped(format!("no group of processes: {error}")))?;
        let group = Self { path };
        std::fs::write(group.path.join("memory.limit_in_bytes"), bytes.to_string())
            .map_err(|error| Failure::Skipped(format!("no limit of memory: {error}")))?;
        Ok(group)
    }

    /// The kernel must have wanted more than there was.
    fn has_killed(&self, id: u64) -> Result<(), Failure> {
        let told = self.read("memory.oom_control")?;
        let mut lines = told.lines();
        let killed = lines.find_map(|line| line.strip_prefix("oom_kill "));
        match killed.and_then(|count| count.parse().ok()) {
            Some(0_u64) | None => Err(Failure::Violation(format!(
                "n{id} was killed, and not for want of memory: {told}"
            ))),
            Some(_) => Ok(()),
        }
    }

    /// The node must have been in it all the time.
    fn holds(&self, id: u64) -> Result<(), Failure> {
        match self.read("cgroup.procs")?.trim() {
            "" => Err(Failure::harness(
                format!("limit the memory of n{id}"),
                "it is not in its group",
            )),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<String, Failure> {
        std::fs::read_to_string(self.path.join(name))
            .map_err(|error| Failure::harness(format!("read {name}"), error))
    }

    fn around(&self) -> Around {
        let enter = format!(
            "echo $$ > {}/cgroup.procs && exec \"$@\"",
            self.path.display()
        );
        Around {
            before: ["sh", "-c", &enter, "sh"].map(str::to_owned).to_vec(),
            ..Around::default()
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Refused as long as somebody is in it: it is left to the next boot.
        let _gone = std::fs::remove_dir(&self.path);
    }
}
