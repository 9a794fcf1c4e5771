//! `coracle-sim`: runs seeds and tapes of the simulator. See `USAGE`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal: data on stdout, the rest on stderr, and how long it took"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use coracle_sim::invariants::violated;
use coracle_sim::minimise::minimise;
use coracle_sim::plan::Storage;
use coracle_sim::{
    Plan, Summary, Tape, Total, Violation, prepare, record, recorded, replay, run, speed, survive,
    witness,
};

const USAGE: &str = "\
usage: coracle-sim [--seeds N] [--start S] [--minutes M] [--twice] [--marks] [--keep-going]
       coracle-sim --seed X [--trace] [--twice] [--events FILE]
       coracle-sim --seed X --history FILE
       coracle-sim --minimise X [--corpus DIR]
       coracle-sim --tape FILE [--trace]
       coracle-sim --corpus DIR
       coracle-sim --speed

  --seeds N       so many seeds (200, or as many as fit in --minutes)
  --start S       the first seed (0)
  --minutes M     stop after so many minutes
  --twice         run every seed twice and compare the two event by event
  --marks         fail if a situation of src/marks.rs was never reached
  --keep-going    go on after a seed that fails, and name all of them at the end
  --seed X        one seed
  --trace         print one line per event
  --history FILE  write what the clients of the seed saw to FILE, for coracle-check
  --events FILE   write what the nodes do, for `coracle-trace --ordered FILE` to judge
  --minimise X    make the failing run of a seed smaller and write it to DIR/seed-X.tape
                  (DIR: tests/sim/corpus)
  --tape FILE     play a tape
  --corpus DIR    play all tapes of a folder
  --speed         messages per second with the log in memory, commits per second with redb";

/// Seeds that are run if no number is given.
const SEEDS: u64 = 200;

/// Where tapes are kept.
const CORPUS: &str = "tests/sim/corpus";

/// How often a long run says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Arguments {
    seed: Option<u64>,
    minimise: Option<u64>,
    tape: Option<String>,
    history: Option<String>,
    events: Option<String>,
    corpus: Option<String>,
    start: u64,
    seeds: Option<u64>,
    minutes: Option<u64>,
    trace: bool,
    twice: bool,
    marks: bool,
    keep_going: bool,
    speed: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // The log contains what redb panics about on damaged files; everything else is a violation.
    prepare(!arguments.trace);
    let done = if let Some(seed) = arguments.seed {
        one(seed, &arguments)
    } else if let Some(seed) = arguments.minimise {
        smaller(seed, arguments.corpus.as_deref().unwrap_or(CORPUS))
    } else if let Some(tape) = &arguments.tape {
        play(Path::new(tape), arguments.trace)
    } else if let Some(corpus) = &arguments.corpus {
        play_all(Path::new(corpus))
    } else if arguments.speed {
        measure()
    } else {
        many(&arguments)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("FAILED {line}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let mut number = || {
            let value = value()?;
            let parsed = value.parse::<u64>();
            parsed.map_err(|_| format!("{word} needs a number, not `{value}`"))
        };
        match word.as_str() {
            "--seed" => arguments.seed = Some(number()?),
            "--minimise" => arguments.minimise = Some(number()?),
            "--seeds" => arguments.seeds = Some(number()?),
            "--start" => arguments.start = number()?,
            "--minutes" => arguments.minutes = Some(number()?),
            "--history" => arguments.history = Some(value()?),
            "--events" => arguments.events = Some(value()?),
            "--tape" => arguments.tape = Some(value()?),
            "--corpus" => arguments.corpus = Some(value()?),
            "--trace" => arguments.trace = true,
            "--twice" => arguments.twice = true,
            "--marks" => arguments.marks = true,
            "--keep-going" => arguments.keep_going = true,
            "--speed" => arguments.speed = true,
            _ => return Err(format!("unknown argument `{word}`")),
        }
    }
    Ok(arguments)
}

fn one(seed: u64, arguments: &Arguments) -> Result<(), String> {
    if arguments.trace {
        println!("{:#?}", Plan::of(seed));
    }
    if let Some(path) = &arguments.history {
        return save_history(seed, path);
    }
    if let Some(file) = &arguments.events {
        let (_, lines) = witness(Plan::of(seed));
        std::fs::write(file, lines).map_err(|error| format!("{file}: {error}"))?;
    }
    match attempt(seed, arguments)? {
        Some(summary) => println!("seed {seed}: {summary:#?}"),
        None => {
            println!("seed {seed}: cut short by the log's engine, which would have ended a node")
        }
    }
    Ok(())
}

/// Writes the history of a seed, however its run ends.
fn save_history(seed: u64, path: &str) -> Result<(), String> {
    let (outcome, history) = recorded(Plan::of(seed));
    let file = std::fs::File::create(path).map_err(|error| format!("{path}: {error}"))?;
    let mut file = std::io::BufWriter::new(file);
    let written = history.write(&mut file);
    written.map_err(|error| format!("{path}: {error}"))?;
    eprintln!("{path}: {} operations", history.operations.len());
    let line = |violation: Violation| format!("seed {seed}: {violation}");
    outcome.map(drop).map_err(line)
}

fn many(arguments: &Arguments) -> Result<(), String> {
    let begun = Instant::now();
    let minutes = arguments.minutes;
    let limit = minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let seeds = arguments.seeds.unwrap_or(match limit {
        Some(_) => u64::MAX,
        None => SEEDS,
    });
    let mut total = Total::default();
    let mut failed = Vec::new();
    let mut reported = begun;
    println!("first seed: {}", arguments.start);
    for seed in arguments.start..arguments.start.saturating_add(seeds) {
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        match attempt(seed, arguments) {
            Ok(Some(summary)) => total.add(&summary),
            Ok(None) => total.cut_short(),
            Err(line) if arguments.keep_going => {
                eprintln!("FAILED {line}");
                failed.push(seed);
            }
            Err(line) => return Err(line),
        }
        if reported.elapsed() > REPORT_INTERVAL {
            reported = Instant::now();
            eprintln!("{}", total.line(begun.elapsed()));
        }
    }
    println!("{}", total.line(begun.elapsed()));
    print!("{}", total.figures());
    let missed = total.missed();
    if !missed.is_empty() {
        println!("marks never hit: {}", missed.join("; "));
    }
    if !failed.is_empty() {
        return Err(format!("seeds {failed:?}"));
    }
    match arguments.marks && !missed.is_empty() {
        true => Err(format!("{} marks were never hit", missed.len())),
        false => Ok(()),
    }
}

/// Runs a seed, twice if wanted; the error is a line for people. `None`: redb would have ended the
/// process, because of what was done to a disk.
fn attempt(seed: u64, arguments: &Arguments) -> Result<Option<Summary>, String> {
    let again = format!("replay: coracle-sim --seed {seed} --trace");
    let once = |trace| {
        let plan = Plan::of(seed);
        let harmed = plan.faults.harms_disks();
        let result = survive(move || run(plan, trace));
        match result {
            Some(outcome) => outcome.map(Some),
            None if harmed => Ok(None),
            None => violated("no panic", "the log's engine panics on a sound disk").map(|()| None),
        }
        .map_err(|violation| format!("seed {seed}: {violation}; {again}"))
    };
    let summary = once(arguments.trace)?;
    if arguments.twice {
        let second = once(false)?;
        if second != summary {
            let digest = |it: &Option<Summary>| it.as_ref().map_or(0, |it| it.digest);
            let (first, second) = (digest(&summary), digest(&second));
            return Err(format!(
                "seed {seed}: two runs differ: {first:016x}, {second:016x}"
            ));
        }
    }
    Ok(summary)
}

fn smaller(seed: u64, corpus: &str) -> Result<(), String> {
    let (outcome, tape) = record(Plan::of(seed), false);
    let Err(violation) = outcome else {
        return Err(format!("seed {seed} violates nothing"));
    };
    eprintln!("seed {seed}: {violation}");
    let tape = minimise(tape, &mut |tape| eprintln!("{}", size(tape)));
    let path = Path::new(corpus).join(format!("seed-{seed}.tape"));
    let violation = replay(&tape, false).err().map(|it| it.to_string());
    let head = format!("# seed {seed}: {}\n", violation.unwrap_or_default());
    std::fs::write(&path, head + &tape.to_string())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: {}", path.display(), size(&tape));
    Ok(())
}

fn size(tape: &Tape) -> String {
    let requests = tape.requests.as_ref().map(|requests| requests.len());
    let requests = requests.map_or("all".to_owned(), |requests| requests.to_string());
    let Plan { nodes, clients, .. } = tape.plan;
    let attacks = tape.attacks.len();
    format!("{attacks} faults, {requests} requests, {clients} clients, {nodes} nodes")
}

fn play(path: &Path, trace: bool) -> Result<(), String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let tape = Tape::parse(&text).map_err(|error| format!("{name}: {error}"))?;
    let failed = |violation: Violation| {
        format!("{name}: {violation}; replay: coracle-sim --tape {name} --trace")
    };
    let summary = replay(&tape, trace).map_err(failed)?;
    println!("{name}: {} events, {:016x}", summary.events, summary.digest);
    Ok(())
}

fn play_all(folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|it| it == "tape"));
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
        println!("{storage:?}: {count} {what} in {seconds:.2} s of a core, {rate:.0} a second");
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
