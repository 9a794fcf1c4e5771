//! Crashes and errors exactly at an fsync, counted by strace.
//!
//! The count is that of each thread: the log writer has nearly all of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::{Around, Cluster};
use crate::ends::{End, is_kill};
use crate::failure::Failure;
use crate::program::Tool;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};

/// The first so many fsyncs of a life.
const POINTS: u64 = 200;

/// Points of the short form.
const SAMPLE: u64 = 4;

/// Fsyncs of a first start that are looked at; there are fewer.
const FIRST: u64 = 40;

/// How long an fsync that has been done is held up, so that the node can be killed before it knows.
/// The tracer cannot let go of the dead earlier.
const HELD_SECONDS: u64 = 2;

/// A thread that stands still in so many looks is the one that is held up; others only wait for
/// strace.
const LOOKS: u64 = 6;

pub(super) const BEFORE: Scenario = Scenario {
    name: "crash-before-fsync",
    about: "a node is killed exactly before its Nth fsync (4 points of 200, all with --all)",
    needs: &[Tool::Strace],
    bound_all: Duration::from_secs(3_600),
    faults: before,
    ..USUAL
};

pub(super) const AFTER: Scenario = Scenario {
    name: "crash-after-fsync",
    about: "a node is killed when its Nth fsync is done and it does not know yet (4 points of 200)",
    needs: &[Tool::Strace],
    bound_all: Duration::from_secs(3_600),
    faults: after,
    ..USUAL
};

pub(super) const FIRST_START: Scenario = Scenario {
    name: "crash-at-first-start",
    about: "a new node is killed before its Nth fsync; started again it must serve",
    needs: &[Tool::Strace],
    prepare: first_start,
    faults: |run| run.writes(10),
    ..USUAL
};

pub(super) const ERROR: Scenario = Scenario {
    name: "fsync-error",
    about: "the Nth fsync of a node fails with EIO (4 points of 200)",
    needs: &[Tool::Strace],
    bound_all: Duration::from_secs(3_600),
    faults: error,
    ..USUAL
};

/// What happens at an fsync.
#[derive(Debug, Clone, Copy)]
enum At {
    Before,
    After,
    Error,
}

fn before(run: &mut Run) -> Result<(), Failure> {
    points(run, At::Before)
}

fn after(run: &mut Run) -> Result<(), Failure> {
    points(run, At::After)
}

fn error(run: &mut Run) -> Result<(), Failure> {
    points(run, At::Error)
}

fn points(run: &mut Run, at: At) -> Result<(), Failure> {
    let all = 1..=POINTS;
    let chosen: Vec<u64> = if run.all {
        all.collect()
    } else {
        // One of each quarter.
        let quarter = POINTS / SAMPLE;
        (0..SAMPLE)
            .map(|part| {
                run.rng
                    .between(part * quarter + 1, (part + 1) * quarter + 1)
            })
            .collect()
    };
    for point in chosen {
        let leader = run.leader()?;
        let victim = if run.rng.chance(40) {
            leader
        } else {
            run.other_than(leader)?
        };
        run.kill(victim)?;
        let trace = run.folder.join("strace");
        let _gone = std::fs::remove_file(&trace);
        match at {
            At::Before => drop(run.may_end.insert(victim, End::Killed)),
            At::Error => drop(run.may_end.insert(victim, End::Failure)),
            // It is we who kill it.
            At::After => {}
        }
        let before = run.cluster.log(victim).len();
        let around = around(&trace, at, point);
        run.start_in(victim, &around)?;
        match at {
            At::Before => run.ended(victim)?,
            At::After => {
                held(run, victim)?;
                run.kill(victim)?;
            }
            At::Error => {
                injected(run, &trace, victim)?;
                failed(run, &trace, victim, before)?;
            }
        }
        run.timeline
            .note(named(at), &format!("n{victim} at fsync {point}"));
        run.may_end.remove(&victim);
        if !run.cluster.is_running(victim) {
            run.start(victim)?;
        }
        run.caught_up(victim)?;
    }
    Ok(())
}

fn named(at: At) -> &'static str {
    match at {
        At::Before => "crash before fsync",
        At::After => "crash after fsync",
        At::Error => "fsync error",
    }
}

fn around(trace: &Path, at: At, point: u64) -> Around {
    let what = match at {
        At::Before => "signal=KILL".to_owned(),
        At::After => format!("delay_exit={}", HELD_SECONDS * 1_000_000),
        At::Error => "error=EIO".to_owned(),
    };
    let inject = format!("inject=fsync,fdatasync:{what}:when={point}");
    let mut before: Vec<String> = ["strace", "-D", "-f", "-qq"].map(str::to_owned).to_vec();
    // With it only these calls stop, and nothing else is slower; but it swallows the signal.
    if !matches!(at, At::Before) {
        before.push("--seccomp-bpf".to_owned());
    }
    before.extend(["-y", "-o"].map(str::to_owned));
    before.push(trace.to_string_lossy().into_owned());
    before.extend(["-e", "trace=fsync,fdatasync", "-e", &inject, "--"].map(str::to_owned));
    Around {
        before,
        ..Around::default()
    }
}

/// Waits until a thread is held up after its fsync.
fn held(run: &mut Run, victim: u64) -> Result<(), Failure> {
    let tasks = run
        .processes()?
        .join(format!("{}/task", run.cluster.process(victim)?));
    let mut still: BTreeMap<OsString, u64> = BTreeMap::new();
    run.eventually("the fsync that is held up", |run| {
        if !run.cluster.is_running(victim) {
            return Err(format!("n{victim} has ended"));
        }
        let stopped = stopped_threads(&tasks);
        still.retain(|thread, _| stopped.contains(thread));
        for thread in stopped {
            let looks = still.entry(thread).or_default();
            *looks += 1;
            if *looks >= LOOKS {
                return Ok(());
            }
        }
        Err("no thread stands still".to_owned())
    })
}

/// The threads of a process that its tracer has stopped.
fn stopped_threads(tasks: &Path) -> Vec<OsString> {
    let Ok(threads) = std::fs::read_dir(tasks) else {
        return Vec::new();
    };
    let stopped = threads.flatten().filter(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        state.starts_with('t')
    });
    stopped.map(|thread| thread.file_name()).collect()
}

/// Waits until strace has done what it was told to.
fn injected(run: &mut Run, trace: &Path, victim: u64) -> Result<(), Failure> {
    run.eventually("the fsync", |run| {
        let text = std::fs::read_to_string(trace).unwrap_or_default();
        if text.contains("(INJECTED)") || text.contains("(DELAYED)") {
            return Ok(());
        }
        if !run.cluster.is_running(victim) {
            return Ok(());
        }
        Err(format!("{} were done", text.lines().count()))
    })
}

/// Time for a node to end after an fsync has failed.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// What a node says whose fsync has failed.
const REASON: &str = "Input/output error";

/// Of the log: it must end, and say why. Of another file: it may go on.
fn failed(run: &mut Run, trace: &Path, victim: u64, before: usize) -> Result<(), Failure> {
    let until = std::time::Instant::now() + ENDS_WITHIN;
    while run.cluster.is_running(victim) && std::time::Instant::now() < until {
        run.stay(Duration::from_millis(100))?;
    }
    if !run.cluster.is_running(victim) {
        let said = run.said_since(victim, before);
        if said.contains(REASON) {
            return Ok(());
        }
        return Err(Failure::Violation(format!(
            "n{victim} has ended after a failed fsync without saying so: {said}"
        )));
    }
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    let file = injected_file(&text);
    let data = std::fs::canonicalize(run.data(victim));
    let data = data.map_err(|error| Failure::harness("find a data folder", error))?;
    if of_the_log(file.as_deref(), &data) {
        return Err(Failure::Violation(format!(
            "n{victim} goes on after a failed fsync of its log ({file:?})"
        )));
    }
    run.timeline
        .note("survived", &format!("n{victim}: {file:?}"));
    run.kill(victim)
}

/// Whether a node must not go on after this could not be made durable. What strace did not name
/// counts as the log.
fn of_the_log(file: Option<&Path>, data: &Path) -> bool {
    file.is_none_or(|file| file == data || file.starts_with(data.join("log")))
}

/// The file whose fsync was made to fail, in what strace wrote. A call during which another thread
/// had one is written in two lines, of which only the first names the file.
fn injected_file(trace: &str) -> Option<PathBuf> {
    let lines: Vec<&str> = trace.lines().collect();
    let at = lines.iter().position(|line| line.contains("(INJECTED)"))?;
    let thread = lines[at].split_whitespace().next()?;
    let of_thread = |line: &&&str| line.split_whitespace().next() == Some(thread);
    let call = lines[..=at]
        .iter()
        .rev()
        .filter(of_thread)
        .find(|line| !line.contains(" resumed>"))?;
    let (_, rest) = call.split_once("sync(")?;
    let (_, rest) = rest.split_once('<')?;
    rest.split_once('>').map(|(path, _)| PathBuf::from(path))
}

/// Before the cluster: one new node after the other, each alone.
fn first_start(run: &mut Run) -> Result<(), Failure> {
    for point in 1..=FIRST {
        let folder = run.folder.join(format!("first-{point}"));
        let binary = run.cluster.binary().to_owned();
        let logs = run.folder.join("logs");
        let mut alone = Cluster::lay_out(&binary, &folder, &logs, 1, "")?;
        let trace = run.folder.join("strace");
        alone.start_in(1, &around(&trace, At::Before, point))?;
        let survived = run.eventually("the first start to be over", |run| {
            if let Ok(Some(status)) = alone.ended(1) {
                return Ok(Some(status));
            }
            if run.leads_itself() {
                Ok(None)
            } else {
                Err("not yet".to_owned())
            }
        })?;
        if let Some(status) = survived.filter(|status| !is_kill(*status)) {
            let log = alone.log(1);
            let last = log.lines().last().unwrap_or_default();
            return Err(Failure::Violation(format!(
                "a first start ended with {status}: {last}"
            )));
        }
        let survived = survived.is_none();
        if !survived {
            run.timeline
                .note("crash at first start", &format!("before fsync {point}"));
            alone.start(1)?;
            run.eventually(
                "the node to serve after a crash at its first start",
                |run| {
                    if let Ok(Some(status)) = alone.ended(1) {
                        let log = alone.log(1);
                        let last = log.lines().last().unwrap_or_default();
                        return Err(format!("it has ended with {status}: {last}"));
                    }
                    if run.leads_itself() {
                        Ok(())
                    } else {
                        Err("no leader".to_owned())
                    }
                },
            )?;
        }
        drop(alone);
        let _gone = std::fs::remove_dir_all(&folder);
        if survived {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_failed_fsync_is_named_in_one_line_or_two() {
        let one = "7 fdatasync(12</d/log/log.redb>) = 0\n\
                   7 fdatasync(13</d/peers.tmp>) = -1 EIO (Input/output error) (INJECTED)\n";
        assert_eq!(injected_file(one), Some("/d/peers.tmp".into()));
        let two = "7 fdatasync(12</d/log/log.redb> <unfinished ...>\n\
                   8 fsync(13</d/peers.tmp>) = 0\n\
                   7 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)\n";
        assert_eq!(injected_file(two), Some("/d/log/log.redb".into()));
        assert_eq!(injected_file("7 fsync(13</d/peers.tmp>) = 0\n"), None);
    }

    #[test]
    fn nobody_goes_on_after_a_failed_fsync_of_the_log() {
        let of = |file| of_the_log(Some(Path::new(file)), Path::new("/d"));
        assert!(of("/d/log/log.redb") && of("/d/log/anchor") && of("/d/log") && of("/d"));
        assert!(!of("/d/peers.tmp") && !of("/d/snapshots/5/7.snapshot") && !of("/ca.tmp"));
        assert!(of_the_log(None, Path::new("/d")));
    }
}
