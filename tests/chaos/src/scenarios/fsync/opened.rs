//! Lives in which fsyncs are counted from the end of the opening of the log on. The thread that opens
//! it has a few of its own, behind which strace would hide as many of the log writer's.

use std::path::Path;
use std::process::{Command, Stdio};

use super::trace::Trace;
use super::{At, Kind, Point, inject, only_fsyncs};
use crate::cluster::Around;
use crate::failure::Failure;
use crate::program;
use crate::run::Run;

/// The `fsync` that ends the opening: of the folder that holds the log.
const OPENED: u64 = 2;

/// Starts a node; once it has opened its log, this happens to it. Answers how many fsyncs of files were
/// hidden.
///
/// # Errors
/// If it cannot be started or traced.
pub(super) fn start(
    run: &mut Run,
    id: u64,
    trace: &Path,
    at: At,
    points: &[Point],
) -> Result<u64, Failure> {
    let opening = run.folder.join("strace-opening");
    let _gone = std::fs::remove_file(&opening);
    let mut before: Vec<String> = ["strace", "-D", "-f"].map(str::to_owned).to_vec();
    before.extend(only_fsyncs(&opening));
    let stop = format!("inject=fsync:signal=STOP:when={OPENED}");
    before.extend(["-e".to_owned(), stop, "--".to_owned()]);
    let variables = Vec::new();
    run.start_in(id, &Around { before, variables })?;
    let process = run.cluster.process(id)?;
    let tasks = run.processes()?.join(format!("{process}/task"));
    let (tracer, hidden) = run.eventually(&format!("n{id} to have opened its log"), |_| {
        let text = std::fs::read_to_string(&opening).unwrap_or_default();
        let made = Trace::read(&text);
        match (made.most(Kind::All), traced(&tasks).as_slice()) {
            (OPENED, [(Stop::Tracer, tracer), ..]) => Ok((*tracer, made.most(Kind::Data))),
            (made, threads) => Err(format!("{made} fsyncs, {threads:?}")),
        }
    })?;
    // What a signal has stopped stays so without its tracer.
    program::line(&format!("kill -9 {tracer}"))?;
    run.eventually(&format!("n{id} to stand still"), |_| {
        let threads = traced(&tasks);
        let still = threads.iter().all(|thread| *thread == (Stop::Signal, 0));
        match still && !threads.is_empty() {
            true => Ok(()),
            false => Err(format!("{threads:?}")),
        }
    })?;
    // Of a process that it attaches to, strace finds the threads in `/proc`.
    let mut strace = Command::new("unshare");
    let mount = "mount -t proc proc /proc && exec \"$@\"";
    strace.args(["--mount", "--", "sh", "-c", mount, "sh", "strace", "-f"]);
    strace.args(only_fsyncs(trace)).args(inject(at, points));
    strace.args(["-p", &process.to_string()]);
    strace
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let strace = strace
        .spawn()
        .map_err(|error| Failure::harness("run strace", error))?;
    let tracer = strace.id();
    run.errands.push(strace);
    run.eventually(&format!("n{id} to be traced again"), |_| {
        let threads = traced(&tasks);
        match threads.iter().all(|(_, by)| *by == tracer) && !threads.is_empty() {
            true => Ok(()),
            false => Err(format!("{threads:?}")),
        }
    })?;
    run.cluster.signal(id, "CONT")?;
    Ok(hidden)
}

/// What a thread has been stopped by.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Signal,
    Tracer,
    Nothing,
}

/// Of each thread of a process, what has stopped it, and the process that traces it.
fn traced(tasks: &Path) -> Vec<(Stop, u32)> {
    let Ok(threads) = std::fs::read_dir(tasks) else {
        return Vec::new();
    };
    let statuses = threads.flatten().map(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let mut lines = status.lines();
            lines
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or("")
                .trim()
                .to_owned()
        };
        let stop = match field("State:").chars().next() {
            Some('T') => Stop::Signal,
            Some('t') => Stop::Tracer,
            _ => Stop::Nothing,
        };
        (stop, field("TracerPid:").parse().unwrap_or(0))
    });
    statuses.collect()
}
