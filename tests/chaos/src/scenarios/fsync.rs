//! Crashes and errors exactly at an fsync, counted by strace.
//!
//! strace counts `fsync` and `fdatasync` apart, and those of each thread: that a life has ended at the
//! one that was meant is read from what strace wrote.

mod opened; // counted from the end of the opening of the log on
mod trace; // what strace wrote

use std::path::Path;
use std::time::{Duration, Instant};

use self::trace::Trace;
use crate::cluster::{Around, Cluster};
use crate::ends::{End, is_kill};
use crate::failure::Failure;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};
use crate::tool::Tool;

/// The first so many fsyncs of a life.
const POINTS: u64 = 200;

/// Points of the short form.
const SAMPLE: u64 = 4;

/// Fsyncs of a first start that are looked at; there are fewer.
const FIRST: u64 = 40;

/// How long an fsync that has been done is held up, so that the node can be killed before it knows.
/// The tracer cannot let go of the dead earlier.
const HELD_SECONDS: u64 = 1;

/// Lives until one was ended in time.
const TRIES: u64 = 4;

/// Time for strace to write what it saw last.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

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

/// The two system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `fdatasync`: nearly all.
    Data,
    /// `fsync`: of folders.
    All,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Data => "fdatasync",
            Self::All => "fsync",
        }
    }
}

/// The Nth call of a kind in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    kind: Kind,
    nth: u64,
}

/// Where the long form stops to look.
const LAST: Point = Point {
    kind: Kind::Data,
    nth: POINTS,
};

fn points(run: &mut Run, at: At) -> Result<(), Failure> {
    let kind = Kind::Data;
    if run.all {
        for nth in 1..=POINTS {
            until_hit(run, at, Since::Start, &[Point { kind, nth }])?;
        }
    } else {
        // One of each quarter.
        let quarter = POINTS / SAMPLE;
        for part in 0..SAMPLE {
            let first = part * quarter + 1;
            let nth = run.rng.between(first, first + quarter);
            until_hit(run, at, Since::Start, &[Point { kind, nth }])?;
        }
    }
    folders(run, at)?;
    hidden(run, at)
}

/// The first ones of the log writer, each of which has the number of one of the opening; in the short
/// form the very first.
fn hidden(run: &mut Run, at: At) -> Result<(), Failure> {
    let kind = Kind::Data;
    let mut nth = 1;
    loop {
        let opening = until_hit(run, at, Since::Opened, &[Point { kind, nth }])?.1;
        if nth >= opening || !run.all {
            return Ok(());
        }
        nth += 1;
    }
}

/// Those of folders, as many as a life has until the last of the others; in the short form one that
/// every life has.
fn folders(run: &mut Run, at: At) -> Result<(), Failure> {
    let kind = Kind::All;
    let first = if run.all { 1 } else { run.rng.between(1, 3) };
    for nth in first.. {
        let (hit, _) = until_hit(run, at, Since::Start, &[Point { kind, nth }, LAST])?;
        if hit == LAST || !run.all {
            break;
        }
    }
    Ok(())
}

/// From when on fsyncs are counted.
#[derive(Debug, Clone, Copy)]
enum Since {
    Start,
    Opened,
}

/// Lives until one has been hit at one of these points; answers at which, and how many were not counted.
fn until_hit(
    run: &mut Run,
    at: At,
    since: Since,
    points: &[Point],
) -> Result<(Point, u64), Failure> {
    for _ in 0..TRIES {
        match one(run, at, since, points)? {
            Ok(hit) => return Ok(hit),
            Err(missed) => run.timeline.note("missed", &missed),
        }
    }
    let why = format!("it was missed {TRIES} times");
    Err(Failure::harness(format!("hit {points:?}"), why))
}

/// A life that ends at one of these, or goes on after an error at it. Answers at which, or what there
/// was if we came too late.
fn one(
    run: &mut Run,
    at: At,
    since: Since,
    points: &[Point],
) -> Result<Result<(Point, u64), String>, Failure> {
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
    let hidden = match since {
        Since::Start => {
            run.start_in(victim, &around(&trace, at, points))?;
            0
        }
        Since::Opened => opened::start(run, victim, &trace, at, points)?,
    };
    match at {
        At::Before => run.ended(victim)?,
        At::After => {
            injected(run, &trace, victim)?;
            run.kill(victim)?;
        }
        At::Error => {
            injected(run, &trace, victim)?;
            failed(run, &trace, victim, before)?;
        }
    }
    let hit = written(run, &trace, |trace| {
        let mut hit = points.iter().map(|point| trace.happened(at, *point));
        let first = hit.position(|hit| hit.is_ok());
        first.ok_or_else(|| trace.said(points))
    })?;
    let hit = hit.map(|at| points[at]);
    if let Ok(Point { kind, nth }) = hit {
        let detail = format!("n{victim} at {} {nth} after {hidden}", kind.name());
        run.timeline.note(named(at), &detail);
    }
    run.may_end.remove(&victim);
    if !run.cluster.is_running(victim) {
        run.start(victim)?;
    }
    run.caught_up(victim)?;
    Ok(hit.map(|point| (point, hidden)))
}

/// What a trace shows of a life that is over. strace outlives it for a moment.
fn written<T>(
    run: &mut Run,
    trace: &Path,
    look: impl Fn(&Trace<'_>) -> Result<T, String>,
) -> Result<Result<T, String>, Failure> {
    let until = Instant::now() + WRITTEN_WITHIN;
    loop {
        let text = std::fs::read_to_string(trace).unwrap_or_default();
        match look(&Trace::read(&text)) {
            Ok(found) => return Ok(Ok(found)),
            Err(missed) if Instant::now() >= until => return Ok(Err(missed)),
            Err(_) => run.stay(Duration::from_millis(25))?,
        }
    }
}

fn named(at: At) -> &'static str {
    match at {
        At::Before => "crash before fsync",
        At::After => "crash after fsync",
        At::Error => "fsync error",
    }
}

fn around(trace: &Path, at: At, points: &[Point]) -> Around {
    let mut before: Vec<String> = ["strace", "-D", "-f"].map(str::to_owned).to_vec();
    // With it only these calls stop, and nothing else is slower; but it swallows the signal.
    if !matches!(at, At::Before) {
        before.push("--seccomp-bpf".to_owned());
    }
    before.extend(only_fsyncs(trace));
    before.extend(inject(at, points));
    before.push("--".to_owned());
    Around {
        before,
        ..Around::default()
    }
}

/// What strace is to write, and where.
fn only_fsyncs(trace: &Path) -> Vec<String> {
    let mut words = ["-qq", "-y", "-e", "signal=none", "-e"]
        .map(str::to_owned)
        .to_vec();
    words.push("trace=fsync,fdatasync".to_owned());
    words.extend(["-o".to_owned(), trace.to_string_lossy().into_owned()]);
    words
}

/// What it is to do.
fn inject(at: At, points: &[Point]) -> Vec<String> {
    let what = match at {
        At::Before => "signal=KILL".to_owned(),
        At::After => format!("delay_exit={}", HELD_SECONDS * 1_000_000),
        At::Error => "error=EIO".to_owned(),
    };
    let one = |Point { kind, nth }: &Point| {
        let name = kind.name();
        ["-e".to_owned(), format!("inject={name}:{what}:when={nth}")]
    };
    points.iter().flat_map(one).collect()
}

/// Waits until strace has done what it was told to.
fn injected(run: &mut Run, trace: &Path, victim: u64) -> Result<(), Failure> {
    run.eventually("the fsync", |run| {
        let text = std::fs::read_to_string(trace).unwrap_or_default();
        let trace = Trace::read(&text);
        if trace.injected() || !run.cluster.is_running(victim) {
            return Ok(());
        }
        Err(format!("{} were done", trace.done()))
    })
}

/// Time for a node to end after an fsync has failed.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// What a node says whose fsync has failed.
const REASON: &str = "Input/output error";

/// Of the log: it must end, and say why. Of another file: it may go on.
fn failed(run: &mut Run, trace: &Path, victim: u64, before: usize) -> Result<(), Failure> {
    let until = Instant::now() + ENDS_WITHIN;
    while run.cluster.is_running(victim) && Instant::now() < until {
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
    let file = Trace::read(&text).failed_file();
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

/// Before the cluster: one new node after the other, each alone.
fn first_start(run: &mut Run) -> Result<(), Failure> {
    for kind in [Kind::All, Kind::Data] {
        for nth in 1..=FIRST {
            if !first_start_at(run, Point { kind, nth })? {
                break;
            }
        }
    }
    Ok(())
}

/// Whether the first start had such an fsync.
fn first_start_at(run: &mut Run, point: Point) -> Result<bool, Failure> {
    let folder = run
        .folder
        .join(format!("first-{}-{}", point.kind.name(), point.nth));
    let binary = run.cluster.binary().to_owned();
    let logs = run.folder.join("logs");
    let mut alone = Cluster::lay_out(&binary, &folder, &logs, 1, "")?;
    let trace = run.folder.join("strace");
    alone.start_in(1, &around(&trace, At::Before, &[point]))?;
    let ended = run.eventually("the first start to be over", |run| {
        if let Ok(Some(status)) = alone.ended(1) {
            return Ok(Some(status));
        }
        if run.leads_itself() {
            Ok(None)
        } else {
            Err("not yet".to_owned())
        }
    })?;
    let made = match ended {
        Some(status) if !is_kill(status) => {
            let log = alone.log(1);
            let last = log.lines().last().unwrap_or_default();
            return Err(Failure::Violation(format!(
                "a first start ended with {status}: {last}"
            )));
        }
        Some(_) => written(run, &trace, |trace| trace.happened(At::Before, point))?,
        // It must have had too few of them, and some.
        None => written(run, &trace, |trace| match trace.most(point.kind) {
            most if most > 0 && most + 1 == point.nth => Ok(()),
            _ => Err(trace.said(&[point])),
        })?,
    };
    made.map_err(|missed| Failure::harness("crash at a first start", missed))?;
    if ended.is_some() {
        let detail = format!("before {} {}", point.kind.name(), point.nth);
        run.timeline.note("crash at first start", &detail);
        serves_again(run, &mut alone)?;
    }
    drop(alone);
    let _gone = std::fs::remove_dir_all(&folder);
    Ok(ended.is_some())
}

fn serves_again(run: &mut Run, alone: &mut Cluster) -> Result<(), Failure> {
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
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_goes_on_after_a_failed_fsync_of_the_log() {
        let of = |file| of_the_log(Some(Path::new(file)), Path::new("/d"));
        assert!(of("/d/log/log.redb") && of("/d/log/anchor") && of("/d/log") && of("/d"));
        assert!(!of("/d/peers.tmp") && !of("/d/snapshots/5/7.snapshot") && !of("/ca.tmp"));
        assert!(of_the_log(None, Path::new("/d")));
    }
}
