//! `coracle-sim`: runs seeds of the simulator.
//!
//! ```text
//! coracle-sim [--seeds N] [--start S] [--minutes M] [--twice]
//! coracle-sim --seed X [--trace] [--twice]
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for the terminal: data on stdout, the rest on stderr, and how long it took"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use coracle_sim::{Plan, Summary, run};

const USAGE: &str = "usage: coracle-sim [--seeds N] [--start S] [--minutes M] [--twice]
       coracle-sim --seed X [--trace] [--twice]";

/// Seeds that are run if no number is given.
const SEEDS: u64 = 200;

/// How often a long run says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Arguments {
    seed: Option<u64>,
    start: u64,
    seeds: Option<u64>,
    minutes: Option<u64>,
    trace: bool,
    twice: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} needs a number"))?;
            let parsed = value.parse::<u64>();
            parsed.map_err(|_| format!("{word} needs a number, not `{value}`"))
        };
        match word.as_str() {
            "--seed" => arguments.seed = Some(number()?),
            "--seeds" => arguments.seeds = Some(number()?),
            "--start" => arguments.start = number()?,
            "--minutes" => arguments.minutes = Some(number()?),
            "--trace" => arguments.trace = true,
            "--twice" => arguments.twice = true,
            _ => return Err(format!("unknown argument `{word}`")),
        }
    }
    Ok(arguments)
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    if arguments.trace {
        println!("{:#?}", Plan::of(seed));
    }
    match attempt(seed, arguments) {
        Ok(summary) => {
            println!("seed {seed}: {summary:#?}");
            ExitCode::SUCCESS
        }
        Err(line) => fail(&line),
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let limit = arguments
        .minutes
        .map(|minutes| Duration::from_secs(60 * minutes));
    let seeds = arguments.seeds.unwrap_or(match limit {
        Some(_) => u64::MAX,
        None => SEEDS,
    });
    let mut total = Total::default();
    let mut reported = begun;
    for seed in arguments.start..arguments.start.saturating_add(seeds) {
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            break;
        }
        match attempt(seed, arguments) {
            Ok(summary) => total.add(&summary),
            Err(line) => return fail(&line),
        }
        if reported.elapsed() > REPORT_INTERVAL {
            reported = Instant::now();
            eprintln!("{}", total.line(begun.elapsed()));
        }
    }
    println!("{}", total.line(begun.elapsed()));
    println!("{:?}", total.faults);
    println!("{:?}", total.counts);
    ExitCode::SUCCESS
}

/// Runs a seed, twice if wanted; the error is a line for people.
fn attempt(seed: u64, arguments: &Arguments) -> Result<Summary, String> {
    let again = format!("replay: coracle-sim --seed {seed} --trace");
    let once = |trace| {
        let result = run(Plan::of(seed), trace);
        result.map_err(|violation| format!("seed {seed}: {violation}; {again}"))
    };
    let summary = once(arguments.trace)?;
    if arguments.twice {
        let second = once(false)?;
        if second != summary {
            let (first, second) = (summary.digest, second.digest);
            return Err(format!(
                "seed {seed}: two runs differ: {first:016x}, {second:016x}"
            ));
        }
    }
    Ok(summary)
}

fn fail(line: &str) -> ExitCode {
    eprintln!("FAILED {line}");
    ExitCode::FAILURE
}

/// Sums over seeds.
#[derive(Debug, Default)]
struct Total {
    seeds: u64,
    events: u64,
    time: u64,
    committed: u64,
    operations: u64,
    delivered: u64,
    commits: u64,
    counts: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
}

impl Total {
    fn add(&mut self, summary: &Summary) {
        self.seeds += 1;
        self.events += summary.events;
        self.time += summary.time;
        self.committed += summary.committed;
        self.operations += summary.operations;
        self.delivered += summary.delivered;
        self.commits += summary.commits;
        for (what, count) in &summary.faults {
            *self.faults.entry(what).or_default() += count;
        }
        for (what, count) in &summary.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let Self {
            seeds,
            events,
            committed,
            operations,
            delivered,
            commits,
            ..
        } = self;
        let simulated = self.time / 1_000_000_000;
        let seconds = elapsed.as_secs_f64();
        format!(
            "{seeds} seeds, {simulated} s simulated, {events} events, {committed} entries, \
             {operations} operations, {delivered} messages, {commits} commits in {seconds:.1} s"
        )
    }
}
