//! Disks that are full, stand still or are lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::ends::End;
use crate::failure::Failure;
use crate::inside;
use crate::load::Mix;
use crate::program;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};
use crate::tool::{self, Tool};

pub(super) const FULL_FOLLOWER: Scenario = Scenario {
    name: "full-follower",
    about: "a follower's disk gets full to the last byte, and has room again",
    needs: &[Tool::Tmpfs],
    mix: BIG,
    prepare: small_disks,
    faults: full_follower,
    ..USUAL
};

pub(super) const FULL_LEADER: Scenario = Scenario {
    name: "full-leader",
    about: "the leader's disk gets nearly full, then full, and has room again",
    needs: &[Tool::Tmpfs],
    mix: BIG,
    prepare: small_disks,
    faults: full_leader,
    ..USUAL
};

pub(super) const FROZEN: Scenario = Scenario {
    name: "frozen-disk",
    about: "the leader's file system stands still (fsfreeze): another must lead meanwhile",
    needs: &[Tool::Freeze],
    prepare: loop_disks,
    faults: frozen,
    ..USUAL
};

pub(super) const WIPED: Scenario = Scenario {
    name: "wiped-disk",
    about: "a node loses its data, must not start, and is replaced by a new one",
    nodes_at_most: 12,
    faults: wiped,
    ..USUAL
};

/// Values large enough to fill something.
const BIG: Mix = Mix {
    lease_reads: true,
    padding: 8_000,
};

/// Bytes of a small disk, as mount wants them.
const SMALL: &str = "64m";

/// Bytes of a disk that can be frozen.
const LOOP_BYTES: &str = "256M";

/// The low-water mark of [`SMALL_TAIL`](crate::scenario::SMALL_TAIL), in bytes.
const LOW_WATER: u64 = 8 << 20;

/// Less than that.
const NEARLY_FULL: u64 = 4 << 20;

/// How long a full disk stays so, at most.
const FULL_FOR: Duration = Duration::from_secs(10);

/// How long a disk stands still: several election timeouts.
const FROZEN_FOR: Duration = Duration::from_secs(15);

/// What a node says whose disk has no room.
const NO_ROOM: &str = "No space left on device";

/// What a node says that has run before and finds nothing.
const LOST: &str = "but this node has run before: its data is lost";

fn small_disks(run: &mut Run) -> Result<(), Failure> {
    for id in run.cluster.ids() {
        let data = folder(run, id)?;
        let size = format!("size={SMALL}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&data);
        tool::try_out("a small disk", &mut mount)?;
        run.mounts.push(data);
    }
    Ok(())
}

fn loop_disks(run: &mut Run) -> Result<(), Failure> {
    for id in run.cluster.ids() {
        let data = folder(run, id)?;
        let image = run.folder.join(format!("disk-n{id}"));
        let mut truncate = Command::new("truncate");
        program::output(truncate.args(["-s", LOOP_BYTES]).arg(&image))?;
        program::output(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image).arg(&data);
        tool::try_out("a loop device", &mut mount)?;
        for how in ["-f", "-u"] {
            tool::try_out("fsfreeze", Command::new("fsfreeze").arg(how).arg(&data))?;
        }
        run.mounts.push(data);
    }
    Ok(())
}

fn folder(run: &Run, id: u64) -> Result<PathBuf, Failure> {
    let data = std::path::absolute(run.cluster.data(id));
    let data = data.map_err(|error| Failure::harness("find a data folder", error))?;
    std::fs::create_dir_all(&data).map_err(|error| Failure::harness("make a folder", error))?;
    Ok(data)
}

fn full_follower(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(2, 10) {
        run.writes(20)?;
        let leader = run.leader()?;
        let victim = run.other_than(leader)?;
        let said = run.cluster.log(victim).len();
        let filler = fill(run, victim, 0)?;
        run.may_end.insert(victim, End::Failure);
        run.writes(50)?;
        stay_full(run, victim)?;
        was_full(run, victim, said)?;
        empty(run, victim, &filler)?;
        run.caught_up(victim)?;
    }
    Ok(())
}

fn full_leader(run: &mut Run) -> Result<(), Failure> {
    for round in 0..run.times(2, 10) {
        run.writes(20)?;
        let victim = run.leader()?;
        let left = if round % 2 == 0 { NEARLY_FULL } else { 0 };
        let said = run.cluster.log(victim).len();
        let filler = fill(run, victim, left)?;
        run.may_end.insert(victim, End::Failure);
        run.eventually("writes to be refused, or another leader", |run| {
            if run.leader_now().is_some_and(|leader| leader != victim) {
                return Ok(());
            }
            match run.put("filling", "x") {
                Ok(()) => Err("it was applied".to_owned()),
                Err(failure) if failure.to_string().contains("disk") => Ok(()),
                Err(failure) => Err(failure.to_string()),
            }
        })?;
        stay_full(run, victim)?;
        was_full(run, victim, said)?;
        empty(run, victim, &filler)?;
        run.caught_up(victim)?;
    }
    Ok(())
}

/// A node that has ended says that it was for want of room; one that lives has had little of it until
/// now.
fn was_full(run: &mut Run, id: u64, said: usize) -> Result<(), Failure> {
    if !run.cluster.is_running(id) {
        let said = run.said_since(id, said);
        return match said.contains(NO_ROOM) {
            true => Ok(()),
            false => Err(Failure::Violation(format!(
                "n{id} has ended with a full disk without saying so: {said}"
            ))),
        };
    }
    let data = folder(run, id)?;
    match free(&data)? {
        bytes if bytes < LOW_WATER => Ok(()),
        bytes => Err(Failure::harness(
            format!("fill the disk of n{id}"),
            format!("{bytes} bytes are free"),
        )),
    }
}

/// Until the node has ended for want of room, or it has shown that it can live with it.
fn stay_full(run: &mut Run, victim: u64) -> Result<(), Failure> {
    let until = Instant::now() + FULL_FOR;
    while run.cluster.is_running(victim) && Instant::now() < until {
        run.stay(Duration::from_millis(100))?;
    }
    Ok(())
}

/// Leaves so many bytes of a node's disk.
fn fill(run: &mut Run, id: u64, left: u64) -> Result<PathBuf, Failure> {
    run.timeline
        .note("disk full", &format!("n{id}: {left} bytes left"));
    let data = folder(run, id)?;
    let filler = data.join("filler");
    let bytes = free(&data)?.saturating_sub(left);
    // The node writes meanwhile, so that a little too much may be asked for.
    let mut allocate = Command::new("fallocate");
    allocate.args(["-l", &bytes.to_string()]).arg(&filler);
    if program::output(&mut allocate).is_err() {
        let mut again = Command::new("fallocate");
        let bytes = bytes.saturating_sub(1 << 20);
        program::output(again.args(["-l", &bytes.to_string()]).arg(&filler))?;
    }
    Ok(filler)
}

/// Bytes that are free where this is.
fn free(data: &Path) -> Result<u64, Failure> {
    let mut df = Command::new("df");
    let text = program::output(df.args(["--output=avail", "-B1"]).arg(data))?;
    let last = text.lines().last();
    last.and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| Failure::harness("read what df says", &text))
}

/// Gives the room back, and starts the node if it has ended. One whose log has failed takes a moment
/// to end: until it has something that was written since, it may.
fn empty(run: &mut Run, id: u64, filler: &Path) -> Result<(), Failure> {
    std::fs::remove_file(filler).map_err(|error| Failure::harness("empty a disk", error))?;
    run.writes(20)?;
    let all = run.cluster.running().into_iter();
    let applied = all.filter_map(|node| run.status(node).ok());
    let goal = applied
        .map(|status| status.applied_index)
        .max()
        .unwrap_or(0);
    run.eventually(&format!("n{id} to go on with room"), |run| {
        if !run.cluster.is_running(id) {
            run.start(id).map_err(|failure| failure.to_string())?;
        }
        match run.status(id)?.applied_index {
            index if index >= goal => Ok(()),
            index => Err(format!("it is at index {index}, the goal is {goal}")),
        }
    })?;
    run.may_end.remove(&id);
    Ok(())
}

fn frozen(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(2, 10) {
        run.writes(20)?;
        let victim = run.leader()?;
        let mut others = run.cluster.running();
        others.retain(|id| *id != victim);
        let data = folder(run, victim)?;
        run.timeline.note("disk frozen", &format!("n{victim}"));
        let begin = Instant::now();
        inside::freeze(&data, FROZEN_FOR)?;
        run.may_end.insert(victim, End::Failure);
        run.leader_among(Some(&others))?;
        run.writes(20)?;
        if begin.elapsed() >= FROZEN_FOR {
            return Err(Failure::Violation(format!(
                "n{victim} led on with a disk that stood still for {} s",
                FROZEN_FOR.as_secs()
            )));
        }
        run.stay(FROZEN_FOR.saturating_sub(begin.elapsed()) + Duration::from_secs(1))?;
        run.may_end.remove(&victim);
        if !run.cluster.is_running(victim) {
            run.start(victim)?;
        }
        run.caught_up(victim)?;
    }
    Ok(())
}

fn wiped(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(1, 5) {
        run.writes(20)?;
        let ids = run.cluster.running();
        let victim = run.rng.pick(&ids).copied().unwrap_or(1);
        run.kill(victim)?;
        run.may_end.insert(victim, End::Failure);
        run.timeline.note("disk wiped", &format!("n{victim}"));
        let wiped = std::fs::remove_dir_all(run.data(victim));
        wiped.map_err(|error| Failure::harness("wipe a disk", error))?;
        let before = run.cluster.log(victim).len();
        run.start(victim)?;
        run.ended(victim)?;
        let said = run.said_since(victim, before);
        if !said.contains(LOST) {
            return Err(Failure::Violation(format!(
                "n{victim} has lost its memory, and ended without saying so: {said}"
            )));
        }
        let new = run.join("learner")?;
        let (old_name, new_name) = (format!("n{victim}"), format!("n{new}"));
        run.eventually("the replacement", |run| {
            let replaced = run
                .cluster
                .coracle(&["members", "replace", &old_name, &new_name]);
            replaced.map(drop).map_err(|failure| failure.to_string())
        })?;
        run.timeline
            .note("replaced", &format!("n{victim} by n{new}"));
        run.caught_up(new)?;
    }
    Ok(())
}
