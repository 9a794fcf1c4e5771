//! `coracle-sim`: runs seeds and tapes of the simulator. See `USAGE`.

#![allow(
    clippy::disallowed_methods,
    reason = "a program for the terminal: how long it took, and what its environment says"
)]

mod arguments;
mod smaller;
mod terminal;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arguments::{Command, Seed, Sweep, USAGE, parse};
use coracle_sim::plan::Storage;
use coracle_sim::{
    CutShort, Plan, Summary, Tape, Total, Violation, prepare, recorded, replay, run, speed,
    survive, witness,
};
use terminal::{data, failed, say};

/// How often a long run says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let command = match parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            say(format_args!("coracle-sim: {error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match perform(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            failed(&line);
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<(), String> {
    let traces = match &command {
        Command::Seed(wanted) => wanted.trace,
        Command::Tape { trace, .. } => *trace,
        _ => false,
    };
    // The log contains what redb panics about on damaged files; everything else is a violation.
    prepare(!traces);
    match command {
        Command::Help => {
            data(USAGE);
            Ok(())
        }
        Command::Sweep(sweep) => many(&sweep),
        Command::Seed(wanted) => one(&wanted),
        Command::History { seed, file } => save_history(seed, &file),
        Command::Minimise { seed, corpus } => smaller::keep(seed, &corpus).map(drop),
        Command::Tape { file, trace } => play(Path::new(&file), trace),
        Command::Corpus(folder) => play_all(Path::new(&folder)),
        Command::Speed => measure(),
    }
}

fn one(wanted: &Seed) -> Result<(), String> {
    let Seed { seed, trace, .. } = *wanted;
    if trace {
        data(format_args!("{:#?}", Plan::of(seed)));
    }
    if let Some(file) = &wanted.events {
        let (_, lines) = survive(move || witness(Plan::of(seed))).map_err(of_seed(seed))?;
        std::fs::write(file, lines).map_err(|error| format!("{file}: {error}"))?;
    }
    match attempt(seed, trace, wanted.twice)? {
        Ok(summary) => data(format_args!("seed {seed}: {summary:#?}")),
        Err(cut_short) => data(format_args!("seed {seed}: {cut_short}")),
    }
    Ok(())
}

fn of_seed<T: std::fmt::Display>(seed: u64) -> impl Fn(T) -> String {
    move |what| format!("seed {seed}: {what}")
}

/// Writes the history of a seed, however its run ends.
fn save_history(seed: u64, path: &str) -> Result<(), String> {
    let ended = survive(move || recorded(Plan::of(seed)));
    let (outcome, history) = ended.map_err(of_seed(seed))?;
    let file = std::fs::File::create(path).map_err(|error| format!("{path}: {error}"))?;
    let mut file = std::io::BufWriter::new(file);
    let written = history.write(&mut file);
    written.map_err(|error| format!("{path}: {error}"))?;
    say(format_args!(
        "{path}: {} operations",
        history.operations.len()
    ));
    outcome.map(drop).map_err(of_seed(seed))
}

fn many(sweep: &Sweep) -> Result<(), String> {
    let begun = Instant::now();
    let mut total = Total::default();
    let mut violated = Vec::new();
    let mut reported = begun;
    data(format_args!("first seed: {}", sweep.start));
    for seed in sweep.start..sweep.end {
        if sweep.limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        match attempt(seed, false, sweep.twice) {
            Ok(Ok(summary)) => total.add(&summary),
            Ok(Err(_)) => total.cut_short(),
            Err(line) if sweep.keep_going => {
                failed(&line);
                violated.push(seed);
            }
            Err(line) => {
                left_of(seed, &line, &sweep.tapes);
                return Err(format!("{line}; smaller: coracle-sim --minimise {seed}"));
            }
        }
        if reported.elapsed() > REPORT_INTERVAL {
            reported = Instant::now();
            say(total.line(begun.elapsed()));
        }
    }
    data(total.line(begun.elapsed()));
    data(total.figures().trim_end());
    let missed = total.missed();
    if !missed.is_empty() {
        data(format_args!("marks never hit: {}", missed.join("; ")));
    }
    if !violated.is_empty() {
        return Err(format!("seeds {violated:?}"));
    }
    if total.judged() == 0 {
        return Err("no seed was run to its end: there is nothing to judge".into());
    }
    match sweep.marks && !missed.is_empty() {
        true => Err(format!("{} marks were never hit", missed.len())),
        false => Ok(()),
    }
}

/// A seed that fails in a sweep may never fail again, with other code: what is needed to look at it
/// is made and shown at once.
fn left_of(seed: u64, line: &str, tapes: &str) {
    failed(line);
    say("making it smaller, for at most some minutes");
    let shown = smaller::keep(seed, tapes).and_then(|tape| smaller::show(&tape));
    if let Err(why) = shown {
        say(format_args!("there is no tape: {why}"));
    }
}

/// What a run came to, also one that the log's engine cut short.
type Run = Result<Result<Summary, CutShort>, Violation>;

/// Runs a seed, twice if wanted; the error is a line for people.
fn attempt(seed: u64, trace: bool, twice: bool) -> Result<Result<Summary, CutShort>, String> {
    compared(seed, twice, |again| {
        judged(move || run(Plan::of(seed), trace && !again))
    })
}

/// The outcome of a seed; `run` is told whether it is the second time.
fn compared(
    seed: u64,
    twice: bool,
    mut run: impl FnMut(bool) -> Run,
) -> Result<Result<Summary, CutShort>, String> {
    let replay = format!("replay: coracle-sim --seed {seed} --trace");
    let mut once =
        |again| run(again).map_err(|violation| format!("seed {seed}: {violation}; {replay}"));
    let summary = once(false)?;
    if twice {
        let second = once(true)?;
        if second != summary {
            let digest = |it: &Result<Summary, _>| it.as_ref().map_or(0, |it| it.digest);
            let (first, second) = (digest(&summary), digest(&second));
            return Err(format!(
                "seed {seed}: two runs differ: {first:016x}, {second:016x}; {replay}"
            ));
        }
    }
    Ok(summary)
}

/// A run that the process survives. Who is cut short must have a disk that was given a fault.
fn judged(work: impl FnOnce() -> Result<Summary, Violation> + Send + 'static) -> Run {
    match survive(work) {
        Ok(outcome) => outcome.map(Ok),
        Err(cut_short) => cut_short.explained().map(|()| Err(cut_short)),
    }
}

fn play(path: &Path, trace: bool) -> Result<(), String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let tape = Tape::parse(&text).map_err(|error| format!("{name}: {error}"))?;
    let failed = |violation: Violation| {
        format!("{name}: {violation}; replay: coracle-sim --tape {name} --trace")
    };
    match judged(move || replay(&tape, trace)).map_err(failed)? {
        Ok(summary) => data(format_args!(
            "{name}: {} events, {:016x}",
            summary.events, summary.digest
        )),
        Err(cut_short) => data(format_args!("{name}: {cut_short}")),
    }
    Ok(())
}

fn play_all(folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|it| it == "tape"));
    if paths.is_empty() {
        return Err(format!("{}: there is no tape to play", folder.display()));
    }
    paths.sort();
    paths.iter().try_for_each(|path| play(path, false))
}

fn measure() -> Result<(), String> {
    for (storage, what) in [(Storage::Memory, "messages"), (Storage::Redb, "commits")] {
        let begun = processor_time();
        let summary = run(speed::plan(storage), false).map_err(|it| it.to_string())?;
        let seconds = processor_time().saturating_sub(begun).as_secs_f64();
        let count = match storage {
            Storage::Memory => summary.delivered,
            Storage::Redb => summary.commits,
        };
        let rate = count as f64 / seconds;
        data(format_args!(
            "{storage:?}: {count} {what} in {seconds:.2} s of a core, {rate:.0} a second"
        ));
    }
    Ok(())
}

/// How long this process has had a core, so that others on the machine do not count; where the
/// system does not tell, the time of day.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    let otherwise = || std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    nanos.map_or_else(otherwise, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short, and without damage.
    const SEED: u64 = 7;

    fn sweep(line: &str) -> Result<(), String> {
        match parse(line.split_whitespace().map(str::to_owned)) {
            Ok(Command::Sweep(sweep)) => many(&sweep),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_mark_that_is_never_hit_fails_a_sweep_that_asks_for_marks() {
        let one = format!("--start {SEED} --seeds 1");
        assert_eq!(sweep(&one), Ok(()));
        let error = sweep(&format!("{one} --marks")).unwrap_err();
        assert!(error.ends_with("marks were never hit"), "{error}");
    }

    #[test]
    fn a_seed_whose_second_run_is_another_fails_only_if_it_is_run_twice() {
        let summary = run(Plan::of(SEED), false).unwrap();
        let changing = |again: bool| {
            let mut summary = summary.clone();
            summary.events += u64::from(again);
            Ok(Ok(summary))
        };
        assert_eq!(compared(SEED, false, changing), Ok(Ok(summary.clone())));
        let error = compared(SEED, true, changing).unwrap_err();
        assert!(error.starts_with("seed 7: two runs differ"), "{error}");
        let steady = |_| Ok(Ok(summary.clone()));
        assert_eq!(compared(SEED, true, steady), Ok(Ok(summary.clone())));
    }
}
